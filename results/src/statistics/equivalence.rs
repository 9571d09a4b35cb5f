//! Equivalence of times: two one-sided tests (TOST) of a ratio.
//!
//! A test that finds no difference does not show that there is none. Here the null hypothesis is a difference of at least the
//! margin, tested on both sides (Schuirmann, A comparison of the two one-sided tests procedure and the power approach, Journal
//! of Pharmacokinetics and Biopharmaceutics 15, 1987). As is usual for ratios the test is Student's paired one on logarithms:
//! twice and half are as far from 1, and a margin of 5 % reaches from 1/1.05 to 1.05 (as statsmodels' `ttost_paired` with
//! `transform=np.log`).

use serde::Serialize;
use statrs::distribution::ContinuousCDF as _;

use super::Interval;
use super::student::student;

/// The level of each of the two tests; the interval that goes with them leaves out so much on either side.
pub const LEVEL: f64 = 0.05;

/// Whether a ratio is equivalent to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Equivalence {
    /// The largest ratio that counts as no difference, minus 1.
    pub margin: f64,
    /// Geometric mean of the ratios.
    pub ratio: f64,
    /// Its 90 % interval, which lies inside the margin exactly where `p` is below 0.05.
    pub interval: Interval,
    /// Ratios that it rests on.
    pub pairs: usize,
    /// The larger p of the two tests.
    pub p: f64,
    /// The p of another one-sided test: the probability of a ratio this large if the true one is at most the margin.
    pub p_above: f64,
}

/// What the two tests say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sameness {
    /// The ratio is within the margin.
    Equivalent,
    /// The ratio is above the margin.
    Above,
    /// The ratio is below the margin.
    Below,
    /// The interval contains an end of the margin.
    Undecided,
}

impl Equivalence {
    /// The test of ratios of independent pairs; `None` with fewer than two, or if one is not a positive number.
    pub fn of(ratios: &[f64], margin: f64) -> Option<Self> {
        let degrees = ratios.len().checked_sub(1).filter(|degrees| *degrees > 0)?;
        let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        if logs.iter().any(|log| !log.is_finite()) {
            return None;
        }
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        let error = (squares / degrees as f64 / count).sqrt();
        let bound = (1.0 + margin).ln();
        let half = student(degrees).inverse_cdf(1.0 - LEVEL) * error;
        Some(Self {
            margin,
            ratio: mean.exp(),
            interval: Interval {
                low: (mean - half).exp(),
                high: (mean + half).exp(),
            },
            pairs: ratios.len(),
            p: tail(-bound - mean, error, degrees).max(tail(mean - bound, error, degrees)),
            p_above: tail(bound - mean, error, degrees),
        })
    }

    /// The two tests in a word.
    pub fn sameness(&self) -> Sameness {
        let bound = 1.0 + self.margin;
        match self.interval {
            _ if self.p < LEVEL => Sameness::Equivalent,
            Interval { low, .. } if low > bound => Sameness::Above,
            Interval { high, .. } if high < 1.0 / bound => Sameness::Below,
            _ => Sameness::Undecided,
        }
    }

    /// Whether the ratio is shown to be at most the margin; it may be far smaller.
    pub fn is_no_more(&self) -> bool {
        self.interval.high < 1.0 + self.margin
    }

    /// The smallest margin within which this measurement would have shown equivalence.
    pub fn smallest_margin(&self) -> f64 {
        self.interval.high.max(1.0 / self.interval.low) - 1.0
    }
}

/// The p of one side: the probability of an estimate this far inside a bound (`distance` is below 0 inside).
fn tail(distance: f64, error: f64, degrees: usize) -> f64 {
    if error > 0.0 {
        return student(degrees).cdf(distance / error);
    }
    // Ratios without any spread lie on one side of the bound for certain.
    f64::from(u8::from(distance >= 0.0))
}
