//! `standard`: the decoder's own scaled dot-product attention, through LibTorch's fused kernel. The baseline of every
//! comparison, and what every other variant must equal at its identity setting.

use tch::Tensor;

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
}

impl Attention for Standard {
    fn key_width(&self) -> i64 {
        self.head_width
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(step.key.shallow_clone())
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        kernel::fused(step.query, keys, values, step.valid, step.scale)
    }
}
