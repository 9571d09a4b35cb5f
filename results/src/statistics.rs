//! Statistics for paired, clustered scores.
//!
//! Same samples, paired. Intervals are percentile bootstraps that draw whole images; p-values are McNemar's exact
//! test (scores of 0 and 1) or a sign-flip permutation of whole images, Holm-corrected over the variants. Where there are several
//! training seeds, Student's t over the seeds' differences is a test of its own, since the bootstrap of a few seeds gives too short intervals. That two times are
//! the same is shown by two one-sided tests, and what a comparison could have found is said beside what it did not find. Each is
//! held against `SciPy` or statsmodels (`goldens/statistics.json`, made by `goldens/make_statistics.py`) and
//! calibrated by simulation in the tests.
//!
//! All random numbers come from `ChaCha8`, one stream for each resample: the result depends on the seed alone, not on threads.

mod bootstrap;
mod equivalence;
mod exact;
mod permutation;
mod power;
mod resampling;
mod student;

pub use bootstrap::{
    Ratio, bootstrap, interval_of, mean_interval, median_interval, paired_difference_interval,
};
pub use equivalence::{Equivalence, LEVEL, Sameness};
pub use exact::{holm, mcnemar_exact};
pub use permutation::{p_of, sign_flip, sign_flip_sums};
pub use power::{Movement, smallest_detectable, standard_error};
pub use student::mean_p;

use serde::{Deserialize, Serialize};

/// How many resamples, how wide an interval, which random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resampling {
    /// Bootstrap resamples, and sign flips where not all of them can be tried.
    pub resamples: usize,
    /// The interval's confidence.
    pub confidence: f64,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            confidence: 0.95,
            seed: 20_260_518,
        }
    }
}

/// An interval, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Half of its width, for `value ± half`.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// The median; `None` without values. Sorts `values`.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    (!values.is_empty()).then(|| quantile_of_sorted(values, 0.5))
}

/// The quantile of sorted values by linear interpolation (`NumPy`'s default).
pub(crate) fn quantile_of_sorted(sorted: &[f64], quantile: f64) -> f64 {
    let position = quantile * (sorted.len() - 1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

#[cfg(test)]
mod tests;
