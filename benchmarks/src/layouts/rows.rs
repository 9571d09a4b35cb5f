//! Rows to items: for each published layout, which column is what.
//!
//! Only the light columns are read here. Adding a layout is a function here and an arm in [`Layout::rows`].
//!
//! One rule for all: a question without text, or without an answer that has text, is left out and counted; an empty answer
//! is contained in everything, and an empty question asks nothing. Answers beside an empty one stay as published.

use super::Layout;
use super::table::Table;
use crate::Error;
use crate::metrics::Metric;
use crate::metrics::vqa_accuracy::ANNOTATORS;
use crate::python_literal;
use rave_hints::{Refusal, refusal};
use serde_json::Value;

/// Everything of an item but its picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    /// `None` where the data set has no ids: the row's number in the split is taken.
    pub(super) id: Option<String>,
    /// `None` where no column names the picture: the hash of its bytes is taken.
    pub(super) image_id: Option<String>,
    pub(super) question: String,
    pub(super) answers: Vec<String>,
    pub(super) category: Option<String>,
    pub(super) dataset: Option<String>,
    /// The metric of this question alone; `None` for the suite's.
    pub(super) metric: Option<Metric>,
    /// Row of the file where the picture is.
    pub(super) position: usize,
}

/// The rows of one file, and how many of its questions cannot be asked.
#[derive(Debug, Default)]
pub(super) struct FileRows {
    pub(super) rows: Vec<Row>,
    pub(super) left_out: usize,
}

impl Layout {
    /// Reads the light columns of a file.
    pub(super) fn rows(self, table: &Table) -> Result<FileRows, Error> {
        table.require_image()?;
        match self {
            Self::Docvqa => docvqa(table),
            Self::Chartqa => chartqa(table),
            Self::Textvqa => textvqa(table),
            Self::Ocrbench => ocrbench(table),
            Self::Mtvqa => mtvqa(table),
            // Neither is read from tables.
            Self::Jsonl | Self::Embedded => Ok(FileRows::default()),
        }
    }
}

/// `questionId`, `question`, `docId` (where there is one), `answers`.
fn docvqa(table: &Table) -> Result<FileRows, Error> {
    let ids = table.text("questionId")?;
    let questions = table.text("question")?;
    let answers = table.texts("answers")?;
    let documents = if table.has("docId") {
        table.text("docId")?
    } else {
        vec![None; table.rows()]
    };
    collect(table, &questions, &answers, |row, question, answers| {
        Ok(Row {
            id: Some(present(table, row, "questionId", &ids)?),
            image_id: documents[row].clone(),
            question,
            answers,
            position: row,
            ..Row::default()
        })
    })
}

/// `type`, `question`, `answer`; no ids.
fn chartqa(table: &Table) -> Result<FileRows, Error> {
    let kinds = table.text("type")?;
    let questions = table.text("question")?;
    let answers = table.texts("answer")?;
    collect(table, &questions, &answers, |row, question, answers| {
        let kind = present(table, row, "type", &kinds)?;
        Ok(Row {
            question,
            answers,
            // Published as `human_test` and `augmented_test`.
            category: Some(kind.split('_').next().unwrap_or(&kind).to_owned()),
            position: row,
            ..Row::default()
        })
    })
}

/// `question_id`, `question`, `image_id`, `answers` of ten people.
fn textvqa(table: &Table) -> Result<FileRows, Error> {
    let ids = table.text("question_id")?;
    let questions = table.text("question")?;
    let images = table.text("image_id")?;
    let answers = table.texts("answers")?;
    collect(table, &questions, &answers, |row, question, answers| {
        if answers.len() != ANNOTATORS {
            let reason = format!(
                "it has {} answers, and the metric is defined for {ANNOTATORS}",
                answers.len()
            );
            return Err(Error::Row {
                path: table.path().to_owned(),
                row,
                reason: reason.into(),
            });
        }
        Ok(Row {
            id: Some(present(table, row, "question_id", &ids)?),
            image_id: images[row].clone(),
            question,
            answers,
            position: row,
            ..Row::default()
        })
    })
}

/// `dataset`, `question`, `question_type`, `answer`; no ids.
fn ocrbench(table: &Table) -> Result<FileRows, Error> {
    let datasets = table.text("dataset")?;
    let questions = table.text("question")?;
    let kinds = table.text("question_type")?;
    let answers = table.texts("answer")?;
    collect(table, &questions, &answers, |row, question, answers| {
        Ok(Row {
            question,
            answers,
            category: Some(present(table, row, "question_type", &kinds)?),
            dataset: Some(present(table, row, "dataset", &datasets)?),
            position: row,
            ..Row::default()
        })
    })
}

/// `id`, `lang`, `qa_pairs`: a row is a picture with several questions.
fn mtvqa(table: &Table) -> Result<FileRows, Error> {
    let ids = table.text("id")?;
    let languages = table.text("lang")?;
    let pairs = table.text("qa_pairs")?;
    let mut rows = FileRows::default();
    for row in 0..table.rows() {
        let refused = |reason: Refusal| Error::Row {
            path: table.path().to_owned(),
            row,
            reason,
        };
        let picture = present(table, row, "id", &ids)?;
        let language = present(table, row, "lang", &languages)?;
        let literal = present(table, row, "qa_pairs", &pairs)?;
        let value = python_literal::parse(&literal).map_err(|reason| {
            refused(refusal(
                format!("`qa_pairs` is no Python literal: {reason}"),
                "take the data set as it is published",
            ))
        })?;
        let Value::Array(pairs) = value else {
            return Err(refused("`qa_pairs` is not a list".into()));
        };
        for (position, pair) in pairs.iter().enumerate() {
            let part = |key: &str| match pair.get(key) {
                Some(Value::String(text)) => Ok(text.trim().to_owned()),
                Some(Value::Number(number)) => Ok(number.to_string()),
                Some(Value::Null) => Ok(String::new()),
                _ => Err(refused(
                    format!("`qa_pairs`, position {position}, has no text `{key}`").into(),
                )),
            };
            let (question, answer) = (part("question")?, part("answer")?);
            if !says_something(&question) || !says_something(&answer) {
                rows.left_out += 1;
                continue;
            }
            rows.rows.push(Row {
                id: Some(format!("{picture}_{position}")),
                image_id: Some(picture.clone()),
                question,
                answers: vec![answer],
                category: Some(language.clone()),
                position: row,
                ..Row::default()
            });
        }
    }
    Ok(rows)
}

/// The rows that can be asked, of a file with a question a row.
fn collect(
    table: &Table,
    questions: &[Option<String>],
    answers: &[Option<Vec<String>>],
    row: impl Fn(usize, String, Vec<String>) -> Result<Row, Error>,
) -> Result<FileRows, Error> {
    let mut rows = FileRows::default();
    for position in 0..table.rows() {
        let question = questions.get(position).cloned().flatten();
        let answers = answers.get(position).cloned().flatten();
        match (question, answers) {
            (Some(question), Some(answers))
                if says_something(&question)
                    && answers.iter().any(|answer| says_something(answer)) =>
            {
                rows.rows.push(row(position, question, answers)?);
            }
            _ => rows.left_out += 1,
        }
    }
    Ok(rows)
}

pub(super) fn says_something(text: &str) -> bool {
    !text.trim().is_empty()
}

/// The cell, which must not be null.
fn present(
    table: &Table,
    row: usize,
    column: &str,
    cells: &[Option<String>],
) -> Result<String, Error> {
    cells.get(row).cloned().flatten().ok_or_else(|| Error::Row {
        path: table.path().to_owned(),
        row,
        reason: refusal(
            format!("column `{column}` is null"),
            "take another copy of the data set, or remove the row",
        ),
    })
}
