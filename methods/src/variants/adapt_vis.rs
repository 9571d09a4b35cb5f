//! `adapt-vis`: `scaling-vis` with the factor chosen by how sure the model is.
//!
//! Source: "Why Is Spatial Reasoning Hard for VLMs? An Attention Mechanism Perspective on Focus Areas" (ICML 2025),
//! `shiqichen17/AdaptVis`:
//! ```text
//! run with w = 1; if the probability of the likeliest first token is below 0.4, run again with w = 0.5, else with 1.5
//! ```
//! What w does stands in `scaling_vis.rs`.

use rave_hints::refusal;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::scaling_vis::{self, ScalingVis};
use crate::explicit::Edited;
use crate::{Attention, Build, Error, Method, Step, VariantInfo};

/// Options of `adapt-vis`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Probability of the likeliest first token below which the model counts as unsure, 0 to 1.
    pub threshold: f64,
    /// Factor when it is unsure; 1 is the identity.
    pub unsure: f64,
    /// Factor when it is sure; 1 is the identity.
    pub sure: f64,
}

impl Options {
    /// The source's defaults.
    pub const DEFAULT: Self = Self {
        threshold: 0.4,
        unsure: 0.5,
        sure: 1.5,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "adapt-vis";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            identity: "unsure = 1, sure = 1",
            ..scaling_vis::Options::DEFAULT.info()
        }
    }

    fn identity(&self) -> Self {
        Self {
            unsure: 1.0,
            sure: 1.0,
            ..self.clone()
        }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(AdaptVis::new(variant, self, build)?))
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
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&options.threshold) {
            return Err(Error::options(
                variant,
                refusal(
                    format!("threshold {} is not possible", options.threshold),
                    "allowed is 0 to 1",
                ),
            ));
        }
        Error::check_finite(variant, "unsure", options.unsure)?;
        Error::check_finite(variant, "sure", options.sure)?;
        let with = |weight| ScalingVis::new(variant, &scaling_vis::Options { weight }, build);
        Ok(Self {
            threshold: options.threshold,
            first: with(1.0)?,
            unsure: with(options.unsure)?,
            sure: with(options.sure)?,
        })
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

    fn rerun(&self, confidence: f64) -> Option<&dyn Attention> {
        Some(if confidence < self.threshold {
            &self.unsure
        } else {
            &self.sure
        })
    }
}
