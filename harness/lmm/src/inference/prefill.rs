//! The first pass of an answer: prompts side by side, whole or after a prefix that they share, to the logits of their last tokens.

use std::rc::Rc;

use rave_methods::{Attention, Tokens};
use tch::Tensor;

use crate::families::ConnectorOutput;
use crate::inference::input::InputEmbeds;
use crate::nn::decoder::Pass;
use crate::nn::kv_cache::KvCache;
use crate::{Error, GenerationOptions, ImageEmbeds, Model, Prefix, Prompt};

/// What a first pass over B prompts is given.
pub(crate) struct Input<'a> {
    prefix: Option<&'a Prefix>,
    tokens: Rc<Tokens>,
    /// Of the T new tokens, padded on the right, `[B, T]`.
    ids: Tensor,
    /// Where each prompt ends: indices into B x T, `[B]`.
    ends: Tensor,
    /// What stands at the visual ones of the new tokens.
    visual: Option<ConnectorOutput>,
}

impl Model {
    /// Puts prompts and their image embeddings side by side; of prompts that begin with `prefix` only what follows it.
    pub(crate) fn input<'a>(
        &self,
        prompts: &[&Prompt],
        image_embeds: &[&ImageEmbeds],
        prefix: Option<&'a Prefix>,
    ) -> Result<Input<'a>, Error> {
        let device = self.decoder().options().1;
        let batch = prompts.len();
        let known = prefix.map_or(0, Prefix::tokens);
        let tokens = self.tokens(prompts, &vec![&[][..]; batch], true);
        let tokens = Rc::new(tokens.after(known));
        let longest = tokens.new_tokens();
        let mut ids = vec![0; batch * longest];
        let mut ends = Vec::with_capacity(batch);
        for (row, prompt) in prompts.iter().enumerate() {
            let new = &prompt.ids[known..];
            ids[row * longest..][..new.len()].copy_from_slice(new);
            ends.push((row * longest + new.len() - 1) as i64);
        }
        // All visual tokens stand in the prefix.
        let new = if prefix.is_some() { &[] } else { image_embeds };
        let visual: Vec<_> = new
            .iter()
            .filter_map(|image_embeds| image_embeds.output.as_ref())
            .collect();
        Ok(Input {
            prefix,
            tokens,
            ids: Tensor::f_from_slice(&ids)?
                .f_view([batch as i64, longest as i64])?
                .f_to_device(device)?,
            ends: Tensor::f_from_slice(&ends)?.f_to_device(device)?,
            visual: ConnectorOutput::joined(&visual)?,
        })
    }

    /// Runs the pass: what is stored, with room for the answers, and the logits of the prompts' last tokens `[B, vocabulary]`.
    pub(crate) fn prefill(
        &self,
        attention: &dyn Attention,
        input: &Input,
        options: &GenerationOptions,
    ) -> Result<(KvCache, Tensor), Error> {
        let decoder = self.decoder();
        let (tokens, more) = (&input.tokens, options.max_new_tokens);
        let mut cache = match input.prefix {
            None => KvCache::new(decoder.geometry().layers, more),
            Some(prefix) => prefix
                .cache
                .copies(tokens.batch() as i64, tokens.new_tokens() + more)?,
        };
        let InputEmbeds {
            embeddings,
            deepstack,
        } = self.embed(&input.ids, tokens, input.visual.as_ref())?;
        let pass = Pass {
            wanted: Some(&input.ends),
            deadline: options.deadline,
            ..Pass::new(attention, Some(Rc::clone(tokens)), &deepstack)
        };
        let last = decoder.forward(&embeddings, Some(&mut cache), pass)?; // [B, C]
        Ok((cache, decoder.logits(&last)?))
    }
}
