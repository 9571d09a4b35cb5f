//! `standard`: the decoder's own scaled dot-product attention, through LibTorch's fused kernel. The baseline of every
//! comparison, and what every other variant must equal at its identity setting.

use tch::Tensor;

use crate::explicit::{self, Plain};
use crate::registry::Facts;
use crate::{Attention, Build, Error, Step, kernel};

/// The unchanged attention of the decoder.
#[derive(Debug)]
pub struct Standard {
    head_width: i64,
}

impl Standard {
    /// The standard attention for a model of these sizes.
    pub fn new(build: &Build) -> Self {
        Self {
            head_width: build.geometry.head_width,
        }
    }

    /// What `rave variants` says of it.
    pub fn facts() -> Facts {
        Facts {
            trained: false,
            queries: "none",
            keys: "none",
            folds: true,
            caches: "k".into(),
            identity: "itself",
            source: "the model's own",
        }
    }
}

impl Attention for Standard {
    fn key_width(&self, _layer: usize) -> i64 {
        self.head_width
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
