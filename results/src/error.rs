//! The one error of this library: each message names the file, and [`Error::hint`] says what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::schema::Shard;

/// What can go wrong in recording, reading or summarising a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run folder already holds a finished run.
    #[error("{}: already holds the finished run '{run}'", folder.display())]
    FinishedRun {
        /// The run folder.
        folder: PathBuf,
        /// Its run id.
        run: String,
    },
    /// The run folder holds a run that was interrupted.
    #[error("{}: holds the interrupted run '{run}'", folder.display())]
    InterruptedRun {
        /// The run folder.
        folder: PathBuf,
        /// Its run id.
        run: String,
    },
    /// The folder holds a run of another kind, or of one that is not gone on with.
    #[error("{}: already holds a {kind}", folder.display())]
    Taken {
        /// The run folder.
        folder: PathBuf,
        /// What it holds.
        kind: &'static str,
    },
    /// Another process writes the run.
    #[error("{}: another rave is writing this run", folder.display())]
    Busy {
        /// The run folder.
        folder: PathBuf,
    },
    /// The log does not hold the samples that the run was to record.
    #[error("{}: the log holds {found} samples where {due} are due (rows x variants x models), so the run is not ended and its log is kept", folder.display())]
    Miscounted {
        /// The run folder.
        folder: PathBuf,
        /// Samples in the log.
        found: u64,
        /// Samples that the configuration and the data ask for.
        due: u64,
    },
    /// A resumed run is not the one that was interrupted.
    #[error("{}: cannot resume, the run differs from the stored one in: {}", folder.display(), differences.join("; "))]
    ChangedRun {
        /// The run folder.
        folder: PathBuf,
        /// What differs, with both values where they are short.
        differences: Vec<String>,
    },
    /// A run that is to be merged and is no shard.
    #[error("{}: '{run}' is a whole run and no shard, so there is nothing to merge it with", folder.display())]
    WholeRun {
        /// The run folder.
        folder: PathBuf,
        /// Its run id.
        run: String,
    },
    /// A shard that has not ended.
    #[error("{}: shard {shard} has not finished", folder.display())]
    UnfinishedShard {
        /// The run folder.
        folder: PathBuf,
        /// Which shard.
        shard: Shard,
    },
    /// Shards of different runs.
    #[error("{first} and {second} are not of one run: {}", differences.join("; "))]
    OtherRun {
        /// One shard, with its folder.
        first: String,
        /// Another, with its folder.
        second: String,
        /// What differs, with both values where they are short.
        differences: Vec<String>,
    },
    /// The same shard twice.
    #[error("{} and {}: both are shard {shard}", first.display(), second.display())]
    ShardTwice {
        /// Which shard.
        shard: Shard,
        /// One folder.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Shards that were not given.
    #[error("shards missing: {}", named(missing))]
    MissingShards {
        /// Which, at least one.
        missing: Vec<Shard>,
    },
    /// Shards whose samples are not those that were dealt out.
    #[error(
        "{cell}: the shards hold {found} samples that are not the {due} that were dealt out, each once: a shard was changed"
    )]
    OtherSelection {
        /// Model, suite, variant and seed.
        cell: String,
        /// Samples there.
        found: usize,
        /// Samples of all shards as they were dealt.
        due: usize,
    },
    /// Nothing to read at this path.
    #[error("{}: no run here ({missing} is missing)", folder.display())]
    NoRun {
        /// The folder that was asked for.
        folder: PathBuf,
        /// The file that a run must have.
        missing: &'static str,
    },
    /// A file or folder cannot be written.
    #[error("{}: cannot be written ({source})", path.display())]
    Unwritable {
        /// What was to be written.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk is full, or a limit on the size of files is reached.
    #[error("{}: no space left on the device ({source})", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A JSON file that does not parse.
    #[error("{}: not a run record ({reason})", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        reason: String,
    },
    /// A run of another version.
    #[error("{}: has {} {found} (`{key}`), this rave reads {version}", path.display(), key.replace('_', " "))]
    Version {
        /// The file.
        path: PathBuf,
        /// What the version is called in it.
        key: &'static str,
        /// The version in it.
        found: u32,
        /// The one that is read.
        version: u32,
    },
    /// A parquet file that is damaged or not a run's.
    #[error("{}: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The same sample twice.
    #[error("{}: sample {key} is recorded twice", folder.display())]
    DuplicateSample {
        /// The run with the second record.
        folder: PathBuf,
        /// model/suite/variant/sample/seed.
        key: String,
    },
    /// Runs that do not measure the same thing.
    #[error("runs '{first}' and '{second}' cannot be compared: {reason}")]
    Incomparable {
        /// The first run.
        first: String,
        /// The other run.
        second: String,
        /// What differs.
        reason: String,
    },
    /// The same run twice.
    #[error("{}: given twice", folder.display())]
    SameRun {
        /// The run's folder.
        folder: PathBuf,
    },
    /// The baseline variant is in none of the runs.
    #[error("baseline '{baseline}' is not among the variants of the runs ({})", variants.join(", "))]
    UnknownBaseline {
        /// What was asked for.
        baseline: String,
        /// What there is.
        variants: Vec<String>,
    },
    /// No run was given.
    #[error("no run given")]
    NoRuns,
}

/// The first of the shards by name, and how many there are besides.
fn named(shards: &[Shard]) -> String {
    const NAMED: usize = 10;
    let names: Vec<String> = shards.iter().take(NAMED).map(ToString::to_string).collect();
    let names = names.join(", ");
    match shards.len().saturating_sub(NAMED) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::FinishedRun { .. } | Self::Taken { .. } => {
                "choose another --out, or remove the folder first"
            }
            Self::InterruptedRun { .. } => {
                "continue it with --resume, choose another --out, or remove the folder first"
            }
            Self::Busy { .. } => "wait until it ends, stop it, or choose another --out",
            Self::Miscounted { found, due, .. } if found < due => {
                "record the missing ones with --resume"
            }
            Self::Miscounted { .. } => "some were recorded twice: repeat the run in another --out",
            Self::ChangedRun { .. } => {
                "repeat the first command line with the same rave, or choose another --out"
            }
            Self::WholeRun { .. } => "give runs of `rave eval --shard I/N`",
            Self::UnfinishedShard { .. } => {
                "end it with its command line and --resume, then merge again"
            }
            Self::OtherRun { .. } => {
                "give shards of the same command line, code, checkpoints and data"
            }
            Self::ShardTwice { .. } => "give each shard once",
            Self::MissingShards { missing } => {
                let first = missing.first()?;
                return Some(format!(
                    "run each with the command line of the others (--shard {first}), or give its folder"
                ));
            }
            Self::OtherSelection { .. } => "run the shards again",
            Self::NoRun { .. } => {
                "give the folder that --out of `rave eval` or `rave latency` named"
            }
            Self::Unwritable { .. } => "choose another --out, or change its permissions",
            Self::NoSpace { .. } => {
                "free some, or raise the limit (quota, ulimit -f), and continue with --resume, or repeat the merge: every sample \
                 up to here is kept"
            }
            Self::Io { .. } => "check that the path exists and can be read",
            Self::Json { .. } | Self::Table { .. } => "restore the file, or repeat the run",
            Self::Version { found, version, .. } if found > version => "update rave",
            Self::Version { .. } => "repeat the run, or read it with the rave that wrote it",
            Self::DuplicateSample { .. } => {
                "give runs that differ in model, variant, suite or seed, or set them side by side with rave compare"
            }
            Self::Incomparable { .. } => {
                "compare runs of the same data, prompts and metric versions, or have it with --force and a note in the output"
            }
            Self::SameRun { .. } => "name each run once",
            Self::UnknownBaseline { .. } => "name one of them with --baseline",
            Self::NoRuns => "name at least one run folder",
        };
        Some(hint.to_owned())
    }

    /// Sorts a failed write into "no space" and the rest; none ends in the remedy of a failed read.
    pub(crate) fn writing(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_path_buf();
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                Self::NoSpace { path, source }
            }
            _ => Self::Unwritable { path, source },
        }
    }

    /// A failed read.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
