//! Several latency runs side by side, each with its own ratios.

use rave_results::latency::LatencyComparison;

use super::equivalence::grid;
use super::latency;
use super::terminal::{self, TerminalStyle};

/// Their notes, one table, and where each comes from.
pub fn latency_comparison(comparison: &LatencyComparison, style: TerminalStyle) -> String {
    let mut out = String::new();
    for reason in &comparison.forced {
        out += &format!("! forced comparison of unequal runs: {reason}\n");
    }
    for summary in &comparison.runs {
        for note in latency::notes(summary) {
            out += &format!("! {}: {note}\n", summary.record.run);
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    match grid(&comparison.runs.iter().collect::<Vec<_>>()) {
        Some(grid) => terminal::draw(&mut out, &grid, style),
        None => out += "no variant was measured beside standard\n",
    }
    for summary in &comparison.runs {
        out.push('\n');
        for line in latency::provenance(summary) {
            out += &line;
            out.push('\n');
        }
    }
    out
}
