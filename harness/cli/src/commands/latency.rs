//! `rave latency`: what variants cost in time and memory; and `rave measure-memory`, the process that it starts for each peak.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rave_engine::latency::memory::{ENVIRONMENT, MemoryRequest, measure, unavailable};
use rave_engine::latency::{LatencyObserver, LatencyRequest, latency};
use rave_hints::{refusal, with_hint};
use rave_lmm::{GenerationKeys, ModelInfo};
use rave_methods::Variant;
use rave_reports::Document;
use rave_results::latency::{LatencyRun, LatencySummary};
use rave_results::schema::{Failure, FailureKind};
use rave_results::statistics::Resampling;

use super::arguments::{DeviceArguments, ModelArguments, VariantsArguments};
use super::reporting::{FORMATS_WITHOUT_PAGE, Output, named_formats};
use super::{code_version, command_line, listed, named_variant, print, run_folder};
use crate::Outcome;

/// Help of `--model`.
const MODEL: &str = "A built-in model, the folder of a checkpoint, or a hub repository (`org/name[@revision]`); of a grid (nano) \
                     every variant runs on the checkpoint of standard";
/// Help of `--variant`.
const VARIANT: &str = "Attention variants or preset files (.toml), separated by commas; `all` for every registered one; \
                       standard is always measured";

/// Options of `rave latency`.
#[derive(Debug, Args)]
#[command(
    mut_arg("model", |model| model.required(false).default_value("smolvlm-256m-random").help(MODEL)),
    mut_arg("variant", |variant| variant.help(VARIANT)),
    mut_arg("device", |device| device.help("cpu, cuda or cuda:N; peak memory is measured on a cpu under Linux"))
)]
pub struct Arguments {
    #[command(flatten)]
    pub model: ModelArguments,
    #[command(flatten)]
    pub variants: VariantsArguments,
    /// Visual tokens of the prompts, separated by commas: multiples of what a tile of the model becomes; by default 17 tiles
    /// (1088 of SmolVLM-256M)
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub image_tokens: Option<Vec<usize>>,
    /// Other tokens of the prompts, separated by commas
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "64")]
    pub text_tokens: Vec<usize>,
    /// Tokens of each answer; the first comes out of the prefill, the others are decoded
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub new_tokens: usize,
    /// Time for the rounds of a cell (one pair of image and text tokens); at least five rounds are made
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub seconds: f64,
    /// Time for the untimed runs before them; each variant has at least one
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    pub warmup: f64,
    /// Measure standard once more, against itself: the smallest ratio that this machine can resolve
    #[arg(long)]
    pub check_noise: bool,
    #[command(flatten)]
    pub device: DeviceArguments,
    /// The run's folder; by default `results/runs/local/latency-<time>`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The summary as one JSON document on stdout instead of tables
    #[arg(long)]
    pub json: bool,
}

/// Options of `rave measure-memory`.
#[derive(Debug, Args)]
pub struct MemoryArguments {
    #[arg(long)]
    model: String,
    #[arg(long)]
    variant: String,
    #[arg(long)]
    image_tokens: usize,
    #[arg(long)]
    text_tokens: usize,
    #[arg(long)]
    new_tokens: usize,
    #[command(flatten)]
    device: DeviceArguments,
    /// A RAVE's bias as a tensor of tokens x tokens instead of folded
    #[arg(long)]
    materialise: bool,
}

/// `rave latency`.
pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let budget = duration("seconds", arguments.seconds)?;
    let warmup = duration("warmup", arguments.warmup)?;
    let variants = arguments.variants.selected()?;
    let names = given_names(&arguments.variants.names)?;
    arguments.model.fetch(GenerationKeys::ALL)?;
    let made = arguments.out.is_none();
    let out = run_folder(arguments.out, "latency")?;
    let request = LatencyRequest {
        model: arguments.model.name,
        variants,
        image_tokens: arguments.image_tokens,
        text_tokens: arguments.text_tokens,
        new_tokens: arguments.new_tokens,
        budget,
        warmup,
        check_noise: arguments.check_noise,
        device: arguments.device.device,
        dtype: arguments.device.dtype,
        out: out.clone(),
        command_line: command_line(),
        code: code_version(),
    };
    let in_own_process = |request: &MemoryRequest| peak_in_own_process(request, &names);
    latency(&request, &in_own_process, &mut Progress::new()).inspect_err(|_| {
        if made {
            // Goes only while it is empty: what a run recorded stays.
            let _ = fs::remove_dir(&out);
        }
    })?;
    let run = LatencyRun::open(&out)?;
    let summary = LatencySummary::of(&run, &Resampling::default());
    let output = Output {
        what: "report",
        folder: Some(&out.join("report")),
        formats: &named_formats(FORMATS_WITHOUT_PAGE),
        json: arguments.json,
    };
    let shown = output.show(&mut Document::Latency(&summary));
    eprintln!("run: {} ({} numbers)", out.display(), run.rows.len());
    shown?;
    let failed: Vec<&str> = summary
        .arms
        .iter()
        .filter(|arm| arm.prefill.is_none() || arm.decode.is_none())
        .map(|arm| arm.variant.as_str())
        .collect();
    if !failed.is_empty() {
        eprintln!(
            "error: not measured in some cell: {} (the reasons are above)",
            failed.join(", ")
        );
        return Ok(Outcome::Failures);
    }
    Ok(Outcome::Clean)
}

/// `rave measure-memory`: the peak in bytes on stdout.
pub fn measure_memory(arguments: &MemoryArguments) -> anyhow::Result<Outcome> {
    let peak = measure(&MemoryRequest {
        model: arguments.model.clone(),
        variant: named_variant(&arguments.variant)?,
        image_tokens: arguments.image_tokens,
        text_tokens: arguments.text_tokens,
        new_tokens: arguments.new_tokens,
        dtype: arguments.device.dtype.clone(),
        device: arguments.device.device.clone(),
        materialise: arguments.materialise,
    })?;
    print(&format!("{peak}\n"))?;
    Ok(Outcome::Clean)
}

/// A time that can be waited for.
fn duration(option: &str, seconds: f64) -> anyhow::Result<Duration> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => bail!(refusal(
            format!("--{option} {seconds} is not possible"),
            "give a number of seconds above 0",
        )),
    }
}

/// The name on the command line of each variant that is not `all`'s, by its id: of a preset the path of its file.
fn given_names(names: &[String]) -> anyhow::Result<HashMap<&'static str, String>> {
    let named = listed("variant", names)?.into_iter();
    named
        .filter(|name| *name != "all")
        .map(|name| Ok((named_variant(name)?.id, name.to_owned())))
        .collect()
}

/// Starts this program again for one measurement.
fn peak_in_own_process(
    request: &MemoryRequest,
    names: &HashMap<&'static str, String>,
) -> Result<u64, Failure> {
    let failed = |reason: String| Failure::new(FailureKind::PeakMemory, reason);
    if let Some(reason) = unavailable(&request.device).map_err(|error| failed(error.with_hint()))? {
        return Err(failed(reason.to_owned()));
    }
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let id = request.variant.id;
    let output = Command::new(program)
        .arg("measure-memory")
        .args(["--model", &request.model])
        .args(["--variant", names.get(id).map_or(id, String::as_str)])
        .args(["--image-tokens", &request.image_tokens.to_string()])
        .args(["--text-tokens", &request.text_tokens.to_string()])
        .args(["--new-tokens", &request.new_tokens.to_string()])
        .args(["--dtype", &request.dtype])
        .args(["--device", &request.device])
        .envs(ENVIRONMENT)
        .output()
        .map_err(|error| failed(format!("cannot start another rave: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().parse() {
        Ok(peak) if output.status.success() => Ok(peak),
        _ => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = |word: &str| {
                stderr
                    .lines()
                    .rev()
                    .find_map(|line| line.strip_prefix(word))
            };
            let error = last("error: ").or(stderr.lines().last());
            let message = format!(
                "its process ended with {}: {}",
                output.status,
                error.unwrap_or("it said nothing")
            );
            let hint = last("hint: ").map(str::to_owned);
            Err(failed(with_hint(&message, hint)))
        }
    }
}

/// A line that says what is measured; silent where stderr is no terminal.
struct Progress {
    bar: ProgressBar,
    cell: String,
}

impl Progress {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.set_message("loading the model");
        Self {
            bar,
            cell: String::new(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl LatencyObserver for Progress {
    fn loaded(&mut self, model: &ModelInfo) {
        self.bar
            .println(format!("{}: {} parameters", model.name, model.parameters));
        for note in &model.notes {
            self.bar.println(format!("note: {}: {note}", model.name));
        }
    }

    fn vision(&mut self, image_tokens: usize) {
        self.bar
            .set_message(format!("vision, {image_tokens} tokens"));
    }

    fn cell(&mut self, image_tokens: usize, text_tokens: usize, arms: usize) {
        self.cell = format!("{image_tokens} + {text_tokens} tokens, {arms} in turn");
        self.bar.set_message(format!("{}: warming up", self.cell));
    }

    fn rounds(&mut self, rounds: u32) {
        self.bar
            .set_message(format!("{}: {rounds} rounds", self.cell));
    }

    fn memory(&mut self, variant: &Variant) {
        self.bar
            .set_message(format!("{}: memory of {}", self.cell, variant.id));
    }

    fn cell_done(&mut self) {
        self.bar.println(format!("{}: done", self.cell));
    }
}
