//! What a run records, how it is kept, and what it says: schema, append-only store, statistics, summary.
//!
//! Measuring, storing and rendering are apart. The engine writes [`SampleRecord`]s through a [`RunWriter`];
//! [`Run::open`] reads them back, also after a crash; [`Summary::from_runs`] turns runs into the numbers that
//! `rave-reports` lays out. No model and no `LibTorch` is needed for any of it.
//!
//! # Words
//! - *cell*: one (model, suite, variant); its samples are the suite's items, once a seed.
//! - *cluster*: the samples that share an image; resampling and sign flips act on whole clusters.
//! - *scored*: has a finite score. *failed*: has none; counted by reason and shown, never taken as zero.
//! - *paired*: the same (sample, seed) scored under both the variant and the baseline.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod compare;
mod differences;
mod error;
pub mod excerpt;
pub mod latency;
pub mod maps;
mod merge;
pub mod paper;
pub mod schema;
pub mod statistics;
pub mod store;
pub mod summary;
pub mod training;

pub use compare::compare;
pub use error::Error;
pub use merge::merge;
pub use schema::{AttentionRecord, RunRecord, SCHEMA_VERSION, SampleRecord};
pub use store::{Run, RunWriter};
pub use summary::Summary;
