//! `scaling-vis` and `adapt-vis`: one factor on the scores from the prompt's last token to the image; the second chooses the
//! factor by how sure the model is.
//!
//! Source: "Why Is Spatial Reasoning Hard for VLMs? An Attention Mechanism Perspective on Focus Areas" (ICML 2025),
//! `shiqichen17/AdaptVis`:
//! ```text
//! z_ij *= w,   j visual, i the last query of prefill, all layers
//! adapt: run with w = 1; if the probability of the likeliest first token is below 0.4, run again with w = 0.5, else with 1.5
//! ```
//! The source tunes w for each data set. The preset `scaling-vis` takes 1.5, the factor that the adaptive scheme takes when the
//! model is sure. As in the source, tokens after the first are decoded without any factor.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::explicit::{Block, Edit, Edited, RowEdit};
use crate::registry::Facts;
use crate::{Attention, Build, Error, Rows, Step};

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

/// Options of `adapt-vis`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveOptions {
    /// Probability of the likeliest first token below which the model counts as unsure, 0 to 1.
    pub threshold: f64,
    /// Factor when it is unsure; 1 is the identity.
    pub unsure: f64,
    /// Factor when it is sure; 1 is the identity.
    pub sure: f64,
}

impl AdaptiveOptions {
    /// The source's defaults.
    pub const DEFAULT: Self = Self {
        threshold: 0.4,
        unsure: 0.5,
        sure: 1.5,
    };
}

impl Default for AdaptiveOptions {
    fn default() -> Self {
        Self::DEFAULT
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
        finite(variant, "weight", options.weight)?;
        let edit = Self {
            weight: options.weight,
        };
        Ok(Edited::new(edit, build.geometry.head_width, 0))
    }

    /// What `rave variants` says of it.
    pub fn facts() -> Facts {
        Facts {
            trained: false,
            queries: "end of the prompt",
            keys: "visual",
            folds: false,
            caches: "k".into(),
            identity: "weight = 1",
            source: "shiqichen17/AdaptVis",
        }
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
    fn rows(&self, step: &Step) -> Option<Rows> {
        Some(step.tokens.prompt_end())
    }
}

/// `adapt-vis`, built for one model: itself the first run, with the two to choose from for the second.
#[derive(Debug)]
pub struct AdaptVis {
    threshold: f64,
    first: Edited<ScalingVis>,
    unsure: Edited<ScalingVis>,
    sure: Edited<ScalingVis>,
}

impl AdaptVis {
    /// Builds it.
    ///
    /// # Errors
    /// [`Error::Options`] for a factor that is not finite or a threshold that is no probability.
    pub fn new(variant: &str, options: &AdaptiveOptions, build: &Build) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&options.threshold) {
            return Err(Error::options(
                variant,
                format!(
                    "threshold {} is not possible; allowed is 0 to 1",
                    options.threshold
                ),
            ));
        }
        finite(variant, "unsure", options.unsure)?;
        finite(variant, "sure", options.sure)?;
        let with = |weight| ScalingVis::new(variant, &Options { weight }, build);
        Ok(Self {
            threshold: options.threshold,
            first: with(1.0)?,
            unsure: with(options.unsure)?,
            sure: with(options.sure)?,
        })
    }

    /// What `rave variants` says of it.
    pub fn facts() -> Facts {
        Facts {
            identity: "unsure = 1, sure = 1",
            ..ScalingVis::facts()
        }
    }
}

impl Attention for AdaptVis {
    fn key_width(&self, layer: usize) -> i64 {
        self.first.key_width(layer)
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        self.first.store(step)
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        self.first.attend(step, keys, values)
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        self.first.weights(step, keys, rows)
    }

    /// The factors are for the prompt's last token alone, so both runs share what comes before.
    fn reuses_prefix(&self) -> bool {
        true
    }

    fn again(&self, confidence: f64) -> Option<&dyn Attention> {
        Some(if confidence < self.threshold {
            &self.unsure
        } else {
            &self.sure
        })
    }
}

fn finite(variant: &str, name: &str, value: f64) -> Result<(), Error> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::options(
        variant,
        format!("{name} = {value} is not possible; allowed is a finite number"),
    ))
}
