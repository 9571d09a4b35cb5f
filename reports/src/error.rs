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
    #[error("there is no '{format}' of {kind}")]
    NoSuchReport {
        /// The format's name.
        format: &'static str,
        /// What was to be reported.
        kind: Kind,
    },
    /// A chart that cannot be drawn.
    #[error("chart '{chart}': {reason}")]
    Chart {
        /// The chart.
        chart: String,
        /// The library's reason.
        reason: String,
    },
    /// A sample's picture that cannot be encoded.
    #[error("a picture of the HTML report: {0}")]
    Picture(String),
    /// A table that cannot be written as text.
    #[error("table: {0}")]
    Text(String),
}

/// The names of the formats that have this kind of document.
fn formats(kind: Kind) -> String {
    let formats = FORMATS.iter().filter(|format| format.makes(kind));
    let ids: Vec<&str> = formats.map(|format| format.id).collect();
    ids.join(", ")
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Results(error) => return error.hint(),
            Self::NoSuchReport { kind, .. } => {
                return Some(format!("choose from {}", formats(*kind)));
            }
            Self::Chart { .. } => "please report this with the run's summary.json (--format json)",
            Self::Picture(_) => "leave the pictures out with another --format",
            Self::Text(_) => "please report this with the run's run.json",
        };
        Some(hint.to_owned())
    }
}
