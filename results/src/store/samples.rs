//! `samples.parquet`: its columns, and reading all of it, some of it, or what a summary needs.

use std::path::Path;

use super::columns::{Fields, fields, read, read_all};
use super::scores::Scores;
use super::table::{Table, TableWriter};
use crate::Error;
use crate::schema::SampleRecord;

/// The table's name in a run's folder.
pub(super) const PARQUET: &str = "samples.parquet";
/// Samples a row group, and samples that a summary reads at a time: bounds the memory of both.
const ROW_GROUP: usize = 20_000;

const COLUMNS: Fields<SampleRecord> = fields![SampleRecord:
    model,
    variant,
    suite,
    sample,
    number or None,
    image_id,
    category,
    seed,
    prompt_sha256,
    prompt,
    prediction,
    answers,
    score,
    error,
    prompt_tokens,
    visual_tokens,
    new_tokens,
    preprocess_ms,
    vision_ms,
    prefill_ms,
    decode_ms,
];

/// Columns that a summary does without: the long texts above all.
const IN_FULL_ALONE: [&str; 4] = ["number", "prompt", "prediction", "answers"];

/// Writes the table at `path`.
pub(crate) fn create(path: &Path) -> Result<TableWriter<SampleRecord>, Error> {
    TableWriter::create(path, COLUMNS, ROW_GROUP)
}

/// All samples in full.
pub(super) fn read_samples(path: &Path) -> Result<Vec<SampleRecord>, Error> {
    read_all(COLUMNS, &Table::read(path, None)?)
}

/// At most so many samples from a row on, in full; none past the end.
pub(super) fn read_samples_from(
    path: &Path,
    start: usize,
    count: usize,
) -> Result<Vec<SampleRecord>, Error> {
    let table = Table::read_slice(path, None, Some((start, count)))?;
    read_all(COLUMNS, &table)
}

/// The samples of these rows, which ascend, in full: row group by row group, without those that hold none.
pub(super) fn read_samples_at(path: &Path, rows: &[usize]) -> Result<Vec<SampleRecord>, Error> {
    let mut found = Vec::with_capacity(rows.len());
    for part in rows.chunk_by(|a, b| a / ROW_GROUP == b / ROW_GROUP) {
        let (first, last) = (part[0], part[part.len() - 1]);
        let table = Table::read_slice(path, None, Some((first, last + 1 - first)))?;
        if table.rows() < last + 1 - first {
            return Err(Error::Table {
                path: path.to_path_buf(),
                reason: format!("it ends before row {last}, which it had when it was opened"),
            });
        }
        let within: Vec<usize> = part.iter().map(|row| row - first).collect();
        found.extend(read(COLUMNS, &table, &within)?);
    }
    Ok(found)
}

/// What a summary needs.
pub(super) fn read_scores(path: &Path) -> Result<Scores, Error> {
    let needed = || {
        let columns = COLUMNS.iter();
        columns.filter(|column| !IN_FULL_ALONE.contains(&column.name))
    };
    let names = needed().map(|column| column.name.to_owned()).collect();
    let table = Table::read(path, Some(names))?;
    let mut scores = Scores::default();
    for start in (0..table.rows()).step_by(ROW_GROUP) {
        let part = table.part(start, ROW_GROUP);
        let rows: Vec<usize> = (0..part.rows()).collect();
        for sample in read(needed(), &part, &rows)? {
            scores.push(&sample);
        }
    }
    Ok(scores)
}
