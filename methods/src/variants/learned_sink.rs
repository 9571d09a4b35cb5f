//! `learned-sink`: one learned logit a head joins the softmax and is dropped after it.
//!
//! Source: gpt-oss (`OpenAI`, 2025): `exp(z) / (exp(s_h) + sum exp z)`. It is a `Sink` (`methods/src/sink.rs`), which folds.
//!
//! It wants a model that was trained with it. Grafted on a trained model, it starts at a logit of -5, near the identity but not at
//! it: at minus infinity it would have no gradient.

use rave_hints::refusal;
use serde::{Deserialize, Serialize};

use crate::sink::Sink;
use crate::{Attention, Build, Error, Method, VariantInfo};

/// Options of `learned-sink`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The logit that every head starts with; the identity is minus infinity, reached in f32 from -100 on.
    pub initial: f64,
}

impl Options {
    /// Near the identity.
    pub const DEFAULT: Self = Self { initial: -5.0 };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Method for Options {
    const NAME: &'static str = "learned-sink";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: true,
            queries: "all",
            keys: "all, and none",
            folds: true,
            caches: "k".into(),
            identity: "logit = -100 or below",
            source: "OpenAI gpt-oss",
        }
    }

    fn identity(&self) -> Self {
        Self { initial: -100.0 }
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        if !self.initial.is_finite() {
            return Err(Error::options(
                variant,
                refusal(
                    format!("initial {} is not possible", self.initial),
                    "allowed is a finite number",
                ),
            ));
        }
        Ok(Box::new(Sink::new(Some(self.initial), true, build)?))
    }
}
