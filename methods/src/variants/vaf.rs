//! `vaf` (visual amplification fusion): scales the scores of text queries up on the image and down on the system prompt, in
//! the middle layers.
//!
//! Source: "`ClearSight`: Visual Signal Enhancement for Object Hallucination Mitigation in Multimodal Large Language Models"
//! (CVPR 2025), `ustc-hyin/ClearSight`, `AttnAdapter.py`:
//! ```text
//! z_ij *= 1.15 for visual j, z_ij *= 0.95 for system-prompt j, i after the image, layers 9 to 14 of 32
//! ```
//! Scores keep their sign, so a *negative* visual score becomes more negative and gets less weight; that is the source's
//! formula and is kept. The system prompt is what stands before the first visual token. The source knows one image of 576
//! tokens at a fixed place; with several images, or tiles with text between them, a query is "after the image" when it is a
//! text token with a visual token before it. The layers are rescaled by depth.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::explicit::{Block, Edit, Edited, RowEdit};
use crate::{Attention, Build, Error, Layers, Method, QueryRows, Step, VariantInfo};

/// Options of `vaf`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Factor on the scores of visual keys; 1 is the identity.
    pub visual: f64,
    /// Factor on the scores of keys before the image; 1 is the identity.
    pub system: f64,
    /// Layers that are edited.
    pub layers: Layers,
}

impl Options {
    /// The source's defaults.
    pub const DEFAULT: Self = Self {
        visual: 1.15,
        system: 0.95,
        layers: Layers::range(9, 14, 32),
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "vaf";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "text after the image",
            keys: "visual and system prompt",
            folds: false,
            caches: "k".into(),
            identity: "visual = 1, system = 1",
            source: "ustc-hyin/ClearSight",
        }
    }

    fn identity(&self) -> Self {
        Self {
            visual: 1.0,
            system: 1.0,
            ..self.clone()
        }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(Vaf::new(variant, self, build)?))
    }
}

/// The edit, built for one model.
#[derive(Debug)]
pub struct Vaf {
    visual: f64,
    system: f64,
    layers: Vec<bool>,
}

impl Vaf {
    /// Builds it.
    ///
    /// # Errors
    /// [`Error::Options`] for a factor that is not finite, or layers that the model does not have.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Edited<Self>, Error> {
        for (name, factor) in [("visual", options.visual), ("system", options.system)] {
            Error::check_finite(variant, name, factor)?;
        }
        let edit = Self {
            visual: options.visual,
            system: options.system,
            layers: options.layers.of(variant, build.geometry.layers)?,
        };
        Ok(Edited::new(edit, build.geometry.head_dim, 0))
    }
}

impl Edit for Vaf {
    fn scores(&self, block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let tokens = block.step.tokens;
        let Some(visual) = tokens.visual_keys()? else {
            return Ok(scores);
        };
        let system = tokens.keys_before_image()?;
        let part = |mask: &Tensor, factor: f64| -> Result<Tensor, Error> {
            Ok(block
                .over_keys(mask)?
                .f_to_kind(scores.kind())?
                .f_mul_scalar(factor - 1.0)?)
        };
        let factor = part(visual, self.visual)?
            .f_add(&part(&system, self.system)?)?
            .f_add_scalar(1.0)?; // [B, 1, 1, S']
        Ok(scores.f_mul(&factor)?)
    }
}

impl RowEdit for Vaf {
    fn rows(&self, step: &Step) -> Option<QueryRows> {
        self.layers[step.layer].then(|| step.tokens.text_after_visual())
    }
}
