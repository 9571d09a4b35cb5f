//! Parquet files of records: written row group by row group or at once, and read with errors that name the file and the column.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;
use rave_parquet::{check, check_footer, check_rows, guarded};

use super::columns::{Fields, frame};
use super::files::replace_file;
use crate::Error;

/// Writes a table of records row group by row group, under a temporary name until it is whole.
pub(crate) struct TableWriter<R: 'static> {
    path: PathBuf,
    fields: Fields<R>,
    batch: Vec<R>,
    /// Records a row group.
    most: usize,
    file: File,
    writer: BatchedWriter<File>,
}

impl<R> TableWriter<R> {
    pub(super) fn create(path: &Path, fields: Fields<R>, most: usize) -> Result<Self, Error> {
        let failed = |source| Error::writing(path, source);
        let refused = |error| table_error(path, error);
        let file = File::create(rave_files::temporary_name(path)).map_err(failed)?;
        let empty = frame(fields, &[]).map_err(refused)?;
        let writer = ParquetWriter::new(file.try_clone().map_err(failed)?)
            .batched(empty.schema())
            .map_err(refused)?;
        Ok(Self {
            path: path.to_path_buf(),
            fields,
            batch: Vec::new(),
            most,
            file,
            writer,
        })
    }

    pub(crate) fn push(&mut self, record: R) -> Result<(), Error> {
        self.batch.push(record);
        if self.batch.len() >= self.most {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = frame(self.fields, &self.batch)
            .and_then(|group| self.writer.write_batch(&group))
            .map_err(|error| table_error(&self.path, error));
        self.batch.clear();
        written
    }

    /// Moves the whole table into place.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        self.writer
            .finish()
            .map_err(|error| table_error(&self.path, error))?;
        rave_files::commit(self.file, &self.path)
            .map_err(|source| Error::writing(&self.path, source))
    }
}

/// Writes a small table at once: under a temporary name, then moved into place.
pub(crate) fn replace_table<R>(path: &Path, fields: Fields<R>, records: &[R]) -> Result<(), Error> {
    replace_file(path, |file| {
        frame(fields, records)
            .and_then(|mut frame| ParquetWriter::new(file).finish(&mut frame))
            .map(drop)
            .map_err(|error| table_error(path, error))
    })
}

/// A polars error of writing as ours; a full disk keeps its own message.
fn table_error(path: &Path, error: PolarsError) -> Error {
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

    /// At most so many rows from one on.
    pub(crate) fn part(&self, start: usize, count: usize) -> Self {
        Self {
            path: self.path,
            frame: self.frame.slice(start as i64, count),
        }
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

    pub(crate) fn maybe_texts(&self, name: &str) -> Result<Vec<Option<&str>>, Error> {
        Ok(self.text(name)?.iter().collect())
    }
}
