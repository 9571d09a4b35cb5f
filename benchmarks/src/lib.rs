//! Suites, their data layouts, metrics, and the renderer of the embedded suites.
//!
//! A *suite* (`suites/<id>/suite.toml`) names a published data set, its *layout* (which columns mean what), the prompt
//! suffix, the token budget and the *metric*; a user's own is any file of that shape ([`Suite::load`]). Opening one ([`Suite::open`]) gives a [`Dataset`]; its items are all alike
//! ([`Item`]). The embedded suites take their items from [`render`] instead of from parquet files.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::float_cmp))]

mod error;
pub mod item;
mod layouts;
pub mod metrics;
pub mod predictions;
mod python_json;
mod python_literal;
pub mod render;
mod suite;
mod suites;

pub use error::Error;
pub use item::{Item, Label, Picture, PixelBox};
pub use layouts::{Choice, Dataset, Layout};
pub use metrics::{METRICS, Metric};
pub use suite::{Average, Suite, SuiteFile, Wording};
pub use suites::{suite, suites};
