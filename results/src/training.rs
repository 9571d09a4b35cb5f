//! What `rave train` records: `train.json` ([`TrainingRecord`]) and `training.parquet`, what the run measured, a row a step and a
//! few rows a validation.

use std::path::Path;

use crate::Error;
use crate::store::columns::{Fields, fields, read_all};
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
    pub aux_loss: f64,
    /// Share of the characters that the auxiliary head recognises.
    pub glyph_accuracy: f64,
    /// Share of the items whose answer is exactly right.
    pub exact: f64,
    /// Learning rate of the checkpoint's parameters.
    pub lr: f64,
    /// Learning rate of the variant's own parameters; NaN in tables of runs from before it was recorded, as the three norms below.
    pub gate_lr: f64,
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
            aux_loss: 0.0,
            glyph_accuracy: 0.0,
            exact: 0.0,
            lr: 0.0,
            gate_lr: 0.0,
            gradient_norm: 0.0,
            gate_gradient_norm: 0.0,
            weight_norm: 0.0,
            gate_weight_norm: 0.0,
            seconds: 0.0,
        }
    }
}

const COLUMNS: Fields<Row> = fields![Row:
    step,
    split,
    loss,
    aux_loss was dense_loss,
    glyph_accuracy,
    exact,
    lr was rate,
    gate_lr was gate_rate or f64::NAN,
    gradient_norm,
    gate_gradient_norm or f64::NAN,
    weight_norm or f64::NAN,
    gate_weight_norm or f64::NAN,
    seconds,
];

/// Writes the table at once: under a temporary name, then moved into place.
///
/// # Errors
/// When the file cannot be written, naming it.
pub fn write_rows(path: &Path, rows: &[Row]) -> Result<(), Error> {
    replace_table(path, COLUMNS, rows)
}

/// Reads the table.
///
/// # Errors
/// A file that is missing, damaged or lacks a column, naming it.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, Error> {
    read_all(COLUMNS, &Table::read(path, None)?)
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;

    #[test]
    fn rows_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.parquet");
        let rows = vec![
            Row {
                step: 7,
                loss: 2.5,
                aux_loss: 0.75,
                lr: 1e-3,
                gradient_norm: 0.5,
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
        // Older tables lack some columns, and have other names for some.
        let older: Vec<_> = COLUMNS
            .iter()
            .filter(|column| column.absent.is_none())
            .map(|column| (column.write)(column.older.unwrap_or(column.name), &rows))
            .collect();
        assert_eq!(older.len(), 9);
        let mut frame = DataFrame::new(rows.len(), older).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        ParquetWriter::new(file).finish(&mut frame).unwrap();
        let read = read_rows(&path).unwrap();
        assert!(read[0].gate_weight_norm.is_nan() && (read[0].gradient_norm - 0.5).abs() < 1e-12);
        assert_eq!((read[0].step, read[0].split.as_str()), (7, "train"));
        assert_eq!((read[0].lr, read[0].aux_loss), (1e-3, 0.75));
        let missing = read_rows(&folder.path().join("other.parquet")).unwrap_err();
        assert!(missing.to_string().contains("other.parquet"), "{missing}");
    }
}
