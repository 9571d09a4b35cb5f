//! `vis-sink` (visual attention redistribution): takes weight from attention sinks and gives it to the other visual tokens, in
//! heads that look at the image.
//!
//! Source: "See What You Are Told: Visual Attention Sink in Large Multimodal Models" (ICLR 2025), `seilk/VisAttnSink`,
//! `src/logic/logic.py`. After the softmax, for a head and a text query after the image:
//! ```text
//! sinks:    tokens (visual or text) with max over sink dimensions of |RMSNorm(h)| > tau, tau = 20
//! chosen:   heads and queries with visual mass >= 0.2, of which at most the share rho = 0.5 is on visual sinks
//! weights:  sinks keep p = 0.6 of theirs; what they lose goes to the visual tokens that are no sinks, in proportion
//! ```
//! Rows still sum to one. A query that has seen no visual sink is left alone, as is the last layer, and the first two.
//!
//! Deviations. The source lists two sink dimensions of LLaMA-2. Here, unless a preset names dimensions, every dimension
//! counts: only massive activations come near the threshold. Its size is at most the root of the model width C, so the
//! threshold, stated for C = 4096, is rescaled to `tau sqrt(C / 4096)`. The layers are rescaled by depth.
//! Whether a token is a sink is stored with its key, one channel, so decoding needs no hidden state of the past.

use rave_hints::{Refusal, refusal};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::explicit::{Block, Edit, Edited, RowEdit};
use crate::{Attention, Build, Error, Layers, Method, QueryRows, Step, VariantInfo};

/// The model width that the source's threshold is for.
const SOURCE_WIDTH: f64 = 4096.0;

/// Options of `vis-sink`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Threshold on |RMSNorm(h)| for a model of width 4096.
    pub tau: f64,
    /// Most of the visual mass that may lie on sinks, 0 to 1.
    pub rho: f64,
    /// Least visual mass, 0 to 1.
    pub mass: f64,
    /// Share of its weight that a sink keeps, 0 to 1; 1 is the identity.
    pub keep: f64,
    /// Sink dimensions of the model; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<i64>,
    /// Layers that are edited.
    pub layers: Layers,
}

impl Options {
    /// The source's defaults.
    pub const DEFAULT: Self = Self {
        tau: 20.0,
        rho: 0.5,
        mass: 0.2,
        keep: 0.6,
        dimensions: Vec::new(),
        layers: Layers::range(2, 30, 32),
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "vis-sink";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "text after the image",
            keys: "sinks and visual",
            folds: false,
            caches: "k and a sink flag".into(),
            identity: "keep = 1",
            source: "seilk/VisAttnSink",
        }
    }

    fn identity(&self) -> Self {
        Self {
            keep: 1.0,
            ..self.clone()
        }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(VisSink::new(variant, self, build)?))
    }
}

/// The edit, built for one model.
#[derive(Debug)]
pub struct VisSink {
    options: Options,
    /// The threshold for this model's width.
    threshold: f64,
    layers: Vec<bool>,
}

impl VisSink {
    /// Builds it.
    ///
    /// # Errors
    /// [`Error::Options`] for shares outside 0 to 1, dimensions or layers that the model does not have.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Edited<Self>, Error> {
        let refuse = |reason: Refusal| Err(Error::options(variant, reason));
        for (name, share) in [
            ("rho", options.rho),
            ("mass", options.mass),
            ("keep", options.keep),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(refusal(
                    format!("{name} = {share} is not possible"),
                    "allowed is 0 to 1",
                ));
            }
        }
        if !(options.tau.is_finite() && options.tau > 0.0) {
            return refuse(refusal(
                format!("tau = {} is not possible", options.tau),
                "allowed is above 0",
            ));
        }
        let width = build.geometry.model_width;
        if let Some(dimension) = options
            .dimensions
            .iter()
            .find(|at| !(0..width).contains(*at))
        {
            return refuse(refusal(
                format!("dimension {dimension} is not possible"),
                format!("allowed is 0 to {}", width - 1),
            ));
        }
        let edit = Self {
            threshold: options.tau * (width as f64 / SOURCE_WIDTH).sqrt(),
            layers: options.layers.of(variant, build.geometry.layers)?,
            options: options.clone(),
        };
        Ok(Edited::new(edit, build.geometry.head_dim, 1))
    }
}

impl Edit for VisSink {
    fn weights(&self, block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let weights = scores.f_softmax(-1, Kind::Float)?; // [B, H, t, S']
        let Some(visual) = block.step.tokens.visual_keys()? else {
            return Ok(weights);
        };
        let sum = |mask: &Tensor| {
            weights
                .f_mul(mask)?
                .f_sum_dim_intlist(-1, true, Kind::Float)
        };
        let channel = block.keys.size()[3] - 1;
        // The flag of key group 0: all groups store the same.
        let sinks = block.keys.f_narrow(1, 0, 1)?.f_narrow(3, channel, 1)?; // [B, 1, S', 1]
        let sinks = sinks.f_transpose(2, 3)?.f_to_kind(Kind::Float)?; // [B, 1, 1, S']
        let visual = block.over_keys(visual)?.f_to_kind(Kind::Float)?;
        let visual_sinks = visual.f_mul(&sinks)?;
        let others = visual.f_sub(&visual_sinks)?;
        let mass = sum(&visual)?; // [B, H, t, 1]
        let on_sinks = sum(&visual_sinks)?;
        let on_others = sum(&others)?;
        let selected = mass
            .f_ge(self.options.mass)?
            .f_logical_and(&on_sinks.f_le_tensor(&mass.f_mul_scalar(self.options.rho)?)?)?
            // A visual sink is there for a query that has seen one.
            .f_logical_and(&on_sinks.f_gt(0.0)?)?
            .f_logical_and(&on_others.f_gt(1e-6)?)?;
        let lost = 1.0 - self.options.keep;
        let budget = sum(&sinks)?.f_mul_scalar(lost)?;
        let gained = weights
            .f_mul(&others)?
            .f_mul(&budget.f_div(&on_others.f_clamp_min(1e-6)?)?)?;
        let edited = weights
            .f_mul(&sinks.f_mul_scalar(-lost)?.f_add_scalar(1.0)?)?
            .f_add(&gained)?;
        Ok(edited.f_where_self(&selected, &weights)?)
    }

    fn copies(&self) -> i64 {
        3
    }
}

impl RowEdit for VisSink {
    fn rows(&self, step: &Step) -> Option<QueryRows> {
        self.layers[step.layer].then(|| step.tokens.text_after_visual())
    }

    fn marks(&self, step: &Step) -> Result<Option<Tensor>, Error> {
        let hidden = step.hidden.f_to_kind(Kind::Float)?; // [B, T, C]
        let mean_square = hidden.f_square()?.f_mean_dim(-1, true, Kind::Float)?;
        let normed = hidden.f_mul(&mean_square.f_add_scalar(1e-6)?.f_rsqrt()?)?;
        let looked_at = if self.options.dimensions.is_empty() {
            normed
        } else {
            let index = Tensor::f_from_slice(&self.options.dimensions)?;
            normed.f_index_select(-1, &index.f_to_device(normed.device())?)?
        };
        let largest = looked_at.f_abs()?.f_amax(-1, false)?; // [B, T]
        let size = step.key.size();
        let flag = largest
            .f_gt(self.threshold)?
            .f_to_kind(step.key.kind())?
            .f_view([size[0], 1, size[2], 1])?
            .f_expand([size[0], size[1], size[2], 1], false)?;
        Ok(Some(flag))
    }
}
