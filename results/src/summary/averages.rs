//! Means over suites, and the gain on reading suites minus that on the others, from the resamples of each suite's cells.

use std::collections::BTreeMap;

use super::resamples::{Distributions, correct, mean_of};
use super::{
    Cell, Contrast, Difference, Estimate, MacroCell, ModelNote, Options, SeedScore, SuiteNote,
    Test, VariantNote,
};
use crate::statistics::{Movement, interval_of, mean_p, p_of, smallest_detectable};

/// A cell with a difference, and its resamples.
type Resampled<'a> = (&'a Cell, &'a Distributions);

/// One for each variant that has a cell of this model.
pub(super) fn macro_cells(
    cells: &[Cell],
    distributions: &BTreeMap<(usize, usize), Distributions>,
    model: &ModelNote,
    suites: &[SuiteNote],
    variants: &[VariantNote],
    options: &Options,
) -> Vec<MacroCell> {
    let confidence = options.resampling.confidence;
    let mut macros = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let own: Vec<&Cell> = cells
            .iter()
            .filter(|cell| cell.model == model.name && cell.variant == variant.id)
            .collect();
        if own.is_empty() {
            continue;
        }
        let mean = |values: Option<Vec<f64>>| -> Option<f64> {
            let values = values.filter(|values| values.len() == suites.len())?;
            Some(values.iter().sum::<f64>() / values.len() as f64)
        };
        let score =
            mean(own.iter().map(|cell| Some(cell.score?.value)).collect()).and_then(|value| {
                let drawn: Vec<&Vec<f64>> = (0..suites.len())
                    .filter_map(|suite| Some(&distributions.get(&(suite, index))?.score))
                    .collect();
                let interval = interval_of(&mean_of(&drawn), confidence)?;
                Some(Estimate { value, interval })
            });
        // The suites of one kind; `None` unless each of them has a difference.
        let pooled = |wanted: &dyn Fn(&SuiteNote) -> bool| -> Option<Pool> {
            let places = suites.iter().enumerate().filter(|(_, suite)| wanted(suite));
            let kept: Option<Vec<Resampled>> = places
                .map(|(place, suite)| {
                    let cell = own.iter().find(|cell| cell.suite == suite.id)?;
                    Some((*cell, distributions.get(&(place, index))?))
                })
                .collect();
            Pool::of(&kept?)
        };
        let contrast = || -> Option<Contrast> {
            let reading = pooled(&|suite| suite.reading)?;
            let others = pooled(&|suite| !suite.reading)?;
            Some(Contrast {
                between: reading.minus(&others).difference(confidence)?,
                reading: reading.difference(confidence)?,
            })
        };
        macros.push(MacroCell {
            reading_contrast: contrast(),
            by_seed: macro_by_seed(&own, suites.len()),
            model: model.name.clone(),
            variant: variant.id.clone(),
            suites_scored: own.iter().filter(|cell| cell.score.is_some()).count(),
            scored: own.iter().map(|cell| cell.scored).sum(),
            failed: own.iter().map(|cell| cell.failed).sum(),
            score,
            difference: pooled(&|_| true).and_then(|pool| pool.difference(confidence)),
            total_ms: mean(own.iter().map(|cell| cell.cost.total_ms).collect()),
        });
    }
    correct(
        macros
            .iter_mut()
            .filter_map(|cell| cell.difference.as_mut())
            .collect(),
    );
    macros
}

/// A mean difference over suites, with all that its interval and its tests need.
struct Pool {
    value: f64,
    /// Differences of the bootstrap resamples and, in `flips`, under sign flips: both `[resamples]`.
    drawn: Vec<f64>,
    flips: Vec<f64>,
    /// What `flips` are flips of.
    observed: f64,
    movement: Movement,
    pairs: usize,
    /// The mean difference under each seed that every suite has.
    by_seed: BTreeMap<u64, f64>,
    /// Whether a suite has several seeds.
    seeded: bool,
}

impl Pool {
    /// `None` if there are no suites, or if one of them has no difference.
    fn of(kept: &[Resampled]) -> Option<Self> {
        let differences: Option<Vec<Difference>> =
            kept.iter().map(|(cell, _)| cell.difference).collect();
        let differences = differences.filter(|all| !all.is_empty())?;
        let count = differences.len() as f64;
        let cells: Vec<&Cell> = kept.iter().map(|(cell, _)| *cell).collect();
        let all = |of: fn(&Distributions) -> &Vec<f64>| {
            mean_of(&kept.iter().map(|(_, own)| of(own)).collect::<Vec<_>>())
        };
        let movements: Vec<Movement> = kept.iter().map(|(_, own)| own.movement).collect();
        let shared = macro_by_seed(&cells, cells.len());
        Some(Self {
            value: differences.iter().map(|own| own.value).sum::<f64>() / count,
            drawn: all(|own| &own.difference),
            flips: all(|own| &own.flips),
            observed: kept.iter().map(|(_, own)| own.contribution).sum::<f64>() / count,
            movement: Movement::mean_of(&movements),
            pairs: differences.iter().map(|own| own.pairs).sum(),
            by_seed: shared
                .iter()
                .filter_map(|seed| Some((seed.seed, seed.difference?)))
                .collect(),
            seeded: cells.iter().any(|cell| !cell.by_seed.is_empty()),
        })
    }

    /// This mean minus one over other suites. Both use the same draws of seeds, so the difference is taken draw by draw.
    fn minus(&self, other: &Self) -> Self {
        let less = |own: &[f64], other: &[f64]| -> Vec<f64> {
            own.iter()
                .zip(other)
                .map(|(own, other)| own - other)
                .collect()
        };
        let by_seed = self.by_seed.iter();
        Self {
            value: self.value - other.value,
            drawn: less(&self.drawn, &other.drawn),
            flips: less(&self.flips, &other.flips),
            observed: self.observed - other.observed,
            movement: Movement::between(&self.movement, &other.movement),
            pairs: self.pairs + other.pairs,
            by_seed: by_seed
                .filter_map(|(seed, own)| Some((*seed, own - other.by_seed.get(seed)?)))
                .collect(),
            seeded: self.seeded || other.seeded,
        }
    }

    /// The difference, not corrected: its Holm p is its own largest p.
    fn difference(&self, confidence: f64) -> Option<Difference> {
        let p = p_of(self.observed, &self.flips);
        let by_seed: Vec<f64> = self.by_seed.values().copied().collect();
        let seeds = if self.seeded { by_seed.len().max(2) } else { 1 };
        let difference = Difference {
            pairs: self.pairs,
            value: self.value,
            interval: interval_of(&self.drawn, confidence)?,
            test: Test::SignFlip,
            p,
            holm_p: p,
            p_by_image: None,
            p_by_seed: self.seeded.then(|| mean_p(&by_seed).unwrap_or(1.0)),
            smallest_detectable: smallest_detectable(&self.drawn, &self.movement, seeds),
        };
        Some(Difference {
            holm_p: difference.largest_p(),
            ..difference
        })
    }
}

/// For each seed that every suite has, the mean over suites.
fn macro_by_seed(own: &[&Cell], suites: usize) -> Vec<SeedScore> {
    let Some(first) = own.first().filter(|_| own.len() == suites) else {
        return Vec::new();
    };
    let mean = |seed: u64, of: fn(&SeedScore) -> Option<f64>| -> Option<f64> {
        let values = own.iter().map(|cell| {
            cell.by_seed
                .iter()
                .find(|score| score.seed == seed)
                .and_then(of)
        });
        let values: Option<Vec<f64>> = values.collect();
        Some(values?.iter().sum::<f64>() / suites as f64)
    };
    first
        .by_seed
        .iter()
        .map(|score| SeedScore {
            seed: score.seed,
            value: mean(score.seed, |score| score.value),
            difference: mean(score.seed, |score| score.difference),
        })
        .collect()
}
