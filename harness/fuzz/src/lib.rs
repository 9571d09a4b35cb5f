//! Everything of the harness that reads a file, as functions of arbitrary bytes: fuzz targets, and the corpus that holds what
//! they have found.
//!
//! `./just fuzz` mutates the inputs below `corpus/<target>/` under libFuzzer, guided by the coverage of our own crates;
//! `tests/corpus.rs` replays every one of them in each test run. A reader may refuse an input, in words that name the file; it may
//! not panic, and not take more than [`MEMORY`].
//!
//! Where a target reads one of several files, an input begins with a line that names it.

mod readers;

use std::alloc::System;

use cap::Cap;

pub use readers::{TARGETS, Target};

/// The most bytes that a reader and all beside it may hold at once: 1 GiB.
pub const MEMORY: usize = 1 << 30;

/// Counts what Rust code allocates, and ends the process past [`MEMORY`]. LibTorch's own tensors are not among it: libFuzzer's
/// limit on resident memory is for them.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);

/// What became of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its first line names no file of the target, so nothing was read.
    Foreign,
    /// The reader refused it, in these words.
    Refused(String),
    /// It was read.
    Read,
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Read,
            Err(error) => Self::Refused(error.to_string()),
        }
    }
}
