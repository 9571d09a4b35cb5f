//! `samples.parquet`: writing it in row groups, reading all of it, and reading the columns a summary needs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;
use rave_parquet::{check, check_footer, check_rows, guarded};

use super::files::replace_file;
use super::scores::{Names, ScoreRow, Scores};
use crate::Error;
use crate::schema::{Failure, SampleRecord};

/// The table's name in a run's folder.
pub(super) const PARQUET: &str = "samples.parquet";
/// Samples a row group: bounds the memory of writing.
const ROW_GROUP: usize = 20_000;

/// A table that is written row group by row group under a temporary name.
pub(super) struct RowGroups {
    path: PathBuf,
    writer: BatchedWriter<File>,
    file: File,
}

impl RowGroups {
    /// With the columns of an empty table.
    pub(super) fn create(path: &Path, empty: PolarsResult<DataFrame>) -> Result<Self, Error> {
        let failed = |source| Error::writing(path, source);
        let refused = |error| table_error(path, error);
        let file = File::create(rave_files::temporary_name(path)).map_err(failed)?;
        let writer = ParquetWriter::new(file.try_clone().map_err(failed)?)
            .batched(empty.map_err(refused)?.schema())
            .map_err(refused)?;
        Ok(Self {
            path: path.to_path_buf(),
            writer,
            file,
        })
    }

    pub(super) fn write(&mut self, group: PolarsResult<DataFrame>) -> Result<(), Error> {
        group
            .and_then(|group| self.writer.write_batch(&group))
            .map_err(|error| table_error(&self.path, error))
    }

    /// Moves the whole table into place.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.writer
            .finish()
            .map_err(|error| table_error(&self.path, error))?;
        rave_files::commit(self.file, &self.path)
            .map_err(|source| Error::writing(&self.path, source))
    }
}

/// Writes the table of the samples.
pub(crate) struct TableWriter {
    batch: Vec<SampleRecord>,
    groups: RowGroups,
}

impl TableWriter {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            batch: Vec::new(),
            groups: RowGroups::create(path, frame(&[]))?,
        })
    }

    pub(crate) fn push(&mut self, sample: SampleRecord) -> Result<(), Error> {
        self.batch.push(sample);
        if self.batch.len() >= ROW_GROUP {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.groups.write(frame(&self.batch));
        self.batch.clear();
        written
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        self.groups.finish()
    }
}

/// Writes a small table at once: under a temporary name, then moved into place.
pub(crate) fn replace_table(path: &Path, rows: usize, columns: Vec<Column>) -> Result<(), Error> {
    replace_file(path, |file| {
        DataFrame::new(rows, columns)
            .and_then(|mut frame| ParquetWriter::new(file).finish(&mut frame))
            .map(drop)
            .map_err(|error| table_error(path, error))
    })
}

/// A polars error of writing as ours; a full disk keeps its own message.
pub(crate) fn table_error(path: &Path, error: PolarsError) -> Error {
    match error {
        PolarsError::IO { error, .. } => {
            Error::writing(path, std::io::Error::new(error.kind(), error.to_string()))
        }
        other => Error::Table {
            path: path.to_path_buf(),
            reason: other.to_string(),
        },
    }
}

fn frame(samples: &[SampleRecord]) -> PolarsResult<DataFrame> {
    fn text(name: &str, samples: &[SampleRecord], of: impl Fn(&SampleRecord) -> &str) -> Column {
        StringChunked::from_iter_values(name.into(), samples.iter().map(of)).into_column()
    }
    fn number(
        name: &str,
        samples: &[SampleRecord],
        of: impl Fn(&SampleRecord) -> Option<f64>,
    ) -> Column {
        Float64Chunked::from_iter_options(name.into(), samples.iter().map(of)).into_column()
    }
    fn count(name: &str, samples: &[SampleRecord], of: impl Fn(&SampleRecord) -> u32) -> Column {
        UInt32Chunked::from_iter_values(name.into(), samples.iter().map(of)).into_column()
    }
    let mut answers = ListStringChunkedBuilder::new("answers".into(), samples.len(), samples.len());
    for sample in samples {
        answers.append_values_iter(sample.answers.iter().map(String::as_str));
    }
    DataFrame::new(
        samples.len(),
        vec![
            text("model", samples, |sample| &sample.model),
            text("variant", samples, |sample| &sample.variant),
            text("suite", samples, |sample| &sample.suite),
            text("sample", samples, |sample| &sample.sample),
            UInt64Chunked::from_iter_options(
                "number".into(),
                samples.iter().map(|sample| sample.number),
            )
            .into_column(),
            text("image_id", samples, |sample| &sample.image_id),
            text("category", samples, |sample| &sample.category),
            UInt64Chunked::from_iter_values(
                "seed".into(),
                samples.iter().map(|sample| sample.seed),
            )
            .into_column(),
            text("prompt_sha256", samples, |sample| &sample.prompt_sha256),
            text("prompt", samples, |sample| &sample.prompt),
            text("prediction", samples, |sample| &sample.prediction),
            answers.finish().into_column(),
            number("score", samples, |sample| sample.score),
            StringChunked::from_iter_options(
                "error".into(),
                samples
                    .iter()
                    .map(|sample| sample.error.as_ref().map(ToString::to_string)),
            )
            .into_column(),
            count("prompt_tokens", samples, |sample| sample.prompt_tokens),
            count("visual_tokens", samples, |sample| sample.visual_tokens),
            count("new_tokens", samples, |sample| sample.new_tokens),
            number("preprocess_ms", samples, |sample| sample.preprocess_ms),
            number("vision_ms", samples, |sample| sample.vision_ms),
            number("prefill_ms", samples, |sample| sample.prefill_ms),
            number("decode_ms", samples, |sample| sample.decode_ms),
        ],
    )
}

/// A read table whose columns are asked for by name, with errors that name the file.
pub(crate) struct Table<'a> {
    path: &'a Path,
    frame: DataFrame,
}

impl<'a> Table<'a> {
    pub(crate) fn read(path: &'a Path, columns: Option<Vec<String>>) -> Result<Self, Error> {
        Self::read_slice(path, columns, None)
    }

    /// Some of the rows: the first, and how many.
    pub(crate) fn read_slice(
        path: &'a Path,
        columns: Option<Vec<String>>,
        slice: Option<(usize, usize)>,
    ) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::reading(path, source))?;
        let damaged = |reason: String| Error::Table {
            path: path.to_path_buf(),
            reason,
        };
        check_footer(path).map_err(damaged)?;
        let mut reader = ParquetReader::new(file);
        let metadata = guarded(|| Ok(Arc::clone(reader.get_metadata()?))).map_err(damaged)?;
        check(path, &metadata).map_err(damaged)?;
        let frame =
            guarded(|| reader.with_columns(columns).with_slice(slice).finish()).map_err(damaged)?;
        check_rows(&frame, frame.height()).map_err(damaged)?;
        Ok(Self { path, frame })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.frame.height()
    }

    /// Whether there is a column of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.frame.column(name).is_ok()
    }

    pub(crate) fn column(&self, name: &str) -> Result<&Column, Error> {
        self.frame
            .column(name)
            .map_err(|error| self.invalid(name, &error.to_string()))
    }

    pub(crate) fn invalid(&self, column: &str, reason: &str) -> Error {
        Error::Table {
            path: self.path.to_path_buf(),
            reason: format!("column '{column}': {reason}"),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<&StringChunked, Error> {
        self.column(name)?
            .str()
            .map_err(|error| self.invalid(name, &error.to_string()))
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&str>, Error> {
        let column = self.text(name)?;
        column
            .iter()
            .map(|value| value.ok_or_else(|| self.invalid(name, "a value is missing")))
            .collect()
    }

    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, Error> {
        let column = self
            .column(name)?
            .f64()
            .map_err(|error| self.invalid(name, &error.to_string()))?;
        Ok(column.iter().collect())
    }

    pub(crate) fn maybe_texts(&self, name: &str) -> Result<Vec<Option<&str>>, Error> {
        Ok(self.text(name)?.iter().collect())
    }

    pub(crate) fn maybe_longs(&self, name: &str) -> Result<Vec<Option<u64>>, Error> {
        let column = self
            .column(name)?
            .u64()
            .map_err(|error| self.invalid(name, &error.to_string()))?;
        Ok(column.iter().collect())
    }

    pub(crate) fn counts(&self, name: &str) -> Result<Vec<u32>, Error> {
        let column = self
            .column(name)?
            .u32()
            .map_err(|error| self.invalid(name, &error.to_string()))?;
        column
            .iter()
            .map(|value| value.ok_or_else(|| self.invalid(name, "a value is missing")))
            .collect()
    }

    pub(crate) fn maybe_counts(&self, name: &str) -> Result<Vec<Option<u32>>, Error> {
        let column = self
            .column(name)?
            .u32()
            .map_err(|error| self.invalid(name, &error.to_string()))?;
        Ok(column.iter().collect())
    }

    pub(crate) fn longs(&self, name: &str) -> Result<Vec<u64>, Error> {
        let column = self
            .column(name)?
            .u64()
            .map_err(|error| self.invalid(name, &error.to_string()))?;
        column
            .iter()
            .map(|value| value.ok_or_else(|| self.invalid(name, "a value is missing")))
            .collect()
    }
}

/// A column's name, and where its values go.
type Field<T> = (&'static str, fn(&mut SampleRecord) -> &mut T);

/// All samples in full.
pub(super) fn read_samples(path: &Path) -> Result<Vec<SampleRecord>, Error> {
    let table = Table::read(path, None)?;
    let rows: Vec<usize> = (0..table.rows()).collect();
    samples(&table, &rows)
}

/// At most so many samples from a row on, in full; none past the end.
pub(super) fn read_samples_from(
    path: &Path,
    start: usize,
    count: usize,
) -> Result<Vec<SampleRecord>, Error> {
    let table = Table::read_slice(path, None, Some((start, count)))?;
    let rows: Vec<usize> = (0..table.rows()).collect();
    samples(&table, &rows)
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
        found.extend(samples(&table, &within)?);
    }
    Ok(found)
}

/// These rows of a table.
fn samples(table: &Table, rows: &[usize]) -> Result<Vec<SampleRecord>, Error> {
    let mut samples: Vec<SampleRecord> = vec![SampleRecord::default(); rows.len()];
    let texts: [Field<String>; 9] = [
        ("model", |sample| &mut sample.model),
        ("variant", |sample| &mut sample.variant),
        ("suite", |sample| &mut sample.suite),
        ("sample", |sample| &mut sample.sample),
        ("image_id", |sample| &mut sample.image_id),
        ("category", |sample| &mut sample.category),
        ("prompt_sha256", |sample| &mut sample.prompt_sha256),
        ("prompt", |sample| &mut sample.prompt),
        ("prediction", |sample| &mut sample.prediction),
    ];
    for (name, field) in texts {
        let values = table.texts(name)?;
        for (sample, &row) in samples.iter_mut().zip(rows) {
            *field(sample) = values[row].to_string();
        }
    }
    let numbers: [Field<Option<f64>>; 5] = [
        ("score", |sample| &mut sample.score),
        ("preprocess_ms", |sample| &mut sample.preprocess_ms),
        ("vision_ms", |sample| &mut sample.vision_ms),
        ("prefill_ms", |sample| &mut sample.prefill_ms),
        ("decode_ms", |sample| &mut sample.decode_ms),
    ];
    for (name, field) in numbers {
        let values = table.numbers(name)?;
        for (sample, &row) in samples.iter_mut().zip(rows) {
            *field(sample) = values[row];
        }
    }
    let counts: [Field<u32>; 3] = [
        ("prompt_tokens", |sample| &mut sample.prompt_tokens),
        ("visual_tokens", |sample| &mut sample.visual_tokens),
        ("new_tokens", |sample| &mut sample.new_tokens),
    ];
    for (name, field) in counts {
        let values = table.counts(name)?;
        for (sample, &row) in samples.iter_mut().zip(rows) {
            *field(sample) = values[row];
        }
    }
    let answers = table
        .column("answers")?
        .list()
        .map_err(|error| table.invalid("answers", &error.to_string()))?;
    for (sample, &row) in samples.iter_mut().zip(rows) {
        let series = answers
            .get_as_series(row)
            .ok_or_else(|| table.invalid("answers", "a value is missing"))?;
        let texts = series
            .str()
            .map_err(|error| table.invalid("answers", &error.to_string()))?;
        sample.answers = texts
            .iter()
            .map(|value| value.unwrap_or_default().to_string())
            .collect();
    }
    // Runs of before it was kept have no such column.
    if table.column("number").is_ok() {
        let numbers = table.maybe_longs("number")?;
        for (sample, &row) in samples.iter_mut().zip(rows) {
            sample.number = numbers[row];
        }
    }
    let (seeds, errors) = (table.longs("seed")?, table.text("error")?);
    for (sample, &row) in samples.iter_mut().zip(rows) {
        sample.seed = seeds[row];
        sample.error = errors.get(row).map(Failure::from);
    }
    Ok(samples)
}

/// The columns that a summary needs.
pub(super) fn read_scores(path: &Path) -> Result<Scores, Error> {
    const TEXTS: [&str; 7] = [
        "model",
        "variant",
        "suite",
        "sample",
        "image_id",
        "category",
        "prompt_sha256",
    ];
    const TOKENS: [&str; 3] = ["prompt_tokens", "visual_tokens", "new_tokens"];
    const TIMES: [&str; 4] = ["preprocess_ms", "vision_ms", "prefill_ms", "decode_ms"];
    let columns = TEXTS
        .into_iter()
        .chain(TOKENS)
        .chain(TIMES)
        .chain(["seed", "score", "error"]);
    let table = Table::read(path, Some(columns.map(str::to_string).collect()))?;
    let mut names = Names::default();
    let mut texts = TEXTS.iter().map(|name| {
        let values = table.texts(name)?;
        Ok(values
            .into_iter()
            .map(|value| names.intern(value))
            .collect::<Vec<u32>>())
    });
    let mut next = || texts.next().unwrap_or_else(|| Ok(Vec::new()));
    let (model, variant, suite, sample) = (next()?, next()?, next()?, next()?);
    let (image, category, prompt) = (next()?, next()?, next()?);
    drop(texts);
    let tokens = [
        table.counts(TOKENS[0])?,
        table.counts(TOKENS[1])?,
        table.counts(TOKENS[2])?,
    ];
    let times = [
        table.numbers(TIMES[0])?,
        table.numbers(TIMES[1])?,
        table.numbers(TIMES[2])?,
        table.numbers(TIMES[3])?,
    ];
    let (seeds, scores, errors) = (
        table.longs("seed")?,
        table.numbers("score")?,
        table.text("error")?,
    );
    let rows = (0..table.frame.height())
        .zip(errors.iter())
        .map(|(row, error)| ScoreRow {
            model: model[row],
            variant: variant[row],
            suite: suite[row],
            sample: sample[row],
            image: image[row],
            category: category[row],
            prompt: prompt[row],
            failure: scores[row]
                .is_none()
                .then(|| names.failure(error.map(Failure::from).as_ref())),
            seed: seeds[row],
            score: scores[row],
            tokens: [tokens[0][row], tokens[1][row], tokens[2][row]],
            times: [times[0][row], times[1][row], times[2][row], times[3][row]],
        })
        .collect();
    Ok(Scores { names, rows })
}
