//! The attention slot: the one seam between a model family and an attention variant.
//!
//! For every layer and every forward pass the family fills a [`Step`], asks the variant what to [store](Attention::store)
//! in the key cache, appends that to the cache, and asks for the [output](Attention::attend) over all stored keys and values.

use tch::{Device, Kind, Tensor};

use crate::Error;

/// The sizes of a decoder that a variant needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Decoder layers.
    pub layers: usize,
    /// Query heads, H.
    pub heads: i64,
    /// Key-value heads, G; divides H.
    pub groups: i64,
    /// Head width, D.
    pub head_width: i64,
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
    /// Queries after the rotary embedding, `[B, H, T, D]`.
    pub query: &'a Tensor,
    /// Queries before it (after q/k-norm where the family has one), `[B, H, T, D]`.
    pub query_features: &'a Tensor,
    /// Keys of the new tokens after the rotary embedding, `[B, G, T, D]`.
    pub key: &'a Tensor,
    /// Keys of the new tokens before it, `[B, G, T, D]`.
    pub key_features: &'a Tensor,
    /// Which of the new tokens are visual, `[B, T]` bool; `None` when none is (decoding).
    pub visual: Option<&'a Tensor>,
    /// Which stored tokens are real rather than padding, `[B, S]` bool; `None` when all are.
    pub valid: Option<&'a Tensor>,
    /// Factor on the scores before the softmax, usually `1 / sqrt(D)`.
    pub scale: f64,
}

/// An attention variant built for one model: what a decoder layer does between its projections.
///
/// Every implementation must be causal (query t sees keys at positions up to its own) and must give the same output for
/// a sequence whether it comes in one pass or token by token through the cache.
pub trait Attention: Send {
    /// Width K of a stored key.
    fn key_width(&self) -> i64;

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

    /// Trainable parameters by name, in a stable order. The tensors share storage with the variant: copying into them
    /// loads trained weights.
    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}
