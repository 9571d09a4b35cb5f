//! The losses of a batch: of the answers' tokens, and of the character at each patch.

use rave_lmm::{Batch, Error as ModelError};
use tch::{Device, Kind, Reduction, Tensor, no_grad};

use super::glyphs;
use super::stream::Drawn;
use super::trainer::Trainer;
use crate::Error;
use rave_results::training::Freeze;

/// The losses of one micro-batch.
pub(super) struct Losses {
    /// Mean cross entropy of the answers' tokens.
    pub(super) answer: Option<Tensor>,
    pub(super) aux: Option<Tensor>,
    /// Share of the characters that the auxiliary head recognises.
    pub(super) glyphs: f64,
    /// Which examples are answered exactly.
    pub(super) exact: Vec<bool>,
    /// Cross entropy of each of the answers' tokens, `[M]`.
    pub(super) tokens: Option<Tensor>,
}

impl Losses {
    pub(super) fn total(&self, weight: f64) -> Result<Tensor, ModelError> {
        Ok(match (&self.answer, &self.aux) {
            (Some(answer), Some(aux)) => answer.f_add(&(aux * weight))?,
            (Some(loss), None) | (None, Some(loss)) => loss.shallow_clone(),
            (None, None) => unreachable!("a plan trains on answers, the auxiliary loss or both"),
        })
    }

    pub(super) fn exact_share(&self) -> f64 {
        let right = self.exact.iter().filter(|&&exact| exact).count();
        right as f64 / self.exact.len().max(1) as f64
    }
}

impl Trainer<'_> {
    /// The losses of some examples, with a gradient where one is wanted, and the floating-point operations of the matrix
    /// products of a step on them.
    pub(super) fn losses(&self, drawn: &[Drawn]) -> Result<(Losses, f64), Error> {
        let examples: Vec<_> = drawn.iter().map(|drawn| drawn.example.clone()).collect();
        let batch = self.model.batch(&examples)?;
        let losses = self.batch_losses(&batch, self.classes(drawn)?.as_ref(), examples.len())?;
        let (vision, decoder) = match self.plan.freeze {
            Freeze::None => (3.0, 3.0),
            Freeze::Vision => (1.0, 3.0),
            Freeze::Backbone => (1.0, 2.0),
        };
        let decoder = if self.plan.answers { decoder } else { 0.0 };
        Ok((losses, self.model.step_operations(&batch, vision, decoder)))
    }

    /// The classes of every patch of some examples, `[heads, B x P]`, when an auxiliary loss is trained.
    pub(super) fn classes(&self, drawn: &[Drawn]) -> Result<Option<Tensor>, Error> {
        if self.head.is_empty() {
            return Ok(None);
        }
        let classes: Vec<_> = drawn
            .iter()
            .filter_map(|drawn| drawn.glyphs.as_ref())
            .collect();
        Ok(Some(glyphs::targets(&classes, self.optimizer.device())?))
    }

    pub(super) fn batch_losses(
        &self,
        batch: &Batch,
        classes: Option<&Tensor>,
        examples: usize,
    ) -> Result<Losses, Error> {
        let output = if self.plan.freeze == Freeze::None {
            self.model.run_tower_on(&batch.pixels)?
        } else {
            no_grad(|| self.model.run_tower_on(&batch.pixels))?
        };
        let mut losses = Losses {
            answer: None,
            aux: None,
            glyphs: 0.0,
            exact: Vec::new(),
            tokens: None,
        };
        if let Some(classes) = classes {
            let (loss, glyphs) = glyphs::loss(&self.head, &output.hidden_states, classes)?;
            losses.aux = Some(loss);
            losses.glyphs = glyphs;
        }
        if self.plan.answers {
            let logits = self
                .model
                .answer_logits(self.attention.as_ref(), batch, &output)?;
            let each = logits
                .f_cross_entropy_loss(&batch.targets, None::<&Tensor>, Reduction::None, -100, 0.0)
                .map_err(ModelError::from)?;
            losses.exact = exact(&logits, batch, examples)?;
            losses.answer = Some(each.f_mean(Kind::Float).map_err(ModelError::from)?);
            losses.tokens = Some(each);
        }
        Ok(losses)
    }
}

/// The value of a loss; 0 for one that is not trained.
pub(super) fn number(loss: Option<&Tensor>) -> Result<f64, ModelError> {
    loss.map_or(Ok(0.0), |loss| Ok(f64::try_from(loss)?))
}

/// Which examples get the likeliest token right at every place of their first answer: those that greedy decoding answers exactly.
fn exact(logits: &Tensor, batch: &Batch, examples: usize) -> Result<Vec<bool>, ModelError> {
    let right = logits
        .f_argmax(-1, false)?
        .f_eq_tensor(&batch.targets)?
        .f_to_device(Device::Cpu)?;
    let right: Vec<bool> = Vec::try_from(&right)?;
    let mut exact = vec![true; examples];
    for (owner, right) in batch.owners.iter().zip(right) {
        if let Some(owner) = owner {
            exact[*owner] &= right;
        }
    }
    Ok(exact)
}
