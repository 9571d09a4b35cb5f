//! `rave suites`: the benchmark suites, with one line each, or pictures of the embedded ones.

use clap::Args;
use rave_benchmarks::suites;

use super::{print_json, print_table};
use crate::Outcome;

/// Options of `rave suites`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// One JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `rave suites`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.json {
        print_json(&suites())?;
        return Ok(Outcome::Clean);
    }
    let rows = suites().iter().map(|suite| {
        [
            suite.id.clone(),
            suite.version.to_string(),
            suite.items.to_string(),
            suite.metric.to_string(),
            if suite.is_embedded() {
                "embedded".to_owned()
            } else {
                suite.repositories.join(", ")
            },
            suite.description.clone(),
        ]
    });
    print_table(
        ["suite", "version", "items", "metric", "data", "what it is"],
        rows,
    )?;
    Ok(Outcome::Clean)
}
