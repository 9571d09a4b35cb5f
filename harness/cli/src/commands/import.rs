//! `rave import`: weights of other formats as a checkpoint.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rave_lmm::GenerationKeys;

use super::hub::HubArguments;
use crate::Outcome;

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
    Gguf {
        /// The file
        #[arg(value_name = "FILE.gguf")]
        file: PathBuf,
        /// Where the vision tower comes from: a built-in model, the folder of a checkpoint, or a hub repository (org/name[@revision])
        #[arg(long, default_value = "smolvlm-256m-random")]
        model: String,
        #[command(flatten)]
        hub: HubArguments,
        /// The new checkpoint's folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// `rave import`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Format::Gguf {
        file,
        model,
        hub,
        out,
    } = &arguments.format;
    hub.models([model.as_str()], GenerationKeys::ALL)?;
    rave_lmm::import::gguf(file, &rave_lmm::resolve(model)?, out)?;
    eprintln!("imported: {} (use it with --model)", out.display());
    Ok(Outcome::Clean)
}
