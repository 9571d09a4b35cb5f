//! Metrics: pure functions from a prediction and its answers to a score in `[0, 1]`.
//!
//! Each follows the *official* script of its benchmark, oddities included, so that a number here means what it means in
//! the paper that introduced it; each file says which script, and what is surprising about it. Adding one: a file, a
//! variant of [`Metric`] with its row in [`Metric::facts`], and golden cases in `goldens/metrics.jsonl`.

mod anls;
mod mtvqa;
mod ocrbench;
mod python;
mod relaxed_accuracy;
mod vqa_accuracy;

pub(crate) use python::float_text;

use crate::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A metric by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Average normalised Levenshtein similarity (`DocVQA`, `InfographicVQA`).
    Anls,
    /// Numbers within five per cent, else equal text (`ChartQA`).
    RelaxedAccuracy,
    /// Soft vote of ten annotators after mmf's answer processor (`TextVQA`).
    VqaAccuracy,
    /// Contains-match (`OCRBench`).
    Ocrbench,
    /// Contains-match with periods removed from the prediction (`MTVQA`).
    Mtvqa,
}

/// Answers that the vote of `TextVQA` is over.
pub(crate) const ANNOTATORS: usize = 10;

/// What the registry knows about a metric.
struct Facts {
    id: &'static str,
    version: u32,
    description: &'static str,
}

impl Metric {
    /// Every metric, in the order they are listed.
    pub const ALL: [Self; 5] = [
        Self::Anls,
        Self::RelaxedAccuracy,
        Self::VqaAccuracy,
        Self::Ocrbench,
        Self::Mtvqa,
    ];

    const fn facts(self) -> Facts {
        match self {
            Self::Anls => Facts {
                id: "anls",
                version: 1,
                description: "best normalised Levenshtein similarity over the answers, 0 below one half",
            },
            Self::RelaxedAccuracy => Facts {
                id: "relaxed_accuracy",
                version: 1,
                description: "1 for a number within 5 % of the answer or for equal text, else 0",
            },
            Self::VqaAccuracy => Facts {
                id: "vqa_accuracy",
                version: 1,
                description: "agreement with ten annotators, full from three matches on",
            },
            Self::Ocrbench => Facts {
                id: "ocrbench",
                version: 1,
                description: "1 if an answer is contained in the prediction, else 0",
            },
            Self::Mtvqa => Facts {
                id: "mtvqa",
                version: 1,
                description: "1 if the answer is contained in the prediction without its periods, else 0",
            },
        }
    }

    /// The id: its name on the command line, in suites and in results.
    pub const fn id(self) -> &'static str {
        self.facts().id
    }

    /// Raised whenever the metric's numbers may move.
    pub const fn version(self) -> u32 {
        self.facts().version
    }

    /// One line for a listing.
    pub const fn description(self) -> &'static str {
        self.facts().description
    }

    /// The metric of that id.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the nearest id.
    pub fn from_id(id: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|metric| metric.id() == id)
            .ok_or_else(|| Error::unknown("metric", id, Self::ALL.iter().map(|metric| metric.id())))
    }

    /// Scores a raw prediction, exactly as the model gave it, against the published answers; in `[0, 1]`.
    ///
    /// `dataset` is `OCRBench`'s column of that name, which selects its rule for formulas; the other metrics ignore it.
    /// Without answers the score is 0.
    pub fn score(self, prediction: &str, answers: &[String], dataset: Option<&str>) -> f64 {
        match self {
            Self::Anls => anls::score(prediction, answers),
            Self::RelaxedAccuracy => relaxed_accuracy::score(prediction, answers),
            Self::VqaAccuracy => vqa_accuracy::score(prediction, answers),
            Self::Ocrbench => ocrbench::score(prediction, answers, dataset),
            Self::Mtvqa => mtvqa::score(prediction, answers),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.id())
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self, Error> {
        Self::from_id(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_word_everywhere() {
        for metric in Metric::ALL {
            assert_eq!(metric.id().parse::<Metric>().unwrap(), metric);
            assert_eq!(
                serde_json::to_string(&metric).unwrap(),
                format!("\"{metric}\"")
            );
        }
    }

    #[test]
    fn an_unknown_metric_names_the_nearest() {
        let message = Metric::from_id("relaxed_acuracy").unwrap_err().to_string();
        assert!(
            message.contains("did you mean `relaxed_accuracy`?"),
            "{message}"
        );
        let message = Metric::from_id("bleu").unwrap_err().to_string();
        assert!(
            !message.contains("did you mean") && message.contains("anls, relaxed_accuracy"),
            "{message}"
        );
    }
}
