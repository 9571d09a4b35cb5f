//! The vision tower: patches, learned positions, pre-norm transformer without a mask (every tile is whole).

use tch::Tensor;

use super::config::VisionConfig;
use crate::Error;
use crate::layers::{Activation, LayerNorm, Linear, Weights};

/// Tiles to patch features.
pub(super) struct VisionTower {
    patch_weight: Tensor,
    patch_bias: Tensor,
    patch_size: i64,
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
}

struct EncoderLayer {
    heads: i64,
    norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    feed_forward_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
    activation: Activation,
}

impl VisionTower {
    /// Reads the tower under `weights`.
    pub(super) fn load(config: &VisionConfig, weights: &Weights) -> Result<Self, Error> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let side = config.image_size / patch;
        let embeddings = weights / "embeddings";
        let patches = &embeddings / "patch_embedding";
        let layers = &(weights / "encoder") / "layers";
        Ok(Self {
            patch_weight: patches.tensor("weight", &[width, config.num_channels, patch, patch])?,
            patch_bias: patches.tensor("bias", &[width])?,
            patch_size: patch,
            positions: (&embeddings / "position_embedding")
                .tensor("weight", &[side * side, width])?,
            layers: (0..config.num_hidden_layers)
                .map(|number| EncoderLayer::load(config, &(&layers / number)))
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

impl EncoderLayer {
    fn load(config: &VisionConfig, weights: &Weights) -> Result<Self, Error> {
        let (width, wide, epsilon) = (
            config.hidden_size,
            config.intermediate_size,
            config.layer_norm_eps,
        );
        let (attention, mlp) = (weights / "self_attn", weights / "mlp");
        Ok(Self {
            heads: config.num_attention_heads,
            norm: LayerNorm::new(&(weights / "layer_norm1"), width, epsilon)?,
            query: Linear::with_bias(&(&attention / "q_proj"), width, width)?,
            key: Linear::with_bias(&(&attention / "k_proj"), width, width)?,
            value: Linear::with_bias(&(&attention / "v_proj"), width, width)?,
            output: Linear::with_bias(&(&attention / "out_proj"), width, width)?,
            feed_forward_norm: LayerNorm::new(&(weights / "layer_norm2"), width, epsilon)?,
            widen: Linear::with_bias(&(&mlp / "fc1"), width, wide)?,
            narrow: Linear::with_bias(&(&mlp / "fc2"), wide, width)?,
            activation: Activation::from_name(&config.hidden_act).unwrap_or(Activation::GeluTanh),
        })
    }

    /// `[N, patches, width]` in and out.
    fn forward(&self, hidden: &Tensor) -> Result<Tensor, Error> {
        let [tiles, patches, width] = [0, 1, 2].map(|axis| hidden.size()[axis]);
        let split = |x: Tensor| {
            x.f_view([tiles, patches, self.heads, width / self.heads])?
                .f_transpose(1, 2)
        };
        let normed = self.norm.forward(hidden)?;
        let query = split(self.query.forward(&normed)?)?; // [N, heads, patches, width / heads]
        let key = split(self.key.forward(&normed)?)?;
        let value = split(self.value.forward(&normed)?)?;
        let mixed = Tensor::f_scaled_dot_product_attention(
            &query,
            &key,
            &value,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        let mixed = mixed
            .f_transpose(1, 2)?
            .f_reshape([tiles, patches, width])?;
        let hidden = hidden.f_add(&self.output.forward(&mixed)?)?;
        let widened = self.activation.apply(
            &self
                .widen
                .forward(&self.feed_forward_norm.forward(&hidden)?)?,
        )?;
        let hidden = hidden.f_add(&self.narrow.forward(&widened)?)?;
        Ok(hidden)
    }
}
