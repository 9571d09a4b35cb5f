//! `softmax-off-by-one`: a softmax with 1 more in its denominator, so that a head may give weight to nothing.
//!
//! Source: softmax1, "Attention Is Off By One" (E. Miller, 2023): `exp(z) / (1 + sum exp z)`. Here the 1 may be any fixed mass m.
//! It is a `Sink` (`methods/src/sink.rs`) with `s_h = log m`, which folds.
//!
//! It wants a model that was trained with it: grafted on a trained model, it changes every row a little.

use rave_hints::refusal;
use serde::{Deserialize, Serialize};

use crate::sink::Sink;
use crate::{Attention, Build, Error, Method, VariantInfo};

/// Options of `softmax-off-by-one`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// What is added to the softmax's denominator, at least 0; 0 is the identity.
    pub mass: f64,
}

impl Options {
    /// The source's 1.
    pub const DEFAULT: Self = Self { mass: 1.0 };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "softmax-off-by-one";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "all",
            keys: "all, and none",
            folds: true,
            caches: "k".into(),
            identity: "mass = 0",
            source: "Miller 2023 (softmax1)",
        }
    }

    fn identity(&self) -> Self {
        Self { mass: 0.0 }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        let mass = self.mass;
        if !(mass.is_finite() && mass >= 0.0) {
            return Err(Error::options(
                variant,
                refusal(
                    format!("mass {mass} is not possible"),
                    "allowed is 0 or above",
                ),
            ));
        }
        let logit = (mass > 0.0).then(|| mass.ln());
        Ok(Box::new(Sink::new(logit, false, build)?))
    }
}
