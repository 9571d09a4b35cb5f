//! `rave merge`: the shards of one run as that run.

use std::path::PathBuf;

use clap::Args;
use rave_engine::run_name;
use rave_results::merge;

use super::command_line;
use crate::Outcome;

/// Options of `rave merge`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folders of all shards, finished and in any order
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The folder of the merged run: what it holds is what one run without --shard would have recorded, times apart
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `rave merge`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let out = &arguments.out;
    let merged = merge(&arguments.runs, out, run_name(out), command_line())?;
    eprintln!(
        "run: {} ({} shards, {} scored, {} failed); tables and charts: rave report {0}",
        out.display(),
        merged.merged_from.len(),
        merged.counts.scored,
        merged.counts.failed
    );
    Ok(Outcome::Clean)
}
