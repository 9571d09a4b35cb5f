//! What a comparison could have found: the smallest true difference that it would have shown four times in five.
//!
//! The formula is the normal approximation of every textbook (Cohen, Statistical Power Analysis, 1988, chapter 2): a two-sided
//! test at 5 % finds a difference of (z of 0.975 + z of 0.8) standard errors with a probability of 80 %. The standard error is
//! that of the paired, clustered bootstrap, so it covers what the interval covers: images, and seeds where there are several.
//! It is for a single comparison; after Holm's correction over many, a difference must be larger.
//!
//! With several training seeds Student's t with one degree of freedom less than there are seeds stands in z's place, since a
//! difference is then decided only if the seeds agree, and the standard error is widened by sqrt(seeds / (seeds - 1)), by which the
//! bootstrap of few seeds is too short. For three seeds that makes 6.6 instead of 2.8 bootstrap standard errors. It is meant for
//! seeds that vary more than images; where images make most of the error, it promises less than the comparison can find.

use statrs::distribution::ContinuousCDF as _;

use super::student::student;

/// z of 0.975 and z of 0.8, added.
const FACTOR: f64 = 1.959_963_984_540_054 + 0.841_621_233_572_914_3;
/// How many images must move, all to one side, before a two-sided p can be below 0.05; with five it is 2 / 2^5, which is above.
const MIN_STEPS: f64 = 6.0;

/// How far the images moved: what each adds to a difference, and the number of answers for the case that none moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Movement {
    sum: f64,
    images: f64,
    pairs: f64,
}

impl Movement {
    /// From what each image adds to a difference, which is over `pairs` pairs.
    pub fn of(contributions: &[f64], pairs: usize) -> Self {
        let moved = contributions.iter().filter(|value| **value != 0.0);
        Self {
            sum: moved.clone().map(|value| value.abs()).sum(),
            images: moved.count() as f64,
            pairs: pairs as f64,
        }
    }

    /// That of the mean over several differences.
    pub fn mean_of(all: &[Self]) -> Self {
        let mut mean = Self::default();
        for own in all {
            mean.sum += own.sum / all.len() as f64;
            mean.images += own.images;
            mean.pairs += own.pairs;
        }
        mean
    }

    /// That of one difference minus another over other images.
    pub fn between(first: &Self, second: &Self) -> Self {
        Self {
            sum: first.sum + second.sum,
            images: first.images + second.images,
            // Where nothing moved: one answer weighs most on the side that has fewer.
            pairs: first.pairs.min(second.pairs),
        }
    }

    /// The mean step of an image that moved; one whole answer where none did.
    fn step(&self) -> f64 {
        if self.images > 0.0 {
            self.sum / self.images
        } else {
            1.0 / self.pairs
        }
    }
}

/// The smallest difference that is found with 80 % probability at the 5 % level, from the bootstrap distribution of the
/// difference; at least what six images that all move the same way would make, since fewer cannot give p below 0.05. `None`
/// without a distribution or without pairs. `seeds` are the training seeds that the distribution draws from.
pub fn smallest_detectable(distribution: &[f64], movement: &Movement, seeds: usize) -> Option<f64> {
    let factor = match seeds.saturating_sub(1) {
        0 => FACTOR,
        degrees => {
            let widened = (seeds as f64 / degrees as f64).sqrt();
            let student = student(degrees);
            (student.inverse_cdf(0.975) + student.inverse_cdf(0.8)) * widened
        }
    };
    let error = standard_error(distribution)?;
    let least = MIN_STEPS * movement.step();
    Some((factor * error).max(least)).filter(|value| value.is_finite())
}

/// The standard deviation of the resamples that are numbers; `None` with fewer than two.
pub fn standard_error(distribution: &[f64]) -> Option<f64> {
    let finite = || distribution.iter().filter(|value| value.is_finite());
    let count = finite().count();
    if count < 2 {
        return None;
    }
    let mean = finite().sum::<f64>() / count as f64;
    let squares: f64 = finite().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (count - 1) as f64).sqrt())
}
