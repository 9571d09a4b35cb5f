//! `rave compare`: several runs side by side, against a named baseline.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use rave_hints::refusal;
use rave_reports::{Document, Format, Kind, TerminalStyle, latency_comparison};
use rave_results::compare;
use rave_results::latency::{LatencyComparison, LatencyRun};
use rave_results::statistics::Resampling;

use super::reporting::{FORMATS_WITHOUT_PAGE, FormatParser, Output, opened};
use super::{print, print_json};
use crate::Outcome;

/// Options of `rave compare`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run folders; runs that hold the same samples stand side by side as RUN:VARIANT
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// What each is compared with: a variant (of the same run), a run (its same variant), or RUN:VARIANT
    #[arg(long, default_value = "standard")]
    pub baseline: String,
    /// Compare runs of different data, prompts or metric versions all the same; every output says so
    #[arg(long)]
    pub force: bool,
    /// Also write tables and charts into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Formats to write there, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = FORMATS_WITHOUT_PAGE,
        value_parser = FormatParser(Kind::Comparison),
        requires = "out"
    )]
    pub format: Vec<&'static Format>,
    /// The comparison as one JSON document on stdout instead of tables
    #[arg(long)]
    pub json: bool,
}

/// `rave compare`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let latency_runs = arguments
        .runs
        .iter()
        .filter(|run| LatencyRun::is_in(run))
        .count();
    if latency_runs > 0 {
        if latency_runs < arguments.runs.len() {
            bail!(refusal(
                "latency runs and runs of samples have nothing in common to compare",
                "give runs of one kind",
            ));
        }
        return latency_runs_side_by_side(arguments);
    }
    let (runs, options) = opened(&arguments.runs, &arguments.baseline, arguments.force)?;
    let summary = compare(&runs, &options)?;
    let output = Output {
        what: "comparison",
        folder: arguments.out.as_deref(),
        formats: &arguments.format,
        json: arguments.json,
    };
    output.show(&mut Document::Comparison(&summary))?;
    Ok(Outcome::Clean)
}

fn latency_runs_side_by_side(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.out.is_some() || arguments.baseline != "standard" {
        bail!(refusal(
            "latency runs are compared on the screen, each with its own standard",
            "leave out --out and --baseline (rave report writes the tables and charts of one)",
        ));
    }
    let runs = arguments
        .runs
        .iter()
        .map(|folder| LatencyRun::open(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let comparison = LatencyComparison::of(&runs, &Resampling::default(), arguments.force)?;
    if arguments.json {
        print_json(&comparison)?;
    } else {
        print(&latency_comparison(&comparison, TerminalStyle::detect()))?;
    }
    Ok(Outcome::Clean)
}
