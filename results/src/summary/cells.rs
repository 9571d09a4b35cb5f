//! The statistics of the cells of one model and suite: one bootstrap and one set of sign flips, shared by its variants.

use std::collections::{BTreeMap, HashSet};

use super::resamples::{Distributions, correct, resampling_of};
use super::strata::Strata;
use super::table::{SuiteTable, Values};
use super::{
    Category, Cell, Cost, Difference, Estimate, ModelNote, Options, SeedScore, SuiteNote, Test,
    Tokens, VariantNote,
};
use crate::statistics::{
    Movement, Resampling, interval_of, mcnemar_exact, mean_p, median, sign_flip, sign_flip_sums,
    smallest_detectable,
};

/// Each column minus that of the baseline, where both are scored.
fn differences_to(values: &[Values], baseline: usize) -> Vec<Values> {
    let to_baseline = |column: &Values| {
        let pairs = column.iter().zip(&values[baseline]);
        pairs
            .map(|(own, other)| Some((*own)? - (*other)?))
            .collect()
    };
    values.iter().map(to_baseline).collect()
}

/// The cell of each variant that has records, with its place among the variants and its resamples.
pub(super) fn suite_cells(
    table: &SuiteTable,
    model: &ModelNote,
    suite: &SuiteNote,
    variants: &[VariantNote],
    options: &Options,
) -> Vec<(usize, (Cell, Distributions))> {
    let resampling = resampling_of(&suite.id, &options.resampling);
    let present: Vec<usize> = (0..variants.len())
        .filter(|&index| table.columns.contains_key(&variants[index].id))
        .collect();
    let values: Vec<Values> = present
        .iter()
        .map(|&index| {
            table.columns[&variants[index].id]
                .iter()
                .map(|row| row.as_ref()?.0.score)
                .collect()
        })
        .collect();
    let strata = Strata::new(table, suite.aggregate);
    let scores = strata.bootstrap(&values, &resampling);

    let baseline = present
        .iter()
        .position(|&index| variants[index].id == options.baseline);
    let differences = match baseline {
        Some(baseline) => differences_to(&values, baseline),
        None => Vec::new(),
    };
    let paired = paired_distributions(
        &strata,
        &values,
        &differences,
        &scores,
        baseline,
        &resampling,
    );
    let contributions: Vec<Vec<f64>> = differences
        .iter()
        .map(|column| strata.contributions(column))
        .collect();
    let flips = sign_flip_sums(
        &contributions.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        &resampling,
    );

    let mut cells: Vec<(usize, (Cell, Distributions))> = Vec::new();
    for (slot, &index) in present.iter().enumerate() {
        let mut cell = describe(table, model, suite, &variants[index].id);
        cell.score = strata
            .mean(&values[slot])
            .zip(interval_of(&scores[slot], resampling.confidence))
            .map(|(value, interval)| Estimate { value, interval });
        cell.by_seed = by_seed(&strata, table, &values[slot], differences.get(slot));
        let mut kept = Distributions {
            score: scores[slot].clone(),
            ..Distributions::default()
        };
        if let Some(baseline) = baseline.filter(|&baseline| baseline != slot) {
            let interval = interval_of(&paired[slot], resampling.confidence);
            if let Some((value, interval)) = strata.mean(&differences[slot]).zip(interval) {
                let p_flip = sign_flip(&contributions[slot], &flips[slot]);
                // An image answered under several seeds is not several independent pairs.
                let exact =
                    mcnemar(&values[slot], &values[baseline]).filter(|_| table.seeds.len() == 1);
                let (test, p) = match exact {
                    Some(p) => (Test::McNemar, p),
                    None => (Test::SignFlip, p_flip),
                };
                let clustered =
                    test == Test::McNemar && repeats_an_image(table, &differences[slot]);
                let pairs = differences[slot].iter().flatten().count();
                kept.movement = Movement::of(&contributions[slot], pairs);
                cell.difference = Some(Difference {
                    pairs,
                    smallest_detectable: smallest_detectable(
                        &paired[slot],
                        &kept.movement,
                        table.seeds.len(),
                    ),
                    value,
                    interval,
                    test,
                    p,
                    holm_p: p,
                    p_by_image: clustered.then_some(p_flip),
                    p_by_seed: p_by_seed(&cell.by_seed),
                });
            }
            kept.difference.clone_from(&paired[slot]);
            kept.flips.clone_from(&flips[slot]);
            kept.contribution = contributions[slot].iter().sum();
        }
        cells.push((index, (cell, kept)));
    }
    correct(
        cells
            .iter_mut()
            .filter_map(|(_, (cell, _))| cell.difference.as_mut())
            .collect(),
    );
    cells
}

/// The score and difference under each seed; empty if there is only one.
fn by_seed(
    strata: &Strata,
    table: &SuiteTable,
    values: &Values,
    differences: Option<&Values>,
) -> Vec<SeedScore> {
    if table.seeds.len() == 1 {
        return Vec::new();
    }
    let differences = differences.map(|column| strata.means_by_seed(column));
    let means = strata.means_by_seed(values);
    let seeds = table.seeds.iter().zip(means).enumerate();
    seeds
        .map(|(index, (&seed, value))| SeedScore {
            seed,
            value,
            difference: differences.as_ref().and_then(|column| column[index]),
        })
        .collect()
}

/// Student's p over the seeds' differences; `None` where there is one seed, 1 where fewer than two have a difference.
fn p_by_seed(by_seed: &[SeedScore]) -> Option<f64> {
    let differences: Vec<f64> = by_seed.iter().filter_map(|seed| seed.difference).collect();
    (!by_seed.is_empty()).then(|| mean_p(&differences).unwrap_or(1.0))
}

/// Bootstrap distributions of the differences. Where a variant is scored on exactly the samples of the baseline, that is the
/// difference of the two distributions, which used the same resamples; otherwise it is drawn over the pairs.
fn paired_distributions(
    strata: &Strata,
    values: &[Values],
    differences: &[Values],
    scores: &[Vec<f64>],
    baseline: Option<usize>,
    resampling: &Resampling,
) -> Vec<Vec<f64>> {
    let Some(baseline) = baseline else {
        return vec![Vec::new(); values.len()];
    };
    let same = |column: &Values| {
        column
            .iter()
            .zip(&values[baseline])
            .all(|(a, b)| a.is_some() == b.is_some())
    };
    let partial: Vec<usize> = (0..values.len())
        .filter(|&slot| !same(&values[slot]))
        .collect();
    let columns: Vec<Values> = partial
        .iter()
        .map(|&slot| differences[slot].clone())
        .collect();
    let mut drawn = partial
        .into_iter()
        .zip(strata.bootstrap(&columns, resampling))
        .collect::<BTreeMap<_, _>>();
    (0..values.len())
        .map(|slot| {
            drawn.remove(&slot).unwrap_or_else(|| {
                scores[slot]
                    .iter()
                    .zip(&scores[baseline])
                    .map(|(score, base)| score - base)
                    .collect()
            })
        })
        .collect()
}

/// `McNemar`'s p if every paired score is 0 or 1.
fn mcnemar(values: &Values, baseline: &Values) -> Option<f64> {
    let (mut gained, mut lost) = (0, 0);
    for (value, base) in values.iter().zip(baseline) {
        let (Some(value), Some(base)) = (value, base) else {
            continue;
        };
        for score in [value, base] {
            #[allow(clippy::float_cmp, reason = "a 0/1 metric gives exactly these two")]
            if *score != 0.0 && *score != 1.0 {
                return None;
            }
        }
        gained += u64::from(value > base);
        lost += u64::from(value < base);
    }
    Some(mcnemar_exact(gained, lost))
}

fn repeats_an_image(table: &SuiteTable, pairs: &Values) -> bool {
    let mut seen = HashSet::new();
    table
        .samples
        .iter()
        .zip(pairs)
        .filter(|(_, pair)| pair.is_some())
        .any(|(sample, _)| sample.is_some_and(|sample| !seen.insert(sample.image)))
}

/// Counts, failures, cost, tokens and categories of a cell; the caller adds its score.
fn describe(table: &SuiteTable, model: &ModelNote, suite: &SuiteNote, variant: &str) -> Cell {
    let column = &table.columns[variant];
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    let mut categories = vec![(0, 0, 0.0); table.categories.len()];
    let mut times: [Vec<f64>; 5] = Default::default();
    let mut tokens = [0.0; 3];
    let (mut scored, mut failed) = (0, 0);
    for (sample, row) in table.samples.iter().zip(column) {
        let (Some(sample), Some((row, reason))) = (sample, row) else {
            continue;
        };
        let category = &mut categories[sample.category];
        if let Some(score) = row.score {
            scored += 1;
            category.0 += 1;
            category.2 += score;
        } else {
            failed += 1;
            category.1 += 1;
            *failures
                .entry(reason.clone().unwrap_or_default())
                .or_default() += 1;
            continue;
        }
        for (list, time) in times.iter_mut().zip(row.times) {
            list.extend(time);
        }
        if let [_, Some(vision), Some(prefill), Some(decode)] = row.times {
            times[4].push(vision + prefill + decode);
        }
        for (sum, count) in tokens.iter_mut().zip(row.tokens) {
            *sum += f64::from(count);
        }
    }
    let [preprocess, vision, prefill, decode, total] = &mut times;
    let mean = |sum: f64| {
        if scored == 0 {
            0.0
        } else {
            sum / scored as f64
        }
    };
    let named = table
        .categories
        .iter()
        .zip(categories)
        .filter(|(name, _)| !name.is_empty());
    Cell {
        model: model.name.clone(),
        suite: suite.id.clone(),
        variant: variant.to_string(),
        scored,
        failed,
        due: 0,
        failures,
        score: None,
        difference: None,
        by_seed: Vec::new(),
        cost: Cost {
            preprocess_ms: median(preprocess),
            vision_ms: median(vision),
            prefill_ms: median(prefill),
            decode_ms: median(decode),
            total_ms: median(total),
        },
        tokens: Tokens {
            prompt: mean(tokens[0]),
            visual: mean(tokens[1]),
            new: mean(tokens[2]),
        },
        categories: named
            .map(|(name, (scored, failed, sum))| Category {
                name: name.clone(),
                scored,
                failed,
                mean: (scored > 0).then(|| sum / scored as f64),
            })
            .collect(),
    }
}
