//! The summary or table as it is.

use crate::{Artifact, Document, Error, Evaluation, Files, Format};

/// `summary.json` and `paper-table.json`
pub(super) const FORMAT: Format = Format {
    id: "json",
    about: "the summary as one document",
    evaluation: Some(|own| {
        let summary = Evaluation::of(own.summary);
        json("summary.json", &Document::Evaluation(summary))
    }),
    comparison: Some(|summary| json("summary.json", &Document::Comparison(summary))),
    latency: Some(|summary| json("summary.json", &Document::Latency(summary))),
    paper: Some(|table| json("paper-table.json", &Document::Paper(table))),
};

fn json(name: &str, document: &Document) -> Files {
    let text = serde_json::to_string_pretty(document);
    let text = text.map_err(|error| Error::Text(error.to_string()))?;
    Ok(vec![Artifact::text(name, text + "\n")])
}
