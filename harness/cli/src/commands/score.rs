//! `rave score`: predictions in, scores out, a line each; the mean on stderr. Works on any harness's predictions.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use rave_benchmarks::{Metric, score_line, suite};

use crate::Outcome;

/// Options of `rave score`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["suite", "metric"])))]
pub struct Arguments {
    /// Score with the metric of this suite
    #[arg(long)]
    pub suite: Option<String>,
    /// Score with the metric of this id
    #[arg(long, value_name = "anls|relaxed_accuracy|vqa_accuracy|ocrbench|mtvqa")]
    pub metric: Option<String>,
    /// One JSON object a line: {"id"?, "dataset"?, "prediction", "answers"}; - for stdin
    #[arg(long, value_name = "FILE.jsonl")]
    pub predictions: PathBuf,
}

/// `rave score`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let metric = match (&arguments.suite, &arguments.metric) {
        (Some(id), _) => suite(id)?.metric,
        (None, Some(id)) => Metric::from_id(id)?,
        (None, None) => bail!("give --suite or --metric"),
    };
    let name = arguments.predictions.display().to_string();
    let reader: Box<dyn BufRead> = if name == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(&arguments.predictions).with_context(|| {
            format!("cannot read {name} (give a file of predictions, or - for stdin)")
        })?;
        Box::new(BufReader::new(file))
    };
    let mut output = io::stdout().lock();
    let (mut sum, mut count) = (0.0, 0_usize);
    for (number, line) in reader.lines().enumerate() {
        let line =
            line.with_context(|| format!("cannot read {name} (text in UTF-8 is expected)"))?;
        let Some(scored) = score_line(metric, &line, number + 1).with_context(|| name.clone())?
        else {
            continue;
        };
        sum += scored.score;
        count += 1;
        writeln!(
            output,
            "{}",
            serde_json::to_string(&scored).context("a score as JSON")?
        )?;
    }
    if count == 0 {
        bail!("{name} holds no predictions; one JSON object a line is expected");
    }
    eprintln!(
        "{metric}: {:.4} over {count} predictions",
        sum / count as f64
    );
    Ok(Outcome::Clean)
}
