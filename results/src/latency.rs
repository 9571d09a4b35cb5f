//! What `rave latency` records: `latency.json` and every raw number in `latency.parquet`.
//!
//! ```text
//! latency.json      LatencyRecord: what was asked for, code, checkpoint, machine; written at the beginning and the end
//! latency.parquet   a row a number, written anew after every cell, so that an interruption loses one cell at most
//! ```
//! A record of its own and not a `run.json`: nothing in it has samples, suites or scores. Its parts are the same types.
//!
//! # Words
//! - *cell*: one pair of image tokens and text tokens.
//! - *arm*: what is measured in a cell and told from the others by its name: a variant, or [`AGAIN`].
//! - *round*: every arm measured once; within a round the machine is taken to be the same.

use std::path::Path;

use jiff::Timestamp;
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::Error;
use crate::schema::{
    CodeVersion, Failure, Libraries, Machine, ModelRecord, VariantConfiguration, canonical_hash,
    whole_milliseconds,
};
use crate::store::columns::{Fields, Value, fields, read_all};
use crate::store::files::read_header;
use crate::store::table::{Table, replace_table};
use crate::store::{Header, RunFolder};

mod compare;
mod summary;

pub use compare::LatencyComparison;
pub use summary::{Arm, LatencySummary, MARGIN, Noise, Ratio, Time, Vision};

/// The version of `latency.json` and `latency.parquet` that this library writes and reads.
pub const LATENCY_VERSION: u32 = 1;
/// The record's file, which marks a folder as a latency run.
pub const RECORD: &str = "latency.json";
/// The file of the numbers.
pub const NUMBERS: &str = "latency.parquet";
/// The variant that the others are compared with.
pub const BASELINE: &str = "standard";
/// The arm that is the baseline once more, as the measure of noise. Its space keeps it apart from every variant's id.
pub const AGAIN: &str = "standard again";

/// `latency.json`: everything about a latency run but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRecord {
    /// [`LATENCY_VERSION`] of the writer.
    pub latency_version: u32,
    /// The run's id, also the name of its folder.
    pub run: String,
    /// When it began.
    pub created: Timestamp,
    /// The arguments it was started with, the program's name first.
    pub command_line: Vec<String>,
    /// What was asked for.
    pub configuration: LatencyConfiguration,
    /// [`LatencyConfiguration::hash`].
    pub config_hash: String,
    /// The code that ran.
    pub code: CodeVersion,
    /// The checkpoint.
    pub model: ModelRecord,
    /// Visual tokens that one tile of the model's pictures becomes.
    pub tokens_per_tile: u32,
    /// Where it ran.
    pub machine: Machine,
    /// Versions of what does the arithmetic.
    pub libraries: Libraries,
    /// How the numbers are to be read: what a phase holds, which weights untrained variants had, how memory was measured.
    pub notes: Vec<String>,
    /// Processes that wanted a processor in the minute before the run began and before it ended, where the system tells:
    /// above the number of threads, others shared the machine.
    pub load_average: [Option<f64>; 2],
    /// When it ended; `None` while it runs and after an interruption.
    pub finished: Option<Timestamp>,
}

/// What was asked of a latency run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyConfiguration {
    /// The model's name.
    pub model: String,
    /// The variants in order, the baseline first.
    pub variants: Vec<VariantConfiguration>,
    /// Visual tokens of the prompts.
    pub image_tokens: Vec<u32>,
    /// Other tokens of the prompts.
    pub text_tokens: Vec<u32>,
    /// Tokens of each answer; the first comes out of the prefill.
    pub new_tokens: u32,
    /// Time for the rounds of a cell.
    pub seconds: f64,
    /// Time for the untimed runs before them.
    #[serde(alias = "warm_up_seconds")]
    pub warmup_seconds: f64,
    /// Whether the baseline ran once more, as an arm of its own.
    pub check_noise: bool,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Threads that the tensor library may use.
    pub threads: usize,
}

impl LatencyRecord {
    /// A record of a run that begins now on this machine; nothing is known yet of the model and of how the numbers are to be read.
    pub fn new(
        run: String,
        command_line: Vec<String>,
        configuration: LatencyConfiguration,
        code: CodeVersion,
        libraries: Libraries,
    ) -> Self {
        Self {
            latency_version: LATENCY_VERSION,
            run,
            created: whole_milliseconds(Timestamp::now()),
            command_line,
            config_hash: configuration.hash(),
            configuration,
            code,
            model: ModelRecord::default(),
            tokens_per_tile: 0,
            machine: Machine::detect(),
            libraries,
            notes: Vec::new(),
            load_average: [None; 2],
            finished: None,
        }
    }
}

impl LatencyConfiguration {
    /// SHA-256 of the canonical JSON (keys sorted, no white space), in hexadecimal.
    ///
    /// # Panics
    /// Never: strings, numbers and lists are always valid JSON.
    pub fn hash(&self) -> String {
        canonical_hash(self)
    }
}

/// What a row of `latency.parquet` is a measurement of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Phase {
    /// Vision tower and connector over all tiles; the same for every variant, whose name is then empty.
    #[default]
    Vision,
    /// The decoder over the whole prompt, to the first token.
    Prefill,
    /// The decoder over all further tokens, together.
    Decode,
    /// Bytes of the key-value cache.
    Cache,
    /// Most bytes in memory above those before the answer, from prefill to the last token.
    PeakMemory,
}

/// One measured number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyRow {
    /// The model's name.
    pub model: String,
    /// The arm: a variant's id or [`AGAIN`]; empty for [`Phase::Vision`].
    pub variant: String,
    /// Visual tokens of the prompt.
    pub image_tokens: u32,
    /// Other tokens of the prompt.
    pub text_tokens: u32,
    /// Tokens of the answer.
    pub new_tokens: u32,
    /// Number of the round, from 0.
    pub round: u32,
    /// Turn of the arm within its round, from 0.
    pub turn: u32,
    /// What was measured.
    pub phase: Phase,
    /// A time; `None` for bytes, and where the measurement failed.
    pub milliseconds: Option<f64>,
    /// Bytes; `None` for times, and where they could not be measured, which is never written as 0.
    pub bytes: Option<u64>,
    /// Why there is no number.
    pub error: Option<Failure>,
}

impl Header for LatencyRecord {
    const FILE: &'static str = RECORD;
    const KIND: &'static str = "latency run";
    const VERSION: Option<(&'static str, u32)> = Some(("latency_version", LATENCY_VERSION));
    // Times before and after an interruption would be of two states of the machine.
    const RESUMES: bool = false;
    const LEFTOVERS: &'static [&'static str] = &[];

    fn run(&self) -> &str {
        &self.run
    }

    fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    fn differences(&self, now: &Self) -> Vec<String> {
        let differs = self.config_hash != now.config_hash;
        differs
            .then(|| "configuration".to_owned())
            .into_iter()
            .collect()
    }
}

/// Writes a latency run. Dropped without [`LatencyWriter::finish`] it leaves an interrupted run, which can be read.
#[derive(Debug)]
pub struct LatencyWriter {
    folder: RunFolder<LatencyRecord>,
}

impl LatencyWriter {
    /// Writes into a run's folder.
    pub fn new(folder: RunFolder<LatencyRecord>) -> Self {
        Self { folder }
    }

    /// Replaces the numbers by `rows`: all that were measured up to here.
    ///
    /// # Errors
    /// A full disk or a failed write.
    pub fn rows(&self, rows: &[LatencyRow]) -> Result<(), Error> {
        write_rows(&self.folder.path().join(NUMBERS), rows)
    }

    /// Ends the run.
    ///
    /// # Errors
    /// A full disk or a failed write.
    pub fn finish(self, load_average: Option<f64>) -> Result<LatencyRecord, Error> {
        self.folder.finish(|record| {
            record.load_average[1] = load_average;
            record.finished = Some(whole_milliseconds(Timestamp::now()));
        })
    }
}

/// A stored latency run.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyRun {
    /// `latency.json`.
    pub record: LatencyRecord,
    /// `latency.parquet`; none for a run that was interrupted in its first cell.
    pub rows: Vec<LatencyRow>,
}

impl LatencyRun {
    /// Whether a folder holds a latency run.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(RECORD).is_file()
    }

    /// Reads a run's folder.
    ///
    /// # Errors
    /// No latency run there, a damaged file, or another version.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let record: LatencyRecord = read_header(folder)?;
        let numbers = folder.join(NUMBERS);
        let rows = if record.finished.is_none() && !numbers.exists() {
            Vec::new()
        } else {
            read_rows(&numbers)?
        };
        Ok(Self { record, rows })
    }
}

const COLUMNS: Fields<LatencyRow> = fields![LatencyRow:
    model,
    variant,
    image_tokens,
    text_tokens,
    new_tokens,
    round,
    turn,
    phase,
    milliseconds,
    bytes,
    error,
];

/// Writes the numbers at once: under a temporary name, then moved into place.
///
/// # Errors
/// When the file cannot be written, naming it.
pub fn write_rows(path: &Path, rows: &[LatencyRow]) -> Result<(), Error> {
    replace_table(path, COLUMNS, rows)
}

/// Reads the numbers.
///
/// # Errors
/// A file that is missing, damaged or lacks a column, or has a phase of another version, naming it.
pub fn read_rows(path: &Path) -> Result<Vec<LatencyRow>, Error> {
    read_all(COLUMNS, &Table::read(path, None)?)
}

impl Value for Phase {
    fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
        StringChunked::from_iter_values(name.into(), values.map(<&str>::from)).into_column()
    }

    fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
        let texts = table.texts(name)?;
        let phase = |&row: &usize| {
            let unknown = |_| format!("`{}` is unknown to this rave", texts[row]);
            let phase = texts[row].parse().map_err(unknown);
            phase.map_err(|reason| table.invalid(name, &reason))
        };
        rows.iter().map(phase).collect()
    }
}

#[cfg(test)]
mod tests;
