//! Batches of prompts with their answers, and logits with a gradient.
//!
//! Prompts of one batch are padded on the right. Attention is causal, so no token before the padding ever sees it; its own
//! outputs are not read.

use std::rc::Rc;

use rave_methods::{Attention, Tokens};
use tch::{Kind, Tensor};

use crate::families::{Pixels, TowerOutput};
use crate::inference::input::InputEmbeds;
use crate::nn::decoder::Pass;
use crate::{Error, Model, Prompt};

/// A prompt with what the model is to answer it with, and perhaps further questions with theirs.
#[derive(Debug, Clone)]
pub struct Example {
    /// The prompt.
    pub prompt: Prompt,
    /// The turns of the assistant, at least one.
    pub turns: Vec<Turn>,
}

/// One answer within a conversation.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The answer's token ids, the end token last.
    pub answer: Vec<i64>,
    /// The ids from there to the next answer: the next question and the cue. Empty after the last answer.
    pub next: Vec<i64>,
}

impl Example {
    /// Token ids of the whole conversation, and which of them are answers.
    fn ids(&self) -> (Vec<i64>, Vec<Option<usize>>) {
        let mut ids = self.prompt.ids.clone();
        let mut turn_of = vec![None; ids.len()];
        for (number, turn) in self.turns.iter().enumerate() {
            ids.extend(&turn.answer);
            turn_of.resize(ids.len(), Some(number));
            ids.extend(&turn.next);
            turn_of.resize(ids.len(), None);
        }
        (ids, turn_of)
    }
}

/// Examples as tensors on a model's device.
#[derive(Debug)]
pub struct Batch {
    /// Token ids `[B, T]`, each conversation without its last token, then padding.
    pub(super) ids: Tensor,
    /// What they are, and where each prompt ends.
    pub(super) tokens: Rc<Tokens>,
    /// The pictures of all prompts.
    pub pixels: Pixels,
    /// Where the answers' tokens are predicted: indices into B x T, `[M]`.
    predictors: Tensor,
    /// The tokens to predict there, `[M]`.
    pub targets: Tensor,
    /// Which example each of the M predictions belongs to; `None` for those of further questions.
    pub owners: Vec<Option<usize>>,
}

impl Model {
    /// Puts examples together for one pass.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn batch(&self, examples: &[Example]) -> Result<Batch, Error> {
        let device = self.decoder().options().1;
        let conversations: Vec<_> = examples.iter().map(Example::ids).collect();
        let prompts: Vec<_> = examples.iter().map(|example| &example.prompt).collect();
        let more: Vec<_> = prompts
            .iter()
            .zip(&conversations)
            .map(|(prompt, (ids, _))| &ids[prompt.ids.len()..ids.len() - 1])
            .collect();
        let tokens = self.tokens(&prompts, &more, false);
        let longest = tokens.stored();
        let mut all = vec![0; examples.len() * longest];
        let (mut predictors, mut targets, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (ids, turn_of)) in conversations.iter().enumerate() {
            let start = row * longest;
            all[start..start + ids.len() - 1].copy_from_slice(&ids[..ids.len() - 1]);
            for (place, turn) in turn_of.iter().enumerate() {
                if let Some(turn) = turn {
                    // A token is predicted at the one before it.
                    predictors.push((start + place - 1) as i64);
                    targets.push(ids[place]);
                    owners.push((*turn == 0).then_some(row));
                }
            }
        }
        let shape = [examples.len() as i64, longest as i64];
        Ok(Batch {
            ids: Tensor::f_from_slice(&all)?
                .f_view(shape)?
                .f_to_device(device)?,
            tokens: Rc::new(tokens),
            pixels: self.pixels(&prompts)?,
            predictors: Tensor::f_from_slice(&predictors)?.f_to_device(device)?,
            targets: Tensor::f_from_slice(&targets)?.f_to_device(device)?,
            owners,
        })
    }

    /// What the vision tower makes of pictures, with a gradient.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn run_tower_on(&self, pixels: &Pixels) -> Result<TowerOutput, Error> {
        self.network().run_tower(pixels, None)
    }

    /// Logits `[M, vocabulary]` in f32 of a batch's answers, given what the tower made of its pictures, with a gradient.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn answer_logits(
        &self,
        attention: &dyn Attention,
        batch: &Batch,
        tower: &TowerOutput,
    ) -> Result<Tensor, Error> {
        let decoder = self.decoder();
        let visual = self.network().connect(tower)?;
        let InputEmbeds {
            embeddings,
            deepstack,
        } = self.embed(&batch.ids, &batch.tokens, Some(&visual))?;
        let pass = Pass::new(attention, Some(Rc::clone(&batch.tokens)), &deepstack);
        let hidden = decoder.forward(&embeddings, None, pass)?; // [B, T, C]
        let hidden = hidden
            .f_flatten(0, 1)?
            .f_index_select(0, &batch.predictors)?; // [M, C]
        Ok(decoder.logits(&hidden)?.f_to_kind(Kind::Float)?)
    }
}
