//! `fastv`: drops the visual tokens that the prompt's last token hardly looks at, after the first layers.
//!
//! Source: "An Image is Worth 1/2 Tokens After Layer 2: Plug-and-Play Inference Acceleration for Large Vision-Language Models"
//! (ECCV 2024), `pkunlp-icler/FastV`: after K = 2 layers of 32, the share 1 - R of the visual tokens with the most attention
//! in layer K - 1 (mean over heads, last query of the prompt) stays, with its positions; later layers neither compute nor
//! cache the others. K is rescaled by depth, at least 1. Of every sequence at least one visual token stays, and the prompt's last
//! token whatever it is.

use rave_hints::{Refusal, refusal};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::depth::scaled;
use crate::explicit::{self, Plain};
use crate::variants::standard::Standard;
use crate::{Attention, Build, Error, Method, Step, VariantInfo};

/// Options of `fastv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// R, the share of the visual tokens that is dropped, from 0 (the identity) to below 1.
    pub ratio: f64,
    /// K, the layers that see every token, at least 1.
    pub full_layers: usize,
    /// Layers of the model that `full_layers` is for; the model at hand when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<usize>,
}

impl Options {
    /// The source's defaults at one ratio.
    pub const fn at(ratio: f64) -> Self {
        Self {
            ratio,
            full_layers: 2,
            of: Some(32),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        // A preset that counts layers counts its own model's.
        Self {
            ratio: 0.5,
            full_layers: 2,
            of: None,
        }
    }
}

impl Method for Options {
    const NAME: &'static str = "fastv";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "all after layer K",
            keys: "visual (dropped)",
            folds: true,
            caches: "k of the tokens that stay".into(),
            identity: "ratio = 0",
            source: "pkunlp-icler/FastV",
        }
    }

    fn identity(&self) -> Self {
        Self {
            ratio: 0.0,
            ..self.clone()
        }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(FastV::new(variant, self, build)?))
    }
}

/// Token dropping for one model.
#[derive(Debug)]
pub struct FastV {
    standard: Standard,
    ratio: f64,
    /// The layer after which tokens are dropped.
    last_full: usize,
}

impl FastV {
    /// Builds it.
    ///
    /// # Errors
    /// [`Error::Options`] for a ratio outside 0 to below 1, or layers that the model does not have.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Self, Error> {
        let refuse = |reason: Refusal| Err(Error::options(variant, reason));
        let Options {
            ratio,
            full_layers,
            of,
        } = *options;
        if !(0.0..1.0).contains(&ratio) {
            return refuse(refusal(
                format!("ratio {ratio} is not possible"),
                "allowed is 0 to below 1 (at 1 the image would be gone)",
            ));
        }
        let depth = build.geometry.layers;
        let total = of.unwrap_or(depth);
        if !(1..=total).contains(&full_layers) {
            return refuse(refusal(
                format!("full_layers {full_layers} is not possible"),
                format!("allowed is 1 to {total}"),
            ));
        }
        Ok(Self {
            standard: Standard::new(build),
            ratio,
            last_full: scaled(full_layers, depth, total).max(1) - 1,
        })
    }
}

impl Attention for FastV {
    fn key_width(&self, layer: usize) -> i64 {
        self.standard.key_width(layer)
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        self.standard.store(step)
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        self.standard.attend(step, keys, values)
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        self.standard.weights(step, keys, rows)
    }

    fn drop_tokens(&self, step: &Step, keys: &Tensor) -> Result<Option<Vec<bool>>, Error> {
        let tokens = step.tokens;
        if step.layer != self.last_full
            || self.ratio == 0.0
            || !tokens.is_whole_prompt()
            || !tokens.visual().contains(&true)
        {
            return Ok(None);
        }
        let rows = tokens.prompt_end();
        let weights = explicit::weights(&Plain, step, step.query, keys, &rows.index)?
            .f_mean_dim(&[1_i64][..], false, Kind::Float)? // [B, t, S]
            .f_contiguous()?;
        let weights: Vec<f32> = Vec::try_from(weights.f_flatten(0, -1)?)?;
        let (stored, ends) = (tokens.stored(), rows.index.len());
        let mut keep = vec![true; tokens.visual().len()];
        for sequence in 0..tokens.batch() {
            let Some(end) = (0..ends).find(|end| rows.selected[sequence * ends + end]) else {
                continue;
            };
            let weights = &weights[(sequence * ends + end) * stored..][..stored];
            let own = sequence * stored;
            // What stands before the query that the answer begins with: it is needed itself, and so is what follows it.
            let mut visual: Vec<usize> = (0..rows.index[end] as usize)
                .filter(|at| tokens.visual()[own + at])
                .collect();
            // The most looked at first; of equals the first in the sequence.
            visual.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
            // Rounded down as in the source, but not for the last bit of 1 - R.
            let stay = ((1.0 - self.ratio) * visual.len() as f64 + 1e-9) as usize;
            for &at in visual.iter().skip(stay.max(1)) {
                keep[own + at] = false;
            }
        }
        Ok(Some(keep))
    }
}
