//! `training.parquet`: what a training run measured, a row a step and a few rows a validation.

use std::path::Path;

use polars::prelude::*;

use crate::Error;
use crate::store::table::{Table, replace_table};

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
    /// Learning rate.
    pub rate: f64,
    /// Length of the gradient before clipping.
    pub gradient_norm: f64,
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
            gradient_norm: 0.0,
            seconds: 0.0,
        }
    }
}

/// Name of a column and its place in a [`Row`].
type Number = (&'static str, fn(&mut Row) -> &mut f64);

/// The columns after `step` and `split`.
const NUMBERS: [Number; 7] = [
    ("loss", |row| &mut row.loss),
    ("dense_loss", |row| &mut row.dense_loss),
    ("glyph_accuracy", |row| &mut row.glyph_accuracy),
    ("exact", |row| &mut row.exact),
    ("rate", |row| &mut row.rate),
    ("gradient_norm", |row| &mut row.gradient_norm),
    ("seconds", |row| &mut row.seconds),
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
        let missing = read_rows(&folder.path().join("other.parquet")).unwrap_err();
        assert!(missing.to_string().contains("other.parquet"), "{missing}");
    }
}
