//! What is kept of a variant's resamples, and what is done with them over several suites or variants.

use super::Difference;
use crate::schema::sha256_hex;
use crate::statistics::{Movement, Resampling, holm};

/// What a variant's resamples say, kept for the mean over suites.
#[derive(Default)]
pub(super) struct Distributions {
    pub score: Vec<f64>,
    pub difference: Vec<f64>,
    pub flips: Vec<f64>,
    pub contribution: f64,
    pub movement: Movement,
}

/// The mean of several distributions, resample by resample; a distribution counts in those where it is a number.
pub(super) fn mean_of(distributions: &[&Vec<f64>]) -> Vec<f64> {
    let length = distributions
        .first()
        .map_or(0, |distribution| distribution.len());
    (0..length)
        .map(|resample| {
            let present = distributions
                .iter()
                .map(|distribution| distribution[resample])
                .filter(|value| value.is_finite());
            let (sum, count) =
                present.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
            sum / count
        })
        .collect()
}

/// A suite's own random numbers, which do not change when other suites join or leave.
pub(super) fn resampling_of(suite: &str, resampling: &Resampling) -> Resampling {
    let salt = u64::from_str_radix(&sha256_hex(suite.as_bytes())[..16], 16).unwrap_or(0);
    Resampling {
        seed: resampling.seed ^ salt,
        ..*resampling
    }
}

/// Holm's correction over one family, of what all tests of each difference agree on.
pub(crate) fn correct(mut family: Vec<&mut Difference>) {
    let p: Vec<f64> = family
        .iter()
        .map(|difference| difference.largest_p())
        .collect();
    for (difference, corrected) in family.iter_mut().zip(holm(&p)) {
        difference.holm_p = corrected;
    }
}
