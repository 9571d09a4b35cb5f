//! The connector: every square of patches becomes one visual embedding.

use tch::Tensor;

use super::config::{Generation, VisionConfig};
use super::vision::Norm;
use crate::Error;
use crate::nn::layers::{Activation, Linear};
use crate::nn::weights::Weights;

/// Norm, join a square's patches, two linear layers.
pub(super) struct Merger {
    norm: Norm,
    /// Whether patches are normalised each by itself rather than joined.
    norm_first: bool,
    /// Width of a square's patches together.
    joined: i64,
    widen: Linear,
    narrow: Linear,
}

impl Merger {
    /// Reads the merger of the tower's output.
    pub(super) fn load(config: &VisionConfig, weights: &Weights) -> Result<Self, Error> {
        let (norm, first, second) = match config.generation {
            Generation::Three { .. } => (
                weights / "norm",
                weights / "linear_fc1",
                weights / "linear_fc2",
            ),
            Generation::Two | Generation::TwoAndHalf { .. } => {
                let layers = weights / "mlp";
                (weights / "ln_q", &layers / 0, &layers / 2)
            }
        };
        let joined = Self::joined(config);
        Ok(Self {
            norm: Norm::load(config, &norm, config.width)?,
            norm_first: true,
            joined,
            widen: Linear::with_bias(&first, joined, joined)?,
            narrow: Linear::with_bias(&second, joined, config.output_width)?,
        })
    }

    /// Reads the merger of one of the tower's earlier layers.
    pub(super) fn load_deepstack(config: &VisionConfig, weights: &Weights) -> Result<Self, Error> {
        let joined = Self::joined(config);
        Ok(Self {
            norm: Norm::load(config, &(weights / "norm"), joined)?,
            norm_first: false,
            joined,
            widen: Linear::with_bias(&(weights / "linear_fc1"), joined, joined)?,
            narrow: Linear::with_bias(&(weights / "linear_fc2"), joined, config.output_width)?,
        })
    }

    fn joined(config: &VisionConfig) -> i64 {
        config.width * (config.merge * config.merge) as i64
    }

    /// Patch features `[N, vision width]`, a square's patches one after the other, to embeddings `[V, C]`.
    pub(super) fn forward(&self, features: &Tensor) -> Result<Tensor, Error> {
        let join = |x: &Tensor| x.f_view([-1, self.joined]);
        let joined = if self.norm_first {
            join(&self.norm.forward(features)?)?
        } else {
            self.norm.forward(&join(features)?)?
        };
        let wide = Activation::Gelu.apply(self.widen.forward(&joined)?)?;
        self.narrow.forward(&wide)
    }
}
