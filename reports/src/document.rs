//! What reports are made of: stored records, never a live model.

use std::fmt;

use rave_results::latency::LatencySummary;
use rave_results::maps::AttentionMaps;
use rave_results::paper::PaperTable;
use rave_results::{Run, Summary};
use serde::{Serialize, Serializer};

use crate::charts::Curve;
use crate::html::Pictures;
use crate::tables::terminal::{TerminalStyle, terminal};
use crate::tables::{latency, paper};

/// What a report is made of.
pub enum Document<'a> {
    /// Runs of `rave eval` that make one summary.
    Evaluation(Evaluation<'a>),
    /// Runs of `rave eval` side by side.
    Comparison(&'a Summary),
    /// A run of `rave latency`.
    Latency(&'a LatencySummary),
    /// The paper's claims with their verdicts.
    Paper(&'a PaperTable),
}

/// The kind of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Document::Evaluation`]
    Evaluation,
    /// [`Document::Comparison`]
    Comparison,
    /// [`Document::Latency`]
    Latency,
    /// [`Document::Paper`]
    Paper,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Evaluation => "an evaluation",
            Self::Comparison => "runs side by side",
            Self::Latency => "a latency run",
            Self::Paper => "the paper's table",
        })
    }
}

/// A summary, and what else there is of its runs.
pub struct Evaluation<'a> {
    /// The summary.
    pub summary: &'a Summary,
    /// The runs behind it, whose samples a page lets a reader browse; empty for a page without.
    pub runs: &'a [Run],
    /// How many samples such a page holds at most, where that is not left to [`crate::html::max_samples`].
    pub samples: Option<usize>,
    /// Where their pictures come from.
    pub pictures: Option<&'a mut dyn Pictures>,
    /// Where the attention lay on the pictures of some of them.
    pub maps: &'a [AttentionMaps],
    /// What the variants cost, measured by itself.
    pub latency: Option<&'a LatencySummary>,
    /// How the variants were trained.
    pub curves: &'a [Curve],
}

impl<'a> Evaluation<'a> {
    /// The summary alone.
    pub fn of(summary: &'a Summary) -> Self {
        Self {
            summary,
            runs: &[],
            samples: None,
            pictures: None,
            maps: &[],
            latency: None,
            curves: &[],
        }
    }
}

impl Document<'_> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Evaluation(_) => Kind::Evaluation,
            Self::Comparison(_) => Kind::Comparison,
            Self::Latency(_) => Kind::Latency,
            Self::Paper(_) => Kind::Paper,
        }
    }

    /// Notes, tables and where the numbers come from, for a terminal.
    pub fn terminal(&self, style: TerminalStyle) -> String {
        match self {
            Self::Evaluation(Evaluation { summary, .. }) | Self::Comparison(summary) => {
                terminal(summary, style)
            }
            Self::Latency(summary) => latency::text(summary, style),
            Self::Paper(table) => paper::text(table, style),
        }
    }
}

/// The summary or table alone.
impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Evaluation(Evaluation { summary, .. }) | Self::Comparison(summary) => {
                summary.serialize(serializer)
            }
            Self::Latency(summary) => summary.serialize(serializer),
            Self::Paper(table) => table.serialize(serializer),
        }
    }
}
