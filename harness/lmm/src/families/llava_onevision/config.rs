//! `config.json` of LLaVA-OneVision: what all LLaVA families say, and the canvases for pictures of any resolution.

use serde::Deserialize;
use serde_json::Value;

use super::anyres::AnyResolution;
use crate::Error;
use crate::families::ConfigFile;
use crate::families::llava::config::Config;

#[derive(Debug, Clone, Deserialize)]
struct Keys {
    image_grid_pinpoints: Value,
    vision_aspect_ratio: String,
}

/// Reads and checks the config of a checkpoint.
pub(super) fn read(file: &ConfigFile) -> Result<(Config, AnyResolution), Error> {
    let config = Config::read(file)?;
    let keys: Keys = file.parse(&file.whole)?;
    let refuse = |reason: String| file.malformed(&reason);
    if config.drops_first() {
        return Err(refuse(
            "vision_feature_select_strategy `default` is not supported by LLaVA-OneVision, whose tower has no class token"
                .into(),
        ));
    }
    let limit = keys.vision_aspect_ratio.strip_prefix("anyres_max_");
    let Some(max_tiles) = limit
        .and_then(|tiles| tiles.parse().ok())
        .filter(|&tiles| tiles > 0)
    else {
        return Err(refuse(format!(
            "vision_aspect_ratio `{}` is not supported; anyres_max_N is, with N of 1 or more",
            keys.vision_aspect_ratio
        )));
    };
    let tile = config.vision.image_size as u32;
    let resolution = AnyResolution {
        canvases: canvases(&keys.image_grid_pinpoints, tile).map_err(refuse)?,
        tile,
        side: config.vision.side() as usize,
        max_tiles,
    };
    Ok((config, resolution))
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
