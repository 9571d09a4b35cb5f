//! Tables as plain text; for a terminal see [`crate::Document::terminal`].

use crate::tables::terminal::{TerminalStyle, terminal};
use crate::tables::{latency, paper};
use crate::{Artifact, Format};

/// `report.txt` and `paper-table.txt`
pub(super) const FORMAT: Format = Format {
    id: "txt",
    about: "tables as plain text",
    evaluation: Some(|evaluation| Ok(report(terminal(evaluation.summary, TerminalStyle::PLAIN)))),
    comparison: Some(|summary| Ok(report(terminal(summary, TerminalStyle::PLAIN)))),
    latency: Some(|summary| Ok(report(latency::text(summary, TerminalStyle::PLAIN)))),
    paper: Some(|table| {
        let text = paper::text(table, TerminalStyle::PLAIN);
        Ok(vec![Artifact::text("paper-table.txt", text)])
    }),
};

fn report(text: String) -> Vec<Artifact> {
    vec![Artifact::text("report.txt", text)]
}
