//! Reading a stored run, finished or interrupted.

use std::path::{Path, PathBuf};

use super::attention::{self, Attention};
use super::files::{read_record, read_remarks};
use super::log::{LOG, read_log};
use super::samples::{self, PARQUET};
use super::scores::Scores;
use crate::Error;
use crate::schema::{AttentionRecord, RunRecord, SampleRecord};

/// A stored run: its record, and of its samples what a summary needs. Prompts and predictions stay on the disk
/// until [`Run::samples`].
#[derive(Clone, Debug)]
pub struct Run {
    /// Where it lies.
    pub folder: PathBuf,
    /// `run.json`; for an interrupted run with the counts as far as it went.
    pub record: RunRecord,
    /// The run has no end: it was read from its log.
    pub interrupted: bool,
    /// Bytes of a torn last line of the log, which were left out.
    pub truncated_bytes: u64,
    /// Numbers of log lines within the file whose checksum failed, which were left out.
    pub damaged_lines: Vec<usize>,
    /// Scores, tokens and times.
    pub scores: Scores,
    /// What attention probes saw; empty where there were none.
    pub attention: Attention,
    /// What people have found out about it since (`remarks.txt` in its folder); every report shows them before the numbers.
    pub remarks: Vec<String>,
}

impl Run {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// No run there, a damaged file, or another schema version.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let mut record = read_record(folder)?;
        let remarks = read_remarks(folder)?;
        let folder = folder.to_path_buf();
        if record.finished.is_some() {
            let scores = samples::read_scores(&folder.join(PARQUET))?;
            return Ok(Self {
                attention: attention::read(&folder, &record)?,
                folder,
                record,
                interrupted: false,
                truncated_bytes: 0,
                damaged_lines: Vec::new(),
                scores,
                remarks,
            });
        }
        let contents = read_log(&folder)?;
        record.counts = contents.counts();
        Ok(Self {
            scores: Scores::from_samples(&contents.samples),
            attention: attention::read(&folder, &record)?,
            folder,
            record,
            interrupted: true,
            truncated_bytes: contents.truncated_bytes,
            damaged_lines: contents.damaged_lines,
            remarks,
        })
    }

    /// A run that lies nowhere, for tests and for callers that hold the records already.
    pub fn from_samples(record: RunRecord, samples: &[SampleRecord]) -> Self {
        Self {
            folder: PathBuf::from(&record.run),
            interrupted: record.finished.is_none(),
            record,
            truncated_bytes: 0,
            damaged_lines: Vec::new(),
            scores: Scores::from_samples(samples),
            attention: Attention::default(),
            remarks: Vec::new(),
        }
    }

    /// The same with these probes.
    #[must_use]
    pub fn with_attention(mut self, records: &[AttentionRecord]) -> Self {
        self.attention = Attention::from_records(records);
        self
    }

    /// Every sample in full: of a finished run in the order of its table (model, seed, suite, sample, variant), of an interrupted
    /// one in the order of recording.
    ///
    /// # Errors
    /// A damaged or missing file.
    pub fn samples(&self) -> Result<Vec<SampleRecord>, Error> {
        if self.interrupted {
            return Ok(read_log(&self.folder)?.samples);
        }
        samples::read_samples(&self.folder.join(PARQUET))
    }

    /// The samples at these places of that order, in full; the places ascend. Of a long table only the parts
    /// are read that hold one.
    ///
    /// # Errors
    /// A damaged or missing file, or one that is shorter than when the run was opened.
    pub(crate) fn samples_at(&self, places: &[usize]) -> Result<Vec<SampleRecord>, Error> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        if !self.interrupted {
            return samples::read_samples_at(&self.folder.join(PARQUET), places);
        }
        let samples = read_log(&self.folder)?.samples;
        let found = places.iter().map(|&place| samples.get(place).cloned());
        found.collect::<Option<_>>().ok_or_else(|| {
            let reason = "fewer samples than a moment ago".into();
            let path = self.folder.join(LOG);
            Error::Table { path, reason }
        })
    }
}
