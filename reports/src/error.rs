//! The one error of this library.

/// What can go wrong in making a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runs cannot be summarised.
    #[error(transparent)]
    Results(#[from] rave_results::Error),
    /// No format of this name.
    #[error("unknown report format '{name}'; choose from txt, md, csv, tex, json, svg, png, html")]
    UnknownFormat {
        /// What was asked for.
        name: String,
    },
    /// No format of this name for the paper's table.
    #[error("unknown format '{name}' of the paper's table; choose from txt, md, csv, json, tex")]
    UnknownPaperFormat {
        /// What was asked for.
        name: String,
    },
    /// A chart that cannot be drawn.
    #[error(
        "chart '{chart}': {reason}; please report this with the run's summary.json (--format json)"
    )]
    Chart {
        /// The chart.
        chart: &'static str,
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

impl Error {
    /// What to do about it, of an error whose message does not say so itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Results(error) => error.hint(),
            _ => None,
        }
    }
}
