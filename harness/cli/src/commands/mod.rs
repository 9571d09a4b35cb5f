//! One file a command.

pub mod doctor;
pub mod eval;
pub mod generate;
pub mod listing;
pub mod report;
pub mod score;
pub mod suites;
pub mod train;

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

/// Writes text to stdout; a reader that went away is an error that ends the command quietly.
pub fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .context("writing to stdout")
}

/// Writes one JSON document to stdout.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("a listing as JSON")?;
    print(&(text + "\n"))
}

/// Writes a table to stdout.
pub fn print_table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> anyhow::Result<()> {
    let mut builder = Builder::default();
    builder.push_record(header);
    for row in rows {
        builder.push_record(row);
    }
    print(&format!("{}\n", builder.build().with(Style::blank())))
}
