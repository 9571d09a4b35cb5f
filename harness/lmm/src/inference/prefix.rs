//! Questions on the same pictures share their prompts' beginning: its keys and values are computed once a variant, by
//! themselves, and then serve every question. Each question's bits are the same whichever came before it; against a run
//! without a shared beginning the products have other shapes, and the logits other last bits.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rave_methods::Attention;
use tch::Tensor;

use crate::inference::input::InputEmbeds;
use crate::nn::decoder::Pass;
use crate::nn::kv_cache::KvCache;
use crate::{Error, ImageEmbeds, Model, PictureLayout, Prompt};

/// What the decoder has stored of a prompt up to its last visual token, under one attention of one model.
#[derive(Debug)]
pub struct Prefix {
    /// Keys `[1, G, P, K]` and values `[1, G, P, D]` of every layer.
    pub(crate) cache: KvCache,
    /// The same storage as the caller's.
    pub(crate) image_embeds: ImageEmbeds,
    /// P of them.
    ids: Vec<i64>,
    rotary: Option<Vec<[i64; 3]>>,
    pictures: Vec<PictureLayout>,
    /// Tokens of the longest prompt whose beginning it is.
    longest: usize,
    elapsed: Duration,
}

impl Prefix {
    /// Its number of tokens, P.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Bytes of its keys and values.
    pub fn bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// How long the decoder took for it. No [`Timings`](crate::Timings) of an answer count it.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether a prompt begins with it: the same tokens at the same rotary places, with pictures of the same sizes and cut. That
    /// their pixels are the same is for the caller to know, who gave the image embeddings (by the pictures' content, say).
    pub fn fits(&self, prompt: &Prompt) -> bool {
        let own = self.ids.len();
        prompt.prefix_len() == own
            && prompt.ids.len() <= self.longest
            && prompt.ids[..own] == self.ids
            && prompt.rotary.as_ref().map(|rows| &rows[..own]) == self.rotary.as_deref()
            && prompt.pictures == self.pictures
    }
}

impl Prompt {
    /// Number of tokens up to the last visual one, which prompts on the same pictures share whatever they ask; 0 without a
    /// picture, and where no text follows it.
    pub fn prefix_len(&self) -> usize {
        let last = self.visual.iter().rposition(|&visual| visual);
        let length = last.map_or(0, |last| last + 1);
        if length < self.ids.len() { length } else { 0 }
    }
}

impl Model {
    /// Runs the decoder over a prompt up to its last visual token, for all prompts that [begin alike](Prefix::fits).
    ///
    /// # Errors
    /// [`Error::Prefix`] for an attention under which the beginning depends on what follows, and for a prompt without a picture;
    /// [`Error::Deadline`]; LibTorch's own errors.
    pub fn prefix(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        image_embeds: &ImageEmbeds,
        deadline: Option<Instant>,
    ) -> Result<Prefix, Error> {
        let length = prompt.prefix_len();
        if !attention.reuses_prefix() {
            return Err(Error::Prefix(
                "what this variant makes of a prompt's beginning depends on what follows it",
            ));
        }
        if length == 0 {
            return Err(Error::Prefix(
                "the prompt has no picture with a question after it",
            ));
        }
        let start = Instant::now();
        let decoder = self.decoder();
        let tokens = Rc::new(self.tokens(&[prompt], &[&[]], true).first(length));
        let ids = Tensor::f_from_slice(&prompt.ids[..length])?
            .f_unsqueeze(0)?
            .f_to_device(decoder.options().1)?;
        let mut cache = KvCache::new(decoder.geometry().layers, 0);
        tch::no_grad(|| {
            let InputEmbeds {
                embeddings,
                deepstack,
            } = self.embed(&ids, &tokens, image_embeds.output.as_ref())?;
            let pass = Pass {
                deadline,
                ..Pass::new(attention, Some(Rc::clone(&tokens)), &deepstack)
            };
            // The hidden states are of no use: what follows sees keys and values.
            decoder
                .forward(&embeddings, Some(&mut cache), pass)
                .map(drop)
        })?;
        self.finish();
        Ok(Prefix {
            cache,
            image_embeds: image_embeds.shallow_clone(),
            ids: prompt.ids[..length].to_vec(),
            rotary: prompt.rotary.as_ref().map(|rows| rows[..length].to_vec()),
            pictures: prompt.pictures.clone(),
            longest: decoder.longest_shared(),
            elapsed: start.elapsed(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use image::RgbImage;
    use rave_methods::noise::disturb;
    use rave_methods::{REGISTRY, variant};

    use super::*;
    use crate::{GenerationOptions, LoadOptions};

    const QUESTIONS: [&str; 4] = [
        "Read it.",
        "What stands in the third row of the table, and what does it cost?",
        "?",
        "Who wrote this, and when?",
    ];

    const OPTIONS: GenerationOptions = GenerationOptions {
        max_new_tokens: 4,
        stop_at_end: false,
        deadline: None,
    };

    fn open(name: &str) -> (Model, Vec<Prompt>) {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name);
        let name = if fixture.join("config.json").is_file() {
            fixture.to_str().unwrap()
        } else {
            name
        };
        let model = Model::load(name, LoadOptions::default()).unwrap();
        let prompts = QUESTIONS.map(|question| prompt(&model, question));
        (model, prompts.into())
    }

    fn prompt(model: &Model, question: &str) -> Prompt {
        let picture = RgbImage::from_fn(90, 56, |x, y| {
            image::Rgb([(3 * x) as u8, (5 * y) as u8, 90])
        });
        model.processor().prepare(&[&picture], question).unwrap()
    }

    fn logits(
        model: &Model,
        attention: &dyn Attention,
        prompts: &[&Prompt],
        image_embeds: &ImageEmbeds,
        prefix: Option<&Prefix>,
    ) -> Tensor {
        let image_embeds = vec![image_embeds; prompts.len()];
        let input = model.input(prompts, &image_embeds, prefix).unwrap();
        tch::no_grad(|| model.prefill(attention, &input, &OPTIONS))
            .unwrap()
            .1
    }

    /// In every family, under every variant that says so: the logits after a shared beginning are those of the whole prompt, of
    /// each question alone and of all in one batch.
    #[test]
    fn logits_after_a_shared_beginning_are_those_of_the_whole_prompt() {
        let mut most: f64 = 0.0;
        for name in [
            "nano",
            "smolvlm_new",
            "smolvlm_old",
            "llava",
            "llava_onevision",
            "qwen2_vl",
            "qwen2_5_vl",
            "qwen3_vl",
        ] {
            let (model, prompts) = open(name);
            let image_embeds = model.encode_image(&prompts[0]).unwrap();
            for variant in REGISTRY {
                let built = model.build(variant, 5, None).unwrap();
                let attention = built.attention.as_ref();
                disturb(attention, 11).unwrap();
                if !attention.reuses_prefix() {
                    continue;
                }
                let prefix = model
                    .prefix(attention, &prompts[0], &image_embeds, None)
                    .unwrap();
                assert!(prefix.tokens() > 0 && prefix.bytes() > 0);
                let all: Vec<_> = prompts.iter().collect();
                let batched = logits(&model, attention, &all, &image_embeds, Some(&prefix));
                for (prompt, row) in prompts.iter().zip(0..) {
                    let whole = logits(&model, attention, &[prompt], &image_embeds, None);
                    let alone = logits(&model, attention, &[prompt], &image_embeds, Some(&prefix));
                    let size = f64::try_from(whole.abs().max()).unwrap();
                    for after in [alone.get(0), batched.get(row)] {
                        let off = f64::try_from((after - whole.get(0)).abs().max()).unwrap() / size;
                        assert!(off < 1e-4, "{} on {name}: off by {off:.1e}", variant.id);
                        most = most.max(off);
                    }
                }
            }
        }
        println!("logits within {most:.1e} relative");
    }

    /// A prefix has the same bits whichever question it was made from, and so have the answers' logits.
    #[test]
    fn the_question_that_a_prefix_is_made_from_changes_no_bit() {
        for name in ["nano", "qwen3_vl"] {
            let (model, prompts) = open(name);
            let image_embeds = model.encode_image(&prompts[0]).unwrap();
            for id in [
                "standard",
                "rave",
                "vaf",
                "adapt-vis",
                "learned-sink",
                "dape",
            ] {
                let built = model.build(variant(id).unwrap(), 5, None).unwrap();
                let attention = built.attention.as_ref();
                disturb(attention, 11).unwrap();
                let of = |prompt| {
                    let prefix = model
                        .prefix(attention, prompt, &image_embeds, None)
                        .unwrap();
                    logits(
                        &model,
                        attention,
                        &[&prompts[1]],
                        &image_embeds,
                        Some(&prefix),
                    )
                };
                let first = of(&prompts[0]);
                for other in &prompts[1..] {
                    assert!(of(other).equal(&first), "{id} on {name}");
                }
            }
        }
    }

    /// Batches of the same prompts give the same bits each time, whole and after a prefix.
    #[test]
    fn the_same_batch_gives_the_same_bits() {
        let (model, prompts) = open("nano");
        let image_embeds = model.encode_image(&prompts[0]).unwrap();
        let all: Vec<_> = prompts.iter().collect();
        for id in ["standard", "rave", "vis-sink"] {
            let built = model.build(variant(id).unwrap(), 5, None).unwrap();
            let attention = built.attention.as_ref();
            disturb(attention, 11).unwrap();
            let prefix = model
                .prefix(attention, &prompts[0], &image_embeds, None)
                .unwrap();
            for prefix in [None, Some(&prefix)] {
                let run = || logits(&model, attention, &all, &image_embeds, prefix);
                let first = run();
                for _ in 0..5 {
                    assert!(run().equal(&first), "{id}");
                }
            }
        }
    }
}
