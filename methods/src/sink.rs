//! A softmax that may give weight to nothing: what `softmax-off-by-one` and `learned-sink` share.
//!
//! `exp(z) / (exp(s_h) + sum exp z)`: the logit `s_h` of a head joins the softmax and is dropped after it.
//!
//! **The fold.** A token put before all others, with a zero value, whose key answers every query with the score `s_h`, is such a
//! sink: one more row and channel, and the causal flag of the fused kernel stays right. It is added in every pass and never
//! stored. What is cached is k itself.

use tch::{Kind, Tensor};

use crate::explicit::{self, Block, Edit};
use crate::{Attention, Build, Error, Geometry, Step, kernel};

/// Channels that the sink's score takes: one would do, a multiple of 8 keeps rows aligned.
const CHANNELS: i64 = 8;

/// A sink in every head of one model.
#[derive(Debug)]
pub struct Sink {
    geometry: Geometry,
    /// The sink's logit in every layer, `[H]`; `None` where the sink has no mass.
    logits: Vec<Option<Tensor>>,
    learned: bool,
}

impl Sink {
    /// The same initial logit in every head and layer, `None` for a sink without mass; `learned` if it is a parameter.
    ///
    /// # Errors
    /// LibTorch's own for lack of memory.
    pub fn new(logit: Option<f64>, learned: bool, build: &Build) -> Result<Self, Error> {
        let heads = build.geometry.heads;
        let of_layer = |_| -> Result<_, Error> {
            let logits =
                logit.map(|value| Tensor::f_full([heads], value, (build.kind, build.device)));
            Ok(logits.transpose()?)
        };
        Ok(Self {
            geometry: build.geometry,
            logits: (0..build.geometry.layers)
                .map(of_layer)
                .collect::<Result<_, _>>()?,
            learned,
        })
    }

    /// The pass with the sink in front, through the fused kernel.
    fn folded(
        &self,
        logit: &Tensor,
        step: &Step,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, Error> {
        let [batch, heads, tokens, _] = [0, 1, 2, 3].map(|axis| step.query.size()[axis]);
        let options = (step.query.kind(), step.query.device());
        let kv_heads = self.geometry.kv_heads;
        // Channel 0 of the new ones: the logit in every query, 1 in the sink's key, 0 in all others.
        let score = logit
            .f_to_kind(step.query.kind())?
            .f_div_scalar(step.scale)?
            .f_view([1, heads, 1, 1])?
            .f_expand([batch, heads, tokens, 1], false)?;
        let query =
            Tensor::f_cat(&[step.query, &score], 3)?.f_constant_pad_nd([0, CHANNELS - 1, 1, 0])?;
        let key = Tensor::f_cat(
            &[
                &Tensor::f_zeros([batch, kv_heads, 1, self.geometry.head_dim], options)?,
                &Tensor::f_ones([batch, kv_heads, 1, 1], options)?,
            ],
            3,
        )?;
        let keys = Tensor::f_cat(&[&key, &keys.f_constant_pad_nd([0, 1])?], 2)?
            .f_constant_pad_nd([0, CHANNELS - 1])?;
        let values = values.f_constant_pad_nd([0, CHANNELS, 1, 0])?;
        let output = Tensor::f_scaled_dot_product_attention(
            &query,
            &keys,
            &values,
            None::<Tensor>,
            0.0,
            true,
            step.scale,
            true,
        )?;
        Ok(output
            .f_narrow(2, 1, tokens)?
            .f_narrow(3, 0, self.geometry.head_dim)?)
    }
}

/// A softmax over the scores and the sink's, of which the sink's part is dropped.
struct WithSink<'a>(&'a Tensor);

impl Edit for WithSink<'_> {
    fn weights(&self, _block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let [batch, heads, rows, key_count] = [0, 1, 2, 3].map(|axis| scores.size()[axis]);
        let sink = self
            .0
            .f_to_kind(Kind::Float)?
            .f_view([1, heads, 1, 1])?
            .f_expand([batch, heads, rows, 1], false)?;
        let weights = Tensor::f_cat(&[&scores, &sink], 3)?.f_softmax(-1, Kind::Float)?;
        Ok(weights.f_narrow(3, 0, key_count)?)
    }
}

impl Attention for Sink {
    fn key_width(&self, _layer: usize) -> i64 {
        self.geometry.head_dim
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(step.key.shallow_clone())
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        let Some(logit) = &self.logits[step.layer] else {
            return kernel::fused(step.query, keys, values, step);
        };
        if kernel::is_square(step) && step.tokens.new_tokens() > 1 {
            return self.folded(logit, step, keys, values);
        }
        let rows: Vec<i64> = (0..step.query.size()[2]).collect();
        explicit::attend(&WithSink(logit), step, step.query, keys, values, &rows)
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        match &self.logits[step.layer] {
            Some(logit) => explicit::weights(&WithSink(logit), step, step.query, keys, rows),
            None => explicit::weights(&explicit::Plain, step, step.query, keys, rows),
        }
    }

    fn reuses_prefix(&self) -> bool {
        true
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let named = self.logits.iter().enumerate().filter(|_| self.learned);
        named
            .filter_map(|(layer, logit)| {
                Some((
                    format!("sink.layers.{layer}.logit"),
                    logit.as_ref()?.shallow_clone(),
                ))
            })
            .collect()
    }
}
