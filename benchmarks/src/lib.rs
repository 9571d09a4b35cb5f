//! Suites, their data layouts, metrics, and the renderer of the embedded suites.
//!
//! A *suite* (`suites/<id>/suite.toml`) names a published data set, its *layout* (which columns mean what), the prompt
//! suffix, the token budget and the *metric*. Opening one gives a [`Dataset`]; its items are all alike ([`Item`]).
//! The embedded suites take their items from [`render`] instead of from parquet files.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod item;
pub mod render;

pub use item::{Item, Picture, PixelBox};
