//! The stages of a model, by which it is said where a number first is not finite.

use std::fmt;

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
            Self::Vision => f.write_str("in the image embeddings"),
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
