//! Greedy decoding through the key-value cache, of one prompt or of several at once.
//!
//! Prompts of one batch are padded on the right and the padding is masked, so that each is answered as it would be alone (the
//! shapes of the products differ, and with them the last bits of the logits). A sequence that has ended goes on until all
//! have, and what it then says is not looked at. What the checkpoint's [`GenerationConfig`](crate::GenerationConfig) asks for is done to each sequence as
//! it would be alone.

use std::time::{Duration, Instant};

use rave_hints::refusal;
use rave_methods::Attention;
use tch::{Kind, Tensor};

use super::forward::rerun_attention;
use super::generation_config::LogitsProcessors;
use crate::nn::decoder::Pass;
use crate::{Error, ImageEmbeds, Model, Prefix, Prompt};

/// How to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationOptions {
    /// Most tokens to generate.
    pub max_new_tokens: usize,
    /// Whether to stop at the checkpoint's end tokens (they are not part of the result) and after its stop strings (they are).
    pub stop_at_end: bool,
    /// When to give up with [`Error::Deadline`]; looked at before every layer of the decoder, so the answer ends within the time
    /// of a layer. For the vision side see [`Model::encode_image_until`](crate::Model::encode_image_until).
    pub deadline: Option<Instant>,
}

/// Wall time of the phases of one answer; of one in a batch that of the batch, but for the vision side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Vision tower and connector.
    pub vision: Duration,
    /// The decoder over the prompt, or what of it follows a [`Prefix`], to the first token.
    pub prefill: Duration,
    /// All further tokens.
    pub decode: Duration,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The generated token ids, without the end token.
    pub ids: Vec<i64>,
    /// Their text.
    pub text: String,
    /// Wall time by phase.
    pub timings: Timings,
    /// Bytes of the key-value cache, of one in a batch those of the batch.
    pub cache_bytes: u64,
}

impl Model {
    /// Answers a prompt greedily.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when the logits overflow, [`Error::Deadline`] when that of the options is over; LibTorch's own errors.
    pub fn generate(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        image_embeds: &ImageEmbeds,
        options: &GenerationOptions,
    ) -> Result<Generation, Error> {
        let mut answers = self.answer(attention, &[prompt], &[image_embeds], None, options)?;
        Ok(answers.remove(0))
    }

    /// Answers several prompts greedily in one batch, given the image embeddings of each. A variant that runs a prompt a second time does
    /// so for each by itself, and answers one after the other.
    ///
    /// # Errors
    /// As [`Model::generate`].
    ///
    /// # Panics
    /// When there are not as many image embeddings as prompts.
    pub fn generate_batch(
        &self,
        attention: &dyn Attention,
        prompts: &[&Prompt],
        image_embeds: &[&ImageEmbeds],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, Error> {
        assert_eq!(
            prompts.len(),
            image_embeds.len(),
            "every prompt has its image embeddings"
        );
        self.answer(attention, prompts, image_embeds, None, options)
    }

    /// Answers several prompts that begin alike in one batch, as [`Model::generate_batch`] does, after what the decoder has stored
    /// of their beginning. The prefix must come from this model and this attention.
    ///
    /// # Errors
    /// [`Error::Prefix`] for a prompt that begins otherwise; as [`Model::generate`].
    pub fn generate_after(
        &self,
        attention: &dyn Attention,
        prefix: &Prefix,
        prompts: &[&Prompt],
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, Error> {
        if !prompts.iter().all(|prompt| prefix.fits(prompt)) {
            return Err(Error::Prefix("a prompt begins otherwise than it"));
        }
        let image_embeds = vec![&prefix.image_embeds; prompts.len()];
        self.answer(attention, prompts, &image_embeds, Some(prefix), options)
    }

    /// Answers prompts with their image embeddings in one batch, or one after the other where the variant runs each a second time; after
    /// a prefix that all of them begin with, if one is given.
    pub(crate) fn answer(
        &self,
        attention: &dyn Attention,
        prompts: &[&Prompt],
        image_embeds: &[&ImageEmbeds],
        prefix: Option<&Prefix>,
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, Error> {
        let each = match attention.rerun(0.0) {
            Some(_) => 1,
            None => prompts.len().max(1),
        };
        let batches = prompts.chunks(each).zip(image_embeds.chunks(each));
        let answers = batches.map(|(prompts, image_embeds)| {
            tch::no_grad(|| self.decode(attention, prompts, image_embeds, prefix, options))
        });
        Ok(answers
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    fn decode(
        &self,
        attention: &dyn Attention,
        prompts: &[&Prompt],
        image_embeds: &[&ImageEmbeds],
        prefix: Option<&Prefix>,
        options: &GenerationOptions,
    ) -> Result<Vec<Generation>, Error> {
        let decoder = self.decoder();
        let device = decoder.options().1;
        let start = Instant::now();
        let batch = prompts.len();
        for prompt in prompts {
            self.check_length(prompt, options)?;
        }
        let input = self.input(prompts, image_embeds, prefix)?;
        let prefill = |attention| self.prefill(attention, &input, options);
        let (mut cache, mut logits) = prefill(attention)?;
        let mut attention = attention;
        if let Some(rerun) = rerun_attention(attention, &logits)? {
            attention = rerun;
            (cache, logits) = prefill(attention)?;
        }
        let mut answers: Vec<Vec<i64>> = vec![Vec::new(); batch];
        let mut ended = vec![options.max_new_tokens == 0; batch];
        let mut first_token = None;
        let rules = &self.generation().rules;
        let ids: Vec<&[i64]> = prompts.iter().map(|prompt| &prompt.ids[..]).collect();
        let mut processors = LogitsProcessors::new(rules, &ids, options.max_new_tokens);
        for position in 0..options.max_new_tokens {
            let next = next_tokens(&logits, &ended, processors.as_mut(), rules.removes_invalid)?;
            let next = next.map_err(|sequence| Error::NotFinite {
                position,
                sequence,
                // What keeps the search from its end is no news: the answer is lost already.
                stage: self
                    .first_not_finite(
                        attention,
                        prompts[sequence],
                        image_embeds[sequence],
                        &answers[sequence],
                    )
                    .unwrap_or(None),
                kind: format!("{:?}", decoder.options().0),
            })?;
            first_token.get_or_insert_with(|| start.elapsed());
            if let Some(processors) = &mut processors {
                processors.push(&next);
            }
            for (row, &token) in next.iter().enumerate() {
                ended[row] |= options.stop_at_end && rules.end_tokens.contains(&token);
                if !ended[row] {
                    answers[row].push(token);
                    ended[row] =
                        options.stop_at_end && self.has_stopped(prompts[row], &answers[row]);
                }
            }
            if ended.iter().all(|&ended| ended) || position + 1 == options.max_new_tokens {
                break;
            }
            let input = Tensor::f_from_slice(&next)?
                .f_view([batch as i64, 1])?
                .f_to_device(device)?;
            let pass = Pass {
                deadline: options.deadline,
                ..Pass::new(attention, None, &[])
            };
            let hidden = decoder.forward(&decoder.embed(&input)?, Some(&mut cache), pass)?;
            logits = decoder.logits(&hidden)?.f_squeeze_dim(1)?; // [B, vocabulary]
        }
        self.finish();
        let prefill = first_token.unwrap_or_else(|| start.elapsed());
        let decode = start.elapsed().saturating_sub(prefill);
        let each = answers.into_iter().zip(image_embeds);
        each.map(|(ids, image_embeds)| {
            Ok(Generation {
                text: self.processor().decode(&ids)?,
                ids,
                timings: Timings {
                    vision: image_embeds.elapsed,
                    prefill,
                    decode,
                },
                cache_bytes: cache.bytes(),
            })
        })
        .collect()
    }

    /// Whether an answer ends here with a stop string, which may begin in its prompt.
    fn has_stopped(&self, prompt: &Prompt, answer: &[i64]) -> bool {
        self.stop_strings()
            .is_some_and(|stop| stop.end(&prompt.ids, answer))
    }

    /// Refuses a prompt that has no room for its answer.
    fn check_length(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<(), Error> {
        let capacity = (prompt.ids.len() + options.max_new_tokens) as i64;
        match self.max_positions() {
            Some(max) if capacity > max => Err(Error::prompt(refusal(
                format!(
                    "{} tokens and up to {} new ones are more than the model's {max} positions (max_position_embeddings)",
                    prompt.ids.len(),
                    options.max_new_tokens
                ),
                "shorten the question, use fewer or smaller pictures, or allow fewer new tokens",
            ))),
            _ => Ok(()),
        }
    }
}

/// The likeliest token of every sequence, given the logits `[B, vocabulary]` and what is to be made of them; or the first sequence
/// that has not ended and whose logits are not finite, unless that `may_be`.
fn next_tokens(
    logits: &Tensor,
    ended: &[bool],
    processors: Option<&mut LogitsProcessors>,
    may_be: bool,
) -> Result<Result<Vec<i64>, usize>, Error> {
    // A maximum is NaN or infinite exactly when some logit is (a minus infinity alone cannot win): one pass, one copy.
    let (best, tokens) = logits.f_to_kind(Kind::Float)?.f_max_dim(-1, false)?;
    let best: Vec<f32> = Vec::try_from(&best)?;
    let overflowed = best
        .iter()
        .zip(ended)
        .position(|(best, ended)| !best.is_finite() && !ended);
    if let Some(sequence) = overflowed.filter(|_| !may_be) {
        return Ok(Err(sequence));
    }
    let tokens = match processors {
        None => tokens,
        Some(processors) => processors.apply(logits)?.f_argmax(-1, false)?,
    };
    Ok(Ok(Vec::try_from(&tokens)?))
}
