//! `rave report`: tables and charts of stored runs, made from their records alone.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use rave_hints::refusal;
use rave_reports::{Document, Evaluation, Format, Kind};
use rave_results::Summary;
use rave_results::latency::{LatencyRun, LatencySummary};
use rave_results::maps::read_maps;
use rave_results::statistics::Resampling;

use super::reporting::{DEFAULT_FORMATS, Data, FormatParser, Output, SuitePictures, opened};
use crate::Outcome;

mod curves;

/// Options of `rave report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run folders
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The variant that the others are compared with
    #[arg(long, default_value = "standard")]
    pub baseline: String,
    /// Formats to write, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = DEFAULT_FORMATS,
        value_parser = FormatParser(Kind::Evaluation)
    )]
    pub format: Vec<&'static Format>,
    /// Where to write them; by default the folder `report` in the first run
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A local copy of the suites' data, for the pictures of the HTML page; embedded suites need none
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A latency run (rave latency) whose charts and tables join the HTML page
    #[arg(long, value_name = "RUN")]
    pub latency: Option<PathBuf>,
    /// A folder of attention maps (rave attend --suite S --sample N --out DIR/NAME) that lie over the HTML page's pictures
    #[arg(long, value_name = "DIR")]
    pub maps: Option<PathBuf>,
    /// A folder of training runs, SEED/VARIANT.parquet or SEED/VARIANT/training.parquet, whose curves are drawn
    #[arg(long, value_name = "DIR")]
    pub training: Option<PathBuf>,
    /// Compare runs of different data, prompts or metric versions all the same; every output says so
    #[arg(long)]
    pub force: bool,
    /// The summary as one JSON document on stdout instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `rave report`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if let Some(latency) = arguments.runs.iter().find(|run| LatencyRun::is_in(run)) {
        return latency_report(arguments, latency);
    }
    let (runs, options) = opened(&arguments.runs, &arguments.baseline, arguments.force)?;
    let summary = Summary::with_options(&runs, &options)?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| arguments.runs[0].join("report"));
    let latency = arguments.latency.as_deref().map(LatencyRun::open);
    let latency = latency.transpose()?;
    let latency = latency.map(|run| LatencySummary::of(&run, &Resampling::default()));
    let maps = arguments.maps.as_deref().map(read_maps).transpose()?;
    let maps = maps.unwrap_or_default();
    let curves = match &arguments.training {
        Some(folder) => curves::read(folder, &summary)?,
        None => Vec::new(),
    };
    let data = Data::Folder(arguments.data.as_deref());
    let mut pictures = SuitePictures::new(&runs, data);
    let mut document = Document::Evaluation(Evaluation {
        runs: &runs,
        pictures: Some(&mut pictures),
        maps: &maps,
        latency: latency.as_ref(),
        curves: &curves,
        ..Evaluation::of(&summary)
    });
    output(arguments, &out).show(&mut document)?;
    Ok(Outcome::Clean)
}

/// The report of a latency run, which stands alone.
fn latency_report(arguments: &Arguments, folder: &Path) -> anyhow::Result<Outcome> {
    if arguments.runs.len() > 1 {
        bail!(refusal(
            format!(
                "{} is a latency run, which is reported alone",
                folder.display()
            ),
            "give one run, or set several side by side with rave compare",
        ));
    }
    let of_evaluations = [
        ("--data", &arguments.data),
        ("--latency", &arguments.latency),
        ("--maps", &arguments.maps),
        ("--training", &arguments.training),
    ];
    if let Some((option, _)) = of_evaluations.iter().find(|(_, given)| given.is_some()) {
        bail!(refusal(
            format!(
                "{} is a latency run, of which {option} says nothing",
                folder.display()
            ),
            "leave it out",
        ));
    }
    let summary = LatencySummary::of(&LatencyRun::open(folder)?, &Resampling::default());
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| folder.join("report"));
    output(arguments, &out).show(&mut Document::Latency(&summary))?;
    Ok(Outcome::Clean)
}

fn output<'a>(arguments: &'a Arguments, folder: &'a Path) -> Output<'a> {
    Output {
        what: "report",
        folder: Some(folder),
        formats: &arguments.format,
        json: arguments.json,
    }
}
