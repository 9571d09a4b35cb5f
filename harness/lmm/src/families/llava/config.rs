//! `config.json` of the LLaVA families.

use serde::Deserialize;

use crate::Error;
use crate::families::ConfigFile;
use crate::nn::decoder::DecoderConfig;
use crate::nn::layers::Activation;
use crate::nn::tower::{FeatureLayers, TowerConfig, TowerStyle};

/// What the configs of all LLaVA families say.
#[derive(Debug, Clone)]
pub(in crate::families) struct Config {
    pub vision: TowerConfig,
    /// What the tower has.
    pub tower_style: TowerStyle,
    pub decoder: DecoderConfig,
    keys: Keys,
}

/// The keys of the whole.
#[derive(Debug, Clone, Deserialize)]
struct Keys {
    image_token_index: i64,
    projector_hidden_act: String,
    multimodal_projector_bias: bool,
    vision_feature_layer: FeatureLayer,
    vision_feature_select_strategy: Strategy,
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
    /// Reads and checks the config of a checkpoint.
    pub(in crate::families) fn read(file: &ConfigFile) -> Result<Self, Error> {
        let tower_style = if file.vision_class == "CLIPVisionConfig" {
            TowerStyle::Clip
        } else {
            TowerStyle::Siglip
        };
        let config = Self {
            vision: file.parse(&file.vision)?,
            tower_style,
            decoder: file.decoder.clone(),
            keys: file.parse(&file.whole)?,
        };
        match config.contradiction() {
            Some(reason) => Err(file.malformed(&reason)),
            None => Ok(config),
        }
    }

    /// The id of the `<image>` token.
    pub(in crate::families) fn image_token(&self) -> i64 {
        self.keys.image_token_index
    }

    /// Whether the projector's layers have a bias.
    pub(in crate::families) fn projector_bias(&self) -> bool {
        self.keys.multimodal_projector_bias
    }

    /// The projector's activation.
    pub(in crate::families) fn projector_activation(&self) -> Activation {
        Activation::from_name(&self.keys.projector_hidden_act).unwrap_or(Activation::Gelu)
    }

    /// The hidden states of the tower that are its features.
    pub(in crate::families) fn feature_layers(&self) -> FeatureLayers {
        let states = self.vision.num_hidden_layers + 1;
        let layers = self.vision_feature_layers().iter();
        FeatureLayers::After(
            layers
                .map(|layer| layer.rem_euclid(states) as usize)
                .collect(),
        )
    }

    /// Width of a feature: of all hidden states that are taken, side by side.
    pub(in crate::families) fn feature_width(&self) -> i64 {
        self.vision.hidden_size * self.vision_feature_layers().len() as i64
    }

    /// Whether the first feature of every tile, that of the class token, is dropped.
    pub(in crate::families) fn drops_first(&self) -> bool {
        self.keys.vision_feature_select_strategy == Strategy::Default
    }

    fn vision_feature_layers(&self) -> &[i64] {
        match &self.keys.vision_feature_layer {
            FeatureLayer::One(layer) => std::slice::from_ref(layer),
            FeatureLayer::Several(layers) => layers,
        }
    }

    /// What cannot be or is not supported, in words.
    fn contradiction(&self) -> Option<String> {
        if let Some(reason) = self.vision.contradiction() {
            return Some(reason);
        }
        let states = self.vision.num_hidden_layers + 1;
        let layers = self.vision_feature_layers();
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
        if self.drops_first() && self.tower_style == TowerStyle::Siglip {
            return Some(
                "vision_feature_select_strategy `default` drops a class token, which SigLIP does not have; `full` keeps all"
                    .into(),
            );
        }
        if Activation::from_name(&self.keys.projector_hidden_act).is_none() {
            return Some(format!(
                "projector_hidden_act `{}` is not supported",
                self.keys.projector_hidden_act
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn feature_layers_count_from_either_end() {
        let feature_layers = |layer: Value| {
            let file = json!({ "model_type": "llava", "vision_config": {}, "vision_feature_layer": layer });
            let file = ConfigFile::read(Path::new(""), &file).unwrap();
            let config = Config::read(&file).unwrap();
            (config.feature_layers(), config.feature_width())
        };
        assert_eq!(
            feature_layers(Value::Null),
            (FeatureLayers::After(vec![11]), 768)
        );
        assert_eq!(
            feature_layers(json!(0)),
            (FeatureLayers::After(vec![0]), 768)
        );
        assert_eq!(
            feature_layers(json!([-13, 12])),
            (FeatureLayers::After(vec![0, 12]), 1_536)
        );
    }
}
