//! The contains-match of `MTVQA`.
//!
//! Source: Tang et al., "`MTVQA`: benchmarking multilingual text-centric visual question answering", arXiv 2405.11985, and
//! the scoring of its repository. Periods are removed from the *prediction alone*, so an answer that holds a period
//! ("Dr.", "3.14") can never be matched: kept, since the published numbers have it. The suite's score is the mean over
//! languages of the mean within each. No deviation.

use super::python::strip;
use super::{Definition, Metric};

/// Contains-match with periods removed from the prediction (`MTVQA`).
pub(super) const METRIC: Metric = Metric::new(&Definition {
    id: "mtvqa",
    version: 1,
    description: "1 if the answer is contained in the prediction without its periods, else 0",
    annotators: None,
    score: |prediction, answers, _| score(prediction, answers),
});

/// 1 if any of the `answers` is contained in `prediction`, else 0.
fn score(prediction: &str, answers: &[String]) -> f64 {
    let predicted = strip(&prediction.to_lowercase()).replace('.', "");
    let correct = answers
        .iter()
        .any(|answer| predicted.contains(strip(&answer.to_lowercase())));
    f64::from(u8::from(correct))
}

#[cfg(test)]
mod tests {
    use super::score;

    fn one(prediction: &str, answer: &str) -> f64 {
        score(prediction, &[answer.to_owned()])
    }

    #[test]
    fn contained_in_lower_case() {
        assert_eq!(
            one("Das ist die STRASSE.", "Straße"),
            0.0,
            "lower case does not fold"
        );
        assert_eq!(one("die Straße.", " straße "), 1.0);
        assert_eq!(one("서울역", "서울"), 1.0);
    }

    #[test]
    fn a_period_in_the_answer_is_never_found() {
        assert_eq!(one("3.14", "3.14"), 0.0);
        assert_eq!(one("3.14", "314"), 1.0);
    }
}
