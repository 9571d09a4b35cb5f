//! The paper's table: [`PaperTable`] to text, a page, lines, JSON and LaTeX.

use std::str::FromStr;

use rave_results::paper::PaperTable;

use crate::tables::{self, TerminalStyle, paper, paper_csv};
use crate::{Artifact, Error};

/// A format of the paper's table; it has no charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaperFormat {
    /// `paper-table.txt`
    Text,
    /// `paper-table.md`
    Markdown,
    /// A line a number behind a verdict, `claims.csv`, and a line a variant and suite, `variants.csv`.
    Csv,
    /// Everything, `paper-table.json`.
    Json,
    /// Tables for `\input`, `paper-table.tex`.
    Latex,
}

impl PaperFormat {
    /// All formats, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("txt", Self::Text),
        ("md", Self::Markdown),
        ("csv", Self::Csv),
        ("json", Self::Json),
        ("tex", Self::Latex),
    ];
}

impl FromStr for PaperFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|(own, _)| *own == name);
        found
            .map(|(_, format)| format)
            .ok_or_else(|| Error::UnknownPaperFormat {
                name: name.to_owned(),
            })
    }
}

/// The files of one format.
///
/// # Errors
/// None that the contents can cause.
pub fn render(table: &PaperTable, format: PaperFormat) -> Result<Vec<Artifact>, Error> {
    Ok(match format {
        PaperFormat::Text => vec![Artifact::text(
            "paper-table.txt",
            terminal(table, TerminalStyle::PLAIN),
        )],
        PaperFormat::Markdown => vec![Artifact::text("paper-table.md", paper::page(table))],
        PaperFormat::Csv => {
            let mut files = vec![Artifact::text("claims.csv", paper_csv::paper_csv(table)?)];
            if let Some(summary) = &table.summary {
                files.push(Artifact::text("variants.csv", tables::csv(summary)?));
            }
            files
        }
        PaperFormat::Json => vec![Artifact::json("paper-table.json", table)?],
        PaperFormat::Latex => vec![Artifact::text("paper-table.tex", paper::tex(table))],
    })
}

/// Verdicts, tables and where the numbers come from.
pub fn terminal(table: &PaperTable, style: TerminalStyle) -> String {
    paper::text(table, style)
}
