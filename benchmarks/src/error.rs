//! What can go wrong between a suite's name and an item, each with the file, and with what to do about it
//! as its hint.

use std::path::PathBuf;

use rave_hints::{Refusal, did_you_mean, nearest, with_hint};

use crate::render::RenderError;

/// Everything this crate can refuse.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no suite, metric or layout has.
    #[error("there is no {kind} `{name}`; known: {known}")]
    Unknown {
        /// What was looked up: `suite` or `metric`.
        kind: &'static str,
        /// The name as given.
        name: String,
        /// The known name closest to it, if one is close enough to be meant.
        nearest: Option<String>,
        /// Every known name.
        known: String,
    },
    /// A `suite.toml` that does not parse or contradicts itself.
    #[error("{file} is not a valid suite: {reason}")]
    Suite {
        /// The file.
        file: String,
        /// The parser's message, or what contradicts what.
        reason: Refusal,
    },
    /// Another split of a suite that is drawn.
    #[error("suite `{suite}` is drawn: there are no data with a split `{split}`")]
    Drawn {
        /// The suite's id.
        suite: String,
        /// The split.
        split: String,
    },
    /// A folder given as a suite that describes none.
    #[error("the folder {path} holds no suite.toml")]
    NoSuite {
        /// The folder.
        path: PathBuf,
    },
    /// A suite of published data was opened without a folder to read it from.
    #[error("suite `{suite}` reads the data set {repository}, and no copy of it is given")]
    NeedsData {
        /// The suite's id.
        suite: String,
        /// The hub name of its data set.
        repository: String,
    },
    /// The folder given with `--data` does not exist or is not a folder.
    #[error("--data {path}: {reason}")]
    DataFolder {
        /// The folder as given.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
        /// The hub name that was looked for.
        repository: String,
    },
    /// No parquet file lies below the folder.
    #[error("{path} holds no parquet file")]
    NoParquet {
        /// The folder searched.
        path: PathBuf,
        /// The suite's id.
        suite: String,
        /// The hub name of its data set.
        repository: String,
    },
    /// There are parquet files, but not of the suite's configuration or split.
    #[error(
        "{path} holds no parquet file of {what} `{wanted}`, which suite `{suite}` reads; it holds {found}"
    )]
    NoSuchPart {
        /// The folder searched.
        path: PathBuf,
        /// `configuration` or `split`.
        what: &'static str,
        /// The one the suite names.
        wanted: String,
        /// The suite's id.
        suite: String,
        /// The ones that are there.
        found: String,
    },
    /// Fewer files of the split than their names promise.
    #[error("{path}: {found} of the {promised} files of split `{split}` are there")]
    Incomplete {
        /// The repository.
        path: PathBuf,
        /// The split.
        split: String,
        /// Files that there are.
        found: usize,
        /// Files that there should be.
        promised: usize,
    },
    /// The hub has the suite's data set under none of its names.
    #[error("suite `{suite}` reads {names}: {source}")]
    HubData {
        /// The suite's id.
        suite: String,
        /// The names.
        names: String,
        /// What was said of the preferred one.
        source: Box<rave_hub::Error>,
    },
    /// The hub refuses.
    #[error(transparent)]
    Hub(#[from] rave_hub::Error),
    /// A file could not be read at all.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is truncated or is no parquet file.
    #[error("{path} is not a readable parquet file ({reason})")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        reason: String,
    },
    /// A parquet file without a column that the layout needs.
    #[error(
        "{path} has no column `{column}`, which layout `{layout}` needs; its columns are: {found}"
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The missing column, or alternatives joined by `or`.
        column: String,
        /// The layout's id.
        layout: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A column of a type that the layout cannot read.
    #[error("{path}: column `{column}` has type {found}, and the layout needs {expected}")]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// Columns that hold what belongs into others.
    #[error("{path}: column `{column}` {reason}: are its columns mixed up?")]
    MixedColumns {
        /// The file, or the folder of several.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it holds.
        reason: String,
        /// The suite's id.
        suite: String,
    },
    /// A line of a JSONL data set that cannot be turned into an item.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: Refusal,
    },
    /// A JSONL data set of which no picture is there.
    #[error("{path}: none of its {count} picture(s) is there, such as {first}")]
    NoPictures {
        /// The file.
        path: PathBuf,
        /// Where the first picture was looked for.
        first: PathBuf,
        /// Lines of the file.
        count: usize,
    },
    /// No JSONL file of the suite's split, or several that could be meant.
    #[error(
        "{path} holds no {wanted}, which suite `{suite}` reads{}",
        if found.is_empty() { String::new() } else { format!(" (it holds {found})") }
    )]
    NoLines {
        /// The folder searched.
        path: PathBuf,
        /// The name looked for.
        wanted: String,
        /// The suite's id.
        suite: String,
        /// The JSONL files that are there.
        found: String,
    },
    /// An id that no item of the suite has.
    #[error("suite `{suite}` has no sample `{id}`")]
    NoSample {
        /// The id.
        id: String,
        /// The suite.
        suite: String,
        /// The id of its first item.
        first: String,
        /// The id of its last item.
        last: String,
    },
    /// One row that cannot be turned into items.
    #[error("{path}, row {row}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The row within the file, from 0.
        row: usize,
        /// What is wrong with it.
        reason: Refusal,
    },
    /// A split with no rows.
    #[error("{path}: the split has no rows")]
    EmptySplit {
        /// The first file of the split.
        path: PathBuf,
    },
    /// A split in which no question can be asked and scored.
    #[error(
        "{path}: none of the split's {left_out} question(s) has both text and an answer (a test split whose answers are not published?)"
    )]
    NothingToAsk {
        /// The first file of the split.
        path: PathBuf,
        /// The questions left out.
        left_out: usize,
    },
    /// Two items with one id: results could not be told apart.
    #[error("{path}: the id `{id}` occurs twice (rows {first} and {second} of the split)")]
    DuplicateId {
        /// The folder or file read.
        path: PathBuf,
        /// The repeated id.
        id: String,
        /// Index of its first item.
        first: usize,
        /// Index of its second item.
        second: usize,
    },
    /// An index past the end of the data set.
    #[error("item {index} was asked for, and the data set has {len}")]
    Index {
        /// The index.
        index: usize,
        /// The number of items.
        len: usize,
    },
    /// The renderer failed on an item of an embedded suite: a fault of ours.
    #[error("suite `{suite}`, item {index}, cannot be drawn: {reason}")]
    Draw {
        /// The suite's id.
        suite: String,
        /// The item.
        index: usize,
        /// The renderer's reason.
        reason: RenderError,
    },
    /// A file of predictions in a format that is not read.
    #[error("{path}: {reason}")]
    PredictionFile {
        /// The file.
        path: PathBuf,
        /// Why not, and what to give instead.
        reason: Refusal,
    },
    /// A line of a predictions file that cannot be scored.
    #[error("line {line} of the predictions: {reason}")]
    Prediction {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: Refusal,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unknown { nearest, .. } => {
                return Some(did_you_mean(nearest.as_deref(), "choose one of these"));
            }
            Self::NoSuite { .. } => {
                "describe the suite in one (benchmarks/README.md), or name one of `rave suites`"
            }
            Self::NeedsData { .. } => {
                "pass --data DIR with a local copy of it, or leave --data out to fetch it from the hub, or choose an embedded \
                 suite, which needs no data"
            }
            Self::DataFolder { repository, .. } => {
                return Some(format!(
                    "give the folder of a local copy of {repository}, or a folder that holds it by name"
                ));
            }
            Self::NoParquet {
                suite, repository, ..
            } => {
                return Some(format!(
                    "suite `{suite}` needs the parquet files of {repository} (wherever they lie below the folder)"
                ));
            }
            Self::NoSuchPart { .. } => "give a copy of the data set that has it",
            Self::Incomplete { .. } => {
                "run once with a network and without --offline, or give another revision"
            }
            Self::HubData { source, .. } => {
                let local = "pass --data DIR with a local copy";
                return Some(source.hint().map_or_else(
                    || local.to_owned(),
                    |hint| with_hint(&hint, Some(format!("or {local}"))),
                ));
            }
            Self::Hub(error) => return error.hint(),
            Self::Read { .. } => "check that it is there and may be read",
            Self::Parquet { .. } => "download it again, or remove it from the folder",
            Self::MissingColumn { .. } => {
                "give --data the data set that the suite reads (`rave suites`)"
            }
            Self::ColumnType { .. } => "take the data set as it is published",
            Self::MixedColumns { suite, .. } => {
                return Some(format!(
                    "give --data the data set that suite `{suite}` reads, or describe a data set of your own in a suite.toml \
                     (benchmarks/README.md)"
                ));
            }
            Self::NoPictures { .. } => "`image` is a path from the folder of the JSONL file",
            Self::NoLines { .. } => "name the file with `data` in its suite.toml",
            Self::NoSample { first, last, .. } => {
                return Some(format!(
                    "its ids are of the form `{first}` to `{last}` (column `sample` of a run's samples.parquet)"
                ));
            }
            Self::Drawn { .. } => "leave the split out",
            Self::EmptySplit { .. } => "download it again, or choose another --data folder",
            Self::NothingToAsk { .. } => "choose another --data folder",
            Self::DuplicateId { .. } => "remove the duplicate file or row",
            Self::Draw { reason, .. } => return reason.hint(),
            Self::Suite { reason, .. }
            | Self::Line { reason, .. }
            | Self::Row { reason, .. }
            | Self::PredictionFile { reason, .. }
            | Self::Prediction { reason, .. } => return reason.hint(),
            Self::Index { .. } => return None,
        };
        Some(hint.to_owned())
    }

    /// The message and the hint in one text.
    pub fn with_hint(&self) -> String {
        with_hint(self, self.hint())
    }

    /// The error for an unknown name, with the nearest known one.
    pub(crate) fn unknown<'a>(
        kind: &'static str,
        name: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        Self::Unknown {
            kind,
            name: name.to_owned(),
            nearest: nearest(name, known.clone()).map(ToOwned::to_owned),
            known: known.collect::<Vec<_>>().join(", "),
        }
    }
}
