//! Student's t distribution, for whole degrees of freedom.
//!
//! Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4: finite sums, exact to
//! rounding. Tails below 1e-12 are not resolved, and no report shows a p that small.

/// The probability that t lies below `t`.
///
/// # Panics
/// Without a degree of freedom.
pub(super) fn below(t: f64, degrees: usize) -> f64 {
    assert!(degrees > 0, "a spread needs two values");
    let freedom = degrees as f64;
    let length = freedom.sqrt().hypot(t);
    let (sine, cosine) = (t / length, freedom.sqrt() / length);
    let even = degrees.is_multiple_of(2);
    // Terms in cosine^0, ^2, .. or ^1, ^3, .. up to the power degrees - 2.
    let mut term = if even { 1.0 } else { cosine };
    let mut sum = 0.0;
    for place in 1..=degrees / 2 {
        sum += term;
        let step = 2.0 * place as f64;
        let ratio = if even {
            (step - 1.0) / step
        } else {
            step / (step + 1.0)
        };
        term *= ratio * cosine * cosine;
    }
    let within = if even {
        sine * sum
    } else {
        std::f64::consts::FRAC_2_PI * (sine.asin() + sine * sum)
    };
    f64::midpoint(1.0, within)
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
        return Some((2.0 * below(-(mean / error).abs(), degrees)).clamp(0.0, 1.0));
    }
    // Values without any spread: their mean is 0, or differs from 0 for certain.
    Some(f64::from(u8::from(mean.abs() <= 0.0)))
}

/// The quantile: the t that is exceeded with a probability of 1 minus this one, from 0.5 up to 1 (which gives infinity).
pub(super) fn quantile(probability: f64, degrees: usize) -> f64 {
    if probability >= 1.0 {
        return f64::INFINITY;
    }
    let mut high = 1.0;
    while below(high, degrees) < probability {
        high *= 2.0;
    }
    let mut low = 0.0;
    // Bisection, down to the last bit.
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if below(middle, degrees) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
}
