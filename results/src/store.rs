//! A run's folder: written sample by sample, readable at any moment, also after kill -9.
//!
//! ```text
//! run.json          everything but the samples; `finished` is null until the end
//! run.lock          locked by the process that writes, while the run lasts
//! samples.log       one checksummed line a sample, while the run lasts
//! samples.parquet   the samples in the order of the data, written at the end; then the log goes
//! attention.log     where attention is probed: one checksummed line an answer, while the run lasts
//! attention.parquet the probes, written at the end; then that log goes
//! ```
//! The line of a probe is written before that of its sample: a crash between the two costs a probe that is made again with
//! the sample, and of the two lines that there are then the table takes one.
//!
//! Each file that replaces another is written under a temporary name, synchronised and renamed, so a reader sees
//! the old or the new one and never a half. The parquet is on the disk before `run.json` says that the run has
//! finished, and the log is removed only after that: at each moment one complete copy of the samples exists.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::Error;
use crate::differences::{Difference, differences, weights};
use crate::schema::{
    AttentionRecord, Counts, ModelRecord, RunRecord, SCHEMA_VERSION, SampleRecord,
    whole_milliseconds,
};

mod attention;
mod lock;
mod log;
pub(crate) mod merging;
pub(crate) mod order;
mod scores;
pub(crate) mod table;

pub(crate) use attention::Probed;
pub use attention::{Attention, read_attention};
pub use log::{LogContents, read_log};
pub use scores::Scores;
pub(crate) use scores::{Names, ScoreRow};

use lock::Lock;
use log::{LOG, LogReader, LogWriter};
use order::Order;
use table::{PARQUET, TableWriter};

const RECORD: &str = "run.json";

/// Writes one run. Dropping it without [`RunWriter::finish`] leaves an interrupted run, which [`Run::open`] reads.
#[derive(Debug)]
pub struct RunWriter {
    folder: PathBuf,
    record: RunRecord,
    log: LogWriter,
    /// Where the configuration asks for attention.
    attention: Option<LogWriter>,
    /// Held until the run has ended.
    _lock: Lock,
}

impl RunWriter {
    /// Refuses a folder that holds a run: what [`RunWriter::create`] does first, for a caller with long work before it.
    ///
    /// # Errors
    /// A folder that already holds a run, finished or interrupted; a file in its place.
    pub fn vacant(folder: &Path) -> Result<(), Error> {
        if folder.exists() && !folder.is_dir() {
            let reason = io::Error::new(io::ErrorKind::NotADirectory, "a file, not a folder");
            return Err(Error::writing(folder, reason));
        }
        if !Self::is_begun(folder) {
            return Ok(());
        }
        let present = read_record(folder)?;
        let (folder, run) = (folder.to_path_buf(), present.run);
        Err(match present.finished {
            Some(_) => Error::FinishedRun { folder, run },
            None => Error::InterruptedRun { folder, run },
        })
    }

    /// Whether a run was begun in `folder`: its record is there, whatever became of the run.
    pub fn is_begun(folder: &Path) -> bool {
        folder.join(RECORD).exists()
    }

    /// Whether the run in `folder` has finished.
    ///
    /// # Errors
    /// No run there, a damaged file, or another schema version.
    pub fn has_ended(folder: &Path) -> Result<bool, Error> {
        Ok(read_record(folder)?.finished.is_some())
    }

    /// The finished run in `folder`, of which nothing is left to resume; removes what a process left that was killed just before
    /// its end. `record` is as for [`RunWriter::resume`], with its models.
    ///
    /// # Errors
    /// No run there, or one that differs (the error lists what changed).
    pub fn ended(folder: &Path, record: &RunRecord) -> Result<RunRecord, Error> {
        let present = read_record(folder)?;
        unchanged(folder, &differences(&present, record))?;
        for log in [LOG, attention::LOG] {
            // What cannot be removed harms nobody: a finished run is read from its tables.
            let _ = fs::remove_file(folder.join(log));
        }
        Lock::remove(folder);
        Ok(present)
    }

    /// Begins a run in `folder`, which is made if need be.
    ///
    /// # Errors
    /// A folder that already holds a run, finished or interrupted; one that another process writes or that cannot be
    /// written; a full disk.
    pub fn create(folder: &Path, record: &RunRecord) -> Result<Self, Error> {
        Self::vacant(folder)?;
        fs::create_dir_all(folder).map_err(|source| Error::writing(folder, source))?;
        let lock = Lock::take(folder)?;
        // Again, now that nobody else writes.
        Self::vacant(folder)?;
        let record = RunRecord {
            finished: None,
            ..record.clone()
        };
        let log = LogWriter::open(&folder.join(LOG), 0)?;
        let attention = record.configuration.attention;
        let attention = attention.then(|| LogWriter::open(&folder.join(attention::LOG), 0));
        let attention = attention.transpose()?;
        write_record(folder, &record)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            record,
            log,
            attention,
            _lock: lock,
        })
    }

    /// Goes on with an interrupted run: gives back what was recorded, and cuts a torn last line off the log.
    ///
    /// `record` is the run as it would begin now. It must ask for the same configuration of the same code,
    /// checkpoints and data; the stored run's id and time of creation are kept.
    ///
    /// # Errors
    /// No run in `folder`, one that has finished, one that another process writes, or one that differs (the error lists
    /// what changed).
    pub fn resume(folder: &Path, record: &RunRecord) -> Result<(Self, LogContents), Error> {
        let unfinished = || {
            let present = read_record(folder)?;
            if present.finished.is_none() {
                return Ok(present);
            }
            Err(Error::FinishedRun {
                folder: folder.to_path_buf(),
                run: present.run,
            })
        };
        unfinished()?;
        let lock = Lock::take(folder)?;
        // Again, now that nobody else writes.
        let present = unfinished()?;
        unchanged(folder, &differences(&present, record))?;
        let contents = read_log(folder)?;
        let log = LogWriter::open(&folder.join(LOG), contents.whole_bytes)?;
        let attention = present.configuration.attention;
        let attention = attention.then(|| attention::resume(folder)).transpose()?;
        Ok((
            Self {
                folder: folder.to_path_buf(),
                record: present,
                log,
                attention,
                _lock: lock,
            },
            contents,
        ))
    }

    /// The folder that is written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds one sample. When this returns, the line is with the operating system: a killed process loses nothing.
    /// The log is synchronised with the disk every few seconds, so a power cut costs those at most.
    ///
    /// # Errors
    /// A full disk or a failed write; the log is then cut back to its last whole line, so that nothing before is lost.
    pub fn append(&mut self, sample: &SampleRecord) -> Result<(), Error> {
        // The probes first: after a power cut no sample may stand without the probe that came before it.
        if let Some(attention) = self.attention.as_mut().filter(|_| self.log.is_due()) {
            attention.synchronise()?;
        }
        self.log.append(&sample.clone().normalised())
    }

    /// Adds what a probe saw of a sample's answer; to be called before [`RunWriter::append`] of that sample. Nothing in a run
    /// whose configuration does not ask for attention.
    ///
    /// # Errors
    /// As [`RunWriter::append`].
    pub fn append_attention(&mut self, record: &AttentionRecord) -> Result<(), Error> {
        match &mut self.attention {
            Some(log) => log.append(&record.clone().normalised()),
            None => Ok(()),
        }
    }

    /// Ends the run: `samples.parquet` from the log, `run.json` with the time and the counts, and the log removed.
    ///
    /// What the engine learned on the way (data, models, accelerator) may be set through `update`.
    ///
    /// # Errors
    /// Other samples than [`RunRecord::due`] asks for; a full disk or a failed write. The log stays, and the run can be
    /// resumed or read as interrupted.
    pub fn finish(mut self, update: impl FnOnce(&mut RunRecord)) -> Result<RunRecord, Error> {
        self.log.synchronise()?;
        update(&mut self.record);
        let log = self.folder.join(LOG);
        let order = Order::of(&self.record);
        let mut lines = Vec::new();
        log::for_each(&log, |sample: SampleRecord, line| {
            lines.push((order.rank(&sample), line));
            Ok(())
        })?;
        let found = lines.len() as u64;
        if let Some(due) = self.record.due().filter(|&due| due != found) {
            return Err(Error::Miscounted {
                folder: self.folder,
                found,
                due,
            });
        }
        lines.sort_by_key(|(rank, _)| *rank);
        let mut counts = Counts::default();
        let mut table = TableWriter::create(&self.folder.join(PARQUET))?;
        let mut reader = LogReader::open(&log)?;
        // The samples in the order of the table, for that of the probes.
        let mut keys = Vec::new();
        for (_, line) in lines {
            let sample: SampleRecord = reader.read(line)?;
            counts.add(&sample);
            if self.attention.is_some() {
                keys.push(sample.key());
            }
            table.push(sample)?;
        }
        table.finish()?;
        if let Some(log) = &mut self.attention {
            log.synchronise()?;
            attention::write_table(&self.folder, &keys)?;
        }
        self.record.counts = counts;
        self.record.finished = Some(whole_milliseconds(Timestamp::now()));
        write_record(&self.folder, &self.record)?;
        fs::remove_file(&log).map_err(|source| Error::writing(&log, source))?;
        if self.attention.is_some() {
            let log = self.folder.join(attention::LOG);
            fs::remove_file(&log).map_err(|source| Error::writing(&log, source))?;
        }
        Lock::remove(&self.folder);
        Ok(self.record)
    }

    /// Records a model once it is loaded. In a resumed run it must have the weights that it had before.
    ///
    /// # Errors
    /// Other weights than before under the same name; a full disk or a failed write.
    pub fn model(&mut self, model: ModelRecord) -> Result<(), Error> {
        if let Some(known) = self.record.model(&model.name) {
            unchanged(&self.folder, &weights(known, &model))?;
        }
        self.update(|run| {
            run.models.retain(|known| known.name != model.name);
            run.models.push(model);
        })
    }

    /// Replaces `run.json` while the run lasts, for what is known only after it began.
    ///
    /// # Errors
    /// A full disk or a failed write.
    pub fn update(&mut self, update: impl FnOnce(&mut RunRecord)) -> Result<(), Error> {
        update(&mut self.record);
        self.record.finished = None;
        write_record(&self.folder, &self.record)
    }
}

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
}

impl Run {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// No run there, a damaged file, or another schema version.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let mut record = read_record(folder)?;
        let folder = folder.to_path_buf();
        if record.finished.is_some() {
            let scores = table::read_scores(&folder.join(PARQUET))?;
            return Ok(Self {
                attention: attention::read(&folder, &record)?,
                folder,
                record,
                interrupted: false,
                truncated_bytes: 0,
                damaged_lines: Vec::new(),
                scores,
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
        table::read_samples(&self.folder.join(PARQUET))
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
            return table::read_samples_at(&self.folder.join(PARQUET), places);
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

/// Refuses to go on with a run that is now another one.
fn unchanged(folder: &Path, differences: &[Difference]) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    let told = differences.iter();
    Err(Error::ChangedRun {
        folder: folder.to_path_buf(),
        differences: told.map(|one| one.told(["before", "now"])).collect(),
    })
}

pub(crate) fn read_record(folder: &Path) -> Result<RunRecord, Error> {
    let path = folder.join(RECORD);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoRun {
                folder: folder.to_path_buf(),
                missing: RECORD,
            });
        }
        Err(error) => return Err(Error::reading(&path, error)),
    };
    let invalid = |error: serde_json::Error| Error::Json {
        path: path.clone(),
        reason: error.to_string(),
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(invalid)?;
    // The version first: a record of another version may lack fields, and that message would mislead.
    let found = value
        .get("schema_version")
        .and_then(serde_json::Value::as_u64);
    match found {
        Some(found) if found == u64::from(SCHEMA_VERSION) => {}
        Some(found) => {
            return Err(Error::SchemaVersion {
                path,
                found: u32::try_from(found).unwrap_or(u32::MAX),
            });
        }
        None => {
            return Err(Error::Json {
                path: path.clone(),
                reason: "no schema_version".into(),
            });
        }
    }
    serde_json::from_value(value).map_err(invalid)
}

fn write_record(folder: &Path, record: &RunRecord) -> Result<(), Error> {
    replace_json(&folder.join(RECORD), record)
}

/// Writes a JSON document for people and programs, as [`replace_file`] does.
pub(crate) fn replace_json(path: &Path, document: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(document).map_err(|error| Error::Json {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    text.push('\n');
    replace_file(path, |file| {
        file.write_all(text.as_bytes())
            .map_err(|source| Error::writing(path, source))
    })
}

/// Writes a file so that a reader sees the old or the new one: temporary name, synchronise, rename.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), Error>,
) -> Result<(), Error> {
    let temporary = temporary_name(path);
    let mut file = File::create(&temporary).map_err(|source| Error::writing(path, source))?;
    let written = write(&mut file).and_then(|()| {
        file.sync_all()
            .map_err(|source| Error::writing(path, source))
    });
    if let Err(error) = written {
        // The half-written file is of no use; if even this fails, the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    commit_file(path)
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Puts the synchronised temporary file in the place of `path`, and makes the renaming durable.
fn commit_file(path: &Path) -> Result<(), Error> {
    fs::rename(temporary_name(path), path).map_err(|source| Error::writing(path, source))?;
    if let Some(folder) = path.parent()
        && let Ok(handle) = File::open(folder)
    {
        // Some file systems cannot synchronise a folder; the file itself is safe either way.
        let _ = handle.sync_all();
    }
    Ok(())
}
