//! Preprocessing: resize with Lanczos to the longest edge, then to whole tiles; cut row by row; the whole picture last.
//!
//! Source: `transformers` 5.23 `image_processing_pil_idefics3.py` and `processing_idefics3.py` (the Pillow backend; the
//! torchvision backend resizes with other rounding and differs by grey levels). Sizes are computed in f64 and truncated
//! as Python's `int` does.

use image::{RgbImage, imageops};
use rave_hints::refusal;
use serde::Deserialize;
use serde_json::Value;

use super::config::Config;
use crate::checkpoint::read_json;
use crate::processor::image_config::{ImageConfig, Levels, Size, image_config, unfit};
use crate::processor::text::{Rendered, Text};
use crate::{Checkpoint, Error, Filter, PictureLayout, Processor, Prompt, TokenRegion, resize};

/// Pictures are never scaled beyond this longest edge.
const MAX_EDGE: u32 = 4096;

/// The markers of a picture, where the tokenizer gives them no other names. All but the first may be plain text.
const IMAGE: &str = "<image>";
const FAKE: &str = "<fake_token_around_image>";
const GLOBAL: &str = "<global-img>";
const VIDEO: &str = "<video>";
/// What the processor of Idefics3 adds to a tokenizer that lacks it.
const ADDED: [&str; 3] = [FAKE, IMAGE, "<end_of_utterance>"];

/// The image processors of these families.
const CLASSES: [&str; 2] = ["Idefics3ImageProcessor", "SmolVLMImageProcessor"];

/// What the image processor's file says besides the steps that all have.
#[derive(Debug, Clone, Deserialize)]
struct ImageKeys {
    size: Value,
    max_image_size: LongestEdge,
    do_image_splitting: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct LongestEdge {
    longest_edge: u32,
}

/// The processor of one checkpoint.
pub(super) struct SmolVlmProcessor {
    text: Text,
    image: String,
    fake: String,
    global: String,
    image_token_id: i64,
    tokens_per_tile: usize,
    longest_edge: u32,
    tile: u32,
    split: bool,
    filter: Filter,
    levels: Levels,
}

impl SmolVlmProcessor {
    /// Opens the tokenizer, chat template and image config of a checkpoint, and checks them against each other.
    pub(super) fn open(checkpoint: &Checkpoint, config: &Config) -> Result<Self, Error> {
        let image: ImageConfig<ImageKeys> = image_config(checkpoint, &CLASSES)?;
        let tile = image.keys.max_image_size.longest_edge;
        if i64::from(tile) != config.vision.image_size {
            let reason = refusal(
                format!(
                    "max_image_size {tile} is not the vision tower's image_size {} in config.json",
                    config.vision.image_size
                ),
                "use the files of one checkpoint",
            );
            return Err(Error::malformed(&image.path, reason));
        }
        let refuse = |reason: String| unfit(&image.path, &reason);
        let (Size::Longest(longest_edge)
        | Size::Shortest {
            longest: Some(longest_edge),
            ..
        }) = image.steps.size(&image.keys.size).map_err(refuse)?
        else {
            let size = &image.keys.size;
            return Err(refuse(format!("size {size} has no longest_edge")));
        };
        if longest_edge > MAX_EDGE {
            return Err(refuse(format!("size.longest_edge must be 1 to {MAX_EDGE}")));
        }
        let is_idefics3 = is_idefics3(checkpoint)?;
        let added: &[&str] = if is_idefics3 { &ADDED } else { &[] };
        let mut text = Text::open(checkpoint, config.decoder.vocab_size, added)?;
        // The processor of Idefics3 reads no names.
        let named = |name, default: &str| {
            if is_idefics3 {
                default.to_owned()
            } else {
                text.named(name, default)
            }
        };
        let marker = named("image_token", IMAGE);
        let fake = named("fake_image_token", FAKE);
        let global = named("global_image_token", GLOBAL);
        let video = named("video_token", VIDEO);
        let video = Some(video.as_str()).filter(|_| !is_idefics3);
        text.set_markers([marker.as_str()].into_iter().chain(video));
        text.require(&marker, Some(("image_token_id", config.image_token_id)))?;
        Ok(Self {
            text,
            image: marker,
            fake,
            global,
            image_token_id: config.image_token_id,
            tokens_per_tile: config.tokens_per_tile(),
            longest_edge,
            tile,
            split: image.keys.do_image_splitting,
            filter: image.steps.filter(&image.path)?,
            levels: image.steps.levels(),
        })
    }

    /// The tiles of one picture, row by row and the whole picture last, with their rows and columns (0, 0 when uncut).
    fn tiles(&self, picture: &RgbImage) -> (Vec<RgbImage>, u32, u32) {
        let tile = self.tile;
        let resized = self.resized(picture);
        if !self.split {
            return (vec![resize(&resized, tile, tile, self.filter)], 0, 0);
        }
        let (width, height) = whole_tiles(resized.width(), resized.height(), tile);
        let fitted = resize(&resized, width, height, self.filter);
        let (rows, columns) = (height / tile, width / tile);
        if rows == 1 && columns == 1 {
            return (vec![fitted], 0, 0);
        }
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let mut tiles: Vec<_> = cells
            .map(|(row, column)| {
                imageops::crop_imm(&fitted, column * tile, row * tile, tile, tile).to_image()
            })
            .collect();
        tiles.push(resize(&fitted, tile, tile, self.filter));
        (tiles, rows, columns)
    }

    fn resized(&self, picture: &RgbImage) -> RgbImage {
        let (width, height) = longest_edge(picture.width(), picture.height(), self.longest_edge);
        resize(picture, width, height, self.filter)
    }

    /// Where the visual tokens of one picture lie, in the order of its tiles.
    fn regions(&self, picture: usize, rows: u32, columns: u32) -> Vec<TokenRegion> {
        let side = self.tokens_per_tile.isqrt();
        let (high, wide) = (rows as f32, columns as f32);
        let crops = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let crops = crops.flat_map(|(row, column)| {
            let (x, y) = (column as f32 / wide, row as f32 / high);
            let bounds = [x, y, (column + 1) as f32 / wide, (row + 1) as f32 / high];
            TokenRegion::grid(picture, bounds, [side; 2], false)
        });
        let whole = TokenRegion::grid(picture, [0.0, 0.0, 1.0, 1.0], [side; 2], true);
        crops.chain(whole).collect()
    }

    /// The text that stands for one picture.
    fn placeholder(&self, rows: u32, columns: u32) -> String {
        let tokens = self.image.repeat(self.tokens_per_tile);
        let (fake, global) = (&self.fake, &self.global);
        let mut text = String::new();
        for row in 1..=rows {
            for column in 1..=columns {
                text += &format!("{fake}<row_{row}_col_{column}>{tokens}");
            }
            text.push('\n');
        }
        if rows > 0 {
            text.push('\n');
        }
        text + &format!("{fake}{global}{tokens}{fake}")
    }
}

impl Processor for SmolVlmProcessor {
    fn prepare(&self, pictures: &[&RgbImage], question: &str) -> Result<Prompt, Error> {
        let cut: Vec<_> = pictures.iter().map(|picture| self.tiles(picture)).collect();
        let Rendered { chat, text, ids } =
            self.text
                .prompt(pictures.len(), question, &self.image, |number| {
                    let (_, rows, columns) = cut[number];
                    self.placeholder(rows, columns)
                })?;
        let (mut tiles, mut regions, mut layouts) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (picture, (own, rows, columns))) in pictures.iter().zip(cut).enumerate() {
            regions.extend(self.regions(number, rows, columns));
            layouts.push(PictureLayout {
                parts: own.len(),
                grid: [rows as usize, columns as usize],
                size: [picture.height(), picture.width()],
            });
            tiles.extend(own);
        }
        let visual: Vec<bool> = ids.iter().map(|&id| id == self.image_token_id).collect();
        let side = i64::from(self.tile);
        let prompt = Prompt {
            chat,
            text,
            visual,
            ids,
            regions,
            pixels: tiles
                .iter()
                .flat_map(|tile| self.levels.channels_first(tile))
                .collect(),
            pixel_shape: vec![tiles.len() as i64, 3, side, side],
            pictures: layouts,
            rotary: None,
        };
        prompt.check_visual()?;
        Ok(prompt)
    }

    fn text(&self) -> &Text {
        &self.text
    }
}

/// Whether the processor of a checkpoint is that of Idefics3: by the class that its files name, or else by its model type.
///
/// Source: `AutoProcessor.from_pretrained` of `transformers` 5.23, `models/auto/processing_auto.py`.
fn is_idefics3(checkpoint: &Checkpoint) -> Result<bool, Error> {
    for name in [
        "processor_config.json",
        "preprocessor_config.json",
        "tokenizer_config.json",
    ] {
        let path = checkpoint.path(name);
        if path.is_file()
            && let Some(class) = read_json(&path)?.get("processor_class")
        {
            return Ok(class == "Idefics3Processor");
        }
    }
    let config = checkpoint.config();
    Ok(match config.get("processor_class") {
        Some(class) => class == "Idefics3Processor",
        None => config
            .get("model_type")
            .is_some_and(|name| name == "idefics3"),
    })
}

/// Sides after scaling the longest edge to `edge`: the shorter one truncated, then made even, at least 1.
fn longest_edge(width: u32, height: u32, edge: u32) -> (u32, u32) {
    let ratio = f64::from(width) / f64::from(height);
    let even = |length: f64| {
        let length = length as u32;
        (length + length % 2).max(1)
    };
    if width >= height {
        (edge, even(f64::from(edge) / ratio))
    } else {
        (even(f64::from(edge) * ratio), edge)
    }
}

/// Sides rounded up to whole tiles, the shorter one after following the longer.
fn whole_tiles(width: u32, height: u32, tile: u32) -> (u32, u32) {
    let ratio = f64::from(width) / f64::from(height);
    let up = |length: u32| length.div_ceil(tile).max(1) * tile;
    if width >= height {
        let width = up(width);
        (width, up((f64::from(width) / ratio) as u32))
    } else {
        let height = up(height);
        (up((f64::from(height) * ratio) as u32), height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_follow_the_source_for_wide_tall_tiny_and_extreme_pictures() {
        assert_eq!(longest_edge(150, 100, 128), (128, 86));
        assert_eq!(longest_edge(1, 1, 128), (128, 128));
        assert_eq!(longest_edge(1, 1000, 128), (1, 128));
        assert_eq!(longest_edge(640, 480, 2048), (2048, 1536));
        assert_eq!(whole_tiles(128, 86, 64), (128, 128));
        assert_eq!(whole_tiles(1, 128, 64), (64, 128));
        assert_eq!(whole_tiles(2048, 1536, 512), (2048, 1536));
    }

    #[test]
    fn the_tokens_of_a_tile_cover_it_row_by_row() {
        let quarter = [0.5, 0.0, 1.0, 0.5];
        let regions: Vec<_> = TokenRegion::grid(1, quarter, [2, 2], false).collect();
        let bounds: Vec<_> = regions.iter().map(|region| region.bounds).collect();
        assert_eq!(
            bounds,
            [
                [0.5, 0.0, 0.75, 0.25],
                [0.75, 0.0, 1.0, 0.25],
                [0.5, 0.25, 0.75, 0.5],
                [0.75, 0.25, 1.0, 0.5],
            ]
        );
        assert!(
            regions
                .iter()
                .all(|region| region.picture == 1 && !region.whole)
        );
    }
}
