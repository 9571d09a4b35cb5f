//! A run's folder: records, logs and tables, of an evaluation or of latency.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rave_results::latency::LatencyRun;
use rave_results::schema::sha256_hex;
use rave_results::{Error, Run};

use super::{named, working};
use crate::Outcome;

/// A finished and an interrupted evaluation and a latency run, and which files of each are read.
const RUNS: [(&str, &[&str]); 3] = [
    (
        "finished",
        &["run.json", "samples.parquet", "attention.parquet"],
    ),
    ("interrupted", &["run.json", "samples.log", "attention.log"]),
    ("latency", &["latency.json", "latency.parquet"]),
];

/// What follows a log's name where the checksums are to be made for its lines: no mutation would hit one.
const SUMMED: &str = " summed";

/// `<run>/<file>`, then the file; of a log that is `summed`, its lines without their checksums.
pub(super) fn read(input: &[u8]) -> Outcome {
    let Some((place, bytes)) = named(input) else {
        return Outcome::Foreign;
    };
    let (place, summed) = match place.strip_suffix(SUMMED) {
        Some(place) => (place, true),
        None => (place, false),
    };
    let Some((run, file)) = place.split_once('/') else {
        return Outcome::Foreign;
    };
    let known = |(name, files): &&(&str, &[&str])| *name == run && files.contains(&file);
    if !RUNS.iter().any(|entry| known(&entry)) {
        return Outcome::Foreign;
    }
    let folder = working(tempfile::tempdir());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs").join(run);
    for entry in working(fs::read_dir(source)) {
        let path = working(entry).path();
        if let Some(name) = path.file_name().filter(|name| *name != file) {
            working(symlink(&path, folder.path().join(name)));
        }
    }
    let bytes = if summed { sum(bytes) } else { bytes.to_vec() };
    working(fs::write(folder.path().join(file), bytes));
    if run == "latency" {
        LatencyRun::open(folder.path()).into()
    } else {
        open(folder.path()).into()
    }
}

fn open(folder: &Path) -> Result<(), Error> {
    Run::open(folder)?.samples().map(drop)
}

/// The lines with their checksums before them.
fn sum(lines: &[u8]) -> Vec<u8> {
    let mut log = Vec::with_capacity(lines.len() * 2);
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let json = line.strip_suffix(b"\n").unwrap_or(line);
        log.extend(&sha256_hex(json).as_bytes()[..16]);
        log.push(b' ');
        log.extend(line);
    }
    log
}
