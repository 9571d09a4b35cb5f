//! Numbers as every table, chart and page writes them.

use rave_results::summary::{Difference, Estimate};

use super::grid::NOTHING;

/// A fraction of 1 in percent.
pub(crate) fn percent(value: f64) -> String {
    format!("{:.1}", value * 100.0)
}

/// Percentage points with their sign; no minus before a zero.
pub(crate) fn signed(value: f64) -> String {
    let text = format!("{:+.1}", value * 100.0);
    if text == "-0.0" { "+0.0".into() } else { text }
}

/// `+1.0 [-1.0, +3.0]`, a difference and its interval in percentage points.
pub(crate) fn points(difference: &Difference) -> String {
    format!(
        "{} [{}, {}]",
        signed(difference.value),
        signed(difference.interval.low),
        signed(difference.interval.high)
    )
}

/// ` *` behind a difference that is decided.
pub(crate) fn star(difference: &Difference) -> &'static str {
    if difference.decided().is_ne() {
        " *"
    } else {
        ""
    }
}

/// What a comparison could have found, in percentage points.
pub(super) fn detectable(smallest: Option<f64>) -> String {
    smallest.map_or(NOTHING.into(), percent)
}

/// `52.3 ±4.1`: half the width of the interval, which need not be symmetric.
pub(super) fn with_half_width(estimate: &Estimate) -> String {
    format!(
        "{} ±{}",
        percent(estimate.value),
        percent(estimate.interval.half_width())
    )
}

/// `52.3 [48.1, 56.3]`
pub(crate) fn with_interval(estimate: &Estimate) -> String {
    let interval = estimate.interval;
    format!(
        "{} [{}, {}]",
        percent(estimate.value),
        percent(interval.low),
        percent(interval.high)
    )
}

/// A p-value; very small ones as a bound.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.0001 => "<0.0001".into(),
        p if p < 0.01 => format!("{p:.4}"),
        p => format!("{p:.3}"),
    }
}

/// A time with three digits where it has them.
pub(crate) fn milliseconds(time: f64) -> String {
    match time {
        time if time < 10.0 => format!("{time:.2}"),
        time if time < 100.0 => format!("{time:.1}"),
        time => format!("{time:.0}"),
    }
}
