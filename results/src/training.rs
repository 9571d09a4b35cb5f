//! What `rave train` records: `train.json` ([`TrainingRecord`]) and `training.parquet`, what the run measured, a row a step and a
//! few rows a validation.

use std::path::Path;

use polars::prelude::*;

use crate::Error;
use crate::store::table::{Table, replace_table};

mod record;

pub use record::{Freeze, TrainingRecord, TrainingSettings};

/// The table of a training run.
pub const ROWS: &str = "training.parquet";

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Steps made, this one included.
    pub step: u64,
    /// `train`, `validation` (all items) or `validation <task>`.
    pub split: String,
    /// Mean cross entropy of the answers' tokens, in nats; 0 where answers are not trained, NaN where it is not measured.
    pub loss: f64,
    /// Mean cross entropy of the character at each patch, in nats; 0 where it is not trained.
    pub dense_loss: f64,
    /// Share of the characters that the dense head recognises.
    pub glyph_accuracy: f64,
    /// Share of the items whose answer is exactly right.
    pub exact: f64,
    /// Learning rate of the checkpoint's parameters.
    pub rate: f64,
    /// Learning rate of the variant's own parameters; NaN in tables of runs from before it was recorded, as the three norms below.
    pub gate_rate: f64,
    /// Length (2-norm) of the gradient before clipping: of the checkpoint's parameters; in older tables of all.
    pub gradient_norm: f64,
    /// The same of the variant's own parameters; 0 where there are none.
    pub gate_gradient_norm: f64,
    /// Length of the checkpoint's parameters that move, after the step; 0 where none does.
    pub weight_norm: f64,
    /// The same of the variant's own parameters.
    pub gate_weight_norm: f64,
    /// Wall time of the step.
    pub seconds: f64,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            step: 0,
            split: "train".into(),
            loss: 0.0,
            dense_loss: 0.0,
            glyph_accuracy: 0.0,
            exact: 0.0,
            rate: 0.0,
            gate_rate: 0.0,
            gradient_norm: 0.0,
            gate_gradient_norm: 0.0,
            weight_norm: 0.0,
            gate_weight_norm: 0.0,
            seconds: 0.0,
        }
    }
}

/// Name of a column and its place in a [`Row`].
type Number = (&'static str, fn(&mut Row) -> &mut f64);

/// The columns after `step` and `split`.
const NUMBERS: [Number; 11] = [
    ("loss", |row| &mut row.loss),
    ("dense_loss", |row| &mut row.dense_loss),
    ("glyph_accuracy", |row| &mut row.glyph_accuracy),
    ("exact", |row| &mut row.exact),
    ("rate", |row| &mut row.rate),
    ("gate_rate", |row| &mut row.gate_rate),
    ("gradient_norm", |row| &mut row.gradient_norm),
    ("gate_gradient_norm", |row| &mut row.gate_gradient_norm),
    ("weight_norm", |row| &mut row.weight_norm),
    ("gate_weight_norm", |row| &mut row.gate_weight_norm),
    ("seconds", |row| &mut row.seconds),
];

/// The columns that tables had from the beginning: the others may be missing.
const FIRST: [&str; 7] = [
    "loss",
    "dense_loss",
    "glyph_accuracy",
    "exact",
    "rate",
    "gradient_norm",
    "seconds",
];

/// Writes the table at once: under a temporary name, then moved into place.
///
/// # Errors
/// When the file cannot be written, naming it.
pub fn write_rows(path: &Path, rows: &[Row]) -> Result<(), Error> {
    let mut columns = vec![
        UInt64Chunked::from_iter_values("step".into(), rows.iter().map(|row| row.step))
            .into_column(),
        StringChunked::from_iter_values("split".into(), rows.iter().map(|row| row.split.as_str()))
            .into_column(),
    ];
    for (name, place) in NUMBERS {
        let values = rows.iter().map(|row| *place(&mut row.clone()));
        columns.push(Float64Chunked::from_iter_values(name.into(), values).into_column());
    }
    replace_table(path, rows.len(), columns)
}

/// Reads the table.
///
/// # Errors
/// A file that is missing, damaged or lacks a column, naming it.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, Error> {
    let table = Table::read(path, None)?;
    let mut rows: Vec<Row> = table
        .texts("split")?
        .into_iter()
        .zip(table.longs("step")?)
        .map(|(split, step)| Row {
            step,
            split: split.to_owned(),
            ..Row::default()
        })
        .collect();
    for (name, place) in NUMBERS {
        if !FIRST.contains(&name) && !table.has(name) {
            for row in &mut rows {
                *place(row) = f64::NAN;
            }
            continue;
        }
        for (row, value) in rows.iter_mut().zip(table.numbers(name)?) {
            *place(row) = value.unwrap_or(f64::NAN);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.parquet");
        let rows = vec![
            Row {
                step: 7,
                loss: 2.5,
                rate: 1e-3,
                ..Row::default()
            },
            Row {
                step: 7,
                split: "validation ocr".into(),
                exact: 0.25,
                ..Row::default()
            },
        ];
        write_rows(&path, &rows).unwrap();
        assert_eq!(read_rows(&path).unwrap(), rows);
        let older = vec![
            UInt64Chunked::from_iter_values("step".into(), [7].into_iter()).into_column(),
            StringChunked::from_iter_values("split".into(), ["train"].into_iter()).into_column(),
        ];
        let numbers = FIRST.map(|name| {
            Float64Chunked::from_iter_values(name.into(), [0.5].into_iter()).into_column()
        });
        replace_table(&path, 1, older.into_iter().chain(numbers).collect()).unwrap();
        let read = read_rows(&path).unwrap();
        assert!(read[0].gate_weight_norm.is_nan() && (read[0].gradient_norm - 0.5).abs() < 1e-12);
        let missing = read_rows(&folder.path().join("other.parquet")).unwrap_err();
        assert!(missing.to_string().contains("other.parquet"), "{missing}");
    }
}
