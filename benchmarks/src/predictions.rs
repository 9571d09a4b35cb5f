//! Scoring predictions that someone else made (`rave score`): files of other harnesses in, scores out.
//!
//! [`read`] brings every [`Format`] to [`Prediction`]s; [`match_with`] takes the answers from a suite's data instead of from
//! the file; [`score`] scores. Pure text in, numbers out: files, printing and exit codes belong to the caller.

mod cells;
mod json;
mod score;

pub use score::{Missing, Scored, Tally, match_with, score};

use crate::Error;
use crate::metrics::Metric;
use rave_hints::{Refusal, refusal};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// The question type of `OCRBench` whose data set is `HME100k`, on which its metric depends.
const FORMULAS: (&str, &str) = ("Handwritten Mathematical Expression Recognition", "HME100k");

/// One prediction, whatever file it is from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prediction {
    /// Its line in the file, from 1; a record's number in a JSON list.
    pub line: usize,
    /// Its id, text or a number, as it is written.
    pub id: Option<Value>,
    /// The number of its item in the split, from 0, where the file has that instead (lmms-eval's `doc_id`).
    pub number: Option<usize>,
    /// `OCRBench`'s `dataset`.
    pub dataset: Option<String>,
    /// A part of the suite that is reported on its own.
    pub category: Option<String>,
    /// The metric of this prediction alone.
    pub metric: Option<Metric>,
    /// What the model said, unchanged.
    pub prediction: String,
    /// The accepted answers; none where the file has none, so that they must come from the suite's data.
    pub answers: Vec<String>,
    /// Whether the file writes something else where the answers should be: of this metric it can only be scored with data.
    pub answers_are_doubtful: bool,
}

/// How a file of predictions is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line: ours, or lmms-eval's log of samples.
    Jsonl,
    /// A JSON list of such objects (VLMEvalKit with `PRED_FORMAT=json`).
    Json,
    /// Cells between commas under a row of names.
    Csv,
    /// The same between tabs (VLMEvalKit with `PRED_FORMAT=tsv`).
    Tsv,
}

impl Format {
    /// The format that a file's name says, JSONL where it says nothing.
    ///
    /// # Errors
    /// [`Error::PredictionFile`] for a spreadsheet or a pickle.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        match extension.as_str() {
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "json" => Ok(Self::Json),
            "xlsx" | "xls" | "pkl" => Err(Error::PredictionFile {
                path: path.to_owned(),
                reason: refusal(
                    format!(
                        "a .{extension} file is not read: spreadsheets cut long answers and turn `None` into nothing, and a pickle \
                     runs what it holds"
                    ),
                    "save it as .tsv or .csv (VLMEvalKit: run it with PRED_FORMAT=tsv)",
                ),
            }),
            _ => Ok(Self::Jsonl),
        }
    }
}

/// Reads a whole file.
///
/// # Errors
/// [`Error::Prediction`] with the line for whatever is no prediction.
pub fn read(format: Format, text: &str) -> Result<Vec<Prediction>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut predictions = match format {
        Format::Jsonl => json::lines(text),
        Format::Json => json::list(text),
        Format::Csv => cells::read(text, b','),
        Format::Tsv => cells::read(text, b'\t'),
    }?;
    for prediction in &mut predictions {
        // Neither lmms-eval nor VLMEvalKit keeps the data set; the question type tells the one that matters.
        if prediction.dataset.is_none() && prediction.category.as_deref() == Some(FORMULAS.0) {
            prediction.dataset = Some(FORMULAS.1.to_owned());
        }
    }
    Ok(predictions)
}

fn refused(line: usize, reason: impl Into<Refusal>) -> Error {
    Error::Prediction {
        line,
        reason: reason.into(),
    }
}

/// A list of text, or a single text, for serde.
pub(crate) fn one_or_many<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
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

/// The answers in a cell: a list of text as JSON or as Python writes it, or else the cell itself. A list of numbers is one
/// answer, since `ChartQA` has answers such as `[2012, 2013]`.
fn answers_in(cell: &str) -> Vec<String> {
    let trimmed = cell.trim();
    if trimmed.starts_with('[') {
        let list = serde_json::from_str(trimmed)
            .ok()
            .or_else(|| crate::python_literal::parse(trimmed).ok());
        if let Some(Ok(answers)) = list.map(serde_json::from_value::<Vec<String>>)
            && !answers.is_empty()
        {
            return answers;
        }
    }
    vec![cell.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_format() {
        let of = |name: &str| Format::of(Path::new(name));
        assert_eq!(of("a.csv").unwrap(), Format::Csv);
        assert_eq!(of("a.TSV").unwrap(), Format::Tsv);
        assert_eq!(of("a.json").unwrap(), Format::Json);
        assert_eq!(of("a.jsonl").unwrap(), Format::Jsonl);
        assert_eq!(of("-").unwrap(), Format::Jsonl);
        let message = of("model_DocVQA.xlsx").unwrap_err().with_hint();
        assert!(
            message.contains("model_DocVQA.xlsx") && message.contains("PRED_FORMAT=tsv"),
            "{message}"
        );
    }

    #[test]
    fn formulas_are_known_by_their_question_type() {
        let table = "index,category,answer,prediction\n0,Handwritten Mathematical Expression Recognition,['x'],x\n1,Doc-oriented VQA,['x'],x\n";
        let log = r#"{"doc_id": 9, "filtered_resps": ["x"], "ocrbench_accuracy": {"question_type": "Handwritten Mathematical Expression Recognition", "ground_truth": ["x"]}}"#;
        let read = |format, text| {
            let predictions = read(format, text).unwrap().into_iter();
            predictions
                .map(|prediction| prediction.dataset)
                .collect::<Vec<_>>()
        };
        assert_eq!(read(Format::Csv, table), [Some("HME100k".to_owned()), None]);
        assert_eq!(read(Format::Jsonl, log), [Some("HME100k".to_owned())]);
    }

    #[test]
    fn lists_are_those_of_text_alone() {
        assert_eq!(answers_in("['a', \"b's\"]"), ["a", "b's"]);
        assert_eq!(answers_in(" [\"a\"] "), ["a"]);
        for single in ["[2012, 2013]", "[Yes, No]", "[]", "a, b", "", "['a'"] {
            assert_eq!(answers_in(single), [single]);
        }
    }
}
