//! One file a command.

pub mod attend;
pub mod doctor;
pub mod eval;
pub mod generate;
pub mod latency;
pub mod listing;
pub mod report;
pub mod score;
pub mod suites;
pub mod train;

use std::io::Write as _;

use std::path::Path;

use anyhow::{Context as _, bail};
use rave_methods::{Variant, preset, variant};
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

use crate::is_closed_pipe;

/// Writes text to stdout. A reader that went away (`rave suites | head`) has what it wanted: that is no error, and the
/// command goes on to its own exit code.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if !is_closed_pipe(&error) => {
            Err(error).context("cannot write to stdout; check where it goes, and the free space")
        }
        _ => Ok(()),
    }
}

/// The names of a list option; an empty one between two commas, or after the last, is refused.
pub fn listed<'a>(option: &str, names: &'a [String]) -> anyhow::Result<Vec<&'a str>> {
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    if names.iter().any(|name| name.is_empty()) {
        bail!(
            "--{option} {} has an empty entry; leave out the comma that names nothing",
            names.join(",")
        );
    }
    Ok(names)
}

/// The registered variant of this name, or the preset in a file: a name that ends with `.toml`.
pub fn named_variant(name: &str) -> anyhow::Result<&'static Variant> {
    let path = Path::new(name);
    let is_file = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    Ok(if is_file {
        preset(path)?
    } else {
        variant(name)?
    })
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
