//! The connector of the LLaVA families: two layers with an activation in between, patch by patch.

use tch::Tensor;

use super::config::Config;
use crate::Error;
use crate::nn::layers::{Activation, Linear};
use crate::nn::weights::Weights;

/// Features to embeddings.
#[derive(Debug)]
pub(in crate::families) struct Projector {
    first: Linear,
    activation: Activation,
    second: Linear,
}

impl Projector {
    /// Reads `linear_1` and `linear_2` under `weights`.
    pub(in crate::families) fn load(config: &Config, weights: &Weights) -> Result<Self, Error> {
        let bias = config.projector_bias();
        let linear =
            |name: &str, input, output| Linear::new(&(weights / name), input, output, bias);
        let width = config.decoder.hidden_size;
        Ok(Self {
            first: linear("linear_1", config.feature_width(), width)?,
            activation: config.projector_activation(),
            second: linear("linear_2", width, width)?,
        })
    }

    /// Features `[.., W]` to embeddings `[.., C]`.
    pub(in crate::families) fn forward(&self, features: &Tensor) -> Result<Tensor, Error> {
        let widened = self.activation.apply(self.first.forward(features)?)?;
        self.second.forward(&widened)
    }
}
