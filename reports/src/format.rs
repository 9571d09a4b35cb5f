//! What a format of reports is: one file under `formats`, one row in [`crate::FORMATS`].

use rave_results::Summary;
use rave_results::latency::LatencySummary;
use rave_results::paper::PaperTable;

use crate::{Artifact, Document, Error, Evaluation, Kind};

/// The files that a format makes of a document.
pub type Files = Result<Vec<Artifact>, Error>;

/// A format, by what it makes of each kind of document; `None` where it does not have that kind.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name on the command line, which is its file's name too.
    pub id: &'static str,
    /// What it is, in a line of help.
    pub about: &'static str,
    /// Of an evaluation.
    pub evaluation: Option<fn(&mut Evaluation) -> Files>,
    /// Of evaluations side by side.
    pub comparison: Option<fn(&Summary) -> Files>,
    /// Of a latency run.
    pub latency: Option<fn(&LatencySummary) -> Files>,
    /// Of the paper's claims.
    pub paper: Option<fn(&PaperTable) -> Files>,
}

impl Format {
    /// Whether it has this kind of document.
    pub fn makes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Evaluation => self.evaluation.is_some(),
            Kind::Comparison => self.comparison.is_some(),
            Kind::Latency => self.latency.is_some(),
            Kind::Paper => self.paper.is_some(),
        }
    }
}

/// The files of one format.
///
/// # Errors
/// A format that does not have this kind of document; a chart or a picture that cannot be drawn or encoded; samples that
/// cannot be read.
pub fn render(document: &mut Document, format: &Format) -> Files {
    let kind = document.kind();
    let files = match document {
        Document::Evaluation(evaluation) => format.evaluation.map(|make| make(evaluation)),
        Document::Comparison(summary) => format.comparison.map(|make| make(summary)),
        Document::Latency(summary) => format.latency.map(|make| make(summary)),
        Document::Paper(table) => format.paper.map(|make| make(table)),
    };
    files.unwrap_or(Err(Error::NoSuchReport {
        format: format.id,
        kind,
    }))
}
