//! ANLS, average normalised Levenshtein similarity, as the Robust Reading Competition scores `DocVQA` and `InfographicVQA`.
//!
//! Source: the evaluation script offered with RRC challenge 17; the measure is of Biten et al., "Scene Text Visual
//! Question Answering", ICCV 2019. What surprises, and is kept: the distance is taken between strings whose white space
//! has been collapsed, while the length that divides it is that of the *raw* strings in upper case, so that trailing
//! spaces raise the score of a near miss and `ß` counts twice. No deviation.

use super::python::split;
use super::{Definition, Metric};

/// Average normalised Levenshtein similarity (`DocVQA`, `InfographicVQA`).
pub(super) const METRIC: Metric = Metric::new(&Definition {
    id: "anls",
    version: 1,
    description: "best normalised Levenshtein similarity over the answers, 0 below one half",
    annotators: None,
    score: |prediction, answers, _| score(prediction, answers),
});

/// Similarities below this count as a wrong answer.
const THRESHOLD: f64 = 0.5;

/// Score of `prediction`: the best similarity over `answers`, in `[0, 1]`; 0 without answers.
fn score(prediction: &str, answers: &[String]) -> f64 {
    let predicted = normalise(prediction);
    let predicted_length = upper_length(prediction);
    let nearest = answers
        .iter()
        .map(|answer| {
            let length = predicted_length.max(upper_length(answer));
            if length == 0 {
                return 0.0;
            }
            strsim::levenshtein(&normalise(answer), &predicted) as f64 / length as f64
        })
        .fold(f64::INFINITY, f64::min);
    let similarity = 1.0 - nearest;
    if similarity < THRESHOLD {
        0.0
    } else {
        similarity
    }
}

/// Lower case, stripped, each run of white space one space.
fn normalise(text: &str) -> String {
    split(&text.to_lowercase()).collect::<Vec<_>>().join(" ")
}

/// Code points of the text in upper case.
fn upper_length(text: &str) -> usize {
    text.to_uppercase().chars().count()
}

#[cfg(test)]
mod tests {
    use super::score;

    fn one(prediction: &str, answer: &str) -> f64 {
        score(prediction, &[answer.to_owned()])
    }

    #[test]
    fn the_threshold_itself_stays() {
        assert_eq!(one("ab", "ax"), 0.5);
        assert_eq!(one("abc", "axx"), 0.0);
    }

    #[test]
    fn the_raw_length_divides() {
        // Distance 1 over the five raw characters of the prediction, not over the two that are left of it.
        assert_eq!(one("ab   ", "ac"), 0.8);
        // "ß" is two characters in upper case: 1 - 1/3.
        assert_eq!(one("aß", "as"), 1.0 - 1.0 / 3.0);
    }

    #[test]
    fn empty_strings_agree_and_no_answers_score_nothing() {
        assert_eq!(one("", ""), 1.0);
        assert_eq!(one("a", ""), 0.0);
        assert_eq!(score("a", &[]), 0.0);
    }
}
