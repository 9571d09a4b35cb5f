//! `config.json` of the LLaVA families, with the defaults of `transformers`' config classes for what a file leaves out: the
//! hub's LLaVA-1.5 says of its decoder little more than that it is a Llama.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::decoder::{DecoderConfig, Style};
use crate::families::json::fill;
use crate::layers::Activation;
use crate::tower::{Features, TowerConfig, TowerStyle};
use crate::{Checkpoint, Error};

/// What the configs of all LLaVA families say.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of config.json"
)]
pub(in crate::families) struct Config {
    pub text_config: TextConfig,
    pub vision_config: VisionConfig,
    /// The id of the `<image>` token; `image_token_id` in some files.
    pub image_token_index: i64,
    pub projector_hidden_act: String,
    pub multimodal_projector_bias: bool,
    vision_feature_layer: FeatureLayer,
    vision_feature_select_strategy: Strategy,
    tie_word_embeddings: bool,
}

/// The decoder part.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::families) struct TextConfig {
    model_type: String,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(flatten)]
    pub decoder: DecoderConfig,
}

/// The vision part.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::families) struct VisionConfig {
    model_type: String,
    #[serde(flatten)]
    pub tower: TowerConfig,
}

/// Hidden states of the tower by their index, from the end where negative; 0 stands before the first layer.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum FeatureLayer {
    One(i64),
    Several(Vec<i64>),
}

/// What becomes of the class token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Strategy {
    /// The first feature of every tile is dropped.
    Default,
    /// All are kept.
    Full,
}

impl Config {
    /// Whether the head shares the embeddings' weight; old files say so in the decoder's part.
    pub(in crate::families) fn tied(&self) -> bool {
        self.tie_word_embeddings || self.text_config.tie_word_embeddings
    }

    /// How the decoder differs from a Llama's.
    pub(in crate::families) fn decoder_style(&self) -> Style {
        Style {
            input_bias: self.text_config.model_type == QWEN2,
            ..Style::default()
        }
    }

    /// What the tower has.
    pub(in crate::families) fn tower_style(&self) -> TowerStyle {
        if self.vision_config.model_type == CLIP {
            TowerStyle::Clip
        } else {
            TowerStyle::Siglip
        }
    }

    /// The hidden states of the tower that are its features.
    pub(in crate::families) fn features(&self) -> Features {
        let states = self.vision_config.tower.num_hidden_layers + 1;
        let layers = self.feature_layers().iter();
        Features::After(
            layers
                .map(|layer| layer.rem_euclid(states) as usize)
                .collect(),
        )
    }

    /// Width of a feature: of all hidden states that are taken, side by side.
    pub(in crate::families) fn feature_width(&self) -> i64 {
        self.vision_config.tower.hidden_size * self.feature_layers().len() as i64
    }

    /// Whether the first feature of every tile, that of the class token, is dropped.
    pub(in crate::families) fn drops_first(&self) -> bool {
        self.vision_feature_select_strategy == Strategy::Default
    }

    fn feature_layers(&self) -> &[i64] {
        match &self.vision_feature_layer {
            FeatureLayer::One(layer) => std::slice::from_ref(layer),
            FeatureLayer::Several(layers) => layers,
        }
    }

    /// What cannot be or is not supported, in words.
    fn contradiction(&self) -> Option<String> {
        let (text, vision) = (&self.text_config, &self.vision_config);
        if let Some(reason) = text
            .decoder
            .unsupported(&self.decoder_style())
            .or_else(|| vision.tower.contradiction())
        {
            return Some(reason);
        }
        let states = vision.tower.num_hidden_layers + 1;
        let layers = self.feature_layers();
        if layers.is_empty() {
            return Some("vision_feature_layer names no layer".into());
        }
        if let Some(layer) = layers
            .iter()
            .find(|layer| !(-states..states).contains(*layer))
        {
            return Some(format!(
                "vision_feature_layer {layer} is out of range: a tower of {} layers has {} to {}",
                states - 1,
                -states,
                states - 1
            ));
        }
        if self.drops_first() && self.tower_style() == TowerStyle::Siglip {
            return Some(format!(
                "vision_feature_select_strategy `default` drops a class token, which {SIGLIP} does not have; `full` keeps all"
            ));
        }
        if Activation::from_name(&self.projector_hidden_act).is_none() {
            return Some(format!(
                "projector_hidden_act `{}` is not supported",
                self.projector_hidden_act
            ));
        }
        None
    }
}

const LLAMA: &str = "llama";
const QWEN2: &str = "qwen2";
const CLIP: &str = "clip_vision_model";
const SIGLIP: &str = "siglip_vision_model";

/// Reads `config.json` as `T`, which holds a [`Config`] that `common` finds in it, after filling in `family` (what the
/// family's config class leaves to its defaults) and the defaults of the parts' own classes.
pub(in crate::families) fn read<T: DeserializeOwned>(
    checkpoint: &Checkpoint,
    family: &Value,
    common: impl Fn(&T) -> &Config,
) -> Result<(PathBuf, T), Error> {
    let path = checkpoint.path("config.json");
    let mut config = checkpoint.config().clone();
    for part in ["text_config", "vision_config"] {
        if !config.get(part).is_some_and(Value::is_object) {
            let reason = format!(
                "the key `{part}` is missing; use the config that was saved with the weights"
            );
            return Err(Error::malformed(&path, reason));
        }
    }
    if let Some(id) = config.get("image_token_id").cloned() {
        fill(&mut config, &json!({ "image_token_index": id }));
    }
    fill(&mut config, family);
    for (part, supported) in [
        ("text_config", [LLAMA, QWEN2]),
        ("vision_config", [CLIP, SIGLIP]),
    ] {
        let model_type = config[part]["model_type"].as_str().unwrap_or_default();
        if !supported.contains(&model_type) {
            let [one, other] = supported;
            let reason =
                format!("{part}.model_type `{model_type}` is not supported; {one} and {other} are");
            return Err(malformed(&path, &reason));
        }
        let defaults = class_defaults(model_type);
        fill(&mut config[part], &defaults);
    }
    let config: T = serde_json::from_value(config).map_err(|error| {
        Error::malformed(
            &path,
            format!("{error}; use the config that was saved with the weights"),
        )
    })?;
    match common(&config).contradiction() {
        Some(reason) => Err(malformed(&path, &reason)),
        None => Ok((path, config)),
    }
}

/// A config that says something that cannot be.
pub(in crate::families) fn malformed(path: &Path, reason: &str) -> Error {
    Error::malformed(
        path,
        format!("{reason}; use the config that was saved with the weights, or another checkpoint"),
    )
}

/// What `transformers`' config class of a `model_type` says where a file says nothing.
fn class_defaults(model_type: &str) -> Value {
    match model_type {
        LLAMA => json!({
            "vocab_size": 32_000, "hidden_size": 4_096, "intermediate_size": 11_008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "max_position_embeddings": 2_048,
        }),
        QWEN2 => json!({
            "vocab_size": 151_936, "hidden_size": 4_096, "intermediate_size": 22_016, "num_hidden_layers": 32,
            "num_attention_heads": 32, "max_position_embeddings": 32_768,
        }),
        CLIP => json!({
            "hidden_size": 768, "intermediate_size": 3_072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        }),
        SIGLIP => json!({
            "hidden_size": 768, "intermediate_size": 3_072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "num_channels": 3, "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
        }),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn feature_layers_count_from_either_end() {
        let features = |layer: Value| {
            let mut vision = class_defaults(CLIP);
            fill(&mut vision, &json!({ "model_type": CLIP }));
            let mut text = class_defaults(LLAMA);
            fill(&mut text, &json!({ "model_type": LLAMA }));
            let mut config = json!({
                "text_config": text, "vision_config": vision, "image_token_index": 1, "vision_feature_layer": layer,
            });
            fill(&mut config, &super::super::defaults());
            let config: Config = serde_json::from_value(config).unwrap();
            (config.features(), config.feature_width())
        };
        assert_eq!(features(Value::Null), (Features::After(vec![11]), 768));
        assert_eq!(features(json!(0)), (Features::After(vec![0]), 768));
        assert_eq!(
            features(json!([-13, 12])),
            (Features::After(vec![0, 12]), 1_536)
        );
    }
}
