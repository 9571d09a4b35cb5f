//! Vision towers as CLIP, SigLIP and Idefics3 have them: patches, learned positions, a pre-norm transformer without a mask.
//!
//! Source: `transformers` 5.23 `models/clip`, `models/siglip` and `models/idefics3`. Positions are never interpolated: every
//! tile has the sides that the tower was made for.
//!
//! Deviation: layers beyond the last one that is asked for are neither read nor run; a plan of the tensors names them.

use std::time::Instant;

use serde::Deserialize;
use tch::Tensor;

use crate::nn::encoder::{EncoderLayer, EncoderSizes};
use crate::nn::layers::{Activation, LayerNorm, Linear};
use crate::nn::weights::Weights;
use crate::{Error, Part};

/// The vision part of a config.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TowerConfig {
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub num_channels: i64,
    pub image_size: i64,
    pub patch_size: i64,
    pub hidden_act: String,
    pub layer_norm_eps: f64,
    /// Of a SigLIP: whether it ends with a head that pools the patches. No family takes what that gives.
    pub vision_use_head: Option<bool>,
}

impl TowerConfig {
    /// Patches along a side of a tile; what is left of the tile beyond them is not seen.
    pub(crate) fn side(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// What is wrong with it, in words; `None` when a tower can be made of it.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let positive = [
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.image_size,
            self.patch_size,
        ];
        if positive.iter().any(|&size| size < 1) || self.num_hidden_layers < 0 {
            return Some("sizes in vision_config must be positive".into());
        }
        if self.num_channels != 3 {
            return Some(format!(
                "vision_config.num_channels is {}; pictures have 3",
                self.num_channels
            ));
        }
        if self.hidden_size % self.num_attention_heads != 0 {
            return Some(format!(
                "{} vision heads do not divide width {}",
                self.num_attention_heads, self.hidden_size
            ));
        }
        if self.image_size < self.patch_size {
            return Some(format!(
                "vision_config.image_size {} is smaller than a patch of {}",
                self.image_size, self.patch_size
            ));
        }
        if Activation::from_name(&self.hidden_act).is_none() {
            return Some(format!(
                "vision hidden_act `{}` is not supported",
                self.hidden_act
            ));
        }
        None
    }
}

/// What a tower has besides patches, positions and layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TowerStyle {
    /// Patches without a bias, a class token before them, a norm (`pre_layrnorm`, spelled so) before the layers.
    Clip,
    /// Patches with a bias.
    Siglip,
}

/// Which of a tower's hidden states are its features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FeatureLayers {
    /// What the last layer gives, after `post_layernorm`.
    Normalised,
    /// What stands after so many layers (0: before the first), as it is, side by side.
    After(Vec<usize>),
}

/// Asks for the tensors of SigLIP's pooling head.
fn plan_head(config: &TowerConfig, head: &Weights) -> Result<(), Error> {
    let (width, wide) = (config.hidden_size, config.intermediate_size);
    let (attention, mlp) = (head / "attention", head / "mlp");
    let _ = head.tensor("probe", &[1, 1, width])?;
    let _ = attention.tensor("in_proj_weight", &[3 * width, width])?;
    let _ = attention.tensor("in_proj_bias", &[3 * width])?;
    Linear::with_bias(&(&attention / "out_proj"), width, width)?;
    LayerNorm::new(&(head / "layernorm"), width, config.layer_norm_eps)?;
    Linear::with_bias(&(&mlp / "fc1"), width, wide)?;
    Linear::with_bias(&(&mlp / "fc2"), wide, width)?;
    Ok(())
}

/// Tiles to patch features.
pub(crate) struct Tower {
    patch_weight: Tensor,
    patch_bias: Option<Tensor>,
    patch_size: i64,
    class: Option<Tensor>,
    positions: Tensor,
    norm_before: Option<LayerNorm>,
    layers: Vec<EncoderLayer>,
    /// Hidden states to take, by the number of layers before them.
    taken: Vec<usize>,
    norm_after: Option<LayerNorm>,
}

impl Tower {
    /// Reads the tower under `weights`.
    pub(crate) fn load(
        config: &TowerConfig,
        style: TowerStyle,
        taken: &FeatureLayers,
        weights: &Weights,
    ) -> Result<Self, Error> {
        let (width, patch, epsilon) =
            (config.hidden_size, config.patch_size, config.layer_norm_eps);
        let embeddings = weights / "embeddings";
        let patches = &embeddings / "patch_embedding";
        let positions = (&embeddings / "position_embedding").as_part(Part::VisionTable);
        let layers = &(weights / "encoder") / "layers";
        let is_clip = style == TowerStyle::Clip;
        let count = config.side() * config.side() + i64::from(is_clip);
        let norm_after = weights / "post_layernorm";
        let (taken, norm_after) = match taken {
            FeatureLayers::Normalised => {
                let norm = LayerNorm::new(&norm_after, width, epsilon)?;
                (vec![config.num_hidden_layers as usize], Some(norm))
            }
            FeatureLayers::After(layers) => {
                LayerNorm::new(&norm_after.unused(), width, epsilon)?;
                if style == TowerStyle::Siglip && config.vision_use_head.unwrap_or(true) {
                    plan_head(config, &(weights / "head").unused())?;
                }
                (layers.clone(), None)
            }
        };
        let deepest = taken.iter().copied().max().unwrap_or(0);
        let sizes = EncoderSizes {
            width,
            wide: config.intermediate_size,
            heads: config.num_attention_heads,
            epsilon,
            activation: Activation::from_name(&config.hidden_act).unwrap_or(Activation::GeluTanh),
        };
        for number in deepest..config.num_hidden_layers as usize {
            EncoderLayer::load(&sizes, &(&layers / number).unused())?;
        }
        Ok(Self {
            patch_weight: patches.tensor("weight", &[width, config.num_channels, patch, patch])?,
            patch_bias: (!is_clip)
                .then(|| patches.tensor("bias", &[width]))
                .transpose()?,
            patch_size: patch,
            class: is_clip
                .then(|| embeddings.tensor("class_embedding", &[width]))
                .transpose()?,
            positions: positions.tensor("weight", &[count, width])?,
            norm_before: is_clip
                .then(|| LayerNorm::new(&(weights / "pre_layrnorm"), width, epsilon))
                .transpose()?,
            layers: (0..deepest)
                .map(|number| EncoderLayer::load(&sizes, &(&layers / number)))
                .collect::<Result<_, _>>()?,
            taken,
            norm_after,
        })
    }

    /// Side of a patch in pixels.
    pub(crate) fn patch_size(&self) -> i64 {
        self.patch_size
    }

    /// Tiles `[N, 3, height, width]` to features `[N, P, W]`, the class token first where there is one; `W` is the tower's
    /// width times the number of hidden states that are taken. The deadline is looked at before every layer.
    pub(crate) fn forward(
        &self,
        pixels: &Tensor,
        deadline: Option<Instant>,
    ) -> Result<Tensor, Error> {
        let stride = [self.patch_size, self.patch_size];
        let patches = pixels.f_conv2d(
            &self.patch_weight,
            self.patch_bias.as_ref(),
            stride,
            [0, 0],
            [1, 1],
            1,
        )?;
        let mut hidden = patches.f_flatten(2, 3)?.f_transpose(1, 2)?; // [N, patches, width]
        if let Some(class) = &self.class {
            let class = class.f_expand([hidden.size()[0], 1, class.size()[0]], false)?;
            hidden = Tensor::f_cat(&[&class, &hidden], 1)?;
        }
        hidden = hidden.f_add(&self.positions)?;
        if let Some(norm) = &self.norm_before {
            hidden = norm.forward(&hidden)?;
        }
        // In the order of depth; `taken` may want another.
        let mut states = Vec::new();
        for depth in 0..=self.layers.len() {
            if depth > 0 {
                Error::check_deadline(deadline)?;
                hidden = self.layers[depth - 1].forward(&hidden)?;
            }
            if self.taken.contains(&depth) {
                states.push((depth, hidden.shallow_clone()));
            }
        }
        let taken = self.taken.iter().filter_map(|wanted| {
            let state = states.iter().find(|(depth, _)| depth == wanted);
            state.map(|(_, state)| state.shallow_clone())
        });
        let states: Vec<_> = taken.collect();
        let features = match states.as_slice() {
            [only] => only.shallow_clone(),
            several => Tensor::f_cat(several, -1)?,
        };
        match &self.norm_after {
            Some(norm) => norm.forward(&features),
            None => Ok(features),
        }
    }
}
