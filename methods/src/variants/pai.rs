//! `pai`: pays more attention to the image by adding a share of each visual score's magnitude to it.
//!
//! Source: "Paying More Attention to Image: A Training-Free Method for Alleviating Hallucination in LVLMs" (ECCV 2024),
//! `LALBJ/PAI`, `attention.py`:
//! ```text
//! z_ij += alpha |z_ij|,   j visual, i the last query of the pass, alpha = 0.2, layers 2 to the last (of LLaVA-1.5's 32)
//! ```
//! The last query of a pass is, over the whole answer, the prompt's last token and every generated one; it is said so here,
//! so that passes may be cut anywhere. Deviations: the layers are rescaled by depth; the paper's second half (subtracting
//! the logits of a prompt without the image) is another decoding rule, not attention, and is left out.

use rave_hints::refusal;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::explicit::{Block, Edit, Edited, RowEdit};
use crate::{Attention, Build, Error, Layers, Method, QueryRows, Step, VariantInfo};

/// Options of `pai`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Share of the magnitude that is added; 0 is the identity.
    pub alpha: f64,
    /// Layers that are edited.
    pub layers: Layers,
}

impl Options {
    /// The source's defaults.
    pub const DEFAULT: Self = Self {
        alpha: 0.2,
        layers: Layers::range(2, 31, 32),
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "pai";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "answering",
            keys: "visual",
            folds: false,
            caches: "k".into(),
            identity: "alpha = 0",
            source: "LALBJ/PAI",
        }
    }

    fn identity(&self) -> Self {
        Self {
            alpha: 0.0,
            ..self.clone()
        }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(Pai::new(variant, self, build)?))
    }
}

/// The edit, built for one model.
#[derive(Debug)]
pub struct Pai {
    alpha: f64,
    layers: Vec<bool>,
}

impl Pai {
    /// Builds it.
    ///
    /// # Errors
    /// [`Error::Options`] for an alpha that is not finite, or layers that the model does not have.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Edited<Self>, Error> {
        if !options.alpha.is_finite() {
            return Err(Error::options(
                variant,
                refusal(
                    format!("alpha {} is not possible", options.alpha),
                    "allowed is a finite number",
                ),
            ));
        }
        let edit = Self {
            alpha: options.alpha,
            layers: options.layers.of(variant, build.geometry.layers)?,
        };
        Ok(Edited::new(edit, build.geometry.head_dim, 0))
    }
}

impl Edit for Pai {
    fn scores(&self, block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let Some(visual) = block.step.tokens.visual_keys()? else {
            return Ok(scores);
        };
        let visual = block.over_keys(visual)?.f_to_kind(scores.kind())?;
        let more = scores.f_abs()?.f_mul_scalar(self.alpha)?.f_mul(&visual)?;
        Ok(scores.f_add(&more)?)
    }
}

impl RowEdit for Pai {
    fn rows(&self, step: &Step) -> Option<QueryRows> {
        self.layers[step.layer].then(|| step.tokens.answering())
    }
}
