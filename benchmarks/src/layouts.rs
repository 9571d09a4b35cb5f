//! Data layouts: from a suite and its data to items that are all alike.
//!
//! [`Suite::open`](crate::Suite::open) reads the light columns (questions, answers, ids) and refuses what is wrong with them
//! before anything is computed; [`Dataset::item`] reads or draws one picture, from any thread.

mod cells;
mod choice;
mod dataset;
mod folder;
mod hub;
mod lines;
mod open;
mod rows;
mod table;

pub use choice::Choice;
pub use dataset::Dataset;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use strum::IntoStaticStr;

/// How a data set's columns are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Layout {
    /// `questionId`, `question`, `docId`, `answers`, `image`.
    Docvqa,
    /// `type`, `question`, `answer`, `image`.
    Chartqa,
    /// `question_id`, `question`, `image_id`, `answers`, `image`.
    Textvqa,
    /// `dataset`, `question`, `question_type`, `answer`, `image`.
    Ocrbench,
    /// `id`, `lang`, `qa_pairs`, `image`.
    Mtvqa,
    /// One JSON object a line with `image` (a file), `question`, `answers`, and `id`, `category`, `dataset`, `metric` where
    /// there are any: a user's own data.
    Jsonl,
    /// Drawn by [`crate::render`]; no data.
    Embedded,
}

impl Layout {
    /// The id: its name in a `suite.toml`.
    pub fn id(self) -> &'static str {
        self.into()
    }

    /// The column that the suite's categories are read from, where there is one.
    const fn category_column(self) -> Option<&'static str> {
        match self {
            Self::Chartqa => Some("type"),
            Self::Ocrbench => Some("question_type"),
            Self::Mtvqa => Some("lang"),
            Self::Jsonl => Some("category"),
            Self::Docvqa | Self::Textvqa | Self::Embedded => None,
        }
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
