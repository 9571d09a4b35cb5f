//! `scaling-vis`: one factor on the scores from the prompt's last token to the image.
//!
//! Source: "Why Is Spatial Reasoning Hard for VLMs? An Attention Mechanism Perspective on Focus Areas" (ICML 2025),
//! `shiqichen17/AdaptVis`:
//! ```text
//! z_ij *= w,   j visual, i the last query of prefill, all layers
//! ```
//! The source tunes w for each data set. The preset takes 1.5, the factor that the adaptive scheme (`adapt-vis`) takes when the
//! model is sure. As in the source, tokens after the first are decoded without any factor.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::explicit::{Block, Edit, Edited, RowEdit};
use crate::{Attention, Build, Error, Method, QueryRows, Step, VariantInfo};

/// Options of `scaling-vis`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Factor on the scores; 1 is the identity.
    pub weight: f64,
}

impl Options {
    /// The preset's default.
    pub const DEFAULT: Self = Self { weight: 1.5 };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "scaling-vis";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "end of the prompt",
            keys: "visual",
            folds: false,
            caches: "k".into(),
            identity: "weight = 1",
            source: "shiqichen17/AdaptVis",
        }
    }

    fn identity(&self) -> Self {
        Self { weight: 1.0 }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(ScalingVis::new(variant, self, build)?))
    }
}

/// The edit, built for one model.
#[derive(Debug)]
pub struct ScalingVis {
    weight: f64,
}

impl ScalingVis {
    /// Builds it.
    ///
    /// # Errors
    /// [`Error::Options`] for a factor that is not finite.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Edited<Self>, Error> {
        Error::check_finite(variant, "weight", options.weight)?;
        let edit = Self {
            weight: options.weight,
        };
        Ok(Edited::new(edit, build.geometry.head_dim, 0))
    }
}

impl Edit for ScalingVis {
    fn scores(&self, block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let Some(visual) = block.step.tokens.visual_keys()? else {
            return Ok(scores);
        };
        let factor = block
            .over_keys(visual)?
            .f_to_kind(scores.kind())?
            .f_mul_scalar(self.weight - 1.0)?
            .f_add_scalar(1.0)?; // [B, 1, 1, S']
        Ok(scores.f_mul(&factor)?)
    }
}

impl RowEdit for ScalingVis {
    fn rows(&self, step: &Step) -> Option<QueryRows> {
        Some(step.tokens.prompt_end())
    }
}
