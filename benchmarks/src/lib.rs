//! Suites, their data layouts, metrics, and the renderer of the embedded suites.
//!
//! A *suite* (`suites/<id>/suite.toml`) names a published data set, its *layout* (which columns mean what), the prompt
//! suffix, the token budget and the *metric*. Opening one ([`Suite::open`]) gives a [`Dataset`]; its items are all alike
//! ([`Item`]). The embedded suites take their items from [`render`] instead of from parquet files.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::float_cmp))]

mod error;
pub mod item;
mod layouts;
pub mod metrics;
pub mod predictions;
pub mod render;
mod suites;

pub use error::Error;
pub use item::{Item, Label, Picture, PixelBox};
pub use layouts::{Dataset, Layout};
pub use metrics::Metric;
pub use predictions::score_line;
pub use suites::{Average, Suite, suite, suites};
