//! `rave score`: predictions in, scores out, a line each; the suite's score on stderr. Works on any harness's predictions.

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use rave_benchmarks::predictions::{Format, Missing, Tally, match_with, read, score};
use rave_benchmarks::{Average, METRICS, Metric, Suite};
use rave_hints::refusal;

use super::arguments::choice;
use super::{named_suite, print};
use crate::Outcome;

/// Options of `rave score`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["suite", "metric"])))]
pub struct Arguments {
    /// Score with the metric of this suite, or of one in a file (suite.toml, or its folder)
    #[arg(long)]
    pub suite: Option<String>,
    /// Score with the metric of this id
    #[arg(long, value_parser = metric_parser())]
    pub metric: Option<Metric>,
    /// Predictions: JSON objects {"id"?, "dataset"?, "category"?, "prediction", "answers"}, one a line, or lmms-eval's samples;
    /// .json with a list of them; .csv or .tsv with such columns (VLMEvalKit: `PRED_FORMAT=tsv`); - for JSON lines on stdin
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// Take the answers from the suite's data instead of from the predictions, which then need an id (or `doc_id`, as lmms-eval writes)
    #[arg(long, value_name = "DIR", requires = "suite")]
    pub data: Option<PathBuf>,
    /// Another split of the data than the suite names
    #[arg(long, value_name = "NAME", requires = "data")]
    pub split: Option<String>,
    /// What becomes of samples of the data without a prediction
    #[arg(long, default_value = "skip", requires = "data", value_parser = choice::<Missing>())]
    pub missing: Missing,
}

/// Reads the id of a metric.
fn metric_parser() -> impl TypedValueParser<Value = Metric> {
    let names = METRICS
        .iter()
        .map(|metric| PossibleValue::new(metric.id()).help(metric.description()));
    PossibleValuesParser::new(names).try_map(|id| id.parse::<Metric>())
}

/// `rave score`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let suite = arguments.suite.as_deref().map(named_suite).transpose()?;
    let (metric, average) = match (suite, arguments.metric) {
        (Some(suite), _) => (suite.metric, suite.average),
        (None, Some(metric)) => (metric, Average::Items),
        (None, None) => bail!(refusal(
            "nothing says how to score",
            "give --suite or --metric",
        )),
    };
    let name = arguments.predictions.display().to_string();
    let mut predictions = if name == "-" {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .context(refusal("cannot read stdin", "give text in UTF-8"))?;
        read(Format::Jsonl, &text)
    } else {
        let format = Format::of(&arguments.predictions)?;
        let text = fs::read_to_string(&arguments.predictions).with_context(|| {
            refusal(
                format!("cannot read {name}"),
                "give a file of predictions, text in UTF-8, or - for stdin",
            )
        })?;
        read(format, &text)
    }
    .with_context(|| name.clone())?;
    let mut absent = None;
    let mut whole = suite.and_then(|suite| suite.items);
    if let (Some(suite), Some(data)) = (suite, &arguments.data) {
        let dataset = match &arguments.split {
            Some(split) => suite.open_split(Some(data), split)?,
            None => suite.open(Some(data))?,
        };
        let (matched, without) =
            match_with(&dataset, predictions, arguments.missing).with_context(|| name.clone())?;
        predictions = matched;
        absent = Some((dataset.len(), without));
        whole = dataset.size_hint_full();
    }
    if average == Average::Categories
        && let Some(bare) = predictions.iter().find(|own| own.category.is_none())
    {
        bail!(refusal(
            format!(
                "{name}: line {} has no `category`, and this suite's score is a mean over categories",
                bare.line
            ),
            "add them, or take them from the data with --data DIR",
        ));
    }
    let tally = score(metric, average, &predictions).with_context(|| name.clone())?;
    let Some(value) = tally.score else {
        bail!(refusal(
            format!("{name} holds no predictions"),
            "give one JSON object a line; to score every sample of the data as an empty answer: --data DIR --missing zero",
        ));
    };
    let mut lines = String::new();
    for scored in &tally.scores {
        lines += &serde_json::to_string(scored).context("a score as JSON")?;
        lines.push('\n');
    }
    print(&lines)?;
    eprintln!(
        "{metric}: {value:.4} over {} predictions{}",
        tally.scores.len(),
        match average {
            Average::Categories if !tally.categories.is_empty() =>
                format!(", the mean of {} categories", tally.categories.len()),
            _ => String::new(),
        }
    );
    eprint!(
        "{}",
        remarks(&tally, suite, whole, absent, arguments.missing)
    );
    Ok(Outcome::Clean)
}

/// What else there is to say of a score: categories, samples without prediction, and whether this is the whole suite.
fn remarks(
    tally: &Tally,
    suite: Option<&Suite>,
    whole: Option<usize>,
    absent: Option<(usize, usize)>,
    missing: Missing,
) -> String {
    let mut text = String::new();
    for (category, mean, count) in &tally.categories {
        text += &format!("  {category}: {mean:.4} over {count}\n");
    }
    if let Some((all, without @ 1..)) = absent {
        text += &match missing {
            Missing::Skip => format!(
                "{without} of the data's {all} samples have no prediction and are left out (--missing zero scores them)\n"
            ),
            Missing::Zero => format!(
                "{without} of the data's {all} samples have no prediction, and each is scored as an empty answer\n"
            ),
        };
    }
    if let Some(suite) = suite
        && let Some(items) = whole
        && items != tally.scores.len()
        && !suite.is_embedded()
    {
        text += &format!(
            "{} of {items} items: not a score of the whole {}\n",
            tally.scores.len(),
            suite.title
        );
    }
    text
}
