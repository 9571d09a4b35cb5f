//! A page with tables, and the charts that lie beside it as SVG.

use crate::tables::{latency, markdown, paper};
use crate::{Artifact, Format};

/// `report.md` and `paper-table.md`
pub(super) const FORMAT: Format = Format {
    id: "md",
    about: "a page with tables, and with the charts of svg",
    evaluation: Some(|evaluation| Ok(report(markdown::markdown(evaluation.summary)))),
    comparison: Some(|summary| Ok(report(markdown::markdown(summary)))),
    latency: Some(|summary| Ok(report(latency::page(summary)))),
    paper: Some(|table| Ok(vec![Artifact::text("paper-table.md", paper::page(table))])),
};

fn report(page: String) -> Vec<Artifact> {
    vec![Artifact::text("report.md", page)]
}
