//! `rave generate`: one question about a picture or several, with one attention variant.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use rave_hints::refusal;
use rave_lmm::{Generation, GenerationOptions, LoadOptions, Model, Prompt, decode, write_tensors};
use serde_json::json;

use super::decoding::DecodingArguments;
use super::hub::HubArguments;
use super::{named_variant, print, print_json};
use crate::Outcome;

/// Options of `rave generate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A built-in model, the folder of a checkpoint, or a hub repository (org/name[@revision])
    #[arg(long)]
    pub model: String,
    #[command(flatten)]
    pub hub: HubArguments,
    /// The attention variant, or a preset file (.toml)
    #[arg(long, default_value = "standard")]
    pub variant: String,
    /// The picture: PNG, JPEG, WebP, GIF, BMP or TIFF; may be given several times; left out, the model is asked without one
    #[arg(long, value_name = "F")]
    pub image: Vec<PathBuf>,
    /// The question
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// Most tokens to generate
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub max_new_tokens: usize,
    /// Compute type: f32, bf16 or f16
    #[arg(long, value_name = "D", default_value = "f32")]
    pub dtype: String,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,
    #[command(flatten)]
    pub decoding: DecodingArguments,
    /// Trained weights of the variant; otherwise those beside the checkpoint are taken
    #[arg(long, value_name = "FILE.safetensors")]
    pub adapter: Option<PathBuf>,
    /// Of a grid of checkpoints the seed to take, by default its first; else the seed of a variant at its initial values
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write the prompt's logits, "logits" of shape (T, vocabulary) in f32
    #[arg(long, value_name = "FILE.safetensors")]
    pub logits: Option<PathBuf>,
    /// One JSON document: `input_ids`, `generated_ids`, text, what of the generation config was followed, timings, `cache_bytes`
    #[arg(long)]
    pub json: bool,
}

/// `rave generate`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let variant = named_variant(&arguments.variant)?;
    let options = LoadOptions::named(&arguments.device, &arguments.dtype)?
        .without(arguments.decoding.ignored());
    let pictures = arguments
        .image
        .iter()
        .map(|path| {
            let bytes = fs::read(path).with_context(|| {
                refusal(
                    format!("cannot read {}", path.display()),
                    "check the path and its permissions",
                )
            })?;
            Ok(decode(&bytes, &path.display().to_string())?)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    arguments
        .hub
        .models([arguments.model.as_str()], arguments.decoding.ignored())?;
    let model = Model::load_for(&arguments.model, variant.id, arguments.seed, options)?;
    let built = model.build(
        variant,
        arguments.seed.unwrap_or(0),
        arguments.adapter.as_deref(),
    )?;
    for note in &model.info().notes {
        eprintln!("note: {note}");
    }
    if model.info().untrained {
        eprintln!(
            "note: {} has seeded random weights; its answer means nothing",
            arguments.model
        );
    } else if variant.is_trained() && built.adapter.is_none() {
        eprintln!(
            "note: {} has no trained weights here (--adapter), so it answers as standard does",
            variant.id
        );
    }
    let pictures: Vec<_> = pictures.iter().collect();
    let prompt = model.processor().prepare(&pictures, &arguments.prompt)?;
    let features = model.encode_image(&prompt)?;
    let options = GenerationOptions {
        max_new_tokens: arguments.max_new_tokens,
        stop_at_end: true,
        deadline: None,
    };
    let generation = model.generate(built.attention.as_ref(), &prompt, &features, &options)?;
    // The answer first: a file that cannot be written does not lose it.
    answer(arguments, &model, &prompt, &generation)?;
    if let Some(path) = &arguments.logits {
        let logits = model.logits(built.attention.as_ref(), &prompt, &features, &[])?;
        write_tensors(path, &[("logits".to_owned(), logits)], &BTreeMap::new())?;
    }
    Ok(Outcome::Clean)
}

/// Prints the answer, as text or as one JSON document.
fn answer(
    arguments: &Arguments,
    model: &Model,
    prompt: &Prompt,
    generation: &Generation,
) -> anyhow::Result<()> {
    if !arguments.json {
        return print(&format!("{}\n", generation.text));
    }
    let followed = &model.info().generation;
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    print_json(&json!({
        "input_ids": prompt.ids,
        "generated_ids": generation.ids,
        "text": generation.text,
        "generation_config": {
            "file": followed.file,
            "applied": followed.applied,
            "ignored": followed.ignored,
            "unknown": followed.unknown,
        },
        "timings": {
            "vision_ms": milliseconds(generation.timings.vision),
            "prefill_ms": milliseconds(generation.timings.prefill),
            "decode_ms": milliseconds(generation.timings.decode),
        },
        "cache_bytes": generation.cache_bytes,
    }))
}
