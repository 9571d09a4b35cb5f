//! The targets, a file each kind of reader.

mod benchmarks;
mod checkpoint;
mod results;
mod weights;

use crate::Outcome;

/// A reader.
#[derive(Debug)]
pub struct Target {
    /// Its name, also of its folder below `corpus/`.
    pub name: &'static str,
    /// What it reads.
    pub summary: &'static str,
    /// Reads an input.
    pub read: fn(&[u8]) -> Outcome,
}

/// Every target.
#[rustfmt::skip] // One line a target.
pub static TARGETS: &[Target] = &[
    Target { name: "weights", summary: "safetensors, their index, an adapter", read: weights::read },
    Target { name: "config", summary: "config.json, the processors' and generation's, of every family", read: checkpoint::config },
    Target { name: "tokenizer", summary: "tokenizer.json", read: checkpoint::tokenizer },
    Target { name: "template", summary: "the chat template", read: checkpoint::template },
    Target { name: "gguf", summary: "GGUF, for rave import", read: weights::gguf },
    Target { name: "image", summary: "PNG, JPEG, WebP, GIF, BMP, TIFF", read: benchmarks::image },
    Target { name: "parquet", summary: "published suites", read: benchmarks::parquet },
    Target { name: "suite", summary: "a user's own suite.toml and JSONL", read: benchmarks::own_suite },
    Target { name: "predictions", summary: "other harnesses' predictions", read: benchmarks::predictions },
    Target { name: "run", summary: "a run's folder: records, logs, tables", read: results::read },
];

/// The first line of an input as text, and what follows it.
fn named(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    let name = std::str::from_utf8(&input[..end]).ok()?;
    Some((name, &input[end + 1..]))
}

/// An error of the machine and not of a reader: the target itself cannot work.
#[track_caller]
fn working<T>(result: std::io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the fuzz target cannot write its files: {error}"),
    }
}
