//! The lines under a chart: what was left out, and what the data are.

use rave_results::Summary;
use rave_results::summary::{Cell, ModelNote};

/// The lines under a chart of this model.
pub(super) fn footnotes(summary: &Summary, model: &ModelNote) -> Vec<String> {
    let mut lines = Vec::new();
    let failed: usize = summary
        .cells
        .iter()
        .filter(|cell| cell.model == model.name)
        .map(|cell| cell.failed)
        .sum();
    if failed > 0 {
        lines.push(format!("{failed} failed samples have no score and are left out; the tables list them by reason."));
    }
    let incomplete = |cell: &Cell| cell.model == model.name && cell.is_incomplete();
    if summary.cells.iter().any(incomplete) {
        lines.push(
            "Some cells do not hold the samples that the run was to take; the tables count them."
                .into(),
        );
    }
    if summary.runs.iter().any(|run| run.interrupted) {
        lines.push("From an interrupted run: the samples up to there.".into());
    }
    if !summary.forced.is_empty() {
        lines.push("Forced comparison of unequal runs: the tables list what differs.".into());
    }
    lines
}
