//! `rave compare`: several runs side by side, against a named baseline.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use rave_reports::{Format, latency, render, tables};
use rave_results::compare;
use rave_results::latency::{LatencyComparison, LatencyRun};
use rave_results::statistics::Resampling;

use super::report::{formats, opened, write};
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
    /// Formats to write there, separated by commas: txt, md, csv, tex, json, svg, png
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "md,csv,svg,png",
        requires = "out"
    )]
    pub format: Vec<String>,
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
            bail!(
                "latency runs and runs of samples have nothing in common to compare; give runs of one kind"
            );
        }
        return latency_runs_side_by_side(arguments);
    }
    let formats: Vec<Format> = formats(&arguments.format)?;
    if formats.contains(&Format::Html) {
        bail!("the HTML page is of runs that make one summary: rave report RUN --format html");
    }
    let (runs, options) = opened(&arguments.runs, &arguments.baseline, arguments.force)?;
    let summary = compare(&runs, &options)?;
    if let Some(out) = &arguments.out {
        let mut artifacts = Vec::new();
        for format in formats {
            artifacts.extend(render(&summary, format)?);
        }
        write("comparison", out, &artifacts)?;
    }
    if arguments.json {
        print_json(&summary)?;
    } else {
        print(&tables::terminal(&summary, tables::TerminalStyle::detect()))?;
    }
    Ok(Outcome::Clean)
}

fn latency_runs_side_by_side(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.out.is_some() || arguments.baseline != "standard" {
        bail!(
            "latency runs are compared on the screen, each with its own standard: leave out --out and --baseline (rave report \
             writes the tables and charts of one)"
        );
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
        print(&latency::comparison(
            &comparison,
            tables::TerminalStyle::detect(),
        ))?;
    }
    Ok(Outcome::Clean)
}
