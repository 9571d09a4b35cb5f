//! The numbers of a report: per model, suite and variant the score, its interval, the difference to the baseline
//! with interval and p, failures by reason, and the cost.
//!
//! A summary does not depend on the order of the records or on threads: the same records give the same bits.
//!
//! Deviations worth knowing:
//! - The intervals draw whole images. `McNemar`'s test, the usual one for 0/1 metrics, takes each question as
//!   independent; where images carry several questions, [`Difference::p_by_image`] gives the sign-flip p that does not.
//! - Under several training seeds the intervals draw images and seeds (see [`crate::statistics::bootstrap`]); [`Difference::p`] flips
//!   whole images and takes the seeds as they are, and [`Difference::p_by_seed`] is Student's t over the seeds' differences. A
//!   difference is decided only where all of them agree ([`Difference::decided`]).
//! - Suites are taken as independent of each other in the macro average, also where they share images.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use strum::IntoStaticStr;

use crate::schema::{Aggregate, Counts, Failure, GenerationRecord};
use crate::statistics::{Interval, Resampling};
use crate::{Error, Run};

mod attention;
mod averages;
mod build;
mod cells;
mod comparable;
mod notes;
mod resamples;
mod run_note;
mod strata;
mod table;

pub use attention::{AttentionCell, AttentionLayer, AttentionSummary, Gap, Measured};
pub(crate) use resamples::correct;

/// Everything a report shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The variant that the others are compared with.
    pub baseline: String,
    /// The runs behind it.
    pub runs: Vec<RunNote>,
    /// The models, in the order of the runs' configurations.
    pub models: Vec<ModelNote>,
    /// The variants, the baseline first, then in the order of the runs' configurations.
    pub variants: Vec<VariantNote>,
    /// The suites, in the order of the runs' configurations.
    pub suites: Vec<SuiteNote>,
    /// One for each model, suite and variant that has records, in the orders above.
    pub cells: Vec<Cell>,
    /// The samples without a score, in the order of the cells.
    pub failures: Vec<FailedSample>,
    /// One for each model and variant: the mean over suites.
    pub macros: Vec<MacroCell>,
    /// Where the attention went; left out of the JSON where it was not probed.
    #[serde(skip_serializing_if = "AttentionSummary::is_empty")]
    pub attention: AttentionSummary,
    /// The resampling behind the intervals and p-values.
    pub resampling: Resampling,
    /// Why the runs should not have been compared, where that was forced.
    pub forced: Vec<String>,
    /// What people have found out about the runs since, and what the runs do not share and may all the same be compared; left out of
    /// the JSON where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A run, as far as a report tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunNote {
    /// Its id.
    pub run: String,
    /// The hash of its configuration.
    pub config_hash: String,
    /// When it began.
    pub created: String,
    /// Crate version and commit.
    pub code: String,
    /// Processor, cores and accelerator.
    pub machine: String,
    /// Element type and device.
    pub precision: String,
    /// It has no end: the numbers are of the samples up to there.
    pub interrupted: bool,
    /// Bytes of a torn last line that were left out.
    pub truncated_bytes: u64,
    /// Lines of the log that were damaged and left out.
    pub damaged_lines: usize,
    /// Samples with and without a score.
    pub counts: Counts,
}

/// A model, as far as a report tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelNote {
    /// Its name.
    pub name: String,
    /// SHA-256 of its weights.
    pub sha256: String,
    /// Its family.
    pub family: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Seeded random weights.
    pub untrained: bool,
    /// Variants that have trained weights for it.
    pub adapters: Vec<String>,
    /// What of its generation config its answers followed, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<GenerationRecord>,
}

/// A variant, as far as a report tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariantNote {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Whether it adds parameters that training must fill.
    pub trainable: bool,
}

/// A suite, as far as a report tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuiteNote {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Its metric.
    pub metric: String,
    /// The metric's version.
    pub metric_version: u32,
    /// How samples make the score.
    pub aggregate: Aggregate,
    /// Whether an answer must be read off the picture as text.
    pub reading: bool,
    /// Rows that were taken.
    pub rows_used: usize,
    /// Rows that there are.
    pub rows_total: usize,
}

impl SuiteNote {
    /// Whether only a part of the suite was taken.
    pub fn is_subset(&self) -> bool {
        self.rows_used < self.rows_total
    }
}

/// One model, suite and variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The model's name.
    pub model: String,
    /// The suite's id.
    pub suite: String,
    /// The variant's id.
    pub variant: String,
    /// Samples with a score.
    pub scored: usize,
    /// Samples without one.
    pub failed: usize,
    /// Samples that the runs were to take; 0 where they do not say.
    pub due: usize,
    /// The failed samples by reason.
    pub failures: BTreeMap<String, usize>,
    /// The score; `None` if no sample has one.
    pub score: Option<Estimate>,
    /// Against the baseline; `None` for the baseline itself and where no pair is scored.
    pub difference: Option<Difference>,
    /// What each training seed gives by itself, where there are several.
    pub by_seed: Vec<SeedScore>,
    /// Median times.
    pub cost: Cost,
    /// Mean tokens.
    pub tokens: Tokens,
    /// By the suite's own grouping, sorted by name; empty where it has none.
    pub categories: Vec<Category>,
}

impl Cell {
    /// Whether the runs took other samples than they were to take: an interruption, or a damaged run.
    pub fn is_incomplete(&self) -> bool {
        self.due > 0 && self.scored + self.failed != self.due
    }

    /// The mean over categories of each category's mean (`mtvqa`: over languages); `None` without categories, or if
    /// one of them has no score.
    pub fn category_mean(&self) -> Option<f64> {
        let means: Option<Vec<f64>> = self
            .categories
            .iter()
            .map(|category| category.mean)
            .collect();
        let means = means.filter(|means| !means.is_empty())?;
        Some(means.iter().sum::<f64>() / means.len() as f64)
    }
}

/// A sample without a score; variants under which it failed for the same reason share an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedSample {
    /// The model's name.
    pub model: String,
    /// The suite's id.
    pub suite: String,
    /// The sample's id within the suite.
    pub sample: String,
    /// The seed.
    pub seed: u64,
    /// The variants' ids.
    pub variants: Vec<String>,
    /// Why.
    pub error: Failure,
}

/// The mean over suites of one model and variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MacroCell {
    /// The model's name.
    pub model: String,
    /// The variant's id.
    pub variant: String,
    /// Suites with a score.
    pub suites_scored: usize,
    /// Samples with a score, over all suites.
    pub scored: usize,
    /// Samples without one, over all suites.
    pub failed: usize,
    /// The mean over suites; `None` unless every suite has a score.
    pub score: Option<Estimate>,
    /// Against the baseline, likewise.
    pub difference: Option<Difference>,
    /// The mean difference over reading suites minus that over the others, which says whether a gain is one of reading. `None`
    /// unless there are suites of both kinds, each with a difference.
    pub reading_contrast: Option<Contrast>,
    /// The means over suites of each training seed by itself, where there are several.
    pub by_seed: Vec<SeedScore>,
    /// The mean over suites of the median time a sample, where every suite has one.
    pub total_ms: Option<f64>,
}

/// What one training seed gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SeedScore {
    /// The seed.
    pub seed: u64,
    /// The score; `None` if no sample has one.
    pub value: Option<f64>,
    /// Against the baseline under the same seed: 0 for the baseline itself.
    pub difference: Option<f64>,
}

/// A value and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The value, a fraction of 1.
    pub value: f64,
    /// Its bootstrap interval.
    pub interval: Interval,
}

/// The gain on reading suites against that on the others. Neither is corrected over variants: `holm_p` is the largest p.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Contrast {
    /// The gain on reading suites minus that on the others.
    #[serde(flatten)]
    pub between: Difference,
    /// The gain on reading suites.
    pub reading: Difference,
}

/// A difference to the baseline on the same samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Samples scored under both.
    pub pairs: usize,
    /// Variant minus baseline.
    pub value: f64,
    /// Its paired bootstrap interval.
    pub interval: Interval,
    /// The test behind `p`.
    pub test: Test,
    /// Two-sided p.
    pub p: f64,
    /// [`Difference::largest_p`], corrected over the variants of the same model and suite.
    pub holm_p: f64,
    /// For `McNemar`'s test where an image carries several pairs: the sign-flip p by image, which respects that.
    pub p_by_image: Option<f64>,
    /// With several training seeds: two-sided p of Student's t over the seeds' differences; 1 where the suites of a mean share
    /// fewer than two seeds.
    pub p_by_seed: Option<f64>,
    /// The smallest true difference that this comparison, taken alone, finds four times in five.
    pub smallest_detectable: Option<f64>,
}

/// The level at which a difference is decided.
pub const LEVEL: f64 = 0.05;

impl Difference {
    /// The largest of its p-values: it is small only if every test that applies is.
    pub fn largest_p(&self) -> f64 {
        [self.p_by_image, self.p_by_seed]
            .into_iter()
            .flatten()
            .fold(self.p, f64::max)
    }

    /// Whether it is a gain or a loss beyond chance, corrected over the variants; [`Ordering::Equal`] is undecided. Every star,
    /// arrow and word in a report follows this rule: Holm's p is below 0.05, and the interval does not contain 0.
    pub fn decided(&self) -> Ordering {
        self.side(self.holm_p, LEVEL)
    }

    /// The same for a single comparison that was fixed beforehand, at this level and without correction.
    pub fn decided_alone(&self, level: f64) -> Ordering {
        self.side(self.largest_p(), level)
    }

    fn side(&self, p: f64, level: f64) -> Ordering {
        match self.interval {
            Interval { low, .. } if low > 0.0 && p < level => Ordering::Greater,
            Interval { high, .. } if high < 0.0 && p < level => Ordering::Less,
            _ => Ordering::Equal,
        }
    }
}

/// A test of a paired difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Test {
    /// `McNemar`'s exact test: all scores are 0 or 1.
    #[strum(serialize = "McNemar")]
    McNemar,
    /// Sign flips of whole images.
    SignFlip,
}

impl Test {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Median milliseconds a sample, over the samples that recorded them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Decoding and preprocessing.
    pub preprocess_ms: Option<f64>,
    /// Vision tower and connector.
    pub vision_ms: Option<f64>,
    /// The decoder over the prompt.
    pub prefill_ms: Option<f64>,
    /// The decoder over the generated tokens.
    pub decode_ms: Option<f64>,
    /// Vision, prefill and decode of one sample together: what a variant can change.
    pub total_ms: Option<f64>,
}

/// Mean tokens a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tokens {
    /// Of the prompt, visual ones included.
    pub prompt: f64,
    /// Visual ones of the prompt.
    pub visual: f64,
    /// Generated.
    pub new: f64,
}

/// One group of a suite's samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// Samples with a score.
    pub scored: usize,
    /// Samples without one.
    pub failed: usize,
    /// The mean score.
    pub mean: Option<f64>,
}

/// How a summary is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The variant that the others are compared with.
    pub baseline: String,
    /// Resamples, confidence and seed.
    pub resampling: Resampling,
    /// Compare runs of different data, prompts or metric versions all the same, and note it.
    pub force: bool,
}

impl Summary {
    /// Summarises runs side by side, with 10,000 resamples and 95 % intervals.
    ///
    /// # Errors
    /// No run, an unknown baseline, a sample that two runs both hold, or runs that do not measure the same thing.
    pub fn from_runs(runs: &[Run], baseline: &str) -> Result<Self, Error> {
        let (baseline, resampling) = (baseline.to_string(), Resampling::default());
        Self::with_options(
            runs,
            &Options {
                baseline,
                resampling,
                force: false,
            },
        )
    }

    /// Summarises runs side by side.
    ///
    /// # Errors
    /// As [`Summary::from_runs`].
    pub fn with_options(runs: &[Run], options: &Options) -> Result<Self, Error> {
        build::summary(runs, options)
    }

    /// The cell of a model, suite and variant.
    pub fn cell(&self, model: &str, suite: &str, variant: &str) -> Option<&Cell> {
        self.cells
            .iter()
            .find(|cell| cell.model == model && cell.suite == suite && cell.variant == variant)
    }

    /// Whether there are records of a model.
    pub fn has_records(&self, model: &str) -> bool {
        self.cells.iter().any(|cell| cell.model == model)
    }

    /// The mean over suites of a model and variant.
    pub fn macro_cell(&self, model: &str, variant: &str) -> Option<&MacroCell> {
        self.macros
            .iter()
            .find(|cell| cell.model == model && cell.variant == variant)
    }

    /// What a reader must know before the numbers, most important first; empty if there is nothing.
    pub fn notes(&self) -> Vec<String> {
        notes::notes(self)
    }
}
