//! Summary, charts and tables as one page that needs no network; with a browser of the samples where the runs are given.

use crate::{Format, html};

/// `report.html`. A comparison has none: the page is of runs that make one summary.
pub(super) const FORMAT: Format = Format {
    id: "html",
    about: "one page with charts, tables and the samples",
    evaluation: Some(|evaluation| Ok(vec![html::page(evaluation)?])),
    comparison: None,
    latency: Some(|summary| Ok(vec![html::latency(summary)?])),
    paper: None,
};
