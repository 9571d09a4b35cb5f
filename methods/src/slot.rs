//! The attention slot: the one seam between a model family and an attention variant.
//!
//! For every layer and every forward pass the decoder fills a [`Step`] and asks the variant what to [store](Attention::store)
//! in the key cache, for the [output](Attention::attend) over all stored keys and values, and, rarely, which tokens go on to the
//! layers after this one ([`drop_tokens`](Attention::drop_tokens)) or with which attention the prompt is run once more
//! ([`rerun`](Attention::rerun)). A probe asks for the [weights](Attention::weights) besides, which changes nothing.

use tch::{Device, Kind, Tensor};

use crate::{Error, Tokens};

/// The sizes of a decoder that a variant needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Decoder layers.
    pub layers: usize,
    /// Query heads, H.
    pub heads: i64,
    /// Key-value heads, G; divides H.
    pub kv_heads: i64,
    /// Head dimension, D.
    pub head_dim: i64,
    /// Model width, C.
    pub model_width: i64,
}

/// How a variant's parameters are made: the sizes they are for, where they live, and the seed of their initial values.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The decoder the variant is for.
    pub geometry: Geometry,
    /// Where the parameters live.
    pub device: Device,
    /// Their element type: the compute type for inference, f32 for training.
    pub kind: Kind,
    /// Seed of the initial values.
    pub seed: u64,
}

/// One layer's inputs to the slot in one forward pass over T new tokens.
#[derive(Debug)]
pub struct Step<'a> {
    /// Layer index, from 0.
    pub layer: usize,
    /// What enters the layer, before its norm, `[B, T, C]`.
    pub hidden: &'a Tensor,
    /// The same after the layer's input norm: what the projections see, `[B, T, C]`.
    pub input: &'a Tensor,
    /// Queries after the rotary embedding, `[B, H, T, D]`.
    pub query: &'a Tensor,
    /// Queries before it (after q/k-norm where the family has one), `[B, H, T, D]`.
    pub query_pre_rope: &'a Tensor,
    /// Keys of the new tokens after the rotary embedding, `[B, G, T, D]`.
    pub key: &'a Tensor,
    /// Keys of the new tokens before it, `[B, G, T, D]`.
    pub key_pre_rope: &'a Tensor,
    /// What the stored tokens are, the new ones among them.
    pub tokens: &'a Tokens,
    /// Factor on the scores before the softmax, usually `1 / sqrt(D)`.
    pub scale: f64,
}

/// An attention variant built for one model: what a decoder layer does between its projections.
///
/// Every implementation must be causal (query t sees keys at positions up to its own) and must give the same output for a
/// sequence whether what follows the prompt comes in one pass or token by token through the cache. One that never drops
/// tokens must do so for the prompt as well.
pub trait Attention: Send {
    /// Width K of a stored key in a layer.
    fn key_width(&self, layer: usize) -> i64;

    /// What the key cache stores for the new tokens, `[B, G, T, K]`.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    fn store(&self, step: &Step) -> Result<Tensor, Error>;

    /// The output over all stored `keys` `[B, G, S, K]` and `values` `[B, G, S, D]`: `[B, H, T, D]`.
    /// The last T of the S stored tokens are the new ones.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error>;

    /// The weights with which [`attend`](Self::attend) mixes the values for some of the new tokens, `[B, H, t, S]` f32, computed
    /// explicitly. `rows` are indices among the new tokens, ascending. Rows sum to one, or to less for a variant with a sink.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error>;

    /// Which of the new tokens go on to the layers after this one, `[B, T]`; `None` for all. May be other than `None` only in a
    /// pass that [is a whole prompt](Tokens::is_whole_prompt), and must keep the last token of every prompt and all after it.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    fn drop_tokens(&self, _step: &Step, _keys: &Tensor) -> Result<Option<Vec<bool>>, Error> {
        Ok(None)
    }

    /// The attention with which the prompt is run once more, from the start, given the probability of the likeliest first
    /// token; the answer then continues with it. `None` to go on.
    fn rerun(&self, _confidence: f64) -> Option<&dyn Attention> {
        None
    }

    /// Whether what the layers make of a prompt's tokens before its last (keys, values and hidden states) is the same whatever
    /// follows them, and whichever attention [`rerun`](Self::rerun) chooses: then prompts that begin alike can share it.
    fn reuses_prefix(&self) -> bool {
        false
    }

    /// Trainable parameters by name, in a stable order. The tensors share storage with the variant: copying into them
    /// loads trained weights.
    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}
