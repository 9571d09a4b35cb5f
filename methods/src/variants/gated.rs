//! `gated-head` and `gated-element`: the output of attention times a gate computed from the layer's input.
//!
//! Source: "Gated Attention for Large Language Models: Non-linearity, Sparsity, and Attention-Sink-Free" (`NeurIPS` 2025),
//! `qiuzh20/gated_attention`: `sdpa(q, k, v) * sigmoid(W x)`, x the layer's normed input, one gate a head or one an element of
//! it; no q/k-norm and no rotary embedding are involved.
//!
//! Deviation: the source trains from scratch, where a gate of one half at the start does no harm. A graft on a trained model
//! must start as that model, so the gate is `2 sigmoid(W x)` with `W = 0`: one everywhere, with a gradient.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::explicit::{self, Plain};
use crate::{Attention, Build, Error, Geometry, Method, Step, VariantInfo, kernel};

/// What has a gate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Every query head.
    Head,
    /// Every element of every head's output.
    Element,
}

/// Options of the gated variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Options {
    /// What has a gate of its own.
    pub per: Per,
}

/// The options as a file has them, for an error that says what there is to choose from: `per` has no default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    per: Option<Per>,
}

impl TryFrom<Written> for Options {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let per = written
            .per
            .ok_or("`per` is missing: it is head or element")?;
        Ok(Self { per })
    }
}

impl Method for Options {
    const NAME: &'static str = "gated";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: true,
            queries: "all",
            keys: "all (output)",
            folds: true,
            caches: "k".into(),
            identity: "its initial values (W = 0)",
            source: "qiuzh20/gated_attention",
        }
    }

    fn identity(&self) -> Self {
        self.clone()
    }

    fn build(&self, _variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(Gated::new(self, build)?))
    }
}

/// Output gates for one model.
#[derive(Debug)]
pub struct Gated {
    geometry: Geometry,
    /// `W` a layer, `[H, C]` or `[H D, C]`.
    weights: Vec<Tensor>,
}

impl Gated {
    /// Gates at their identity.
    ///
    /// # Errors
    /// LibTorch's own for lack of memory.
    pub fn new(options: &Options, build: &Build) -> Result<Self, Error> {
        let geometry = build.geometry;
        let rows = match options.per {
            Per::Head => geometry.heads,
            Per::Element => geometry.heads * geometry.head_dim,
        };
        let shape = [rows, geometry.model_width];
        let weights = (0..geometry.layers)
            .map(|_| Ok(Tensor::f_zeros(shape, (build.kind, build.device))?))
            .collect::<Result<_, Error>>()?;
        Ok(Self { geometry, weights })
    }
}

impl Attention for Gated {
    fn key_width(&self, _layer: usize) -> i64 {
        self.geometry.head_dim
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(step.key.shallow_clone())
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        let output = kernel::fused(step.query, keys, values, step)?; // [B, H, T, D]
        let [batch, tokens] = [step.input.size()[0], step.input.size()[1]];
        let gate = step
            .input
            .f_linear(&self.weights[step.layer], None::<&Tensor>)?
            .f_sigmoid()?
            .f_mul_scalar(2.0)?
            .f_view([batch, tokens, self.geometry.heads, -1])?
            .f_transpose(1, 2)?; // [B, H, T, 1 or D]
        Ok(output.f_mul(&gate)?)
    }

    /// Before the gate: it scales a head's output, not where the head looks.
    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        explicit::weights(&Plain, step, step.query, keys, rows)
    }

    fn reuses_prefix(&self) -> bool {
        true
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let named = self.weights.iter().enumerate();
        named
            .map(|(layer, weight)| {
                (
                    format!("gated.layers.{layer}.weight"),
                    weight.shallow_clone(),
                )
            })
            .collect()
    }
}
