//! Stored records to tables and charts.
//!
//! A report is made from a [`Summary`] alone, never from a live model, and comes back as bytes: writing them is the
//! caller's. Same records, same bytes.
//!
//! Adding a format: one file under `tables` or `charts`, one arm in [`Format`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::fmt;
use std::str::FromStr;

use rave_results::{Run, Summary};

pub mod charts;
mod error;
pub mod html;
pub mod latency;
pub mod paper;
pub mod tables;

pub use error::Error;

/// A report's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Tables as plain text, `report.txt`; for a terminal see [`tables::terminal`].
    Text,
    /// Tables and charts for a page, `report.md` (the charts are beside it as SVG).
    Markdown,
    /// One line a cell with every number in full, `summary.csv`, one a category, `categories.csv`, and one a failed
    /// sample, `failures.csv`; where attention was probed, one a measure, `attention.csv`.
    Csv,
    /// The table of scores for a paper, `report.tex`.
    Latex,
    /// The summary as it is, `summary.json`.
    Json,
    /// The charts as vectors.
    Svg,
    /// The charts as pixels, at twice their nominal size.
    Png,
    /// Summary, charts and tables as one page that needs no network, `report.html`; with a browser of the samples
    /// where they are given ([`html::page`]).
    Html,
}

impl Format {
    /// All formats, in the order of the help text.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Markdown,
        Self::Csv,
        Self::Latex,
        Self::Json,
        Self::Svg,
        Self::Png,
        Self::Html,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Markdown => "md",
            Self::Csv => "csv",
            Self::Latex => "tex",
            Self::Json => "json",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Html => "html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| Error::UnknownFormat {
                name: name.to_string(),
            })
    }
}

/// One file of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, without a folder.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl Artifact {
    fn text(name: &str, text: String) -> Self {
        Self {
            name: name.into(),
            bytes: text.into_bytes(),
        }
    }

    fn json(name: &str, document: &impl serde::Serialize) -> Result<Self, Error> {
        let text = serde_json::to_string_pretty(document);
        let text = text.map_err(|error| Error::Text(error.to_string()))?;
        Ok(Self::text(name, text + "\n"))
    }
}

/// The files of one format.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn render(summary: &Summary, format: Format) -> Result<Vec<Artifact>, Error> {
    Ok(match format {
        Format::Text => vec![Artifact::text(
            "report.txt",
            tables::terminal(summary, tables::TerminalStyle::PLAIN),
        )],
        Format::Markdown => vec![Artifact::text("report.md", tables::markdown(summary))],
        Format::Csv => {
            let mut tables = vec![
                Artifact::text("summary.csv", tables::csv(summary)?),
                Artifact::text("categories.csv", tables::categories_csv(summary)?),
                Artifact::text("failures.csv", tables::failures_csv(summary)?),
            ];
            let attention = tables::attention_csv(summary)?;
            tables.extend(attention.map(|text| Artifact::text("attention.csv", text)));
            tables
        }
        Format::Latex => vec![Artifact::text("report.tex", tables::latex(summary))],
        Format::Html => vec![html::page(
            summary,
            &html::Extras::default(),
            &mut html::NoPictures,
        )?],
        Format::Json => vec![Artifact::json("summary.json", summary)?],
        Format::Svg | Format::Png => charts::render(summary, format == Format::Png)?,
    })
}

/// A whole report: every file of the given formats, in their order.
///
/// # Errors
/// As [`Summary::from_runs`] and [`render`].
pub fn report(runs: &[Run], baseline: &str, formats: &[Format]) -> Result<Vec<Artifact>, Error> {
    let summary = Summary::from_runs(runs, baseline)?;
    let mut artifacts = Vec::new();
    for format in formats {
        artifacts.extend(render(&summary, *format)?);
    }
    Ok(artifacts)
}
