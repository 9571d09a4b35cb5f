//! The binary end to end, as a user meets it: the main job on nano, the contracts of each command, bad input, a kill.
#![allow(clippy::unwrap_used)]

mod attend;
mod bad_input;
mod batching;
mod check;
mod commands;
mod compare;
#[cfg(unix)]
mod crash;
mod docs;
mod eval;
mod generation_config;
mod hub;
mod latency;
#[path = "../../../hub/tests/server/mod.rs"]
#[expect(dead_code, reason = "its faults are for the tests of the client")]
mod server;
mod shards;
mod snapshots;
mod styles;
mod suites;
mod train;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use polars::prelude::*;
use rave_results::{Run, SampleRecord};
use serde_json::{Value, json};

/// The binary.
fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rave"));
    // One thread each, so that sums have one order: runs that are compared byte by byte differed once in their last bits.
    program.env("OMP_NUM_THREADS", "1");
    // No test asks a real hub or finds what a user's cache holds.
    program.env("HF_HUB_OFFLINE", "1");
    program.env(
        "HF_HUB_CACHE",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/no-hub"),
    );
    program
}

/// The binary under a limit of the shell's `ulimit`, such as `-f 20`.
fn limited(limit: &str) -> Command {
    let own = program();
    let mut limited = Command::new("sh");
    limited.envs(
        own.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    limited.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]);
    limited.arg(own.get_program());
    limited
}

fn rave(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Starts the binary, without a word to or from it.
fn start(arguments: &[String]) -> Child {
    program()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Begins a run in a folder and kills it when it has recorded so many samples; returns how many it has.
fn kill(arguments: &[String], run: &Path, samples: usize) -> usize {
    let mut child = start(arguments);
    let log = run.join("samples.log");
    let lines = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    let begin = Instant::now();
    while lines() < samples && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines()
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A tiny checkpoint that `transformers` wrote, with what it computed.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lmm/tests/fixtures/smolvlm_new")
}

/// What a run says of its samples, timings apart, in its order.
fn records(run: &Path) -> Vec<SampleRecord> {
    let mut samples = Run::open(run).unwrap().samples().unwrap();
    for sample in &mut samples {
        (
            sample.preprocess_ms,
            sample.vision_ms,
            sample.prefill_ms,
            sample.decode_ms,
        ) = (None, None, None, None);
    }
    samples
}

/// The same in a stable order.
fn answers(run: &Path) -> Vec<SampleRecord> {
    let mut samples = records(run);
    samples.sort_by_key(SampleRecord::key);
    samples
}

/// A PNG header that claims a size, with no data behind it.
fn claimed_png(side: u32) -> Vec<u8> {
    let mut file = png(&image::RgbImage::new(1, 1));
    file[16..20].copy_from_slice(&side.to_be_bytes());
    file[20..24].copy_from_slice(&side.to_be_bytes());
    let crc = !file[12..29].iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    });
    file[29..33].copy_from_slice(&crc.to_be_bytes());
    file
}

fn png(picture: &image::RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// Arguments of a run over such data into a folder.
fn eval_chartqa<'a>(
    model: &'a str,
    variants: &'a str,
    data: &'a Path,
    out: &'a Path,
) -> Vec<&'a str> {
    vec![
        "eval",
        "--model",
        model,
        "--variant",
        variants,
        "--suite",
        "chartqa",
        "--data",
        text(data),
        "--out",
        text(out),
    ]
}

/// Writes a ChartQA parquet file with these pictures.
fn chartqa(folder: &Path, pictures: &[Vec<u8>]) {
    let column = |name: &str, value: &str| Column::new(name.into(), vec![value; pictures.len()]);
    let columns = vec![
        column("type", "human_test"),
        column("question", "How many?"),
        column("answer", "4"),
    ];
    parquet(folder, columns, pictures);
}

/// Writes the parquet file of a test split: some columns and `image`, as the hub stores pictures.
fn parquet(folder: &Path, mut columns: Vec<Column>, pictures: &[Vec<u8>]) {
    let count = pictures.len();
    let bytes: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    let path: Vec<String> = (0..count).map(|number| format!("{number}.png")).collect();
    let fields = [
        Series::new("bytes".into(), bytes),
        Series::new("path".into(), path),
    ];
    let image = StructChunked::from_series("image".into(), count, fields.iter()).unwrap();
    columns.push(image.into_series().into_column());
    let mut frame = DataFrame::new(count, columns).unwrap();
    fs::create_dir_all(folder).unwrap();
    ParquetWriter::new(fs::File::create(folder.join("test-00000-of-00001.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
}

/// Arguments of a run of two variants of `nano-untrained` into a folder.
fn pair<'a>(suites: &'a str, limit: &'a str, out: &'a Path) -> Vec<&'a str> {
    vec![
        "eval",
        "--model",
        "nano-untrained",
        "--variant",
        "standard,rave",
        "--suite",
        suites,
        "--limit",
        limit,
        "--out",
        text(out),
    ]
}

/// Arguments of a small run into a folder.
fn small<'a>(model: &'a str, limit: &'a str, out: &'a Path) -> Vec<&'a str> {
    vec![
        "eval",
        "--model",
        model,
        "--variant",
        "standard",
        "--suite",
        "embedded-ocr",
        "--limit",
        limit,
        "--out",
        text(out),
    ]
}
