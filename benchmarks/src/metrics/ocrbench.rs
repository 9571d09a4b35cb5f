//! The contains-match of `OCRBench`.
//!
//! Source: Liu et al., "`OCRBench`: on the hidden mystery of OCR in large multimodal models", and the scoring loop of its
//! repository. Handwritten formulas (`dataset` is `HME100k`) keep their case and lose their spaces, since LaTeX is case
//! sensitive and spaces mean nothing in it. An empty answer is contained in every prediction. No deviation.

use super::python::strip;
use super::{Definition, Metric};

/// Contains-match (`OCRBench`).
pub(super) const METRIC: Metric = Metric::new(&Definition {
    id: "ocrbench",
    version: 1,
    description: "1 if an answer is contained in the prediction, else 0",
    annotators: None,
    score,
});

/// The value of the `dataset` column that selects the rule for formulas.
const FORMULAS: &str = "HME100k";

/// 1 if any of the `answers` is contained in `prediction`, else 0.
fn score(prediction: &str, answers: &[String], dataset: Option<&str>) -> f64 {
    let normalise = if dataset == Some(FORMULAS) {
        formula
    } else {
        text
    };
    let predicted = normalise(prediction);
    let correct = answers
        .iter()
        .any(|answer| predicted.contains(&normalise(answer)));
    f64::from(u8::from(correct))
}

fn text(raw: &str) -> String {
    strip(&raw.to_lowercase()).replace('\n', " ")
}

fn formula(raw: &str) -> String {
    strip(raw).replace(['\n', ' '], "")
}

#[cfg(test)]
mod tests {
    use super::score;

    fn one(prediction: &str, answer: &str, dataset: Option<&str>) -> f64 {
        score(prediction, &[answer.to_owned()], dataset)
    }

    #[test]
    fn text_is_contained_in_lower_case() {
        assert_eq!(one("The word is CENTRE.", " centre\n", Some("IIIT5K")), 1.0);
        assert_eq!(one("cen tre", "centre", None), 0.0);
        assert_eq!(one("two\nlines", "two lines", None), 1.0);
    }

    #[test]
    fn formulas_keep_case_and_lose_spaces() {
        assert_eq!(one("x ^ {2}\n+ 1", "x^{ 2 } + 1", Some("HME100k")), 1.0);
        assert_eq!(one("X^{2}", "x^{2}", Some("HME100k")), 0.0);
        assert_eq!(
            one("x^\t2", "x^2", Some("HME100k")),
            0.0,
            "a tab is not a space"
        );
        assert_eq!(
            one("X^{2}", "x^{2}", Some("hme100k")),
            1.0,
            "the name is exact"
        );
    }

    #[test]
    fn any_answer_counts() {
        let answers = ["left".to_owned(), "right".to_owned()];
        assert_eq!(score("turn right", &answers, None), 1.0);
        assert_eq!(score("straight on", &answers, None), 0.0);
        assert_eq!(score("", &[], None), 0.0);
    }
}
