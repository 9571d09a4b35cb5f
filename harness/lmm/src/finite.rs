//! Where a number first is not finite. Looked for only when the logits turned out not to be: answers that go well pay nothing.

use std::fmt;

use rave_methods::Attention;
use tch::Tensor;

use crate::{Error, Features, Model, Prompt};

/// What an answer goes through, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Vision tower and connector.
    Vision,
    /// The token embeddings.
    Embeddings,
    /// The attention of a decoder layer (from 0), with its norm and the sum with what entered the layer.
    Attention(usize),
    /// The feed-forward of a decoder layer, with its norm and sum.
    FeedForward(usize),
    /// The norm after the last layer.
    Norm,
    /// The head, which makes the logits.
    Head,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vision => f.write_str("in the vision features"),
            Self::Embeddings => f.write_str("in the token embeddings"),
            Self::Attention(layer) => write!(f, "in decoder layer {layer} (attention)"),
            Self::FeedForward(layer) => write!(f, "in decoder layer {layer} (feed-forward)"),
            Self::Norm => f.write_str("in the decoder's last norm"),
            Self::Head => f.write_str("in the head"),
        }
    }
}

impl Stage {
    /// A stage in words, where one was found.
    pub(crate) fn named(stage: Option<Self>) -> String {
        stage.map_or_else(
            || "at a place that a second run did not find".to_owned(),
            |stage| stage.to_string(),
        )
    }
}

impl Model {
    /// The stage that first gives a number that is not finite for a prompt and its answer so far, in one pass by itself;
    /// `None` when all do.
    pub(crate) fn first_not_finite(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        features: &Features,
        answer: &[i64],
    ) -> Result<Option<Stage>, Error> {
        if let Some(visual) = &features.visual {
            for tensor in visual.deep.iter().chain([&visual.embeddings]) {
                if !is_finite(tensor)? {
                    return Ok(Some(Stage::Vision));
                }
            }
        }
        let mut first = None;
        let mut watch = |stage, hidden: &Tensor| {
            if first.is_none() && !is_finite(hidden)? {
                first = Some(stage);
            }
            Ok(())
        };
        let hidden = self.one_pass(attention, prompt, features, answer, None, Some(&mut watch))?;
        if first.is_some() {
            return Ok(first);
        }
        let logits = self.network().decoder().logits(&hidden)?;
        Ok((!is_finite(&logits)?).then_some(Stage::Head))
    }
}

fn is_finite(tensor: &Tensor) -> Result<bool, Error> {
    Ok(bool::try_from(tensor.f_isfinite()?.f_all()?)?)
}
