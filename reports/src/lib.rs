//! Stored records to tables and charts.
//!
//! A report is made from stored records alone, never from a live model, and comes back as bytes: writing them is the
//! caller's. The same records give the same bytes.
//!
//! [`render`] makes the files of a [`Document`] in a [`Format`]: every format, the HTML page too, is a row of [`FORMATS`], and
//! every chart of a summary a row of [`charts::CHARTS`]. [`lmms_eval`] is made from the samples themselves.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod charts;
mod document;
mod error;
mod format;
mod formats;
pub mod html;
pub mod lmms_eval;
mod tables;

pub use document::{Document, Evaluation, Kind};
pub use error::Error;
pub use format::{Files, Format, render};
pub use formats::FORMATS;
pub use tables::latency_comparison::latency_comparison;
pub use tables::terminal::TerminalStyle;

/// One file of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name; without a folder but for [`lmms_eval`].
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl Artifact {
    fn text(name: &str, text: String) -> Self {
        Self {
            name: name.into(),
            bytes: text.into_bytes(),
        }
    }
}
