//! The report of a latency run: [`LatencySummary`] to tables and charts, in the formats of every report.

use rave_results::latency::{LatencyComparison, LatencySummary};

use crate::tables::{TerminalStyle, equivalence, latency as tables};
use crate::{Artifact, Error, Format, charts, html};

/// The files of one format.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn render(summary: &LatencySummary, format: Format) -> Result<Vec<Artifact>, Error> {
    Ok(match format {
        Format::Text => vec![Artifact::text(
            "report.txt",
            terminal(summary, TerminalStyle::PLAIN),
        )],
        Format::Markdown => vec![Artifact::text("report.md", tables::page(summary))],
        Format::Csv => vec![Artifact::text("latency.csv", tables::csv(summary)?)],
        Format::Latex => vec![Artifact::text("report.tex", tables::tex(summary))],
        Format::Html => vec![html::latency(summary)?],
        Format::Json => vec![Artifact::json("summary.json", summary)?],
        Format::Svg | Format::Png => charts::latency(summary, format == Format::Png)?,
    })
}

/// Notes, a table a cell and where the numbers come from.
pub fn terminal(summary: &LatencySummary, style: TerminalStyle) -> String {
    tables::text(summary, style)
}

/// Several runs side by side, each with its own ratios.
pub fn comparison(comparison: &LatencyComparison, style: TerminalStyle) -> String {
    equivalence::side_by_side(comparison, style)
}
