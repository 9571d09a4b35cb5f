//! `rave generate`: one question about a picture or several, with one attention variant.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use rave_lmm::{Generation, GenerationOptions, Model, Prompt, write_tensors};
use serde_json::json;

use super::arguments::{ModelArguments, QuestionArguments, VariantArguments, read_picture};
use super::{print, print_json};
use crate::Outcome;

/// Options of `rave generate`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub model: ModelArguments,
    #[command(flatten)]
    pub variant: VariantArguments,
    /// The picture: PNG, JPEG, WebP, GIF, BMP or TIFF; may be given several times; left out, the model is asked without one
    #[arg(long, value_name = "F")]
    pub image: Vec<PathBuf>,
    /// The question
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    #[command(flatten)]
    pub question: QuestionArguments,
    /// Write the prompt's logits, "logits" of shape (T, vocabulary) in f32
    #[arg(long, value_name = "FILE.safetensors")]
    pub logits: Option<PathBuf>,
    /// One JSON document: `input_ids`, `generated_ids`, text, what of the generation config was followed, timings, `cache_bytes`
    #[arg(long)]
    pub json: bool,
}

/// `rave generate`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let variant = arguments.variant.named()?;
    let question = &arguments.question;
    let options = question.load_options()?;
    let pictures = arguments
        .image
        .iter()
        .map(|path| read_picture(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    arguments.model.fetch(question.answer.ignored())?;
    let model = Model::load_for(&arguments.model.name, variant.id, question.seed, options)?;
    let built = model.build(
        variant,
        question.seed.unwrap_or(0),
        question.answer.adapter.as_deref(),
    )?;
    for note in &model.info().notes {
        eprintln!("note: {note}");
    }
    if model.info().untrained {
        eprintln!(
            "note: {} has seeded random weights; its answer means nothing",
            arguments.model.name
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
        max_new_tokens: question.max_new_tokens,
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
