//! Runs suites over models and attention variants, and records what happens.
//!
//! [`train::train`] trains what is evaluated. [`evaluate`] does the work and tells an [`Observer`] how it goes; drawing bars and
//! tables is the caller's. One thread owns the model, or each of several a copy of a small one; pictures are decoded and
//! prepared on the `rayon` pool ahead of it. What is measured is measured by [`latency`], where nothing runs beside the model;
//! [`attend`] looks at one answer.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod attend;
mod error;
mod evaluate;
mod item;
pub mod latency;
mod policy;
mod record;
pub mod train;

pub use error::Error;
pub use evaluate::{Ended, Observer, Request, evaluate};
pub use item::{answer_boxes, model_type, picture};
pub use policy::FailOnError;
pub use record::run_name;
