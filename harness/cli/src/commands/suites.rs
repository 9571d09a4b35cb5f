//! `rave suites`: the benchmark suites, with one line each, or pictures of the embedded ones.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use rave_benchmarks::render::{Split, Task, contact_sheet};
use rave_benchmarks::{Suite, suite, suites};
use rave_hints::refusal;

use super::{print, print_json, print_table};
use crate::Outcome;

/// Options of `rave suites`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// One JSON document instead of a table
    #[arg(long, conflicts_with = "render")]
    pub json: bool,
    /// Draw a contact sheet of each embedded suite into DIR, answers boxed in green, distractors in orange
    #[arg(long, value_name = "DIR")]
    pub render: Option<PathBuf>,
    /// Suites to draw [default: every embedded one]
    #[arg(long, value_name = "SUITE", value_delimiter = ',', requires = "render")]
    pub suite: Vec<String>,
    /// Stream to draw from: test, or the train stream that training draws from
    #[arg(
        long,
        value_name = "SPLIT",
        default_value = "test",
        requires = "render"
    )]
    pub split: String,
    /// Items on a sheet, from the first on
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=400),
        requires = "render"
    )]
    pub count: u32,
}

/// `rave suites`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if let Some(folder) = &arguments.render {
        let split = arguments.split.parse()?;
        draw(folder, &arguments.suite, split, arguments.count)?;
    } else if arguments.json {
        print_json(&suites())?;
    } else {
        list()?;
    }
    Ok(Outcome::Clean)
}

fn list() -> anyhow::Result<()> {
    let rows = suites().iter().map(|suite| {
        [
            suite.id.clone(),
            suite.version.to_string(),
            suite
                .items
                .map_or_else(String::new, |items| items.to_string()),
            suite.metric.to_string(),
            if suite.is_embedded() {
                "embedded".to_owned()
            } else {
                suite.repositories.join(", ")
            },
            suite.description.clone(),
        ]
    });
    print_table(
        ["suite", "version", "items", "metric", "data", "what it is"],
        rows,
    )
}

/// Draws the sheets and prints the path of each; nothing is drawn unless every name is good.
fn draw(folder: &Path, names: &[String], split: Split, count: u32) -> anyhow::Result<()> {
    let mut selected: Vec<(&Suite, Task)> = Vec::new();
    for name in names {
        let suite = suite(name)?;
        let Some(task) = suite.task() else {
            let drawn: Vec<&str> = embedded().map(|(suite, _)| suite.id.as_str()).collect();
            bail!(refusal(
                format!("suite `{name}` is published data and is not drawn by this program"),
                format!("--render takes {}", drawn.join(", ")),
            ));
        };
        selected.push((suite, task));
    }
    if names.is_empty() {
        selected.extend(embedded());
    }
    fs::create_dir_all(folder).with_context(|| {
        refusal(
            format!("--render {}: cannot make this folder", folder.display()),
            "name one that can be written",
        )
    })?;
    for (suite, task) in selected {
        let sheet = contact_sheet(task, split, suite.version, count)?;
        let path = folder.join(format!("{}-{split}.png", suite.id));
        sheet.save(&path).with_context(|| {
            refusal(
                format!("cannot write {}", path.display()),
                "name a folder that can be written, on a disk with room",
            )
        })?;
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// The suites that this program draws.
fn embedded() -> impl Iterator<Item = (&'static Suite, Task)> {
    let all = suites().iter();
    all.filter_map(|suite| suite.task().map(|task| (suite, task)))
}
