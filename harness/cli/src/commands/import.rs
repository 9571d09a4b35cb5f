//! `rave import`: weights of other formats as a checkpoint.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rave_lmm::GenerationKeys;

use super::arguments::ModelArguments;
use crate::Outcome;

/// Help of `--model`.
const MODEL: &str = "Where the vision tower comes from: a built-in model, the folder of a checkpoint, or a hub repository \
                     (`org/name[@revision]`)";

/// Options of `rave import`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    format: Format,
}

/// What is imported.
#[derive(Debug, Subcommand)]
enum Format {
    /// The text decoder, vocabulary and chat format of a llama.cpp file (SmolLM2's kind), with the vision tower and connector of
    /// another checkpoint of the same sizes; quantised blocks become the f32 numbers that they stand for
    #[command(mut_arg("model", |model| model.required(false).default_value("smolvlm-256m-random").help(MODEL)))]
    Gguf {
        /// The file
        #[arg(value_name = "FILE.gguf")]
        file: PathBuf,
        #[command(flatten)]
        model: ModelArguments,
        /// The new checkpoint's folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// `rave import`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Format::Gguf { file, model, out } = &arguments.format;
    model.fetch(GenerationKeys::ALL)?;
    rave_lmm::import::gguf(file, &rave_lmm::resolve(&model.name)?, out)?;
    eprintln!("imported: {} (use it with --model)", out.display());
    Ok(Outcome::Clean)
}
