//! `config.json` of the three generations, old (the decoder's settings at the top) and new (in `text_config`), with the defaults
//! of `transformers`' config classes for what a file leaves out of `vision_config`.

use serde::Deserialize;
use serde_json::Value;

use crate::decoder::{DecoderConfig, Style};
use crate::layers::Activation;
use crate::{Checkpoint, Error};

/// The whole config.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub decoder: DecoderConfig,
    pub vision: VisionConfig,
    /// The id of the `<|image_pad|>` token.
    pub image_token_id: i64,
    /// Whether the head shares the embeddings' weight.
    pub tied: bool,
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
        deep: Vec<usize>,
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

/// `vision_config` as it is written, for all generations.
#[derive(Debug, Deserialize)]
struct VisionFile {
    depth: Option<usize>,
    embed_dim: Option<i64>,
    hidden_size: Option<i64>,
    intermediate_size: Option<i64>,
    mlp_ratio: Option<f64>,
    out_hidden_size: Option<i64>,
    num_heads: Option<i64>,
    in_channels: Option<i64>,
    patch_size: Option<i64>,
    temporal_patch_size: Option<i64>,
    spatial_merge_size: Option<usize>,
    hidden_act: Option<String>,
    window_size: Option<usize>,
    fullatt_block_indexes: Option<Vec<usize>>,
    num_position_embeddings: Option<i64>,
    deepstack_visual_indexes: Option<Vec<usize>>,
    rope_parameters: Option<VisionRope>,
}

#[derive(Debug, Deserialize)]
struct VisionRope {
    rope_theta: Option<f64>,
}

impl Config {
    /// Reads and checks the config of a checkpoint.
    pub(super) fn read(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let path = checkpoint.path("config.json");
        let refuse = |reason: String| {
            Error::malformed(
                &path,
                format!(
                    "{reason}; use the config that was saved with the weights, or another checkpoint"
                ),
            )
        };
        let file = checkpoint.config();
        let part = |key: &str| file.get(key).filter(|value| !value.is_null());
        let text = part("text_config").unwrap_or(file);
        let decoder: DecoderConfig = serde_json::from_value(text.clone())
            .map_err(|error| refuse(format!("text_config: {error}")))?;
        let Some(vision) = part("vision_config") else {
            return Err(refuse("vision_config is missing".into()));
        };
        let vision: VisionFile = serde_json::from_value(vision.clone())
            .map_err(|error| refuse(format!("vision_config: {error}")))?;
        let tied = |place: &Value| place.get("tie_word_embeddings") == Some(&Value::Bool(true));
        let config = Self {
            vision: VisionConfig::new(&vision, part("model_type").and_then(Value::as_str)),
            decoder,
            image_token_id: part("image_token_id")
                .and_then(Value::as_i64)
                .unwrap_or(151_655),
            tied: tied(file) || tied(text),
        };
        let unsupported = config.decoder.unsupported(&config.style());
        match unsupported.or_else(|| config.contradiction(&vision)) {
            Some(reason) => Err(refuse(reason)),
            None => Ok(config),
        }
    }

    /// What distinguishes the decoder.
    pub(super) fn style(&self) -> Style {
        match self.vision.generation {
            Generation::Two | Generation::TwoAndHalf { .. } => Style {
                input_bias: true,
                rope_theta: 1e6,
                sections: Some([16, 24, 24]),
                ..Style::default()
            },
            Generation::Three { .. } => Style {
                head_norms: true,
                interleaved: true,
                rope_theta: 5e5,
                sections: Some([24, 20, 20]),
                ..Style::default()
            },
        }
    }

    fn contradiction(&self, file: &VisionFile) -> Option<String> {
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
        if let Some(channels) = file.in_channels.filter(|&channels| channels != 3) {
            return Some(format!(
                "vision_config.in_channels is {channels}; pictures have 3"
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
        match &vision.generation {
            Generation::TwoAndHalf { window: 0, .. } => {
                Some("window_size is smaller than a visual token".into())
            }
            Generation::Three { table_side, .. }
                if Some(table_side * table_side) != file.num_position_embeddings.or(Some(2304)) =>
            {
                Some("num_position_embeddings is no square".into())
            }
            _ if vision
                .deep_layers()
                .iter()
                .any(|&layer| layer >= vision.layers)
                || !vision.deep_layers().is_sorted()
                || vision.deep_layers().len() > self.decoder.num_hidden_layers =>
            {
                Some(format!(
                    "deepstack_visual_indexes {:?} are not the ascending numbers of layers that the tower and the decoder have",
                    vision.deep_layers()
                ))
            }
            _ => file
                .hidden_act
                .as_deref()
                .filter(|name| Activation::from_name(name).is_none())
                .map(|name| format!("vision hidden_act `{name}` is not supported")),
        }
    }
}

impl VisionConfig {
    fn new(file: &VisionFile, model_type: Option<&str>) -> Self {
        let merge = file.spatial_merge_size.unwrap_or(2);
        let generation = match model_type {
            Some("qwen3_vl") => Generation::Three {
                table_side: file.num_position_embeddings.unwrap_or(2304).max(0).isqrt(),
                deep: file
                    .deepstack_visual_indexes
                    .clone()
                    .unwrap_or_else(|| vec![8, 16, 24]),
            },
            Some("qwen2_5_vl") => Generation::TwoAndHalf {
                window: file.window_size.unwrap_or(112)
                    / merge.max(1)
                    / file.patch_size.unwrap_or(14).max(1) as usize,
                whole: file
                    .fullatt_block_indexes
                    .clone()
                    .unwrap_or_else(|| vec![7, 15, 23, 31]),
            },
            _ => Generation::Two,
        };
        let activation = |name: &Option<String>, default| {
            let named = name.as_deref().and_then(Activation::from_name);
            named.unwrap_or(default)
        };
        let output_width = file.out_hidden_size.unwrap_or(3584);
        let (layers, width, wide, output_width, patch, default) = match generation {
            Generation::Two => {
                let width = file.embed_dim.unwrap_or(1280);
                let wide = (width as f64 * file.mlp_ratio.unwrap_or(4.0)) as i64;
                let output = file.hidden_size.unwrap_or(3584);
                (32, width, wide, output, 14, Activation::QuickGelu)
            }
            Generation::TwoAndHalf { .. } => {
                let wide = file.intermediate_size.unwrap_or(3420);
                let width = file.hidden_size.unwrap_or(3584);
                (32, width, wide, output_width, 14, Activation::Silu)
            }
            Generation::Three { .. } => {
                let wide = file.intermediate_size.unwrap_or(4304);
                let width = file.hidden_size.unwrap_or(1152);
                (27, width, wide, output_width, 16, Activation::GeluTanh)
            }
        };
        let theta = file.rope_parameters.as_ref();
        Self {
            generation,
            layers: file.depth.unwrap_or(layers),
            width,
            wide,
            output_width,
            heads: file.num_heads.unwrap_or(16),
            patch: file.patch_size.unwrap_or(patch),
            frames: file.temporal_patch_size.unwrap_or(2),
            merge,
            activation: activation(&file.hidden_act, default),
            rope_theta: theta.and_then(|rope| rope.rope_theta).unwrap_or(10_000.0),
        }
    }

    /// The tower's layers whose output goes to the decoder's first ones.
    pub(super) fn deep_layers(&self) -> &[usize] {
        match &self.generation {
            Generation::Three { deep, .. } => deep,
            Generation::Two | Generation::TwoAndHalf { .. } => &[],
        }
    }
}
