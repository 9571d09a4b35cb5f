//! Percentile bootstrap of means and of paired differences, clustered by image.
//!
//! Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), sections 3.8 and 5.2. Whole clusters
//! are drawn with replacement, so that questions of one image are never taken as independent. The mean is the drawn sum over
//! the drawn count, so an image with many questions weighs more.
//!
//! Where the same images were answered under several training seeds, images and seeds are crossed: each resample draws
//! images and, independently, seeds, and a pair counts as often as both were drawn (the pigeonhole bootstrap: Owen, The
//! pigeonhole bootstrap, Annals of Applied Statistics 1 (2007), arXiv 0712.1111). With three seeds this
//! interval is too short: where seeds differ much, it misses the true value about one time in four. So it does not decide a
//! difference alone: Student's t over the seeds must agree ([`super::mean_p`]).

use rand::RngCore as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::resampling::{LANES, generator, weighted_sums};
use super::{Interval, Resampling, median, quantile_of_sorted};

/// Seed of the draws of training seeds.
const SEEDS: u64 = 0x7365_6564;

/// A mean as sum over count, by cluster: both `[clusters]`; with several seeds `[images x seeds]`.
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

    /// The mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        let count: f64 = self.counts.iter().sum();
        (count > 0.0).then(|| self.sums.iter().sum::<f64>() / count)
    }
}

/// The means of bootstrap resamples: `[ratios][resamples]`, NaN where a resample drew nothing that counts.
///
/// All ratios are over the same clusters and use the same resamples, so their differences are paired.
///
/// # Panics
/// If the clusters are not a multiple of the seeds.
pub fn bootstrap(ratios: &[Ratio], seeds: usize, options: &Resampling) -> Vec<Vec<f64>> {
    let clusters = ratios.first().map_or(0, |ratio| ratio.counts.len());
    assert!(
        clusters.is_multiple_of(seeds),
        "clusters are images x seeds"
    );
    let images = clusters / seeds;
    // Variants mostly have the same counts: each distinct list is summed once.
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
        |resample, random, weights| {
            for _ in 0..images {
                weights[below(images, random) * seeds * LANES] += 1.0;
            }
            if seeds == 1 {
                return;
            }
            // The same draw of seeds for every suite, since a seed that gains in one suite mostly gains in all.
            let mut random = generator(SEEDS, resample);
            let mut times = vec![0.0; seeds];
            for _ in 0..seeds {
                times[below(seeds, &mut random)] += 1.0;
            }
            for image in (0..clusters).step_by(seeds) {
                let drawn = weights[image * LANES];
                for (seed, times) in times.iter().enumerate() {
                    weights[(image + seed) * LANES] = drawn * times;
                }
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

/// A number below `count`, by multiply-shift: the bias is below count / 2^32.
fn below(count: usize, random: &mut ChaCha8Rng) -> usize {
    ((u64::from(random.next_u32()) * count as u64) >> 32) as usize
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

/// The interval of the mean of `values`; those with equal numbers in `clusters` are one cluster.
///
/// # Panics
/// If the two differ in length.
pub fn mean_interval(values: &[f64], clusters: &[usize], options: &Resampling) -> Option<Interval> {
    let ratio = ratio_of(values, clusters);
    interval_of(&bootstrap(&[ratio], 1, options)[0], options.confidence)
}

/// The interval of the median of independent `values`; `None` without values.
pub fn median_interval(values: &[f64], options: &Resampling) -> Option<Interval> {
    let medians: Vec<f64> = (0..options.resamples)
        .into_par_iter()
        .map_init(
            || Vec::with_capacity(values.len()),
            |drawn: &mut Vec<f64>, resample| {
                let mut random = generator(options.seed, resample);
                drawn.clear();
                drawn.extend(
                    values
                        .iter()
                        .map(|_| values[below(values.len(), &mut random)]),
                );
                median(drawn).unwrap_or(f64::NAN)
            },
        )
        .collect();
    interval_of(&medians, options.confidence)
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
