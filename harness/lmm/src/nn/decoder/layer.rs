//! One layer of the decoder: norms, projections around the attention slot, gated feed-forward.

use std::rc::Rc;

use rave_methods::{Geometry, Step, Tokens};
use tch::Tensor;

use super::pass::Pass;
use super::{DecoderConfig, Style};
use crate::Error;
use crate::nn::kv_cache::KvCache;
use crate::nn::layers::{Activation, Linear, RmsNorm, Rotation, plus, rotate, times};
use crate::nn::stage::Stage;
use crate::nn::weights::Weights;

#[derive(Debug)]
pub(super) struct Layer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    /// Of every head's queries and of its keys.
    head_norms: Option<[RmsNorm; 2]>,
    output: Linear,
    feed_forward_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

/// What a layer is given besides the hidden states.
pub(super) struct Inputs<'a> {
    pub(super) number: usize,
    pub(super) geometry: &'a Geometry,
    pub(super) tokens: &'a Rc<Tokens>,
    pub(super) rotation: &'a Rotation,
    /// The tokens that go on from the layer's attention, M indices into B x T; `None` for all.
    pub(super) wanted: Option<&'a Tensor>,
}

/// Some of the B x T rows of `[B, T, C]`, `[M, C]`.
pub(super) fn select_tokens(hidden: &Tensor, index: &Tensor) -> Result<Tensor, Error> {
    Ok(hidden.f_flatten(0, 1)?.f_index_select(0, index)?)
}

impl Layer {
    pub(super) fn load(
        config: &DecoderConfig,
        style: &Style,
        weights: &Weights,
    ) -> Result<Self, Error> {
        let Geometry {
            heads,
            kv_heads,
            head_dim,
            model_width,
            ..
        } = config.geometry();
        let (attention, mlp) = (weights / "self_attn", weights / "mlp");
        let linear = |place: &Weights, name: &str, input, output, bias: bool| {
            Linear::new(&(place / name), input, output, bias)
        };
        let norm = |place: Weights, width| RmsNorm::new(&place, width, config.rms_norm_eps);
        let (bias, wide) = (config.attention_bias, config.intermediate_size);
        let input_bias = bias || style.input_bias;
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let head_norms = if style.head_norms {
            Some([
                norm(&attention / "q_norm", head_dim)?,
                norm(&attention / "k_norm", head_dim)?,
            ])
        } else {
            None
        };
        Ok(Self {
            input_norm: norm(weights / "input_layernorm", model_width)?,
            query: linear(&attention, "q_proj", model_width, queries, input_bias)?,
            key: linear(&attention, "k_proj", model_width, keys, input_bias)?,
            value: linear(&attention, "v_proj", model_width, keys, input_bias)?,
            head_norms,
            output: linear(&attention, "o_proj", queries, model_width, bias)?,
            feed_forward_norm: norm(weights / "post_attention_layernorm", model_width)?,
            gate: linear(&mlp, "gate_proj", model_width, wide, config.mlp_bias)?,
            up: linear(&mlp, "up_proj", model_width, wide, config.mlp_bias)?,
            down: linear(&mlp, "down_proj", wide, model_width, config.mlp_bias)?,
            activation: Activation::from_name(&config.hidden_act).unwrap_or(Activation::Silu),
        })
    }

    /// The layer's output `[B, T, C]`, or `[M, C]` of the tokens that are wanted, and which of the tokens go on from it if not all do.
    pub(super) fn forward(
        &self,
        hidden: &Tensor,
        inputs: &Inputs,
        cache: Option<&mut KvCache>,
        pass: &mut Pass,
    ) -> Result<(Tensor, Option<Vec<bool>>), Error> {
        // Apart, so that nothing of the attention is alive while the feed-forward, the larger of the two, takes its memory.
        let (hidden, keep) = self.attend(hidden, inputs, cache, pass)?;
        pass.show(Stage::Attention(inputs.number), &hidden)?;
        Ok((plus(self.feed_forward(&hidden)?, &hidden)?, keep))
    }

    /// Adds what the attention mixes, `[B, T, C]` or `[M, C]`, and says which of the tokens go on if not all do.
    fn attend(
        &self,
        hidden: &Tensor,
        inputs: &Inputs,
        cache: Option<&mut KvCache>,
        pass: &mut Pass,
    ) -> Result<(Tensor, Option<Vec<bool>>), Error> {
        let Inputs {
            number,
            geometry,
            tokens: map,
            rotation,
            wanted,
        } = *inputs;
        let [batch, tokens] = [hidden.size()[0], hidden.size()[1]];
        let width = geometry.head_dim;
        let split =
            |x: Tensor, heads: i64| x.f_view([batch, tokens, heads, width])?.f_transpose(1, 2);
        let normed = self.input_norm.forward(hidden)?;
        let projections = [&self.query, &self.key, &self.value];
        let [query, key, value] = Linear::forward_all(projections, &normed)?;
        let mut query_pre_rope = split(query, geometry.heads)?; // [B, H, T, D]
        let mut key_pre_rope = split(key, geometry.kv_heads)?; // [B, G, T, D]
        if let Some([query_norm, key_norm]) = &self.head_norms {
            query_pre_rope = query_norm.forward(&query_pre_rope)?;
            key_pre_rope = key_norm.forward(&key_pre_rope)?;
        }
        let value = split(value, geometry.kv_heads)?; // [B, G, T, D]
        let step = Step {
            layer: number,
            hidden,
            input: &normed,
            query: &rotate(&query_pre_rope, rotation)?,
            query_pre_rope: &query_pre_rope,
            key: &rotate(&key_pre_rope, rotation)?,
            key_pre_rope: &key_pre_rope,
            tokens: map,
            scale: 1.0 / (width as f64).sqrt(),
        };
        let stored = pass.attention.store(&step)?;
        let (keys, values) = match cache {
            Some(cache) => cache.append(number, &stored, &value, map)?,
            None => (stored, value),
        };
        let mixed = pass.attention.attend(&step, &keys, &values)?; // [B, H, T, D]
        if let Some(probe) = &mut pass.probe {
            probe(pass.attention, &step, &keys)?;
        }
        let keep = pass.attention.drop_tokens(&step, &keys)?;
        let mixed = mixed
            .f_transpose(1, 2)?
            .f_reshape([batch, tokens, geometry.heads * width])?;
        Ok(match wanted {
            None => (plus(self.output.forward(&mixed)?, hidden)?, keep),
            // No layer follows, so that there is nobody to keep tokens from.
            Some(wanted) => {
                let (mixed, hidden) = (
                    select_tokens(&mixed, wanted)?,
                    select_tokens(hidden, wanted)?,
                );
                (plus(self.output.forward(&mixed)?, &hidden)?, None)
            }
        })
    }

    /// The gated feed-forward of `[.., C]`, same shape.
    fn feed_forward(&self, hidden: &Tensor) -> Result<Tensor, Error> {
        let normed = self.feed_forward_norm.forward(hidden)?;
        let [gate, up] = Linear::forward_all([&self.gate, &self.up], &normed)?;
        let gated = times(self.activation.apply(gate)?, &up)?;
        drop(up);
        self.down.forward(&gated)
    }
}
