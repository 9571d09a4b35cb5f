//! Tables to be taken into a paper.

use crate::tables::{latency, latex, paper};
use crate::{Artifact, Format};

/// `report.tex` and `paper-table.tex`
pub(super) const FORMAT: Format = Format {
    id: "tex",
    about: "tables for a paper",
    evaluation: Some(|evaluation| Ok(report(latex::latex(evaluation.summary)))),
    comparison: Some(|summary| Ok(report(latex::latex(summary)))),
    latency: Some(|summary| Ok(report(latency::tex(summary)))),
    paper: Some(|table| Ok(vec![Artifact::text("paper-table.tex", paper::tex(table))])),
};

fn report(text: String) -> Vec<Artifact> {
    vec![Artifact::text("report.tex", text)]
}
