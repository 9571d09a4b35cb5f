//! The summary or table as it is.

use serde::Serialize;

use crate::{Artifact, Error, Files, Format};

/// `summary.json` and `paper-table.json`
pub(super) const FORMAT: Format = Format {
    id: "json",
    about: "the summary as one document",
    evaluation: Some(|evaluation| document("summary.json", evaluation.summary)),
    comparison: Some(|summary| document("summary.json", summary)),
    latency: Some(|summary| document("summary.json", summary)),
    paper: Some(|table| document("paper-table.json", table)),
};

fn document(name: &str, document: &impl Serialize) -> Files {
    let text = serde_json::to_string_pretty(document);
    let text = text.map_err(|error| Error::Text(error.to_string()))?;
    Ok(vec![Artifact::text(name, text + "\n")])
}
