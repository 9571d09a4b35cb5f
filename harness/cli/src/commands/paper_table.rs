//! `rave paper-table`: the paper's claims, with a verdict each by stored runs.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use rave_hints::refusal;
use rave_reports::{Document, Format, Kind};
use rave_results::Run;
use rave_results::latency::LatencyRun;
use rave_results::paper::paper_table;
use rave_results::statistics::Resampling;

use super::reporting::{FormatParser, Output};
use crate::Outcome;

/// The project's own runs, by their folders in it: trained, for times, and before training.
const PUBLISHED: [&str; 3] = [
    "results/runs/nano",
    "results/runs/latency-smolvlm-256m",
    "results/runs/nano-step-0",
];

/// Options of `rave paper-table`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run folders: of `rave eval` (trained, and with gates before training) and of `rave latency`; by default the published ones
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// More run folders, separated by commas
    #[arg(long, value_name = "RUN", value_delimiter = ',')]
    pub run: Vec<PathBuf>,
    /// Also write the table into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Formats to write there, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "md,csv,json,tex",
        value_parser = FormatParser(Kind::Paper),
        requires = "out"
    )]
    pub format: Vec<&'static Format>,
    /// The table as one JSON document on stdout instead of text
    #[arg(long)]
    pub json: bool,
}

/// `rave paper-table`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut folders: Vec<PathBuf> = arguments
        .runs
        .iter()
        .chain(&arguments.run)
        .cloned()
        .collect();
    if folders.is_empty() {
        folders = published()?;
    }
    let (mut runs, mut latency) = (Vec::new(), Vec::new());
    for folder in &folders {
        if LatencyRun::is_in(folder) {
            latency.push(LatencyRun::open(folder)?);
        } else {
            runs.push(Run::open(folder)?);
        }
    }
    let table = paper_table(&runs, &latency, &Resampling::default())?;
    let output = Output {
        what: "paper's table",
        folder: arguments.out.as_deref(),
        formats: &arguments.format,
        json: arguments.json,
    };
    output.show(&mut Document::Paper(&table))?;
    Ok(Outcome::Clean)
}

/// The published runs that are here.
fn published() -> anyhow::Result<Vec<PathBuf>> {
    let (here, missing): (Vec<&str>, Vec<&str>) = PUBLISHED
        .into_iter()
        .partition(|folder| Path::new(folder).is_dir());
    if here.is_empty() {
        bail!(refusal(
            format!(
                "none of the published runs is here ({})",
                PUBLISHED.join(", ")
            ),
            "start it in the project's folder, or name run folders",
        ));
    }
    if !missing.is_empty() {
        eprintln!("warning: not here, and left out: {}", missing.join(", "));
    }
    Ok(here.into_iter().map(PathBuf::from).collect())
}
