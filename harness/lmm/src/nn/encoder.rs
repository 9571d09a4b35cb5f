//! The layer of SigLIP- and CLIP-style vision towers.
//!
//! Source: `transformers` 5.23 `models/siglip/modeling_siglip.py`, `models/clip/modeling_clip.py`.

use tch::Tensor;

use crate::Error;
use crate::nn::layers::{Activation, LayerNorm, Linear, plus};
use crate::nn::weights::Weights;

/// The sizes of a tower's layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncoderSizes {
    pub width: i64,
    /// Width of the feed-forward's middle.
    pub wide: i64,
    pub heads: i64,
    pub epsilon: f64,
    pub activation: Activation,
}

/// One pre-norm transformer layer without a mask: every tile is whole.
pub(crate) struct EncoderLayer {
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

impl EncoderLayer {
    /// Reads the layer under `weights`.
    pub(crate) fn load(sizes: &EncoderSizes, weights: &Weights) -> Result<Self, Error> {
        let EncoderSizes {
            width,
            wide,
            heads,
            epsilon,
            activation,
        } = *sizes;
        let (attention, mlp) = (weights / "self_attn", weights / "mlp");
        Ok(Self {
            heads,
            norm: LayerNorm::new(&(weights / "layer_norm1"), width, epsilon)?,
            query: Linear::with_bias(&(&attention / "q_proj"), width, width)?,
            key: Linear::with_bias(&(&attention / "k_proj"), width, width)?,
            value: Linear::with_bias(&(&attention / "v_proj"), width, width)?,
            output: Linear::with_bias(&(&attention / "out_proj"), width, width)?,
            feed_forward_norm: LayerNorm::new(&(weights / "layer_norm2"), width, epsilon)?,
            widen: Linear::with_bias(&(&mlp / "fc1"), width, wide)?,
            narrow: Linear::with_bias(&(&mlp / "fc2"), wide, width)?,
            activation,
        })
    }

    /// `[N, patches, width]` in and out.
    pub(crate) fn forward(&self, hidden: &Tensor) -> Result<Tensor, Error> {
        let [tiles, patches, width] = [0, 1, 2].map(|axis| hidden.size()[axis]);
        let split = |x: Tensor| {
            x.f_view([tiles, patches, self.heads, width / self.heads])?
                .f_transpose(1, 2)
        };
        let normed = self.norm.forward(hidden)?;
        let projections = [&self.query, &self.key, &self.value];
        let [query, key, value] = Linear::forward_all(projections, &normed)?;
        let query = split(query)?; // [N, heads, patches, width / heads]
        let key = split(key)?;
        let value = split(value)?;
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
        let hidden = plus(self.output.forward(&mixed)?, hidden)?;
        let normed = self.feed_forward_norm.forward(&hidden)?;
        let widened = self.activation.apply(self.widen.forward(&normed)?)?;
        plus(self.narrow.forward(&widened)?, &hidden)
    }
}
