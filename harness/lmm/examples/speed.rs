//! Our side of `tools/compare_transformers_speed.py`: a model that stays loaded and measures a part of its work whenever it is told to.
//!
//! `speed MODEL PICTURE DTYPE TEXT NEW VARIANT[,VARIANT..]`: the prompt is the picture and TEXT other tokens, answers have NEW tokens.
//! The first line on stdout is the checkpoint and the prompt, `{"folder", "ids", "visual", "threads"}`; then each line on stdin is answered by one:
//!
//! - `vision`: tower and connector, `{"vision"}` in seconds;
//! - `answer`: the decoder with the first variant, given the vision side, `{"prefill", "decode", "ids"}`;
//! - `sample N`: everything from the picture's file to the answers of the first N variants, `{"sample", "ids"}`. What does not
//!   depend on the variant is computed once, as in `rave eval`, though nothing here runs beside the model.

use std::error::Error;
use std::io::BufRead as _;
use std::time::Instant;

use rave_lmm::{Generation, GenerationOptions, ImageEmbeds, LoadOptions, Model, Prompt, decode};
use rave_methods::{Attention, Build, noise, variant};
use serde_json::{Value, json};

/// Asked of the picture; its end is cut off where the prompt would be longer than is wanted.
const QUESTION: &str =
    "What is written here? Answer with the words alone, in the order in which they stand.";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let side = Side::open(&arguments)?;
    let prompt = side.prompt()?;
    let embeds = side.model.encode_image(&prompt)?;
    println!(
        "{}",
        json!({
            "folder": side.model.info().folder, "ids": prompt.ids, "visual": prompt.visual_tokens(),
            "threads": tch::get_num_threads(),
        })
    );
    for line in std::io::stdin().lock().lines() {
        println!("{}", side.measure(line?.trim(), &prompt, &embeds)?);
    }
    Ok(())
}

struct Side {
    model: Model,
    /// With parameters that are no identity, so that none has the shortcut of a zero.
    attentions: Vec<Box<dyn Attention>>,
    /// Path of the picture.
    picture: String,
    /// Tokens of the prompt beside the visual ones.
    text: usize,
    options: GenerationOptions,
}

impl Side {
    fn open(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let [model, picture, dtype, text, new, variants] = arguments else {
            return Err("wanted: MODEL PICTURE DTYPE TEXT NEW VARIANT[,VARIANT..]".into());
        };
        let options = LoadOptions::named("cpu", dtype)?;
        let model = Model::load(model, options)?;
        let build = Build {
            geometry: model.info().geometry,
            device: options.device,
            kind: options.kind,
            seed: 0,
        };
        let attentions = variants.split(',').map(|id| {
            let attention = variant(id)?.build(&build)?;
            noise::disturb(attention.as_ref(), 1)?;
            Ok(attention)
        });
        Ok(Self {
            attentions: attentions.collect::<Result<_, rave_methods::Error>>()?,
            model,
            picture: picture.clone(),
            text: text.parse()?,
            options: GenerationOptions {
                max_new_tokens: new.parse()?,
                stop_at_end: false,
                deadline: None,
            },
        })
    }

    /// Reads the picture and makes the prompt, of which only the first [`Self::text`] tokens that are not visual stay.
    fn prompt(&self) -> Result<Prompt, Box<dyn Error>> {
        let picture = decode(&std::fs::read(&self.picture)?, &self.picture)?;
        let mut prompt = self.model.processor().prepare(&[&picture], QUESTION)?;
        let mut others = 0;
        let tokens = prompt
            .ids
            .iter()
            .copied()
            .zip(prompt.visual.iter().copied());
        (prompt.ids, prompt.visual) = tokens
            .filter(|(_, visual)| {
                others += usize::from(!visual);
                *visual || others <= self.text
            })
            .unzip();
        if others < self.text {
            return Err(
                format!("the prompt has but {others} tokens beside the visual ones").into(),
            );
        }
        Ok(prompt)
    }

    fn answer(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        embeds: &ImageEmbeds,
    ) -> Result<Generation, rave_lmm::Error> {
        self.model
            .generate(attention, prompt, embeds, &self.options)
    }

    fn measure(
        &self,
        what: &str,
        prompt: &Prompt,
        embeds: &ImageEmbeds,
    ) -> Result<Value, Box<dyn Error>> {
        let start = Instant::now();
        if what == "vision" {
            self.model.encode_image(prompt)?;
            return Ok(json!({ "vision": start.elapsed().as_secs_f64() }));
        }
        if what == "answer" {
            let answer = self.answer(self.attentions[0].as_ref(), prompt, embeds)?;
            let (prefill, decode) = (answer.timings.prefill, answer.timings.decode);
            return Ok(json!({
                "prefill": prefill.as_secs_f64(), "decode": decode.as_secs_f64(), "ids": answer.ids,
            }));
        }
        let Some(variants) = what.strip_prefix("sample ") else {
            return Err(format!("`{what}` is not vision, answer or sample N").into());
        };
        let prompt = self.prompt()?;
        let embeds = self.model.encode_image(&prompt)?;
        let mut ids = Vec::new();
        for attention in self.attentions.iter().take(variants.parse()?) {
            ids.push(self.answer(attention.as_ref(), &prompt, &embeds)?.ids);
        }
        Ok(json!({ "sample": start.elapsed().as_secs_f64(), "ids": ids }))
    }
}
