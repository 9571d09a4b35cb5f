//! `config.json` of the three generations.

use serde::Deserialize;

use crate::Error;
use crate::families::ConfigFile;
use crate::nn::decoder::DecoderConfig;
use crate::nn::layers::Activation;

/// The whole config.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub decoder: DecoderConfig,
    pub vision: VisionConfig,
    /// The id of the `<|image_pad|>` token.
    pub image_token_id: i64,
}

/// What a generation has that others have not.
#[derive(Debug, Clone)]
pub(super) enum Generation {
    /// Qwen2-VL: layer norms and a plain feed-forward in the tower.
    Two,
    /// Qwen2.5-VL: RMS norms and a gated feed-forward in the tower, whose layers look at windows.
    TwoAndHalf {
        /// Side of a window, in visual tokens.
        window: usize,
        /// The layers that look at whole pictures.
        whole: Vec<usize>,
    },
    /// Qwen3-VL: learned positions in the tower, interpolated to a picture's size; early layers feed early decoder layers.
    Three {
        /// Side of the square table of positions.
        table_side: i64,
        /// The tower's layers whose output is added to that of the decoder's first ones.
        deepstack: Vec<usize>,
    },
}

/// The vision tower and its merger.
#[derive(Debug, Clone)]
pub(super) struct VisionConfig {
    pub generation: Generation,
    pub layers: usize,
    pub width: i64,
    /// Width of the feed-forward's middle.
    pub wide: i64,
    /// Model width C of the decoder.
    pub output_width: i64,
    pub heads: i64,
    pub patch: i64,
    /// Frames of a patch: a picture is a still film of that many.
    pub frames: i64,
    /// Side of the square of patches that becomes a visual token.
    pub merge: usize,
    pub activation: Activation,
    pub rope_theta: f64,
}

/// The keys of `vision_config` that all generations have.
#[derive(Debug, Deserialize)]
struct VisionKeys {
    depth: usize,
    hidden_size: i64,
    num_heads: i64,
    in_channels: i64,
    patch_size: i64,
    temporal_patch_size: i64,
    spatial_merge_size: usize,
    hidden_act: String,
    rope_theta: f64,
    rope_parameters: Option<VisionRope>,
    /// Where older files have them, which win.
    rope_scaling: Option<VisionRope>,
}

/// The keys that a generation has alone.
#[derive(Debug)]
enum Own {
    Two(KeysOfTwo),
    TwoAndHalf(KeysOfTwoAndHalf),
    Three(KeysOfThree),
}

#[derive(Debug, Deserialize)]
struct KeysOfTwo {
    embed_dim: i64,
    mlp_ratio: f64,
}

#[derive(Debug, Deserialize)]
struct KeysOfTwoAndHalf {
    intermediate_size: i64,
    out_hidden_size: i64,
    window_size: usize,
    fullatt_block_indexes: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct KeysOfThree {
    intermediate_size: i64,
    out_hidden_size: i64,
    num_position_embeddings: i64,
    deepstack_visual_indexes: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct VisionRope {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
}

/// The keys of the whole.
#[derive(Debug, Deserialize)]
struct Whole {
    image_token_id: i64,
}

impl Config {
    /// Reads and checks the config of a checkpoint.
    pub(super) fn read(file: &ConfigFile) -> Result<Self, Error> {
        let keys: VisionKeys = file.parse(&file.vision)?;
        let whole: Whole = file.parse(&file.whole)?;
        let own = match file.vision_class {
            "Qwen2VLVisionConfig" => Own::Two(file.parse(&file.vision)?),
            "Qwen2_5_VLVisionConfig" => Own::TwoAndHalf(file.parse(&file.vision)?),
            _ => Own::Three(file.parse(&file.vision)?),
        };
        let activation = Activation::from_name(&keys.hidden_act).ok_or_else(|| {
            let reason = format!("vision hidden_act `{}` is not supported", keys.hidden_act);
            file.malformed(&reason)
        })?;
        let config = Self {
            vision: VisionConfig::new(&keys, &own, activation),
            decoder: file.decoder.clone(),
            image_token_id: whole.image_token_id,
        };
        match config.contradiction(&keys, &own) {
            Some(reason) => Err(file.malformed(&reason)),
            None => Ok(config),
        }
    }

    fn contradiction(&self, keys: &VisionKeys, own: &Own) -> Option<String> {
        let vision = &self.vision;
        let positive = [
            vision.width,
            vision.wide,
            vision.heads,
            vision.patch,
            vision.frames,
            vision.merge as i64,
        ];
        if positive.iter().any(|&size| size < 1) {
            return Some("sizes in vision_config must be positive".into());
        }
        if keys.in_channels != 3 {
            return Some(format!(
                "vision_config.in_channels is {}; pictures have 3",
                keys.in_channels
            ));
        }
        if let Some(kind) = keys.rope().and_then(VisionRope::unsupported) {
            return Some(format!(
                "vision_config rope_type `{kind}` is not supported; axial is"
            ));
        }
        if vision.width % (4 * vision.heads) != 0 {
            return Some(format!(
                "{} vision heads do not divide width {} into heads whose rows and columns turn in pairs",
                vision.heads, vision.width
            ));
        }
        if vision.output_width != self.decoder.hidden_size {
            return Some(format!(
                "the vision tower's output is {} wide, but the decoder's hidden_size is {}",
                vision.output_width, self.decoder.hidden_size
            ));
        }
        match (&vision.generation, own) {
            (Generation::TwoAndHalf { window: 0, .. }, _) => {
                Some("window_size is smaller than a visual token".into())
            }
            (Generation::Three { table_side, .. }, Own::Three(keys))
                if table_side * table_side != keys.num_position_embeddings =>
            {
                Some("num_position_embeddings is no square".into())
            }
            _ if vision
                .deepstack_layers()
                .iter()
                .any(|&layer| layer >= vision.layers)
                || !vision.deepstack_layers().is_sorted()
                || vision.deepstack_layers().len() > self.decoder.num_hidden_layers =>
            {
                Some(format!(
                    "deepstack_visual_indexes {:?} are not the ascending numbers of layers that the tower and the decoder have",
                    vision.deepstack_layers()
                ))
            }
            _ => None,
        }
    }
}

impl VisionKeys {
    fn rope(&self) -> Option<&VisionRope> {
        self.rope_scaling.as_ref().or(self.rope_parameters.as_ref())
    }
}

impl VisionRope {
    /// Its type, when it is another than that of all towers.
    fn unsupported(&self) -> Option<&str> {
        let kind = self.rope_type.as_deref().or(self.old_type.as_deref());
        kind.filter(|kind| !["axial", "default"].contains(kind))
    }
}

impl VisionConfig {
    fn new(keys: &VisionKeys, own: &Own, activation: Activation) -> Self {
        let (width, patch) = (keys.hidden_size, keys.patch_size);
        let (generation, width, wide, output_width) = match own {
            Own::Two(own) => {
                let wide = (own.embed_dim as f64 * own.mlp_ratio) as i64;
                (Generation::Two, own.embed_dim, wide, width)
            }
            Own::TwoAndHalf(own) => {
                let token = keys.spatial_merge_size.max(1) * patch.max(1) as usize;
                let generation = Generation::TwoAndHalf {
                    window: own.window_size / token,
                    whole: own.fullatt_block_indexes.clone(),
                };
                (
                    generation,
                    width,
                    own.intermediate_size,
                    own.out_hidden_size,
                )
            }
            Own::Three(own) => {
                let generation = Generation::Three {
                    table_side: own.num_position_embeddings.max(0).isqrt(),
                    deepstack: own.deepstack_visual_indexes.clone(),
                };
                (
                    generation,
                    width,
                    own.intermediate_size,
                    own.out_hidden_size,
                )
            }
        };
        let theta = keys.rope().and_then(|rope| rope.rope_theta);
        Self {
            generation,
            layers: keys.depth,
            width,
            wide,
            output_width,
            heads: keys.num_heads,
            patch,
            frames: keys.temporal_patch_size,
            merge: keys.spatial_merge_size,
            activation,
            rope_theta: theta.unwrap_or(keys.rope_theta),
        }
    }

    /// The tower's layers whose output goes to the decoder's first ones.
    pub(super) fn deepstack_layers(&self) -> &[usize] {
        match &self.generation {
            Generation::Three { deepstack, .. } => deepstack,
            Generation::Two | Generation::TwoAndHalf { .. } => &[],
        }
    }
}
