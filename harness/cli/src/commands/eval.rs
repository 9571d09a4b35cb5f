//! `rave eval`: the main job.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use rave_benchmarks::{Suite, suites};
use rave_engine::{Ended, FailOnError, Request, evaluate};
use rave_hints::refusal;
use rave_lmm::{LoadOptions, dtype, size};
use rave_reports::{Document, Evaluation};
use rave_results::schema::{RunRecord, Shard, WorkRecord};
use rave_results::summary::FailedSample;
use rave_results::{Run, Summary};

use super::arguments::{AnswerArguments, DeviceArguments, VariantsArguments};
use super::hub::{HubArguments, Part};
use super::reporting::{DEFAULT_FORMATS, Data, Output, SuitePictures, named_formats};
use super::{code_version, command_line, export, listed, named_suite, run_folder, unique};
use crate::Outcome;
use crate::progress::Bars;
use crate::signals::stop_on_signals;

/// Failed samples that are listed one by one at the end.
const MAX_LISTED_FAILURES: usize = 10;

/// Help of `--dtype`.
const DTYPE: &str = "Compute type: f32, bf16 or f16; auto takes bf16 where all checkpoints are stored so and the device \
                     multiplies it fast";

/// Options of `rave eval`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "flags of a command line, each by itself"
)]
#[command(mut_arg("dtype", |dtype| dtype.default_value(dtype::AUTO).help(DTYPE)))]
pub struct Arguments {
    /// Models, separated by commas: built-in names, folders of checkpoints, or hub repositories (`org/name[@revision]`)
    #[arg(long, value_delimiter = ',', required = true)]
    pub model: Vec<String>,
    #[command(flatten)]
    pub variants: VariantsArguments,
    /// Suites, separated by commas: names, or files of your own (suite.toml, or its folder as ./mine); `embedded` for every suite
    /// that needs no data, `all` for every one
    #[arg(long, value_delimiter = ',', default_value = "embedded")]
    pub suite: Vec<String>,
    /// Data of suites that are not embedded, by default fetched from the hub: a local copy of a hub data repository, a folder that
    /// holds several by repository name, or `org/name[@revision]`, which may be given several times
    #[arg(long, value_name = "DIR|REPOSITORY")]
    pub data: Vec<String>,
    #[command(flatten)]
    pub hub: HubArguments,
    /// Another split of the data than the suites name
    #[arg(long, value_name = "NAME")]
    pub split: Option<String>,
    /// At most N samples of each suite
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Draw the samples of --limit under this seed instead of taking the first; the same seed draws the same anywhere
    #[arg(long, value_name = "SEED", requires = "limit")]
    pub shuffle: Option<u64>,
    /// Only these samples, by id (of several suites: SUITE/ID), separated by commas
    #[arg(
        long,
        value_name = "ID",
        value_delimiter = ',',
        conflicts_with = "limit"
    )]
    pub samples: Vec<String>,
    /// Only part I of N of the samples, for a run on several machines; `rave merge` joins the parts
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Whose words a question is asked in
    #[arg(long, default_value = "family")]
    pub prompts: Prompts,
    /// Of a model trained with several seeds the one to take (by default all); else the seed of untrained variants
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub device: DeviceArguments,
    #[command(flatten)]
    pub answer: AnswerArguments,
    /// Probe the attention behind every answer, layer by layer, into attention.parquet: a pass of its own after the answer, which
    /// changes neither answers nor recorded times
    #[arg(long)]
    pub attention: bool,
    /// Samples a batch, of about the same length; from 2 on, times are recorded for the vision side alone. By default 16 for small
    /// models on the CPU without --sample-timeout, else 1. Halved where memory is short
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub batch: Option<usize>,
    /// Compute everything for each sample anew: no common beginning of questions on one picture, no features kept
    #[arg(long)]
    pub no_reuse: bool,
    /// Fail a sample whose answer takes longer, preparing and vision included
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub sample_timeout: Option<Duration>,
    /// The run's folder; by default `results/runs/local/eval-<time>`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the interrupted run in --out; where none was begun yet, begin it, and where it has finished, report it
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Exit with 1 when samples failed: never, any, or more than this fraction of them
    #[arg(long, value_name = "never|any|FRACTION", default_value = "any")]
    pub fail_on_error: FailOnError,
    /// Write the samples for other tools as well, into a folder of that name in the run's (later: rave export)
    #[arg(long, value_name = "FORMAT")]
    pub export: Option<export::Target>,
    /// The summary as one JSON document on stdout instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Whose words a question is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prompts {
    /// Those of the model family's authors, where a suite knows them
    Family,
    /// The suite's own, for every model
    Suite,
}

/// `rave eval`.
pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    if arguments.limit == Some(0) {
        bail!(refusal(
            "--limit 0 would evaluate nothing",
            "give 1 or more"
        ));
    }
    let variants = arguments.variants.selected()?;
    let suites = selected_suites(&arguments.suite)?;
    let models = listed("model", &arguments.model)?;
    unique("model", models.iter().copied())?;
    // What is cheap to refuse is refused before anything is fetched.
    let DeviceArguments { device, dtype } = arguments.device;
    let is_auto = dtype == dtype::AUTO;
    let named = LoadOptions::named(&device, if is_auto { "f32" } else { &dtype })?;
    let ignored = arguments.answer.ignored();
    arguments.hub.models(models.iter().copied(), ignored)?;
    let part = arguments.split.as_deref().map_or(Part::Scored, Part::Split);
    let data = arguments.hub.data(&arguments.data, &suites, part)?;
    let dtype = if is_auto {
        dtype::automatic(models.iter().copied(), &device)?.to_owned()
    } else {
        dtype
    };
    let batch = match arguments.batch {
        Some(batch) => batch,
        // A sample that is not alone has no time of its own to be held to.
        None if arguments.sample_timeout.is_some() => 1,
        None => size::automatic_batch(models.iter().copied(), named.device)?,
    };
    let models = models.into_iter().map(str::to_owned).collect();
    let samples = listed("samples", &arguments.samples)?;
    let samples = samples.into_iter().map(str::to_owned).collect();
    let stop = stop_on_signals()?;
    let made = arguments.out.is_none();
    let out = run_folder(arguments.out, "eval")?;
    let baseline = variants
        .iter()
        .find(|variant| variant.id == "standard")
        .unwrap_or(&variants[0])
        .id;
    let request = Request {
        models,
        variants,
        suites,
        data,
        split: arguments.split,
        limit: arguments.limit,
        shuffle: arguments.shuffle,
        samples,
        shard: arguments.shard,
        family_prompts: arguments.prompts == Prompts::Family,
        seed: arguments.seed,
        device,
        dtype,
        ignored,
        adapter: arguments.answer.adapter,
        attention: arguments.attention,
        batch,
        reuse: !arguments.no_reuse,
        sample_timeout: arguments.sample_timeout,
        out: out.clone(),
        resume: arguments.resume,
        command_line: command_line(),
        code: code_version(),
    };
    let ended = evaluate(&request, &mut Bars::new(), &stop).inspect_err(|_| {
        if made {
            // Goes only while it is empty: what a run recorded stays.
            let _ = fs::remove_dir(&out);
        }
    })?;
    let finished = match ended {
        Ended::Finished(finished) => finished,
        Ended::Stopped => {
            eprintln!(
                "stopped: what was recorded is kept; give the same command with --resume --out {} to go on",
                out.display()
            );
            return Ok(Outcome::Stopped(stop.load(Ordering::Relaxed)));
        }
    };
    let wanted = Wanted {
        baseline,
        export: arguments.export,
        json: arguments.json,
        fail_on_error: arguments.fail_on_error,
    };
    wanted.show(&request, &finished)
}

/// What is to be made of a finished run.
struct Wanted {
    baseline: &'static str,
    export: Option<export::Target>,
    json: bool,
    fail_on_error: FailOnError,
}

impl Wanted {
    /// Tables, charts, what failed, and the exit code by policy.
    fn show(self, request: &Request, finished: &RunRecord) -> anyhow::Result<Outcome> {
        let out = &request.out;
        let runs = [Run::open(out)?];
        let exported = self
            .export
            .map_or(Ok(()), |target| export::write(&runs[0], target, None));
        let summary = Summary::from_runs(&runs, self.baseline)?;
        let data = Data::Opened(&request.suites, &request.data);
        let mut pictures = SuitePictures::new(&runs, data);
        let mut document = Document::Evaluation(Evaluation {
            runs: &runs,
            pictures: Some(&mut pictures),
            ..Evaluation::of(&summary)
        });
        let output = Output {
            what: "report",
            folder: Some(&out.join("report")),
            formats: &named_formats(DEFAULT_FORMATS),
            json: self.json,
        };
        let shown = output.show(&mut document);
        eprint!("{}", format_failures(&summary.failures, out));
        eprint!("{}", format_work(request, finished.work.as_ref()));
        if let Some(shard) = request.shard.filter(|_| finished.due() == Some(0)) {
            eprintln!("shard {shard} has no samples: there are fewer pictures than shards");
        }
        eprintln!(
            "run: {} ({} scored, {} failed)",
            out.display(),
            finished.counts.scored,
            finished.counts.failed
        );
        shown.and(exported)?;
        if self.fail_on_error.is_exceeded(&finished.counts) {
            eprintln!(
                "error: {} samples failed (reasons above); --fail-on-error {}",
                finished.counts.failed, self.fail_on_error
            );
            return Ok(Outcome::Failures);
        }
        Ok(Outcome::Clean)
    }
}

/// What a batch size may be.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a whole number from 1 on".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// A time on the command line.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|&seconds: &f64| seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give seconds above 0, for example 60 or 0.5".to_owned())
}

/// How the time was spent, and whether batches had to be made smaller.
fn format_work(request: &Request, work: Option<&WorkRecord>) -> String {
    let Some(work) = work else {
        return String::new();
    };
    let share = 100.0 * work.waited_seconds / work.seconds.max(f64::MIN_POSITIVE);
    let mut text = format!(
        "time: {:.1} s, of which the model waited {share:.1} % for data; the vision tower ran {} times for {} features\n",
        work.seconds, work.towers, work.features
    );
    if work.least_batch < request.batch {
        text += &format!(
            "memory was short: batches of {} became batches of {}\n",
            request.batch, work.least_batch
        );
    }
    text
}

/// The first failures with their whole reason, a line each, and where the others are.
fn format_failures(failures: &[FailedSample], out: &Path) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for failure in failures {
        let kind = failure.error.kind.name();
        *reasons.entry(kind).or_default() += failure.variants.len();
    }
    let mut text = String::new();
    if !reasons.is_empty() {
        let counts = reasons
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"));
        text += &format!(
            "failed by reason: {}\n",
            counts.collect::<Vec<_>>().join(", ")
        );
    }
    for failure in failures.iter().take(MAX_LISTED_FAILURES) {
        text += &format!(
            "failed: {} {} ({}, {}): {}\n",
            failure.suite,
            failure.sample,
            failure.model,
            failure.variants.join(", "),
            failure.error.to_string().trim_end().replace('\n', "\n    ")
        );
    }
    if failures.len() > MAX_LISTED_FAILURES {
        text += &format!(
            "failed: and {} more in {}\n",
            failures.len() - MAX_LISTED_FAILURES,
            out.join("samples.parquet").display()
        );
    }
    text
}

/// The suites of a list, in which `embedded` stands for every one that needs no data, and `all` for every one.
fn selected_suites(names: &[String]) -> anyhow::Result<Vec<&'static Suite>> {
    let mut selected = Vec::new();
    for name in listed("suite", names)? {
        match name {
            "all" => selected.extend(suites()),
            "embedded" => selected.extend(suites().iter().filter(|suite| suite.is_embedded())),
            name => selected.push(named_suite(name)?),
        }
    }
    unique("suite", selected.iter().map(|suite| suite.id.as_str()))?;
    Ok(selected)
}
