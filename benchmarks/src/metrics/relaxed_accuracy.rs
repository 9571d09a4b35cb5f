//! Relaxed accuracy of `ChartQA`: numbers within five per cent, everything else equal but for case.
//!
//! Source: Masry et al., "`ChartQA`", ACL 2022 findings, section 5.1, in the form everyone runs: `relaxed_correctness` of
//! pix2struct, on stripped strings. Kept as they are there: a target of zero is compared as text (`0.0` is not `0`), `inf`
//! and `nan` never match by number, not even themselves, and a percentage is a hundredth (`5%` is not `5`). No deviation.

use super::python::{parse_float, strip};
use super::{Definition, Metric};

/// Numbers within five per cent, else equal text (`ChartQA`).
pub(super) const METRIC: Metric = Metric::new(&Definition {
    id: "relaxed_accuracy",
    version: 1,
    description: "1 for a number within 5 % of the answer or for equal text, else 0",
    annotators: None,
    score: |prediction, answers, _| score(prediction, answers),
});

/// Largest accepted relative difference.
const TOLERANCE: f64 = 0.05;

/// 1 if `prediction` is relaxedly equal to any of the `answers` (`ChartQA` has one), else 0.
fn score(prediction: &str, answers: &[String]) -> f64 {
    let correct = answers
        .iter()
        .any(|answer| is_correct(strip(prediction), strip(answer)));
    f64::from(u8::from(correct))
}

fn is_correct(prediction: &str, target: &str) -> bool {
    match (number(prediction), number(target)) {
        // NaN is not zero, and its comparison is false: as in Python.
        (Some(predicted), Some(expected)) if expected != 0.0 => {
            (predicted - expected).abs() / expected.abs() <= TOLERANCE
        }
        _ => prediction.to_lowercase() == target.to_lowercase(),
    }
}

fn number(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(rest) => parse_float(rest.trim_end_matches('%')).map(|percentage| percentage / 100.0),
        None => parse_float(text),
    }
}

#[cfg(test)]
mod tests {
    use super::score;

    fn one(prediction: &str, answer: &str) -> f64 {
        score(prediction, &[answer.to_owned()])
    }

    #[test]
    fn five_per_cent_in_double_precision() {
        assert_eq!(one("105", "100"), 1.0);
        assert_eq!(one("1.05", "1"), 0.0, "1.05 - 1 exceeds 0.05 in f64");
        assert_eq!(one("95", "100"), 1.0);
        assert_eq!(one("94.9", "100"), 0.0);
        assert_eq!(one("-5", "5"), 0.0);
    }

    #[test]
    fn percentages_are_hundredths() {
        assert_eq!(one("0.25", "25%"), 1.0);
        assert_eq!(one("25", "25%"), 0.0);
        assert_eq!(one("25 %%", "25%"), 1.0);
        assert_eq!(one("%", "%"), 1.0);
    }

    #[test]
    fn zero_infinity_and_nan_as_in_python() {
        assert_eq!(one("0.0", "0"), 0.0);
        assert_eq!(one("0", "0"), 1.0);
        assert_eq!(one("0.000", "0%"), 0.0);
        assert_eq!(one("inf", "inf"), 0.0);
        assert_eq!(one("nan", "nan"), 0.0);
        assert_eq!(one("inf", "5"), 0.0);
    }

    #[test]
    fn text_ignores_case_and_outer_space_only() {
        assert_eq!(one(" Yes\n", "yes"), 1.0);
        assert_eq!(one("yes.", "yes"), 0.0);
        assert_eq!(one("1,000", "1000"), 0.0);
        assert_eq!(one("1_000", "1000"), 1.0);
    }
}
