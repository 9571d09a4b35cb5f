//! A suite's score and its resamples: the mean over all samples, or the mean over categories of the mean in each.

use super::resamples::mean_of;
use super::table::{SuiteTable, Values};
use crate::schema::Aggregate;
use crate::statistics::{Ratio, Resampling, bootstrap};

/// How samples make a suite's score: as one stratum, or as a stratum for each category.
pub(super) struct Strata<'a> {
    table: &'a SuiteTable,
    count: usize,
}

impl<'a> Strata<'a> {
    pub(super) fn new(table: &'a SuiteTable, aggregate: Aggregate) -> Self {
        let count = match aggregate {
            Aggregate::Mean => 1,
            Aggregate::CategoryMean => table.categories.len(),
        };
        Self { table, count }
    }

    fn ratios(&self, values: &Values) -> Vec<Ratio> {
        let seeds = self.table.seeds.len();
        let mut ratios = vec![Ratio::new(self.table.images * seeds); self.count];
        for (sample, value) in self.table.samples.iter().zip(values) {
            if let (Some(sample), Some(value)) = (sample, value) {
                ratios[if self.count == 1 { 0 } else { sample.category }]
                    .add(sample.image * seeds + sample.seed, *value);
            }
        }
        ratios
    }

    /// The mean over the strata that have a value; `None` if none has.
    pub(super) fn mean(&self, values: &Values) -> Option<f64> {
        let means: Vec<f64> = self.ratios(values).iter().filter_map(Ratio::mean).collect();
        (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
    }

    /// [`Strata::mean`] of each seed by itself, `[seeds]`.
    pub(super) fn means_by_seed(&self, values: &Values) -> Vec<Option<f64>> {
        let of_seed = |seed: usize| -> Values {
            let samples = self.table.samples.iter().zip(values);
            samples
                .map(|(sample, value)| {
                    value.filter(|_| sample.is_some_and(|sample| sample.seed == seed))
                })
                .collect()
        };
        (0..self.table.seeds.len())
            .map(|seed| self.mean(&of_seed(seed)))
            .collect()
    }

    /// `[columns][resamples]`
    pub(super) fn bootstrap(&self, columns: &[Values], resampling: &Resampling) -> Vec<Vec<f64>> {
        let ratios: Vec<Ratio> = columns
            .iter()
            .flat_map(|column| self.ratios(column))
            .collect();
        let drawn = bootstrap(&ratios, self.table.seeds.len(), resampling);
        if self.count == 1 {
            return drawn;
        }
        drawn
            .chunks(self.count.max(1))
            .map(|strata| mean_of(&strata.iter().collect::<Vec<_>>()))
            .collect()
    }

    /// How much each image contributes to [`Strata::mean`], over all seeds: `[images]`.
    pub(super) fn contributions(&self, values: &Values) -> Vec<f64> {
        let ratios = self.ratios(values);
        let filled: Vec<(&Ratio, f64)> = ratios
            .iter()
            .map(|ratio| (ratio, ratio.counts.iter().sum::<f64>()))
            .filter(|(_, count)| *count > 0.0)
            .collect();
        let mut contributions = vec![0.0; self.table.images];
        for (ratio, count) in &filled {
            let images = ratio.sums.chunks(self.table.seeds.len());
            for (contribution, sums) in contributions.iter_mut().zip(images) {
                *contribution += sums.iter().sum::<f64>() / count / filled.len() as f64;
            }
        }
        contributions
    }
}
