//! Percentile bootstrap of means and of paired differences, clustered by image.
//!
//! Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), sections 3.8 and 5.2. Whole clusters
//! are drawn with replacement; the mean is the ratio of the drawn sum to the drawn count, so images with many
//! questions count as many, and one image's questions never count as independent.

use rand::RngCore as _;

use super::resampling::{LANES, weighted_sums};
use super::{Interval, Resampling, quantile_of_sorted};

/// A mean as sum over count, by cluster: both `[clusters]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// Sum of the values in each cluster.
    pub sums: Vec<f64>,
    /// Number of values in each cluster.
    pub counts: Vec<f64>,
}

impl Ratio {
    /// An empty ratio over so many clusters.
    pub fn new(clusters: usize) -> Self {
        Self {
            sums: vec![0.0; clusters],
            counts: vec![0.0; clusters],
        }
    }

    /// Adds one value.
    pub fn add(&mut self, cluster: usize, value: f64) {
        self.sums[cluster] += value;
        self.counts[cluster] += 1.0;
    }

    /// The mean; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        let count: f64 = self.counts.iter().sum();
        (count > 0.0).then(|| self.sums.iter().sum::<f64>() / count)
    }
}

/// The means of bootstrap resamples: `[ratios][resamples]`, NaN where a resample drew nothing that counts.
///
/// All ratios lie over the same clusters, and see the same resamples: their differences are paired.
pub fn bootstrap(ratios: &[Ratio], options: &Resampling) -> Vec<Vec<f64>> {
    let clusters = ratios.first().map_or(0, |ratio| ratio.counts.len());
    // Variants mostly share their counts: sum each distinct one once.
    let mut distinct: Vec<&[f64]> = Vec::new();
    let count_of: Vec<usize> = ratios
        .iter()
        .map(|ratio| {
            distinct
                .iter()
                .position(|counts| *counts == ratio.counts.as_slice())
                .unwrap_or_else(|| {
                    distinct.push(&ratio.counts);
                    distinct.len() - 1
                })
        })
        .collect();
    let vectors: Vec<&[f64]> = ratios
        .iter()
        .map(|ratio| ratio.sums.as_slice())
        .chain(distinct)
        .collect();
    let sums = weighted_sums(
        &vectors,
        clusters,
        options.resamples,
        options.seed,
        |random, weights| {
            for _ in 0..clusters {
                // Multiply-shift: the bias is below clusters / 2^32.
                let drawn = (u64::from(random.next_u32()) * clusters as u64) >> 32;
                weights[drawn as usize * LANES] += 1.0;
            }
        },
    );
    let (sums, counts) = sums.split_at(ratios.len());
    sums.iter()
        .zip(&count_of)
        .map(|(sums, &count)| {
            sums.iter()
                .zip(&counts[count])
                .map(|(sum, count)| sum / count)
                .collect()
        })
        .collect()
}

/// The percentile interval of a bootstrap distribution; `None` if nothing in it is a number.
pub fn interval_of(distribution: &[f64], confidence: f64) -> Option<Interval> {
    let mut sorted: Vec<f64> = distribution
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    if sorted.is_empty() {
        return None;
    }
    sorted.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Some(Interval {
        low: quantile_of_sorted(&sorted, tail),
        high: quantile_of_sorted(&sorted, 1.0 - tail),
    })
}

/// The interval of the mean of `values`, of which `clusters` says the cluster (any numbers, equal ones together).
///
/// # Panics
/// If the two differ in length.
pub fn mean_interval(values: &[f64], clusters: &[usize], options: &Resampling) -> Option<Interval> {
    let ratio = ratio_of(values, clusters);
    interval_of(&bootstrap(&[ratio], options)[0], options.confidence)
}

/// The interval of mean(`values`) - mean(`baseline`), paired by position.
///
/// # Panics
/// If the three differ in length.
pub fn paired_difference_interval(
    values: &[f64],
    baseline: &[f64],
    clusters: &[usize],
    options: &Resampling,
) -> Option<Interval> {
    assert_eq!(values.len(), baseline.len(), "a pair has two sides");
    let differences: Vec<f64> = values
        .iter()
        .zip(baseline)
        .map(|(value, base)| value - base)
        .collect();
    mean_interval(&differences, clusters, options)
}

fn ratio_of(values: &[f64], clusters: &[usize]) -> Ratio {
    assert_eq!(values.len(), clusters.len(), "each value has its cluster");
    let mut names = clusters.to_vec();
    names.sort_unstable();
    names.dedup();
    let mut ratio = Ratio::new(names.len());
    for (value, cluster) in values.iter().zip(clusters) {
        // The name is in the list that was made of all of them.
        if let Ok(index) = names.binary_search(cluster) {
            ratio.add(index, *value);
        }
    }
    ratio
}
