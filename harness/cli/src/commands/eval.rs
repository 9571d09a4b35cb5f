//! `rave eval`: the main job.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use rave_benchmarks::{Suite, suite, suites};
use rave_engine::{FailOnError, Request, evaluate};
use rave_methods::{REGISTRY, Variant, variant};
use rave_reports::Format;
use rave_results::schema::CodeVersion;
use rave_results::{Run, Summary};

use super::report;
use crate::Outcome;
use crate::progress::Bars;

/// Options of `rave eval`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Models, separated by commas: built-in names or folders of checkpoints
    #[arg(long, value_delimiter = ',', required = true)]
    pub model: Vec<String>,
    /// Attention variants, separated by commas; `all` for every one
    #[arg(long, value_delimiter = ',', default_value = "standard,rave")]
    pub variant: Vec<String>,
    /// Suites, separated by commas; `embedded` for every suite that needs no data
    #[arg(long, value_delimiter = ',', default_value = "embedded")]
    pub suite: Vec<String>,
    /// A local copy of a hub data repository, or a folder that holds several by repository name
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// At most N samples of each suite
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Seed of variants at their initial values
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute type: f32, bf16 or f16
    #[arg(long, value_name = "D", default_value = "f32")]
    pub dtype: String,
    /// Trained weights for the one trained variant; otherwise those beside the checkpoint are taken
    #[arg(long, value_name = "FILE.safetensors")]
    pub adapter: Option<PathBuf>,
    /// The run's folder; by default results/runs/local/eval-<time>
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the interrupted run in --out
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Exit with 1 when samples failed: never, any, or more than this fraction of them
    #[arg(long, value_name = "never|any|FRACTION", default_value = "any")]
    pub fail_on_error: FailOnError,
    /// The summary as one JSON document on stdout instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `rave eval`.
pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    if arguments.limit == Some(0) {
        bail!("--limit 0 would evaluate nothing");
    }
    let variants = chosen_variants(&arguments.variant)?;
    let suites = chosen_suites(&arguments.suite)?;
    unique("model", arguments.model.iter().map(String::as_str))?;
    let out = arguments.out.unwrap_or_else(|| {
        PathBuf::from("results/runs/local").join(format!(
            "eval-{}",
            jiff::Zoned::now().strftime("%Y%m%d-%H%M%S")
        ))
    });
    let baseline = variants
        .iter()
        .find(|variant| variant.id == "standard")
        .unwrap_or(&variants[0])
        .id;
    let request = Request {
        models: arguments.model,
        variants,
        suites,
        data: arguments.data,
        limit: arguments.limit,
        seed: arguments.seed,
        device: arguments.device,
        dtype: arguments.dtype,
        adapter: arguments.adapter,
        out: out.clone(),
        resume: arguments.resume,
        // Not the binary's own path: a published record names no folder of the machine that made it.
        command_line: std::iter::once("rave".to_owned())
            .chain(std::env::args().skip(1))
            .collect(),
        code: CodeVersion {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("RAVE_COMMIT").map(Into::into),
        },
    };
    let finished = evaluate(&request, &mut Bars::new())?;
    let summary = Summary::from_runs(&[Run::open(&out)?], baseline)?;
    report::show(
        &summary,
        &[Format::Markdown, Format::Csv, Format::Svg, Format::Png],
        &out.join("report"),
        arguments.json,
    )?;
    eprintln!(
        "run: {} ({} scored, {} failed)",
        out.display(),
        finished.counts.scored,
        finished.counts.failed
    );
    if arguments.fail_on_error.is_exceeded(&finished.counts) {
        eprintln!(
            "error: {} samples failed (reasons above); --fail-on-error {}",
            finished.counts.failed, arguments.fail_on_error
        );
        return Ok(Outcome::Failures);
    }
    Ok(Outcome::Clean)
}

pub(super) fn chosen_variants(names: &[String]) -> anyhow::Result<Vec<&'static Variant>> {
    if names == ["all"] {
        return Ok(REGISTRY.iter().collect());
    }
    let chosen = names
        .iter()
        .map(|name| variant(name))
        .collect::<Result<Vec<_>, _>>()?;
    unique("variant", chosen.iter().map(|variant| variant.id))?;
    Ok(chosen)
}

fn chosen_suites(names: &[String]) -> anyhow::Result<Vec<&'static Suite>> {
    if names == ["embedded"] {
        return Ok(suites()
            .iter()
            .filter(|suite| suite.is_embedded())
            .collect());
    }
    let chosen = names
        .iter()
        .map(|name| suite(name))
        .collect::<Result<Vec<_>, _>>()?;
    unique("suite", chosen.iter().map(|suite| suite.id.as_str()))?;
    Ok(chosen)
}

/// Refuses a list that names something twice: its samples would be counted twice.
fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            bail!("--{what} names `{name}` twice");
        }
    }
    Ok(())
}
