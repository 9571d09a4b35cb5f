//! What the decoder begins with: token maps of prompts, and their embeddings with the pictures' in place.

use rave_methods::Tokens;
use tch::Tensor;

use crate::families::ConnectorOutput;
use crate::{Error, Model, Prompt};

/// What the decoder begins with.
pub(crate) struct InputEmbeds {
    /// `[B, T, C]`.
    pub embeddings: Tensor,
    /// What is added to the output of the first layers, `[B, T, C]` each, zero but at visual tokens.
    pub deepstack: Vec<Tensor>,
}

impl Model {
    /// The tokens of some prompts and of what follows each (text), all of them new; the shorter ones are padded on the right.
    /// Where nobody reads what comes of the padding it need not be marked: attention is causal, so no token sees it.
    pub(crate) fn tokens(
        &self,
        prompts: &[&Prompt],
        more: &[&[i64]],
        mark_padding: bool,
    ) -> Tokens {
        let lengths = prompts.iter().zip(more);
        let lengths: Vec<_> = lengths
            .map(|(prompt, more)| prompt.ids.len() + more.len())
            .collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (mut visual, mut valid) = (Vec::new(), Vec::new());
        for (row, (prompt, length)) in prompts.iter().zip(&lengths).enumerate() {
            visual.extend_from_slice(&prompt.visual);
            visual.resize((row + 1) * longest, false);
            valid.resize(row * longest + length, true);
            valid.resize((row + 1) * longest, false);
        }
        let ends: Vec<_> = prompts
            .iter()
            .map(|prompt| prompt.ids.len() as i64)
            .collect();
        let device = self.decoder().options().1;
        let valid = mark_padding.then_some(&valid[..]);
        let tokens = Tokens::new(&visual, valid, &ends, device);
        if prompts.iter().all(|prompt| prompt.rotary.is_none()) {
            return tokens;
        }
        let rotary: Vec<&[[i64; 3]]> = prompts
            .iter()
            .map(|prompt| prompt.rotary.as_deref().unwrap_or_default())
            .collect();
        tokens.with_rotary(&rotary)
    }

    /// Embeddings of the token ids `[B, T]` with what the pictures give in place.
    pub(crate) fn embed(
        &self,
        ids: &Tensor,
        tokens: &Tokens,
        visual: Option<&ConnectorOutput>,
    ) -> Result<InputEmbeds, Error> {
        let embeddings = self.decoder().embed(ids)?;
        let (Some(visual), Some(is_visual)) = (visual, tokens.visual_keys()?) else {
            return Ok(InputEmbeds {
                embeddings,
                deepstack: Vec::new(),
            });
        };
        let is_visual = is_visual.f_unsqueeze(-1)?; // [B, T, 1]
        let zeros = embeddings.f_zeros_like()?;
        let deepstack = visual.deepstack.iter();
        Ok(InputEmbeds {
            deepstack: deepstack
                .map(|deepstack| zeros.f_masked_scatter(&is_visual, deepstack))
                .collect::<Result<_, _>>()?,
            embeddings: embeddings.f_masked_scatter(&is_visual, &visual.embeddings)?,
        })
    }
}
