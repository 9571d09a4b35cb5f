//! `config.json` of SmolVLM and Idefics3, with the defaults of `transformers`' config classes for what a file leaves out
//! (the published files leave out a good part of the vision tower).

use serde::Deserialize;

use crate::decoder::{DecoderConfig, Style};
use crate::layers::Activation;
use crate::{Checkpoint, Error};

/// The whole config.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of config.json"
)]
pub(super) struct Config {
    pub text_config: DecoderConfig,
    pub vision_config: VisionConfig,
    #[serde(default = "scale_factor")]
    pub scale_factor: i64,
    /// The id of the `<image>` token.
    pub image_token_id: i64,
    pub tie_word_embeddings: Option<bool>,
}

/// The SigLIP-style vision tower.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct VisionConfig {
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub num_channels: i64,
    pub image_size: i64,
    pub patch_size: i64,
    pub hidden_act: String,
    pub layer_norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1152,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 16,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: "gelu_pytorch_tanh".into(),
            layer_norm_eps: 1e-6,
        }
    }
}

fn scale_factor() -> i64 {
    2
}

impl Config {
    /// Reads and checks the config of a checkpoint.
    pub(super) fn read(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let path = checkpoint.path("config.json");
        let config: Self =
            serde_json::from_value(checkpoint.config().clone()).map_err(|error| {
                Error::malformed(
                    &path,
                    format!("{error}; use the config that was saved with the weights"),
                )
            })?;
        match config
            .text_config
            .unsupported(&Style::default())
            .or_else(|| config.contradiction())
        {
            Some(reason) => Err(Error::malformed(
                &path,
                format!(
                    "{reason}; use the config that was saved with the weights, or another checkpoint"
                ),
            )),
            None => Ok(config),
        }
    }

    /// Whether the head shares the embeddings' weight.
    pub(super) fn tied(&self) -> bool {
        self.tie_word_embeddings.unwrap_or(false)
    }

    /// Visual tokens of one tile.
    pub(super) fn tokens_per_tile(&self) -> usize {
        let side =
            self.vision_config.image_size / self.vision_config.patch_size / self.scale_factor;
        (side * side) as usize
    }

    fn contradiction(&self) -> Option<String> {
        let vision = &self.vision_config;
        let positive = [
            vision.hidden_size,
            vision.intermediate_size,
            vision.num_attention_heads,
            vision.image_size,
            vision.patch_size,
            self.scale_factor,
        ];
        if positive.iter().any(|&size| size < 1) || vision.num_hidden_layers < 0 {
            return Some("sizes in vision_config and scale_factor must be positive".into());
        }
        if vision.num_channels != 3 {
            return Some(format!(
                "vision_config.num_channels is {}; pictures have 3",
                vision.num_channels
            ));
        }
        if vision.hidden_size % vision.num_attention_heads != 0 {
            return Some(format!(
                "{} vision heads do not divide width {}",
                vision.num_attention_heads, vision.hidden_size
            ));
        }
        if vision.image_size / vision.patch_size % self.scale_factor != 0
            || vision.image_size < vision.patch_size
        {
            return Some(format!(
                "image_size {} with patches of {} does not split into squares of scale_factor {}",
                vision.image_size, vision.patch_size, self.scale_factor
            ));
        }
        if Activation::from_name(&vision.hidden_act).is_none() {
            return Some(format!(
                "vision hidden_act `{}` is not supported",
                vision.hidden_act
            ));
        }
        None
    }
}
