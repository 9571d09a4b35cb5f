//! The append-only log of finished samples, and the one of their attention probes: `<16 hexadecimal digits> <JSON>` a line.
//!
//! The digits are the first 64 bits of the JSON's SHA-256. A last line without its newline or with a wrong checksum
//! is what a crash in mid-write leaves: it is dropped and reported. A wrong line further up is damage: it is
//! skipped and reported, and does not take the rest of the file with it.
//!
//! Policy: each line is written with one `write` call, and synchronised with the disk at most every
//! [`SYNCHRONISE_EVERY`]. Kill -9 loses nothing that was appended; a power cut at most the last interval.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::schema::{Counts, SampleRecord, sha256_hex};

/// The log's name in a run's folder.
pub(super) const LOG: &str = "samples.log";
/// The longest time between an append and the synchronisation that covers it, as long as samples keep coming.
const SYNCHRONISE_EVERY: Duration = Duration::from_secs(5);
const CHECKSUM_DIGITS: usize = 16;

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogContents {
    /// The samples, in the order of recording.
    pub samples: Vec<SampleRecord>,
    /// Bytes of a torn last line.
    pub truncated_bytes: u64,
    /// Numbers, from 1, of lines within the file whose checksum failed.
    pub damaged_lines: Vec<usize>,
    /// Bytes up to the end of the last whole line.
    pub(super) whole_bytes: u64,
}

impl LogContents {
    /// How many samples have a score and how many have none.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for sample in &self.samples {
            counts.add(sample);
        }
        counts
    }
}

/// Reads the log of the run in `folder`; no log is an empty one.
///
/// # Errors
/// A file that cannot be read. Torn and damaged lines are no error: they are in the contents.
pub fn read_log(folder: &Path) -> Result<LogContents, Error> {
    let mut samples = Vec::new();
    let mut contents = for_each(&folder.join(LOG), |sample, _| {
        samples.push(sample);
        Ok(())
    })?;
    contents.samples = samples;
    Ok(contents)
}

/// Where a line stands in its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    start: u64,
    bytes: usize,
}

/// Gives each record of the log at `path` to `take`, with its line; the contents returned lack the samples.
pub(super) fn for_each<T: DeserializeOwned>(
    path: &Path,
    mut take: impl FnMut(T, Line) -> Result<(), Error>,
) -> Result<LogContents, Error> {
    let mut contents = LogContents::default();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(contents),
        Err(error) => return Err(Error::reading(path, error)),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    let mut number = 0;
    // Bad lines since the last good one: torn if the file ends with them, damaged otherwise.
    let mut pending: Vec<usize> = Vec::new();
    let mut pending_bytes = 0;
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::reading(path, error))?;
        if read == 0 {
            break;
        }
        number += 1;
        let Some(record) = parse(&line) else {
            pending.push(number);
            pending_bytes += read as u64;
            continue;
        };
        contents.damaged_lines.append(&mut pending);
        let start = contents.whole_bytes + pending_bytes;
        contents.whole_bytes = start + read as u64;
        pending_bytes = 0;
        take(record, Line { start, bytes: read })?;
    }
    contents.truncated_bytes = pending_bytes;
    Ok(contents)
}

/// Reads lines of a log in any order.
pub(super) struct LogReader {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
}

impl LogReader {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            path: path.to_path_buf(),
            file: File::open(path).map_err(|error| Error::reading(path, error))?,
            line: Vec::new(),
        })
    }

    /// The record of a line that [`for_each`] gave.
    pub(super) fn read<T: DeserializeOwned>(&mut self, line: Line) -> Result<T, Error> {
        self.line.resize(line.bytes, 0);
        self.file
            .seek(SeekFrom::Start(line.start))
            .and_then(|_| self.file.read_exact(&mut self.line))
            .map_err(|error| Error::reading(&self.path, error))?;
        parse(&self.line).ok_or_else(|| {
            let reason = format!("the line at byte {} was whole a moment ago", line.start);
            let path = self.path.clone();
            Error::Table { path, reason }
        })
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let line = line.strip_suffix(b"\n")?;
    let (checksum, rest) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    (sha256_hex(json).as_bytes().starts_with(checksum))
        .then(|| serde_json::from_slice(json).ok())?
}

/// Appends to a log.
#[derive(Debug)]
pub(super) struct LogWriter {
    path: PathBuf,
    file: File,
    length: u64,
    synchronised: Instant,
}

impl LogWriter {
    /// Opens the log at `path`, cut to its first `length` bytes.
    pub(super) fn open(path: &Path, length: u64) -> Result<Self, Error> {
        let failed = |source| Error::writing(path, source);
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            length,
            synchronised: Instant::now(),
        })
    }

    pub(super) fn append(&mut self, record: &impl Serialize) -> Result<(), Error> {
        let json = serde_json::to_string(record).map_err(|error| Error::Json {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        let line = format!(
            "{} {json}\n",
            &sha256_hex(json.as_bytes())[..CHECKSUM_DIGITS]
        );
        if let Err(source) = self.file.write_all(line.as_bytes()) {
            // Half a line may be out. Cut it off, so that what comes after a freed disk starts on a line of its own;
            // should that fail too, the reader skips the half line by its checksum.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(Error::writing(&self.path, source));
        }
        self.length += line.len() as u64;
        if self.is_due() {
            self.synchronise()?;
        }
        Ok(())
    }

    /// Whether what was appended has waited for the disk long enough.
    pub(super) fn is_due(&self) -> bool {
        self.synchronised.elapsed() >= SYNCHRONISE_EVERY
    }

    pub(super) fn synchronise(&mut self) -> Result<(), Error> {
        self.synchronised = Instant::now();
        self.file
            .sync_data()
            .map_err(|source| Error::writing(&self.path, source))
    }
}
