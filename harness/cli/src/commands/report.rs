//! `rave report`: tables and charts of stored runs, made from their records alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::Args;
use rave_benchmarks::{Suite, suite};
use rave_hub::stays_inside;
use rave_reports::charts::{Curve, training_curves};
use rave_reports::{Artifact, Format, html, latency, render, tables};
use rave_results::excerpt::Excerpt;
use rave_results::latency::{LatencyRun, LatencySummary};
use rave_results::maps::{AttentionMaps, read_maps};
use rave_results::statistics::Resampling;
use rave_results::summary::Options;
use rave_results::{Run, Summary};

use super::{listed, print, print_json};
use crate::Outcome;

mod curves;
mod pictures;

use pictures::SuitePictures;

/// Options of `rave report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run folders
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The variant that the others are compared with
    #[arg(long, default_value = "standard")]
    pub baseline: String,
    /// Formats to write, separated by commas: txt, md, csv, tex, json, svg, png, html
    #[arg(long, value_delimiter = ',', default_value = "md,csv,svg,png,html")]
    pub format: Vec<String>,
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
    let formats: Vec<Format> = formats(&arguments.format)?;
    if let Some(latency) = arguments.runs.iter().find(|run| LatencyRun::is_in(run)) {
        return latency_report(arguments, latency, &formats);
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
    show(&Report {
        runs: &runs,
        summary: &summary,
        data: Data::Folder(arguments.data.as_deref()),
        latency: latency.as_ref(),
        maps: &maps,
        curves: &curves,
        formats: &formats,
        out: &out,
        json: arguments.json,
    })?;
    Ok(Outcome::Clean)
}

/// Runs, and how they are to be summarised.
pub fn opened(
    folders: &[PathBuf],
    baseline: &str,
    force: bool,
) -> anyhow::Result<(Vec<Run>, Options)> {
    let runs = folders.iter().map(|folder| Run::open(folder));
    let options = Options {
        baseline: baseline.to_owned(),
        resampling: Resampling::default(),
        force,
    };
    Ok((runs.collect::<Result<_, _>>()?, options))
}

/// The report of a latency run, which stands alone.
fn latency_report(
    arguments: &Arguments,
    folder: &Path,
    formats: &[Format],
) -> anyhow::Result<Outcome> {
    if arguments.runs.len() > 1 {
        bail!(
            "{} is a latency run, which is reported alone; give one run, or set several side by side with rave compare",
            folder.display()
        );
    }
    let of_evaluations = [
        ("--data", &arguments.data),
        ("--latency", &arguments.latency),
        ("--maps", &arguments.maps),
        ("--training", &arguments.training),
    ];
    if let Some((option, _)) = of_evaluations.iter().find(|(_, given)| given.is_some()) {
        bail!(
            "{} is a latency run, of which {option} says nothing; leave it out",
            folder.display()
        );
    }
    let summary = LatencySummary::of(&LatencyRun::open(folder)?, &Resampling::default());
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| folder.join("report"));
    show_latency(&summary, formats, &out, arguments.json)?;
    Ok(Outcome::Clean)
}

/// As [`show`], of a latency run.
pub fn show_latency(
    summary: &LatencySummary,
    formats: &[Format],
    out: &Path,
    json: bool,
) -> anyhow::Result<()> {
    let mut artifacts = Vec::new();
    for format in formats {
        artifacts.extend(latency::render(summary, *format)?);
    }
    write("report", out, &artifacts)?;
    if json {
        print_json(summary)
    } else {
        print(&latency::terminal(summary, tables::TerminalStyle::detect()))
    }
}

/// Where the data of suites that are not embedded lies.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// All of it in one folder, if it is here.
    Folder(Option<&'a Path>),
    /// Those that a run has just been made of: the suites, and the folders of their data by the suite's id.
    Opened(&'a [&'static Suite], &'a BTreeMap<String, PathBuf>),
}

impl<'a> Data<'a> {
    /// The folder of one suite.
    fn of(self, suite: &str) -> Option<&'a Path> {
        match self {
            Self::Folder(folder) => folder,
            Self::Opened(_, folders) => folders.get(suite).map(PathBuf::as_path),
        }
    }

    /// The suite of this id; `None` for one in a file that nobody has named.
    fn suite(self, id: &str) -> Option<&'static Suite> {
        let opened = match self {
            Self::Folder(_) => &[],
            Self::Opened(suites, _) => suites,
        };
        let own = opened.iter().copied().find(|suite| suite.id == id);
        own.or_else(|| suite(id).ok())
    }
}

/// What is reported, and how.
pub struct Report<'a> {
    /// The runs behind the summary.
    pub runs: &'a [Run],
    /// Their summary.
    pub summary: &'a Summary,
    /// Where the suites' data lies, for pictures.
    pub data: Data<'a>,
    /// What the variants cost, measured by itself.
    pub latency: Option<&'a LatencySummary>,
    /// Where the attention lay.
    pub maps: &'a [AttentionMaps],
    /// How the variants were trained.
    pub curves: &'a [Curve],
    /// What to write.
    pub formats: &'a [Format],
    /// Where to.
    pub out: &'a Path,
    /// The summary as JSON on stdout instead of a table.
    pub json: bool,
}

/// Writes a report into a folder, then prints the summary: whatever becomes of stdout, the files are there.
pub fn show(report: &Report) -> anyhow::Result<()> {
    let &Report {
        runs,
        summary,
        data,
        latency,
        maps,
        curves,
        formats,
        out,
        json,
    } = report;
    let mut artifacts = Vec::new();
    for format in formats {
        if *format == Format::Html {
            let excerpt = Excerpt::of(runs, summary, html::most_samples(summary))?;
            let mut pictures = SuitePictures::new(runs, data);
            let extras = html::Extras {
                excerpt: Some(&excerpt),
                maps,
                latency,
                curves,
            };
            artifacts.push(html::page(summary, &extras, &mut pictures)?);
            continue;
        }
        artifacts.extend(render(summary, *format)?);
        if !curves.is_empty() && matches!(format, Format::Svg | Format::Png) {
            let drawn = training_curves(curves, html::CURVES)?;
            artifacts.extend(drawn.into_iter().nth(usize::from(*format == Format::Png)));
        }
    }
    write("report", out, &artifacts)?;
    if json {
        print_json(summary)
    } else {
        print(&tables::terminal(summary, tables::TerminalStyle::detect()))
    }
}

/// The formats of these names.
pub fn formats<F: FromStr<Err = rave_reports::Error>>(names: &[String]) -> anyhow::Result<Vec<F>> {
    let names = listed("format", names)?.into_iter();
    Ok(names.map(str::parse).collect::<Result<_, _>>()?)
}

/// The path of a file in a folder. What a record says may be in its name, and records come from others too.
pub fn inside(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if stays_inside(Path::new(name)) {
        return Ok(folder.join(name));
    }
    bail!(
        "`{name}` leads out of {}, and a run's records name it so; make that run anew",
        folder.display()
    )
}

/// Writes files into a folder, and says on stderr which: `what` is what they are together.
pub fn write(what: &str, folder: &Path, artifacts: &[Artifact]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make {}; choose another --out", folder.display()))?;
    for artifact in artifacts {
        let path = inside(folder, &artifact.name)?;
        fs::write(&path, &artifact.bytes).with_context(|| {
            format!(
                "cannot write {}; check the folder and the free space",
                path.display()
            )
        })?;
    }
    if !artifacts.is_empty() {
        let names: Vec<_> = artifacts.iter().map(|file| file.name.as_str()).collect();
        eprintln!("{what}: {} in {}", names.join(", "), folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_outside_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let artifact = |name: &str| Artifact {
            name: name.into(),
            bytes: b"text".to_vec(),
        };
        assert!(write("report", &out, &[artifact("summary.md")]).is_ok());
        for name in ["../away.md", "/away.md", "charts/../../away.svg"] {
            let error = write("report", &out, &[artifact(name)]).expect_err("it leads away");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(!folder.path().join("away.md").exists());
    }
}
