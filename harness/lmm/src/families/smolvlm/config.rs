//! `config.json` of SmolVLM and Idefics3, with the defaults of `transformers`' config classes for what a file leaves out
//! (the published files leave out a good part of the vision tower).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::decoder::{DecoderConfig, Style};
use crate::families::json::fill;
use crate::tower::TowerConfig;
use crate::{Checkpoint, Error};

/// The whole config.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of config.json"
)]
pub(super) struct Config {
    pub text_config: DecoderConfig,
    pub vision_config: TowerConfig,
    #[serde(default = "scale_factor")]
    pub scale_factor: i64,
    /// The id of the `<image>` token.
    pub image_token_id: i64,
    pub tie_word_embeddings: Option<bool>,
}

/// What the vision tower's config class says where a file says nothing.
fn vision_defaults() -> Value {
    json!({
        "hidden_size": 1_152, "intermediate_size": 3_072, "num_hidden_layers": 12, "num_attention_heads": 16, "num_channels": 3,
        "image_size": 224, "patch_size": 32, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
    })
}

fn scale_factor() -> i64 {
    2
}

impl Config {
    /// Reads and checks the config of a checkpoint.
    pub(super) fn read(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let path = checkpoint.path("config.json");
        let mut file = checkpoint.config().clone();
        if let Some(vision) = file.get_mut("vision_config") {
            fill(vision, &vision_defaults());
        }
        let config: Self = serde_json::from_value(file).map_err(|error| {
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
        let side = self.vision_config.side() / self.scale_factor;
        (side * side) as usize
    }

    fn contradiction(&self) -> Option<String> {
        let vision = &self.vision_config;
        if let Some(reason) = vision.contradiction() {
            return Some(reason);
        }
        if self.scale_factor < 1 || vision.side() % self.scale_factor != 0 {
            return Some(format!(
                "image_size {} with patches of {} does not split into squares of scale_factor {}",
                vision.image_size, vision.patch_size, self.scale_factor
            ));
        }
        None
    }
}
