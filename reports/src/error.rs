//! The one error of this library.

use crate::{FORMATS, Kind};

/// What can go wrong in making a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runs cannot be summarised.
    #[error(transparent)]
    Results(#[from] rave_results::Error),
    /// A format that does not have this kind of document.
    #[error("there is no '{format}' of {kind}; choose from {}", formats(*.kind))]
    NoSuchReport {
        /// The format's name.
        format: &'static str,
        /// What was to be reported.
        kind: Kind,
    },
    /// A chart that cannot be drawn.
    #[error(
        "chart '{chart}': {reason}; please report this with the run's summary.json (--format json)"
    )]
    Chart {
        /// The chart.
        chart: String,
        /// The library's reason.
        reason: String,
    },
    /// A sample's picture that cannot be encoded.
    #[error("a picture of the HTML report: {0}; leave the pictures out with another --format")]
    Picture(String),
    /// A table that cannot be written as text.
    #[error("table: {0}; please report this with the run's run.json")]
    Text(String),
}

/// The names of the formats that have this kind of document.
fn formats(kind: Kind) -> String {
    let formats = FORMATS.iter().filter(|format| format.makes(kind));
    let ids: Vec<&str> = formats.map(|format| format.id).collect();
    ids.join(", ")
}

impl Error {
    /// What to do about it, of an error whose message does not say so itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Results(error) => error.hint(),
            _ => None,
        }
    }
}
