//! What joining runs needs of the store: the rows of finished tables one after the other, and a folder that becomes a run at once
//! or not at all.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::attention::{self, AttentionWriter};
use super::folder::{Claim, Opened};
use super::samples::{self, PARQUET};
use super::table::TableWriter;
use crate::Error;
use crate::schema::{AttentionRecord, RunRecord, SampleRecord};

/// Rows of samples that are read at a time: bounds the memory of a merge, whatever the runs hold.
const SAMPLES: usize = 5_000;

/// Reads rows of a table from a first one on and adds their records; returns how many rows there were.
type Read<T> = fn(&Path, usize, &mut VecDeque<T>) -> Result<usize, Error>;

/// The records of a finished run's table, in its order.
pub(crate) struct RecordReader<T> {
    path: PathBuf,
    read: Read<T>,
    /// Rows that were read.
    start: usize,
    ended: bool,
    ready: VecDeque<T>,
    /// Records at the end of those that are ready to which rows that follow may belong.
    open: usize,
}

impl RecordReader<SampleRecord> {
    pub(crate) fn samples(folder: &Path) -> Self {
        Self::of(folder.join(PARQUET), read_samples, 0)
    }
}

impl RecordReader<AttentionRecord> {
    pub(crate) fn attention(folder: &Path) -> Self {
        Self::of(folder.join(attention::PARQUET), attention::read_probes, 1)
    }
}

impl<T> RecordReader<T> {
    fn of(path: PathBuf, read: Read<T>, open: usize) -> Self {
        Self {
            path,
            read,
            start: 0,
            ended: false,
            ready: VecDeque::new(),
            open,
        }
    }

    /// The record that comes next; `None` after the last.
    pub(crate) fn peek(&mut self) -> Result<Option<&T>, Error> {
        while self.ready.len() <= self.open && !self.ended {
            let rows = (self.read)(&self.path, self.start, &mut self.ready)?;
            self.start += rows;
            self.ended = rows == 0;
        }
        Ok(self.ready.front())
    }

    /// Takes that record.
    pub(crate) fn next(&mut self) -> Result<Option<T>, Error> {
        self.peek()?;
        Ok(self.ready.pop_front())
    }
}

fn read_samples(
    path: &Path,
    start: usize,
    ready: &mut VecDeque<SampleRecord>,
) -> Result<usize, Error> {
    let samples = samples::read_samples_from(path, start, SAMPLES)?;
    let rows = samples.len();
    ready.extend(samples);
    Ok(rows)
}

/// A run's folder that is being filled from others. Dropped without [`Draft::finish`], it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Draft {
    claim: Claim<RunRecord>,
    folder: PathBuf,
}

impl Draft {
    /// Takes a folder that holds no run, and makes it if need be.
    pub(crate) fn begin(folder: &Path) -> Result<Self, Error> {
        let mut claim = Claim::take(folder, false)?;
        for table in [PARQUET, attention::PARQUET] {
            claim.provisional(table);
        }
        Ok(Self {
            claim,
            folder: folder.to_path_buf(),
        })
    }

    pub(crate) fn samples(&self) -> Result<TableWriter<SampleRecord>, Error> {
        samples::create(&self.folder.join(PARQUET))
    }

    pub(crate) fn attention(&self) -> Result<AttentionWriter, Error> {
        AttentionWriter::create(&self.folder)
    }

    /// Makes it the run of this record, which has finished and whose tables are in place.
    pub(crate) fn finish(self, record: &RunRecord) -> Result<(), Error> {
        if let Opened::New(folder) = self.claim.open(record)? {
            folder.finish(|_| ())?;
        }
        Ok(())
    }
}
