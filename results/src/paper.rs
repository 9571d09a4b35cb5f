//! The paper's claims beside what stored runs say of them: each with a verdict and its evidence.
//!
//! The claims, what is computed for each and the rule of its verdict stand in `results/claims.toml`, fixed beforehand. A claim
//! whose variant, weights or run is missing is *not measured*; it is never guessed. Nothing here is a number of the paper's.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use strum::IntoStaticStr;

use crate::latency::LatencyRun;
use crate::schema::RunRecord;
use crate::statistics::{Equivalence, Interval, Resampling};
use crate::summary::{Difference, LEVEL, Options, RunNote, SeedScore};
use crate::{Error, Run, Summary};

mod claims;
mod judge;
mod scale;
mod unchanged;

pub use claims::{Claim, Claims, Test, claims};
pub use scale::{Scale, Stage};

/// The variant that the table compares with.
pub const BASELINE: &str = "standard";

/// The table: verdicts, and the numbers of every variant and suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaperTable {
    /// The claims.
    pub claims: &'static Claims,
    /// One for each claim and model (or latency run), in the order of the claims.
    pub findings: Vec<Finding>,
    /// One for each model of the summary.
    pub scale: Vec<Scale>,
    /// The variants by suites, against `standard`; `None` where no run can be compared with it.
    pub summary: Option<Summary>,
    /// The runs behind verdicts that are not part of the summary: latency runs, and runs of new parameters before training.
    pub further_runs: Vec<RunNote>,
    /// What a reader must know first.
    pub notes: Vec<String>,
}

/// What the runs say of one claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The claim's id.
    pub claim: &'static str,
    /// The model, and the run where that is not the summary's; empty where there is none.
    pub subject: String,
    /// The verdict, by the claim's rule.
    pub verdict: Verdict,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// Why it is not measured, or why the verdict is not the one that the rule alone would give.
    pub reason: Option<String>,
}

/// What a claim comes out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// The runs show it.
    Reproduced,
    /// The runs show the opposite.
    Contradicted,
    /// The runs cannot tell.
    Inconclusive,
    /// The runs do not hold what the claim is about.
    #[strum(serialize = "not measured")]
    NotMeasured,
}

impl Verdict {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The verdict on a difference that is claimed to be above 0, as one of `parts` parts of a claim. All parts must reproduce the
    /// claim, so each is tested at the whole level; a single part contradicts it, so for that each gets its share of the level.
    fn of(difference: &Difference, parts: usize) -> Self {
        if difference.decided_alone(LEVEL) == Ordering::Greater {
            Self::Reproduced
        } else if difference.decided_alone(LEVEL / parts as f64) == Ordering::Less {
            Self::Contradicted
        } else {
            Self::Inconclusive
        }
    }

    /// The verdict on a claim that needs all of its parts.
    fn of_all(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts: Vec<Self> = parts.into_iter().collect();
        if parts.contains(&Self::Contradicted) {
            Self::Contradicted
        } else if !parts.is_empty() && parts.iter().all(|part| *part == Self::Reproduced) {
            Self::Reproduced
        } else {
            Self::Inconclusive
        }
    }
}

/// A number behind a verdict. Scores and differences are fractions of 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// A mean difference over the suites.
    Gain {
        /// The variant.
        variant: String,
        /// What it is compared with.
        over: String,
        /// Variant minus the other.
        value: f64,
        /// Its 95 % interval.
        interval: Interval,
        /// Two-sided p of the sign flips, of this comparison alone.
        p: f64,
        /// Two-sided p of Student's t over the seeds' differences, where there are several.
        p_by_seed: Option<f64>,
        /// Answers that were compared.
        pairs: usize,
        /// The difference that would have been found four times in five.
        smallest_detectable: Option<f64>,
        /// What each training seed gives.
        by_seed: Vec<SeedScore>,
    },
    /// The gain on reading suites minus that on the others.
    Reading {
        /// The variant.
        variant: String,
        /// What it is compared with.
        over: String,
        /// Mean gain over the reading suites.
        reading: f64,
        /// Its 95 % interval.
        reading_interval: Interval,
        /// Mean gain over the others.
        others: f64,
        /// The first minus the second.
        value: f64,
        /// Its 95 % interval.
        interval: Interval,
        /// Two-sided p of the sign flips, of the contrast.
        p: f64,
        /// Two-sided p of Student's t over the seeds' contrasts, where there are several.
        p_by_seed: Option<f64>,
        /// The contrast that would have been found four times in five.
        smallest_detectable: Option<f64>,
    },
    /// A time against that of `standard`.
    Time {
        /// The variant; [`crate::latency::AGAIN`] for `standard` measured a second time, which shows what the machine resolves: if
        /// that is not equivalent, the variant's own time does not count for the verdict.
        variant: String,
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Visual tokens of the prompt.
        image_tokens: u32,
        /// Other tokens of the prompt.
        text_tokens: u32,
        /// Rounds in which both were measured.
        rounds: usize,
        /// The two one-sided tests.
        equivalence: Equivalence,
    },
    /// Added parameters.
    Parameters {
        /// What the trained weights add.
        added: u64,
        /// What the model has.
        model: u64,
        /// `added` as a share of the model's parameters.
        share: f64,
    },
    /// Answers with new parameters at their initial values, compared with those of the unchanged model.
    Answers {
        /// Answers that were compared.
        compared: usize,
        /// Those that are the same.
        same: usize,
        /// Tokens in them.
        tokens: u64,
        /// Element type and device.
        precision: String,
        /// The first that is another, if there is one.
        first_other: Option<String>,
    },
}

/// Judges every claim by stored runs.
///
/// # Errors
/// No run at all; runs that do not measure the same thing, or hold the same sample twice; a run's file that cannot be read.
pub fn paper_table(
    runs: &[Run],
    latency: &[LatencyRun],
    resampling: &Resampling,
) -> Result<PaperTable, Error> {
    if runs.is_empty() && latency.is_empty() {
        return Err(Error::NoRuns);
    }
    // A run whose gates are all at their start says what a graft does, and nothing of what training gains.
    let measured: Vec<Run> = runs
        .iter()
        .filter(|run| !is_step_zero(&run.record))
        .cloned()
        .collect();
    let mut summaries = Summaries::new(&measured, resampling);
    let summary = summaries.against(BASELINE)?.cloned();
    let mut findings = Vec::new();
    for claim in &claims().claims {
        findings.extend(match &claim.test {
            Test::Gain { variant, over } => judge::gain(claim, variant, over, &mut summaries)?,
            Test::Reading { variant, over } => {
                judge::reading(claim, variant, over, &mut summaries)?
            }
            Test::Overhead { variant, margin } => {
                judge::overhead(claim, variant, *margin, latency, resampling)
            }
            Test::Parameters { variant, below } => {
                judge::parameters(claim, variant, *below, &measured)
            }
            Test::Unchanged { variant, from } => unchanged::judge(claim, variant, from, runs)?,
        });
    }
    Ok(PaperTable {
        claims: claims(),
        findings,
        scale: summary
            .iter()
            .flat_map(|summary| scale::of(summary, &measured))
            .collect(),
        further_runs: runs
            .iter()
            .filter(|run| is_step_zero(&run.record))
            .map(RunNote::of)
            .chain(latency.iter().map(RunNote::of_latency))
            .collect(),
        notes: notes(summary.as_ref(), &measured, latency),
        summary,
    })
}

/// Whether a run has variants to be trained, and trained weights for none of them.
fn is_step_zero(record: &RunRecord) -> bool {
    let mut trainable = record
        .configuration
        .variants
        .iter()
        .filter(|variant| variant.trainable)
        .peekable();
    trainable.peek().is_some()
        && trainable.all(|variant| {
            let models = record.models.iter();
            models.clone().next().is_some()
                && models
                    .clone()
                    .all(|model| !model.adapters.contains_key(&variant.id))
        })
}

fn notes(summary: Option<&Summary>, measured: &[Run], latency: &[LatencyRun]) -> Vec<String> {
    let mut notes = summary.map(Summary::notes).unwrap_or_default();
    if summary.is_none() && !measured.is_empty() {
        notes.push(format!(
            "{BASELINE} is in none of the runs: there is nothing to compare their variants with"
        ));
    }
    if measured.is_empty() {
        notes.push("no run of trained weights: there is no table of variants and suites".into());
    }
    for run in latency.iter().filter(|run| run.record.finished.is_none()) {
        notes.push(format!(
            "interrupted: latency run {} has no end; its cells up to there",
            run.record.run
        ));
    }
    notes
}

/// Whether a run was to take samples of this model.
fn holds(run: &Run, model: &str) -> bool {
    let models = &run.record.configuration.models;
    models.iter().any(|name| name == model)
}

/// Summaries of the same runs against one variant after the other, each made once.
struct Summaries<'a> {
    runs: &'a [Run],
    resampling: &'a Resampling,
    /// By model and baseline; the model is empty where it is in every run.
    made: BTreeMap<(String, String), Option<Summary>>,
}

impl<'a> Summaries<'a> {
    fn new(runs: &'a [Run], resampling: &'a Resampling) -> Self {
        Self {
            runs,
            resampling,
            made: BTreeMap::new(),
        }
    }

    /// The summary of all runs against this variant; `None` where no run holds it.
    fn against(&mut self, baseline: &str) -> Result<Option<&Summary>, Error> {
        self.made("", baseline)
    }

    /// The same over the runs that hold a model: suites and variants of another model's runs are not missing in its own.
    fn of_model(&mut self, model: &str, baseline: &str) -> Result<Option<&Summary>, Error> {
        let everywhere = self.runs.iter().all(|run| holds(run, model));
        self.made(if everywhere { "" } else { model }, baseline)
    }

    fn made(&mut self, model: &str, baseline: &str) -> Result<Option<&Summary>, Error> {
        let key = (model.to_owned(), baseline.to_owned());
        if !self.made.contains_key(&key) {
            let options = Options {
                baseline: baseline.to_owned(),
                resampling: *self.resampling,
                force: false,
            };
            let own: Vec<Run>;
            let runs = if model.is_empty() {
                self.runs
            } else {
                let holding = self.runs.iter().filter(|run| holds(run, model));
                own = holding.cloned().collect();
                &own
            };
            let summary = match Summary::with_options(runs, &options) {
                Ok(summary) => Some(summary),
                Err(Error::NoRuns | Error::UnknownBaseline { .. }) => None,
                Err(error) => return Err(error),
            };
            self.made.insert(key.clone(), summary);
        }
        Ok(self.made[&key].as_ref())
    }

    /// The models of the runs, in order.
    fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = Vec::new();
        for name in self
            .runs
            .iter()
            .flat_map(|run| &run.record.configuration.models)
        {
            if !models.contains(name) {
                models.push(name.clone());
            }
        }
        models
    }
}
