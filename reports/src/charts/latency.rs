//! The charts of a latency run: phases by variant for each cell, and time and memory against length.

use rave_results::latency::LatencySummary;

use super::figure::Figure;

mod lengths;
mod phases;

/// What each chart makes of a run, in the order of a report.
static CHARTS: &[fn(&LatencySummary) -> Vec<Figure<'_>>] = &[phases::figures, lengths::figures];

/// What stands for a chart's content where it cannot be seen.
const WORDS: &str = "The table beside it has every number.";

/// Every chart of a latency run.
pub(crate) fn figures(summary: &LatencySummary) -> Vec<Figure<'_>> {
    CHARTS.iter().flat_map(|chart| chart(summary)).collect()
}

/// Where and how it was measured, in a line.
fn provenance(summary: &LatencySummary) -> String {
    let record = &summary.record;
    format!(
        "{}, {} threads, {} on {}{}",
        record.machine.cpu,
        record.configuration.threads,
        record.configuration.dtype,
        record.configuration.device,
        if record.model.untrained {
            "; seeded random weights"
        } else {
            ""
        }
    )
}
