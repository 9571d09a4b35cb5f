//! Where the attention behind the answers went: means over answers, with the intervals and differences of the scores.
//!
//! A value is the mean over answers of the mean over an answer's layers and heads, so every head counts as one. The
//! *average* is the mean over the suites that have the value, taken as independent of each other. Every answer counts as one, also
//! in a suite whose score is a mean over categories.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::resamples::{mean_of, resampling_of};
use super::table::Values;
use super::{Estimate, ModelNote, Options, SeedScore, SuiteNote, VariantNote};
use crate::Run;
use crate::schema::HeadRecord;
use crate::statistics::{Interval, Ratio, Resampling, bootstrap, interval_of};
use crate::store::Probed;

/// Everything a report says of attention; empty where no run probed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AttentionSummary {
    /// One for each model, suite and variant; where there are several suites, then one for each model and variant under the
    /// suite `average`.
    pub cells: Vec<AttentionCell>,
    /// One for each model, variant and layer: the mean over suites.
    pub layers: Vec<AttentionLayer>,
}

impl AttentionSummary {
    /// Whether nothing was probed.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// One model, suite and variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AttentionCell {
    /// The model's name.
    pub model: String,
    /// The suite's id, or `average`.
    pub suite: String,
    /// The variant's id.
    pub variant: String,
    /// Answers that were probed.
    pub probed: usize,
    /// Answers that could not be, by reason.
    pub failures: BTreeMap<String, usize>,
    /// Share of attention on visual keys.
    pub visual_share: Option<Measured>,
    /// Entropy over visual keys, nats.
    pub entropy: Option<Measured>,
    /// Effective number of visual keys.
    pub effective: Option<Measured>,
    /// Share of the visual mass on the top 1 % of the keys.
    pub top_share: Option<Measured>,
    /// Share of the visual mass inside the answer box.
    pub box_share: Option<Measured>,
    /// What even weights would give.
    pub box_uniform: Option<f64>,
    /// How often the most attended visual key touches the box.
    pub pointing: Option<Measured>,
    /// How often it would by chance.
    pub pointing_uniform: Option<f64>,
}

/// A mean with what is known of its error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The mean.
    pub mean: Estimate,
    /// Against the baseline; `None` for the baseline itself and without pairs.
    pub difference: Option<Gap>,
    /// Each training seed by itself, where there are several.
    pub by_seed: Vec<SeedScore>,
}

/// A difference to the baseline on the same samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// Samples that have the value under both.
    pub pairs: usize,
    /// Variant minus baseline.
    pub value: f64,
    /// Its paired bootstrap interval.
    pub interval: Interval,
}

/// One layer of one variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttentionLayer {
    /// The model's name.
    pub model: String,
    /// The variant's id.
    pub variant: String,
    /// From 0.
    pub layer: usize,
    /// Share of attention on visual keys.
    pub visual_share: Option<Estimate>,
    /// Share of the visual mass inside the answer box.
    pub box_share: Option<Estimate>,
    /// What even weights would give.
    pub box_uniform: Option<f64>,
}

/// Places of the statistics among [`HeadRecord::STATISTICS`].
const VISUAL: usize = 0;
const BOX: usize = 4;
const UNIFORM: usize = 5;
const POINTING_UNIFORM: usize = 7;
/// What is kept of a layer by itself.
const OF_LAYER: [usize; 3] = [VISUAL, BOX, UNIFORM];

/// The probes of one model and suite.
#[derive(Default)]
struct Table {
    images: usize,
    seeds: Vec<u64>,
    /// Image and seed of each position.
    positions: Vec<(usize, usize)>,
    /// By variant.
    variants: BTreeMap<usize, Columns>,
}

/// The probes of one variant by position.
#[derive(Default)]
struct Columns {
    probed: usize,
    failures: BTreeMap<String, usize>,
    /// By statistic.
    means: Vec<Values>,
    /// By layer and [`OF_LAYER`].
    layers: Vec<[Values; 3]>,
}

/// A mean with its resamples; kept for the average over suites.
#[derive(Clone, Default)]
struct Drawn {
    value: Option<f64>,
    distribution: Vec<f64>,
    pairs: usize,
    by_seed: Vec<Option<f64>>,
}

/// What one variant gives in one suite.
#[derive(Default)]
struct Result {
    means: Vec<Drawn>,
    differences: Vec<Drawn>,
    layers: Vec<[Drawn; 3]>,
}

/// The summary of the runs' probes.
pub(super) fn attention(
    runs: &[Run],
    models: &[ModelNote],
    suites: &[SuiteNote],
    variants: &[VariantNote],
    options: &Options,
) -> AttentionSummary {
    let mut summary = AttentionSummary::default();
    for model in models {
        let mut results: BTreeMap<usize, Vec<Result>> = BTreeMap::new();
        let mut seeds = Vec::new();
        let first = summary.cells.len();
        for suite in suites {
            let table = table(runs, &model.name, &suite.id, variants);
            let resampling = resampling_of(&suite.id, &options.resampling);
            for (variant, result) in drawn(&table, variants, &options.baseline, &resampling) {
                let columns = &table.variants[&variant];
                let cell = AttentionCell {
                    probed: columns.probed,
                    failures: columns.failures.clone(),
                    ..cell(&result, &table.seeds, options)
                };
                let variant_id = variants[variant].id.clone();
                summary
                    .cells
                    .push(named(cell, model, &suite.id, variant_id));
                results.entry(variant).or_default().push(result);
            }
            if !table.seeds.is_empty() {
                seeds.clone_from(&table.seeds);
            }
        }
        let several = results.values().any(|own| own.len() > 1);
        for (variant, own) in results {
            let result = average(&own);
            let id = &variants[variant].id;
            if several {
                let mut mean = cell(&result, &seeds, options);
                for cell in &summary.cells[first..] {
                    if cell.variant == *id && cell.suite != AVERAGE {
                        mean.probed += cell.probed;
                        for (reason, count) in &cell.failures {
                            *mean.failures.entry(reason.clone()).or_default() += count;
                        }
                    }
                }
                summary.cells.push(named(mean, model, AVERAGE, id.clone()));
            }
            let layers = result.layers.iter().enumerate();
            summary
                .layers
                .extend(
                    layers.map(|(layer, [visual, inside, uniform])| AttentionLayer {
                        model: model.name.clone(),
                        variant: id.clone(),
                        layer,
                        visual_share: estimate(visual, options),
                        box_share: estimate(inside, options),
                        box_uniform: uniform.value,
                    }),
                );
        }
    }
    summary
}

const AVERAGE: &str = "average";

fn named(cell: AttentionCell, model: &ModelNote, suite: &str, variant: String) -> AttentionCell {
    AttentionCell {
        model: model.name.clone(),
        suite: suite.to_owned(),
        variant,
        ..cell
    }
}

/// The probes of a model and suite, with samples, images and seeds numbered in the order of their names.
fn table(runs: &[Run], model: &str, suite: &str, variants: &[VariantNote]) -> Table {
    let mut rows: Vec<(&Run, &Probed, usize)> = Vec::new();
    for run in runs {
        let names = &run.attention.names;
        let own =
            |probed: &&Probed| names.of(probed.model) == model && names.of(probed.suite) == suite;
        rows.extend(
            run.attention
                .probes
                .iter()
                .filter(own)
                .filter_map(|probed| {
                    let id = names.of(probed.variant);
                    let variant = variants.iter().position(|known| known.id == id)?;
                    Some((run, probed, variant))
                }),
        );
    }
    let name = |run: &Run, index: u32| run.attention.names.of(index).to_owned();
    let images: BTreeSet<String> = rows.iter().map(|row| name(row.0, row.1.image)).collect();
    let images: BTreeMap<String, usize> = images.into_iter().zip(0..).collect();
    let seeds: BTreeSet<u64> = rows.iter().map(|row| row.1.seed).collect();
    let keys: BTreeMap<(String, u64), usize> = rows
        .iter()
        .map(|row| (name(row.0, row.1.sample), row.1.seed))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .zip(0..)
        .collect();
    let mut table = Table {
        images: images.len(),
        seeds: seeds.into_iter().collect(),
        positions: vec![(0, 0); keys.len()],
        variants: BTreeMap::new(),
    };
    for (run, probed, variant) in rows {
        let position = keys[&(name(run, probed.sample), probed.seed)];
        let seed = table.seeds.partition_point(|seed| *seed < probed.seed);
        table.positions[position] = (images[&name(run, probed.image)], seed);
        let columns = table.variants.entry(variant).or_default();
        columns
            .means
            .resize(HeadRecord::STATISTICS.len(), vec![None; keys.len()]);
        if let Some(reason) = probed.reason {
            *columns.failures.entry(name(run, reason)).or_default() += 1;
            continue;
        }
        columns.probed += 1;
        for (statistic, values) in columns.means.iter_mut().enumerate() {
            values[position] = probed.mean(statistic);
        }
        for layer in 0..probed.layers.len() {
            if columns.layers.len() <= layer {
                columns
                    .layers
                    .push(OF_LAYER.map(|_| vec![None; keys.len()]));
            }
            for (values, statistic) in columns.layers[layer].iter_mut().zip(OF_LAYER) {
                values[position] = probed.of_layer(statistic, layer);
            }
        }
    }
    table
}

/// Means and resamples of every variant of a table, all over the same draws.
fn drawn(
    table: &Table,
    variants: &[VariantNote],
    baseline: &str,
    resampling: &Resampling,
) -> Vec<(usize, Result)> {
    let baseline = table
        .variants
        .iter()
        .find(|(variant, _)| variants[**variant].id == baseline);
    let mut columns: Vec<Values> = Vec::new();
    for (variant, own) in &table.variants {
        columns.extend(own.means.iter().cloned());
        for (values, base) in own
            .means
            .iter()
            .zip(baseline.map_or(&[][..], |found| &found.1.means))
        {
            let pairs = values.iter().zip(base);
            let difference =
                |(value, base): (&Option<f64>, &Option<f64>)| Some((*value)? - (*base)?);
            columns.push(match baseline {
                Some((known, _)) if known != variant => pairs.map(difference).collect(),
                _ => vec![None; values.len()],
            });
        }
        columns.extend(own.layers.iter().flatten().cloned());
    }
    let ratios: Vec<Ratio> = columns
        .iter()
        .map(|values| ratio(table, values, None))
        .collect();
    let distributions = bootstrap(&ratios, table.seeds.len().max(1), resampling);
    let several = table.seeds.len() > 1;
    let mut all =
        columns
            .iter()
            .zip(&ratios)
            .zip(distributions)
            .map(|((values, ratio), distribution)| {
                let seeds = if several { table.seeds.len() } else { 0 };
                Drawn {
                    value: ratio.mean(),
                    distribution,
                    pairs: values.iter().flatten().count(),
                    by_seed: (0..seeds)
                        .map(|seed| self::ratio(table, values, Some(seed)).mean())
                        .collect(),
                }
            });
    let mut results = Vec::new();
    for (variant, own) in &table.variants {
        let means = all.by_ref().take(own.means.len()).collect();
        let against = if baseline.is_some() {
            own.means.len()
        } else {
            0
        };
        let differences = all.by_ref().take(against).collect();
        let layers = own
            .layers
            .iter()
            .map(|_| std::array::from_fn(|_| all.next().unwrap_or_default()));
        let layers = layers.collect();
        results.push((
            *variant,
            Result {
                means,
                differences,
                layers,
            },
        ));
    }
    results
}

/// Values as sums by image and seed; only those of one seed if it is given.
fn ratio(table: &Table, values: &Values, only: Option<usize>) -> Ratio {
    let seeds = table.seeds.len();
    let mut ratio = Ratio::new(table.images * seeds);
    for ((image, seed), value) in table.positions.iter().zip(values) {
        if let Some(value) = value
            && only.is_none_or(|only| only == *seed)
        {
            ratio.add(image * seeds + seed, *value);
        }
    }
    ratio
}

/// The mean over the suites that have the value.
fn average(results: &[Result]) -> Result {
    let mean = |all: Vec<Option<&Drawn>>| -> Drawn {
        let all: Vec<&Drawn> = all
            .into_iter()
            .flatten()
            .filter(|own| own.value.is_some())
            .collect();
        let over = |values: Vec<Option<f64>>| -> Option<f64> {
            let count = values.len();
            let values: Option<Vec<f64>> = values.into_iter().collect();
            values
                .filter(|_| count > 0)
                .map(|values| values.iter().sum::<f64>() / count as f64)
        };
        let seeds = all.iter().map(|own| own.by_seed.len()).min().unwrap_or(0);
        Drawn {
            value: over(all.iter().map(|own| own.value).collect()),
            distribution: mean_of(&all.iter().map(|own| &own.distribution).collect::<Vec<_>>()),
            pairs: all.iter().map(|own| own.pairs).sum(),
            by_seed: (0..seeds)
                .map(|seed| over(all.iter().map(|own| own.by_seed[seed]).collect()))
                .collect(),
        }
    };
    let longest = |of: fn(&Result) -> usize| results.iter().map(of).max().unwrap_or(0);
    let column = |of: fn(&Result, usize) -> Option<&Drawn>, place: usize| {
        mean(results.iter().map(|own| of(own, place)).collect())
    };
    Result {
        means: (0..longest(|own| own.means.len()))
            .map(|place| column(|own, place| own.means.get(place), place))
            .collect(),
        differences: (0..longest(|own| own.differences.len()))
            .map(|place| column(|own, place| own.differences.get(place), place))
            .collect(),
        layers: (0..longest(|own| own.layers.len()))
            .map(|layer| {
                std::array::from_fn(|place| {
                    mean(
                        results
                            .iter()
                            .map(|own| Some(&own.layers.get(layer)?[place]))
                            .collect(),
                    )
                })
            })
            .collect(),
    }
}

fn estimate(drawn: &Drawn, options: &Options) -> Option<Estimate> {
    let interval = interval_of(&drawn.distribution, options.resampling.confidence)?;
    drawn.value.map(|value| Estimate { value, interval })
}

/// A cell without names and counts.
fn cell(result: &Result, seeds: &[u64], options: &Options) -> AttentionCell {
    let measured = |place: usize| -> Option<Measured> {
        let own = result.means.get(place)?;
        let gap = result.differences.get(place);
        let difference = gap.and_then(|gap| {
            let Estimate { value, interval } = estimate(gap, options)?;
            Some(Gap {
                pairs: gap.pairs,
                value,
                interval,
            })
        });
        let by_seed = seeds.iter().zip(&own.by_seed).enumerate();
        Some(Measured {
            mean: estimate(own, options)?,
            difference,
            by_seed: by_seed
                .map(|(index, (&seed, &value))| SeedScore {
                    seed,
                    value,
                    difference: gap.and_then(|gap| *gap.by_seed.get(index)?),
                })
                .collect(),
        })
    };
    let plain = |place: usize| result.means.get(place).and_then(|drawn| drawn.value);
    AttentionCell {
        visual_share: measured(VISUAL),
        entropy: measured(1),
        effective: measured(2),
        top_share: measured(3),
        box_share: measured(BOX),
        box_uniform: plain(UNIFORM),
        pointing: measured(6),
        pointing_uniform: plain(POINTING_UNIFORM),
        ..AttentionCell::default()
    }
}
