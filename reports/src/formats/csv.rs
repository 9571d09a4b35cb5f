//! Every number in full, for spreadsheets and scripts.

use rave_results::Summary;
use rave_results::paper::PaperTable;

use crate::tables::attention::attention_csv;
use crate::tables::csv::{categories_csv, csv, failures_csv};
use crate::tables::latency;
use crate::tables::paper_csv::paper_csv;
use crate::{Artifact, Files, Format};

/// One line for each cell in `summary.csv`, each category in `categories.csv`, each failed sample in `failures.csv`, and,
/// where attention was probed, each of its measures in `attention.csv`. Of a latency run `latency.csv`; of the paper's table
/// one line for each number behind a verdict in `claims.csv`, and one for each variant and suite in `variants.csv`.
pub(super) const FORMAT: Format = Format {
    id: "csv",
    about: "every number in full",
    evaluation: Some(|evaluation| summary(evaluation.summary)),
    comparison: Some(summary),
    latency: Some(|summary| {
        let text = latency::csv(summary)?;
        Ok(vec![Artifact::text("latency.csv", text)])
    }),
    paper: Some(paper),
};

fn summary(summary: &Summary) -> Files {
    let mut files = vec![
        Artifact::text("summary.csv", csv(summary)?),
        Artifact::text("categories.csv", categories_csv(summary)?),
        Artifact::text("failures.csv", failures_csv(summary)?),
    ];
    let attention = attention_csv(summary)?;
    files.extend(attention.map(|text| Artifact::text("attention.csv", text)));
    Ok(files)
}

fn paper(table: &PaperTable) -> Files {
    let mut files = vec![Artifact::text("claims.csv", paper_csv(table)?)];
    if let Some(summary) = &table.summary {
        files.push(Artifact::text("variants.csv", csv(summary)?));
    }
    Ok(files)
}
