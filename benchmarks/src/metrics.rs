//! Metrics: pure functions from a prediction and its answers to a score in `[0, 1]`.
//!
//! Each follows the *official* script of its benchmark, oddities included, so that a number here means what it means in
//! the paper that introduced it; each file says which script, and what is surprising about it. Adding one: a file, its row in
//! [`METRICS`], and golden cases in `goldens/metrics.jsonl`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

mod anls;
mod mtvqa;
mod ocrbench;
mod python;
mod relaxed_accuracy;
pub(crate) mod vqa_accuracy;

pub(crate) use python::float_text;

/// Every metric, in the order they are listed.
pub static METRICS: &[Metric] = &[
    anls::METRIC,
    relaxed_accuracy::METRIC,
    vqa_accuracy::METRIC,
    ocrbench::METRIC,
    mtvqa::METRIC,
];

/// What a metric is.
#[derive(Debug)]
pub struct Definition {
    /// Its name on the command line, in suites and in results, which is its file's name too.
    pub id: &'static str,
    /// Raised whenever the metric's numbers may move.
    pub version: u32,
    /// One line for a listing.
    pub description: &'static str,
    /// How many answers a score is a vote of, where it is one.
    pub annotators: Option<usize>,
    /// As [`Metric::score`].
    pub score: fn(prediction: &str, answers: &[String], dataset: Option<&str>) -> f64,
}

/// A metric. It is written as its id, and read as that of a registered one.
#[derive(Clone, Copy)]
pub struct Metric(&'static Definition);

impl Metric {
    /// The metric of this definition; registered or not.
    pub const fn new(definition: &'static Definition) -> Self {
        Self(definition)
    }

    /// The id: its name on the command line, in suites and in results.
    pub const fn id(self) -> &'static str {
        self.0.id
    }

    /// Raised whenever the metric's numbers may move.
    pub const fn version(self) -> u32 {
        self.0.version
    }

    /// One line for a listing.
    pub const fn description(self) -> &'static str {
        self.0.description
    }

    /// How many answers a score is a vote of, where it is one.
    pub const fn annotators(self) -> Option<usize> {
        self.0.annotators
    }

    /// Scores a raw prediction, exactly as the model gave it, against the published answers; in `[0, 1]`.
    ///
    /// `dataset` is `OCRBench`'s column of that name, which selects its rule for formulas; the other metrics ignore it.
    /// Without answers the score is 0.
    pub fn score(self, prediction: &str, answers: &[String], dataset: Option<&str>) -> f64 {
        (self.0.score)(prediction, answers, dataset)
    }
}

impl FromStr for Metric {
    type Err = Error;

    /// The registered metric of that id.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the nearest id.
    fn from_str(id: &str) -> Result<Self, Error> {
        let ids = METRICS.iter().map(|metric| metric.id());
        let found = METRICS.iter().find(|metric| metric.id() == id);
        found
            .copied()
            .ok_or_else(|| Error::unknown("metric", id, ids))
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Metric {}

impl fmt::Debug for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.id())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        id.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_word_everywhere() {
        for metric in METRICS.iter().copied() {
            assert_eq!(metric.id().parse::<Metric>().unwrap(), metric);
            let json = serde_json::to_string(&metric).unwrap();
            assert_eq!(json, format!("\"{metric}\""));
            assert_eq!(serde_json::from_str::<Metric>(&json).unwrap(), metric);
        }
    }

    #[test]
    fn an_unknown_metric_names_the_nearest() {
        let message = "relaxed_acuracy".parse::<Metric>().unwrap_err().with_hint();
        assert!(
            message.contains("did you mean `relaxed_accuracy`?"),
            "{message}"
        );
        let message = "bleu".parse::<Metric>().unwrap_err().with_hint();
        assert!(
            !message.contains("did you mean") && message.contains("anls, relaxed_accuracy"),
            "{message}"
        );
    }
}
