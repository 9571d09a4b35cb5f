//! Scoring predictions that someone else made: one JSON object a line in, one a line out (`rave score`).
//!
//! Pure text to text; reading the file, writing the scores and printing the mean belong to the caller.

use crate::Error;
use crate::metrics::Metric;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line of a predictions file. Other keys are allowed and ignored, so that any log of predictions will do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Prediction {
    /// Passed through to the score; text or a number.
    #[serde(default)]
    pub id: Option<Value>,
    /// `OCRBench`'s `dataset`.
    #[serde(default)]
    pub dataset: Option<String>,
    /// What the model said, unchanged.
    pub prediction: String,
    /// The accepted answers: a list, or a single text.
    #[serde(deserialize_with = "one_or_many")]
    pub answers: Vec<String>,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The id of the prediction, where it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// In `[0, 1]`.
    pub score: f64,
}

/// Scores one line (numbered from 1, for the message). A line of white space is none: `Ok(None)`.
///
/// # Errors
/// [`Error::Prediction`] for a line that is not such an object, or has no answers.
pub fn score_line(metric: Metric, line: &str, number: usize) -> Result<Option<Scored>, Error> {
    let refused = |reason: String| Error::Prediction {
        line: number,
        reason,
    };
    if line.trim().is_empty() {
        return Ok(None);
    }
    let prediction: Prediction = serde_json::from_str(line).map_err(|error| {
        refused(format!(
            "{error}; expected an object {{\"id\"?, \"dataset\"?, \"prediction\", \"answers\"}} with text in `prediction`"
        ))
    })?;
    if prediction.answers.is_empty() {
        return Err(refused(
            "`answers` is empty, so that nothing could be right; give the accepted answers"
                .to_owned(),
        ));
    }
    let score = metric.score(
        &prediction.prediction,
        &prediction.answers,
        prediction.dataset.as_deref(),
    );
    Ok(Some(Scored {
        id: prediction.id,
        score,
    }))
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`answers` must be a list of text, or one text")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(answer) => vec![answer],
        OneOrMany::Many(answers) => answers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Option<String>, String> {
        score_line(Metric::RelaxedAccuracy, text, 7)
            .map(|scored| scored.map(|scored| serde_json::to_string(&scored).unwrap()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn scores_and_passes_the_id_through() {
        assert_eq!(
            line(r#"{"id": "a", "prediction": "5 ", "answers": ["5.1"], "model": "x"}"#),
            Ok(Some(r#"{"id":"a","score":1.0}"#.to_owned()))
        );
        assert_eq!(
            line(r#"{"id": 3, "prediction": "no", "answers": "yes"}"#),
            Ok(Some(r#"{"id":3,"score":0.0}"#.to_owned()))
        );
        assert_eq!(
            line(r#"{"prediction": "", "answers": ["yes"]}"#),
            Ok(Some(r#"{"score":0.0}"#.to_owned()))
        );
        assert_eq!(line("  \n"), Ok(None));
    }

    #[test]
    fn refuses_with_the_line_and_the_reason() {
        for (text, reason) in [
            ("{", "EOF"),
            (r#"{"answers": ["a"]}"#, "missing field `prediction`"),
            (
                r#"{"prediction": null, "answers": ["a"]}"#,
                "expected a string",
            ),
            (
                r#"{"prediction": "a", "answers": [1]}"#,
                "`answers` must be",
            ),
            (
                r#"{"prediction": "a", "answers": []}"#,
                "`answers` is empty",
            ),
        ] {
            let message = line(text).unwrap_err();
            assert!(
                message.starts_with("line 7 of the predictions: ") && message.contains(reason),
                "{message}"
            );
        }
    }
}
