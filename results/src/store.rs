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
//! Runs of every kind, latency and training too, have their folder from [`open`], which is where the lock and the header come from
//! ([`Header`]). Each file that replaces another goes through `rave_files`, so a reader sees the old or the new one and never a
//! half. The parquet is on the disk before `run.json` says that the run has
//! finished, and the log is removed only after that: at each moment one complete copy of the samples exists.

use std::path::Path;

use jiff::Timestamp;

use crate::Error;
use crate::differences::{Difference, differences, weights};
use crate::schema::{
    AttentionRecord, Counts, ModelRecord, RunRecord, SCHEMA_VERSION, SampleRecord,
    whole_milliseconds,
};

mod attention;
pub(crate) mod columns;
pub(crate) mod files;
pub(crate) mod folder;
mod lock;
mod log;
pub(crate) mod merging;
pub(crate) mod order;
mod run;
mod samples;
mod scores;
pub(crate) mod table;

pub(crate) use attention::Probed;
pub use attention::{Attention, read_attention};
pub use folder::{Claim, Header, Opened, RunFolder, open};
pub use log::{LogContents, read_log};
pub use run::Run;
pub use scores::Scores;
pub(crate) use scores::{Names, ScoreRow};

use log::{LOG, LogReader, LogWriter};
use order::Order;
use samples::PARQUET;

/// The record's name in a run's folder.
const RECORD: &str = "run.json";

/// Writes one run. Dropping it without [`RunWriter::finish`] leaves an interrupted run, which [`Run::open`] reads.
#[derive(Debug)]
pub struct RunWriter {
    folder: RunFolder<RunRecord>,
    log: LogWriter,
    /// Where the configuration asks for attention.
    attention: Option<LogWriter>,
}

impl Header for RunRecord {
    const FILE: &'static str = RECORD;
    const KIND: &'static str = "run of samples";
    const VERSION: Option<(&'static str, u32)> = Some(("schema_version", SCHEMA_VERSION));
    const RESUMES: bool = true;
    const LEFTOVERS: &'static [&'static str] = &[LOG, attention::LOG];

    fn run(&self) -> &str {
        &self.run
    }

    fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    fn differences(&self, now: &Self) -> Vec<String> {
        told(&differences(self, now))
    }
}

fn told(differences: &[Difference]) -> Vec<String> {
    let told = differences.iter();
    told.map(|one| one.told(["before", "now"])).collect()
}

impl RunWriter {
    /// Writes the samples of a run into its folder, after those that an interrupted one has recorded, which it gives back; a torn
    /// last line of the log is cut off.
    ///
    /// # Errors
    /// A log that cannot be read or written.
    pub fn new(folder: RunFolder<RunRecord>) -> Result<(Self, LogContents), Error> {
        let path = folder.path();
        let contents = if folder.is_resumed() {
            read_log(path)?
        } else {
            LogContents::default()
        };
        let log = LogWriter::open(&path.join(LOG), contents.whole_bytes)?;
        let attention = match (folder.header().configuration.attention, folder.is_resumed()) {
            (false, _) => None,
            (true, false) => Some(LogWriter::open(&path.join(attention::LOG), 0)?),
            (true, true) => Some(attention::resume(path)?),
        };
        rave_files::synchronise_folder(path);
        let writer = Self {
            folder,
            log,
            attention,
        };
        Ok((writer, contents))
    }

    /// The folder that is written.
    pub fn folder(&self) -> &Path {
        self.folder.path()
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
        let mut record = self.folder.header().clone();
        update(&mut record);
        let path = self.folder.path();
        let log = path.join(LOG);
        let order = Order::of(&record);
        let mut lines = Vec::new();
        log::for_each(&log, |sample: SampleRecord, line| {
            lines.push((order.rank(&sample), line));
            Ok(())
        })?;
        let found = lines.len() as u64;
        if let Some(due) = record.due().filter(|&due| due != found) {
            return Err(Error::Miscounted {
                folder: path.to_path_buf(),
                found,
                due,
            });
        }
        lines.sort_by_key(|(rank, _)| *rank);
        let mut counts = Counts::default();
        let mut table = samples::create(&path.join(PARQUET))?;
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
            attention::write_table(path, &keys)?;
        }
        record.counts = counts;
        record.finished = Some(whole_milliseconds(Timestamp::now()));
        self.folder.finish(|header| *header = record)
    }

    /// Records a model once it is loaded. In a resumed run it must have the weights that it had before.
    ///
    /// # Errors
    /// Other weights than before under the same name; a full disk or a failed write.
    pub fn model(&mut self, model: ModelRecord) -> Result<(), Error> {
        if let Some(known) = self.folder.header().model(&model.name) {
            self.folder.unchanged(told(&weights(known, &model)))?;
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
        self.folder.update(|record| {
            update(record);
            record.finished = None;
        })
    }
}
