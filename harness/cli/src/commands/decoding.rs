//! The option that all commands share which let a model answer.

use clap::Args;
use rave_lmm::{GenerationKey, GenerationKeys};

/// What of a checkpoint's generation config is followed.
#[derive(Debug, Args)]
pub struct DecodingArguments {
    /// Answer as if the checkpoint's `generation_config.json` had not these keys, separated by commas: of a run that is refused for
    /// one, or to compare. All others are followed as transformers' greedy generate does; the record says which
    #[arg(long, value_name = "KEY", value_delimiter = ',', value_parser = key)]
    ignore_generation_config: Vec<GenerationKey>,
}

impl DecodingArguments {
    /// The keys that are not to be followed.
    pub fn ignored(&self) -> GenerationKeys {
        self.ignore_generation_config.iter().copied().collect()
    }
}

/// A key by its name; clap has one text for what is wrong with it.
fn key(name: &str) -> Result<GenerationKey, String> {
    name.parse()
        .map_err(|error: rave_lmm::Error| error.with_hint())
}
