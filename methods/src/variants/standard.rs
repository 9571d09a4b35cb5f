//! `standard`: the decoder's own scaled dot-product attention, through LibTorch's fused kernel. The baseline of every
//! comparison, and what every other variant must equal at its identity setting.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::explicit::{self, Plain};
use crate::{Attention, Build, Error, Method, Step, VariantInfo, kernel};

/// Options of `standard`: there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Method for Options {
    const NAME: &'static str = "standard";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "none",
            keys: "none",
            folds: true,
            caches: "k".into(),
            identity: "itself",
            source: "the model's own",
        }
    }

    fn identity(&self) -> Self {
        self.clone()
    }

    fn build(&self, _variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(Standard::new(build)))
    }
}

/// The unchanged attention of the decoder.
#[derive(Debug)]
pub struct Standard {
    head_dim: i64,
}

impl Standard {
    /// The standard attention for a model of these sizes.
    pub fn new(build: &Build) -> Self {
        Self {
            head_dim: build.geometry.head_dim,
        }
    }
}

impl Attention for Standard {
    fn key_width(&self, _layer: usize) -> i64 {
        self.head_dim
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(step.key.shallow_clone())
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        kernel::fused(step.query, keys, values, step)
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        explicit::weights(&Plain, step, step.query, keys, rows)
    }

    fn reuses_prefix(&self) -> bool {
        true
    }
}
