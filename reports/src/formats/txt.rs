//! Tables as plain text; for a terminal see [`crate::Document::terminal`].

use crate::tables::terminal::TerminalStyle;
use crate::{Artifact, Document, Evaluation, Format};

/// `report.txt` and `paper-table.txt`
pub(super) const FORMAT: Format = Format {
    id: "txt",
    about: "tables as plain text",
    evaluation: Some(|own| {
        let summary = Evaluation::of(own.summary);
        Ok(text("report.txt", &Document::Evaluation(summary)))
    }),
    comparison: Some(|summary| Ok(text("report.txt", &Document::Comparison(summary)))),
    latency: Some(|summary| Ok(text("report.txt", &Document::Latency(summary)))),
    paper: Some(|table| Ok(text("paper-table.txt", &Document::Paper(table)))),
};

fn text(name: &str, document: &Document) -> Vec<Artifact> {
    vec![Artifact::text(
        name,
        document.terminal(TerminalStyle::PLAIN),
    )]
}
