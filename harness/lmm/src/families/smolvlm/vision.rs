//! The vision tower: patches, learned positions, pre-norm transformer without a mask (every tile is whole).

use tch::Tensor;

use super::config::VisionConfig;
use crate::encoder::{EncoderLayer, EncoderSizes};
use crate::layers::{Activation, LayerNorm, Weights};
use crate::{Error, Part};

/// Tiles to patch features.
pub(super) struct VisionTower {
    patch_weight: Tensor,
    patch_bias: Tensor,
    patch_size: i64,
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
}

impl VisionTower {
    /// Reads the tower under `weights`.
    pub(super) fn load(config: &VisionConfig, weights: &Weights) -> Result<Self, Error> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let side = config.image_size / patch;
        let embeddings = weights / "embeddings";
        let patches = &embeddings / "patch_embedding";
        let layers = &(weights / "encoder") / "layers";
        let sizes = EncoderSizes {
            width,
            wide: config.intermediate_size,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            activation: Activation::from_name(&config.hidden_act).unwrap_or(Activation::GeluTanh),
        };
        Ok(Self {
            patch_weight: patches.tensor("weight", &[width, config.num_channels, patch, patch])?,
            patch_bias: patches.tensor("bias", &[width])?,
            patch_size: patch,
            positions: (&embeddings / "position_embedding")
                .as_part(Part::VisionTable)
                .tensor("weight", &[side * side, width])?,
            layers: (0..config.num_hidden_layers)
                .map(|number| EncoderLayer::load(&sizes, &(&layers / number)))
                .collect::<Result<_, _>>()?,
            norm: LayerNorm::new(&(weights / "post_layernorm"), width, config.layer_norm_eps)?,
        })
    }

    /// Side of a patch in pixels.
    pub(super) fn patch_size(&self) -> i64 {
        self.patch_size
    }

    /// Tiles `[N, 3, height, width]` to features `[N, patches, vision width]`.
    pub(super) fn forward(&self, pixels: &Tensor) -> Result<Tensor, Error> {
        let stride = [self.patch_size, self.patch_size];
        let patches = pixels.f_conv2d(
            &self.patch_weight,
            Some(&self.patch_bias),
            stride,
            [0, 0],
            [1, 1],
            1,
        )?;
        let mut hidden = patches
            .f_flatten(2, 3)?
            .f_transpose(1, 2)?
            .f_add(&self.positions)?; // [N, patches, width]
        for layer in &self.layers {
            hidden = layer.forward(&hidden)?;
        }
        self.norm.forward(&hidden)
    }
}
