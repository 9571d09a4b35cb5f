//! Student's t: the distribution, and the test of a mean.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The distribution.
///
/// # Panics
/// Without a degree of freedom.
pub(super) fn student(degrees: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees as f64).expect("a spread needs two values")
}

/// Two-sided p of the paired test that the mean of independent `values` is 0; `None` with fewer than two.
///
/// Used over training seeds, where a seed's difference is one value, whatever the number of answers behind it.
pub fn mean_p(values: &[f64]) -> Option<f64> {
    let degrees = values.len().checked_sub(1).filter(|degrees| *degrees > 0)?;
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / degrees as f64 / count).sqrt();
    if error > 0.0 {
        return Some((2.0 * student(degrees).cdf(-(mean / error).abs())).clamp(0.0, 1.0));
    }
    // Values without any spread: their mean is 0, or differs from 0 for certain.
    Some(f64::from(u8::from(mean.abs() <= 0.0)))
}
