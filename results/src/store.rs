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

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::Error;
use crate::differences::{Difference, differences, weights};
use crate::schema::{
    AttentionRecord, Counts, ModelRecord, RunRecord, SampleRecord, whole_milliseconds,
};

mod attention;
pub(crate) mod files;
mod lock;
mod log;
pub(crate) mod merging;
pub(crate) mod order;
mod run;
mod scores;
pub(crate) mod table;

pub(crate) use attention::Probed;
pub use attention::{Attention, read_attention};
pub use log::{LogContents, read_log};
pub use run::Run;
pub use scores::Scores;
pub(crate) use scores::{Names, ScoreRow};

use files::{RECORD, read_record, write_record};
use lock::Lock;
use log::{LOG, LogReader, LogWriter};
use order::Order;
use table::{PARQUET, TableWriter};

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

    /// Brings all that was added to the disk: for a run that stops before its end.
    ///
    /// # Errors
    /// A failed write.
    pub fn synchronise(&mut self) -> Result<(), Error> {
        // The probe of a sample before the sample.
        if let Some(log) = &mut self.attention {
            log.synchronise()?;
        }
        self.log.synchronise()
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
