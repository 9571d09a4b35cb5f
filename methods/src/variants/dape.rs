//! `dape` (data-adaptive positional encoding): a small network over all heads corrects every score by the scores themselves and
//! a positional bias.
//!
//! Source: "DAPE: Data-Adaptive Positional Encoding for Length Extrapolation" (`NeurIPS` 2024), `chuanyang-Zheng/DAPE`:
//! ```text
//! z + B + f([z ; B]),   f: 2H -> 32 -> H, LeakyReLU, over the heads of one pair (i, j)
//! B_ij^h = -p_h log(1 + a_h (i - j))   (Kerple-log)
//! ```
//! Deviations, for a graft that starts at the identity of a model with rotary embedding: `p = 0` at first (the source draws it
//! from 0 to 2 and keeps it above 0.01) and f's last layer is zero; a starts at 1 (the source draws it from 0 to 1) and enters
//! by its magnitude, so that the logarithm is defined. i - j counts positions.
//! It does not fold: every pair passes through f, block by block.

use rave_hints::refusal;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::explicit::{self, Block, Edit};
use crate::noise::Noise;
use crate::{Attention, Build, Error, Geometry, Method, Step, VariantInfo};

/// Options of `dape`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Width of the network's hidden layer, at least 1.
    pub width: i64,
}

impl Options {
    /// The source's default.
    pub const DEFAULT: Self = Self { width: 32 };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "dape";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: true,
            queries: "all",
            keys: "all",
            folds: false,
            caches: "k".into(),
            identity: "its initial values (p = 0, last layer 0)",
            source: "chuanyang-Zheng/DAPE",
        }
    }

    fn identity(&self) -> Self {
        self.clone()
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(Dape::new(variant, self, build)?))
    }
}

/// One layer's network and positional bias.
#[derive(Debug)]
struct Layer {
    /// `p`, `[H]`.
    power: Tensor,
    /// `a`, `[H]`.
    scale: Tensor,
    /// `[32, 2H]`, `[32]`.
    hidden: (Tensor, Tensor),
    /// `[H, 32]`, `[H]`.
    output: (Tensor, Tensor),
}

/// DAPE for one model.
#[derive(Debug)]
pub struct Dape {
    geometry: Geometry,
    width: i64,
    layers: Vec<Layer>,
}

impl Dape {
    /// At its identity: equal to `standard` until trained.
    ///
    /// # Errors
    /// [`Error::Options`] for a width below 1; LibTorch's own for lack of memory.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Self, Error> {
        if options.width < 1 {
            return Err(Error::options(
                variant,
                refusal(
                    format!("width {} is not possible", options.width),
                    "allowed is 1 or above",
                ),
            ));
        }
        let (heads, width) = (build.geometry.heads, options.width);
        let noise = Noise::new(build.seed);
        let of = (build.kind, build.device);
        let layer = |layer: usize| -> Result<Layer, Error> {
            let hidden =
                noise.normal(layer as u64, &[width, 2 * heads]) / (2.0 * heads as f64).sqrt();
            let hidden = hidden.f_to_device(build.device)?.f_to_kind(build.kind)?;
            Ok(Layer {
                power: Tensor::f_zeros([heads], of)?,
                scale: Tensor::f_ones([heads], of)?,
                hidden: (hidden, Tensor::f_zeros([width], of)?),
                output: (
                    Tensor::f_zeros([heads, width], of)?,
                    Tensor::f_zeros([heads], of)?,
                ),
            })
        };
        Ok(Self {
            geometry: build.geometry,
            width,
            layers: (0..build.geometry.layers)
                .map(layer)
                .collect::<Result<_, _>>()?,
        })
    }

    fn edit(&self, layer: usize) -> Correction<'_> {
        Correction {
            layer: &self.layers[layer],
            width: self.width,
            heads: self.geometry.heads,
        }
    }
}

/// `B + f([z ; B])` added to explicit scores.
struct Correction<'a> {
    layer: &'a Layer,
    width: i64,
    heads: i64,
}

impl Correction<'_> {
    /// `B`, `[B, H, t, S']`.
    fn bias(&self, block: &Block) -> Result<Tensor, Error> {
        let tokens = block.step.tokens;
        let device = block.keys.device();
        let positions = |values: &[i64]| -> Result<Tensor, Error> {
            Ok(Tensor::f_from_slice(values)?
                .f_view([tokens.batch() as i64, -1])?
                .f_to_device(device)?)
        };
        let queries = block.over_rows(&positions(&tokens.new_positions())?, 1)?;
        let keys = positions(tokens.positions())?.f_narrow(1, 0, block.key_count())?;
        let distance = queries
            .f_unsqueeze(2)?
            .f_sub(&keys.f_unsqueeze(1)?)?
            .f_clamp_min(0)?
            .f_unsqueeze(1)?
            .f_to_kind(Kind::Float)?; // [B, 1, t, S']
        let a_head = |tensor: &Tensor| tensor.f_to_kind(Kind::Float)?.f_view([1, self.heads, 1, 1]);
        Ok(distance
            .f_mul(&a_head(&self.layer.scale)?.f_abs()?)?
            .f_log1p()?
            .f_mul(&a_head(&self.layer.power)?.f_neg()?)?)
    }
}

impl Edit for Correction<'_> {
    fn scores(&self, block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let bias = self.bias(block)?;
        let float = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        let (hidden, output) = (&self.layer.hidden, &self.layer.output);
        let corrected = Tensor::f_cat(&[&scores, &bias], 1)?
            .f_permute([0, 2, 3, 1])? // [B, t, S', 2H]
            .f_linear(&float(&hidden.0)?, Some(float(&hidden.1)?))?
            .f_leaky_relu()?
            .f_linear(&float(&output.0)?, Some(float(&output.1)?))?
            .f_permute([0, 3, 1, 2])?; // [B, H, t, S']
        Ok(scores.f_add(&bias)?.f_add(&corrected)?)
    }

    fn copies(&self) -> i64 {
        (self.width + 4 * self.heads) / self.heads
    }
}

impl Attention for Dape {
    fn key_width(&self, _layer: usize) -> i64 {
        self.geometry.head_dim
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(step.key.shallow_clone())
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        let rows: Vec<i64> = (0..step.query.size()[2]).collect();
        explicit::attend(
            &self.edit(step.layer),
            step,
            step.query,
            keys,
            values,
            &rows,
        )
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        explicit::weights(&self.edit(step.layer), step, step.query, keys, rows)
    }

    fn reuses_prefix(&self) -> bool {
        true
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut parameters = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            for (name, tensor) in [
                ("power", &layer.power),
                ("scale", &layer.scale),
                ("hidden.weight", &layer.hidden.0),
                ("hidden.bias", &layer.hidden.1),
                ("output.weight", &layer.output.0),
                ("output.bias", &layer.output.1),
            ] {
                parameters.push((
                    format!("dape.layers.{number}.{name}"),
                    tensor.shallow_clone(),
                ));
            }
        }
        parameters
    }
}
