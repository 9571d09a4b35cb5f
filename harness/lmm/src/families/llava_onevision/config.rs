//! `config.json` of LLaVA-OneVision: what all LLaVA families say, and the canvases for pictures of any resolution.

use serde::Deserialize;
use serde_json::{Value, json};

use super::anyres::AnyResolution;
use crate::families::llava::config::{self, Config};
use crate::{Checkpoint, Error};

#[derive(Debug, Clone, Deserialize)]
struct Whole {
    #[serde(flatten)]
    common: Config,
    image_grid_pinpoints: Value,
    vision_aspect_ratio: String,
}

/// Most canvases that `LlavaOnevisionConfig` makes where a file names none: 1 to 6 tiles of 384 pixels a side.
const DEFAULT_TILES: u32 = 6;
const DEFAULT_TILE: u32 = 384;

/// What `LlavaOnevisionConfig` says where a file says nothing.
fn defaults() -> Value {
    let sides = || (1..=DEFAULT_TILES).map(|tiles| tiles * DEFAULT_TILE);
    let canvases: Vec<[u32; 2]> = sides()
        .flat_map(|height| sides().map(move |width| [height, width]))
        .collect();
    json!({
        "projector_hidden_act": "gelu", "multimodal_projector_bias": true, "tie_word_embeddings": false,
        "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        "vision_config": { "model_type": "siglip_vision_model" }, "text_config": { "model_type": "qwen2" },
        "image_grid_pinpoints": canvases, "vision_aspect_ratio": "anyres_max_9",
    })
}

/// Reads and checks the config of a checkpoint.
pub(super) fn read(checkpoint: &Checkpoint) -> Result<(Config, AnyResolution), Error> {
    let (path, whole) = config::read(checkpoint, &defaults(), |whole: &Whole| &whole.common)?;
    let refuse = |reason: String| config::malformed(&path, &reason);
    let tower = &whole.common.vision_config.tower;
    if whole.common.drops_first() {
        return Err(refuse(
            "vision_feature_select_strategy `default` is not supported by LLaVA-OneVision, whose tower has no class token"
                .into(),
        ));
    }
    let limit = whole.vision_aspect_ratio.strip_prefix("anyres_max_");
    let Some(most_tiles) = limit
        .and_then(|tiles| tiles.parse().ok())
        .filter(|&tiles| tiles > 0)
    else {
        return Err(refuse(format!(
            "vision_aspect_ratio `{}` is not supported; anyres_max_N is, with N of 1 or more",
            whole.vision_aspect_ratio
        )));
    };
    let tile = tower.image_size as u32;
    Ok((
        whole.common.clone(),
        AnyResolution {
            canvases: canvases(&whole.image_grid_pinpoints, tile).map_err(refuse)?,
            tile,
            side: tower.side() as usize,
            most_tiles,
        },
    ))
}

/// The canvases of `image_grid_pinpoints`: a list of `[height, width]` in pixels, of whole tiles.
///
/// # Errors
/// What is wrong with them, in words.
pub(super) fn canvases(pinpoints: &Value, tile: u32) -> Result<Vec<[u32; 2]>, String> {
    let listed = pinpoints.as_array().filter(|listed| !listed.is_empty());
    let Some(listed) = listed else {
        return Err("image_grid_pinpoints is no list of [height, width]".into());
    };
    let canvas = |(number, entry): (usize, &Value)| {
        let sides: Option<[u32; 2]> = serde_json::from_value(entry.clone()).ok();
        sides
            .filter(|sides| sides.iter().all(|side| *side > 0 && side % tile == 0))
            .ok_or_else(|| {
                format!(
                    "image_grid_pinpoints[{number}] is {entry}, not [height, width] in whole tiles of {tile} pixels"
                )
            })
    };
    listed.iter().enumerate().map(canvas).collect()
}
