//! One pass over a prompt and its answer without a cache: for logits, for probes, and to find where numbers stop being finite.

use std::rc::Rc;

use rave_methods::Attention;
use tch::{Kind, Tensor};

use super::input::InputEmbeds;
use crate::nn::decoder::{Pass, Probe, Watch};
use crate::{Error, ImageEmbeds, Model, Prompt};

impl Model {
    /// Logits `[T, vocabulary]` in f32 of every token of a prompt and of what has been answered so far, in one pass without a
    /// cache. Those of tokens that the attention drops mean nothing.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn logits(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        image_embeds: &ImageEmbeds,
        answer: &[i64],
    ) -> Result<Tensor, Error> {
        tch::no_grad(|| {
            let hidden = self.one_pass(attention, prompt, image_embeds, answer, None, None)?;
            Ok(self
                .decoder()
                .logits(&hidden)?
                .f_squeeze_dim(0)?
                .f_to_kind(Kind::Float)?)
        })
    }

    /// Runs a prompt and its answer in one pass without a cache and shows `probe` every layer: what was attended to while the
    /// answer's tokens were predicted. The answer's last token predicts nothing and is no input.
    ///
    /// # Errors
    /// When LibTorch refuses an operation, or the probe does.
    pub fn probe(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        image_embeds: &ImageEmbeds,
        answer: &[i64],
        probe: &mut Probe,
    ) -> Result<(), Error> {
        let inputs = &answer[..answer.len().saturating_sub(1)];
        // The hidden states are of no use here: the probe has seen what it came for.
        let pass = || self.one_pass(attention, prompt, image_embeds, inputs, Some(probe), None);
        tch::no_grad(pass).map(drop)
    }

    /// Hidden states `[1, T, C]` of a prompt and an answer, with the prompt run a second time where the attention wants it;
    /// `probe` and `watch` see the pass that counts.
    pub(crate) fn one_pass<'p>(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        image_embeds: &ImageEmbeds,
        answer: &[i64],
        probe: Option<&mut Probe<'p>>,
        watch: Option<&mut Watch<'p>>,
    ) -> Result<Tensor, Error> {
        let decoder = self.decoder();
        let device = decoder.options().1;
        let length = prompt.ids.len() as i64;
        let tokens = Rc::new(self.tokens(&[prompt], &[answer], true));
        let ids = [&prompt.ids[..], answer].concat();
        let ids = Tensor::f_from_slice(&ids)?
            .f_unsqueeze(0)?
            .f_to_device(device)?;
        let InputEmbeds {
            embeddings,
            deepstack,
        } = self.embed(&ids, &tokens, image_embeds.output.as_ref())?;
        let mut attention = attention;
        if attention.rerun(0.0).is_some() {
            let pass = Pass::new(attention, Some(Rc::clone(&tokens)), &deepstack);
            let hidden = decoder.forward(&embeddings, None, pass)?;
            let last = hidden.f_narrow(1, length - 1, 1)?;
            attention = rerun_attention(attention, &decoder.logits(&last)?)?.unwrap_or(attention);
        }
        let pass = Pass {
            probe,
            watch,
            ..Pass::new(attention, Some(tokens), &deepstack)
        };
        decoder.forward(&embeddings, None, pass)
    }
}

/// The attention with which the prompt is to run again, given the logits `[.., vocabulary]` of its last token.
pub(crate) fn rerun_attention<'a>(
    attention: &'a dyn Attention,
    logits: &Tensor,
) -> Result<Option<&'a dyn Attention>, Error> {
    if attention.rerun(0.0).is_none() {
        return Ok(None);
    }
    let probabilities = logits.f_view([-1])?.f_softmax(-1, Kind::Float)?;
    Ok(attention.rerun(f64::try_from(&probabilities.f_max()?)?))
}
