//! One file a command.

pub mod arguments;
pub mod attend;
pub mod check;
pub mod compare;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod generate;
pub mod hub;
pub mod import;
pub mod latency;
pub mod listing;
pub mod merge;
pub mod paper_table;
pub mod report;
pub mod reporting;
pub mod score;
pub mod suites;
pub mod train;

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, bail};
use rave_benchmarks::{Suite, suite};
use rave_hints::{refusal, with_hint};
use rave_methods::{Variant, preset, variant};
use rave_results::schema::CodeVersion;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

use crate::is_closed_pipe;

/// Writes text to stdout. A reader that went away (`rave suites | head`) has what it wanted: that is no error, and the
/// command goes on to its own exit code.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if !is_closed_pipe(&error) => Err(error).context(refusal(
            "cannot write to stdout",
            "check where it goes, and the free space",
        )),
        _ => Ok(()),
    }
}

/// The names of a list option; an empty one between two commas, or after the last, is refused.
pub fn listed<'a>(option: &str, names: &'a [String]) -> anyhow::Result<Vec<&'a str>> {
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    if names.iter().any(|name| name.is_empty()) {
        bail!(refusal(
            format!("--{option} {} has an empty entry", names.join(",")),
            "leave out the comma that names nothing",
        ));
    }
    Ok(names)
}

/// Refuses a list that names something twice: its samples would be counted twice.
pub fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let mut known = HashSet::new();
    for name in names {
        if !known.insert(name) {
            bail!(refusal(
                format!("--{what} names `{name}` twice"),
                "name it once",
            ));
        }
    }
    Ok(())
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

/// The registered suite of this name, or the one in a file or folder: a name that ends with `.toml` or says a path (`.` is one).
/// One that is read from a file stays for as long as the program runs, as the registered ones do.
pub fn named_suite(name: &str) -> anyhow::Result<&'static Suite> {
    let path = Path::new(name);
    let is_file = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let mut parts = path.components();
    let is_path = !matches!(
        (parts.next(), parts.next()),
        (None | Some(Component::Normal(_)), None)
    ) || name.ends_with(std::path::is_separator);
    if is_file || is_path {
        return Ok(Box::leak(Box::new(Suite::load(path)?)));
    }
    match suite(name) {
        Err(error) if path.exists() => {
            let hint = format!("for the suite in the folder or file of that name give ./{name}");
            bail!(refusal(error.to_string(), with_hint(&hint, error.hint())))
        }
        found => Ok(found?),
    }
}

/// Writes an output file.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| {
        refusal(
            format!("cannot write {}", path.display()),
            "check the folder and the free space",
        )
    })
}

/// The command line of this program, for a record. Not the binary's own path: a published record names no folder of the
/// machine that made it.
pub fn command_line() -> Vec<String> {
    std::iter::once("rave".to_owned())
        .chain(std::env::args().skip(1))
        .collect()
}

/// The version of this program, for a record.
pub fn code_version() -> CodeVersion {
    CodeVersion {
        version: env!("CARGO_PKG_VERSION").into(),
        commit: option_env!("RAVE_COMMIT").map(Into::into),
    }
}

/// The folder of a run: the one that was asked for, or else a new one that names the command and the time.
pub fn run_folder(asked: Option<PathBuf>, command: &str) -> anyhow::Result<PathBuf> {
    if let Some(folder) = asked {
        return Ok(folder);
    }
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
    new_folder(Path::new("results/runs/local"), &format!("{command}-{now}"))
}

/// Makes a folder that nobody else has, also where two processes ask for one in the same second.
fn new_folder(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let refused = |path: &Path| {
        let message = format!("cannot make {}", path.display());
        refusal(message, "choose a folder with --out")
    };
    fs::create_dir_all(parent).with_context(|| refused(parent))?;
    let mut folder = parent.join(name);
    for number in 2_u32.. {
        match fs::create_dir(&folder) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                folder = parent.join(format!("{name}-{number}"));
            }
            Err(error) => return Err(error).with_context(|| refused(&folder)),
        }
    }
    Ok(folder)
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
