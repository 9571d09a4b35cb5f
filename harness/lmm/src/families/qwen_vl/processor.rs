//! Preprocessing: resize to sides that are multiples of a visual token's, with a number of pixels within bounds; cut into
//! patches, the squares of a visual token together.
//!
//! Source: `transformers` 5.23 `image_processing_pil_qwen2_vl.py` (the Pillow backend, which all three generations share),
//! `processing_qwen2_vl.py`.

use image::RgbImage;
use rave_hints::refusal;
use serde::Deserialize;
use serde_json::Value;

use super::config::Config;
use crate::processor::image_config::{ImageConfig, Levels, image_config, unfit};
use crate::processor::text::{Rendered, Text};
use crate::{
    Checkpoint, Error, Filter, PictureLayout, Processor, Prompt, TokenRegion, resize,
    rotary_positions,
};

/// The markers of pictures and videos, where the tokenizer gives them no other names.
const IMAGE: &str = "<|image_pad|>";
const VIDEO: &str = "<|video_pad|>";

/// The longer side of a picture may be so many times the shorter one.
const MAX_RATIO: f64 = 200.0;

/// A picture is never scaled up beyond so many pixels.
const MAX_MIN_PIXELS: u64 = 1 << 24;

/// What the image processor's file says besides the steps that all have.
#[derive(Debug, Clone, Deserialize)]
struct ImageKeys {
    /// Bounds on a picture's pixels, whatever the names of its keys say.
    size: Value,
    /// Where older files have them, which win.
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
    patch_size: u32,
    merge_size: u32,
    temporal_patch_size: u32,
}

impl ImageKeys {
    /// Fewest and most pixels of a resized picture.
    ///
    /// # Errors
    /// Bounds that cannot be, in words.
    fn bounds(&self) -> Result<[u64; 2], String> {
        let size = self.size.as_object().ok_or_else(|| {
            format!(
                "size {} is not supported; shortest_edge and longest_edge are",
                self.size
            )
        })?;
        let bound = |given: Option<u64>, keys: [&str; 2]| {
            let written = || keys.iter().find_map(|key| size.get(*key)?.as_u64());
            given
                .or_else(written)
                .ok_or_else(|| format!("size {} has no {}, a whole number", self.size, keys[0]))
        };
        let bounds = [
            bound(self.min_pixels, ["shortest_edge", "min_pixels"])?,
            bound(self.max_pixels, ["longest_edge", "max_pixels"])?,
        ];
        if bounds[0] < 1 || bounds[1] < bounds[0] || bounds[0] > MAX_MIN_PIXELS {
            return Err(format!(
                "a picture cannot have {} to {} pixels, or more than {MAX_MIN_PIXELS} at least",
                bounds[0], bounds[1]
            ));
        }
        Ok(bounds)
    }
}

/// The processor of one checkpoint.
pub(super) struct QwenVlProcessor {
    text: Text,
    image: String,
    image_token_id: i64,
    patch: u32,
    merge: u32,
    frames: u32,
    /// Fewest and most pixels of a resized picture.
    bounds: [u64; 2],
    filter: Filter,
    levels: Levels,
}

impl QwenVlProcessor {
    /// Opens the tokenizer, chat template and image config of a checkpoint, and checks them against each other.
    pub(super) fn open(checkpoint: &Checkpoint, config: &Config) -> Result<Self, Error> {
        let image: ImageConfig<ImageKeys> = image_config(checkpoint, &["Qwen2VLImageProcessor"])?;
        let keys = &image.keys;
        let vision = &config.vision;
        for (key, own, other, theirs) in [
            ("patch_size", keys.patch_size, "patch_size", vision.patch),
            (
                "merge_size",
                keys.merge_size,
                "spatial_merge_size",
                vision.merge as i64,
            ),
            (
                "temporal_patch_size",
                keys.temporal_patch_size,
                "temporal_patch_size",
                vision.frames,
            ),
        ] {
            if i64::from(own) != theirs {
                return Err(Error::malformed(
                    &image.path,
                    refusal(
                        format!(
                            "{key} {own} is not the vision tower's {other} {theirs} in config.json"
                        ),
                        "use the files of one checkpoint",
                    ),
                ));
            }
        }
        let bounds = keys.bounds();
        let bounds = bounds.map_err(|reason| unfit(&image.path, &reason))?;
        let mut text = Text::open(checkpoint, config.decoder.vocab_size, &[])?;
        let marker = text.named("image_token", IMAGE);
        let video = text.named("video_token", VIDEO);
        text.set_markers([marker.as_str(), video.as_str()]);
        text.require(&marker, Some(("image_token_id", config.image_token_id)))?;
        Ok(Self {
            text,
            image: marker,
            image_token_id: config.image_token_id,
            patch: keys.patch_size,
            merge: keys.merge_size,
            frames: keys.temporal_patch_size,
            bounds,
            filter: image.steps.filter(&image.path)?,
            levels: image.steps.levels(),
        })
    }

    /// A picture at the size at which it is seen.
    fn resized(&self, number: usize, picture: &RgbImage) -> Result<RgbImage, Error> {
        let (width, height) = (picture.width(), picture.height());
        let ratio = f64::from(width.max(height)) / f64::from(width.min(height));
        if ratio > MAX_RATIO {
            return Err(Error::prompt(refusal(
                format!(
                    "picture {number} is {width} x {height}: one side may be at most {MAX_RATIO} times the other"
                ),
                "use a part of it",
            )));
        }
        let (width, height) = whole_tokens(width, height, self.patch * self.merge, self.bounds);
        Ok(resize(picture, width, height, self.filter))
    }

    /// The values of a resized picture's patches: patches by squares, in each the channels, frames and rows.
    fn patches(&self, picture: &RgbImage, values: &mut Vec<f32>) {
        let (patch, merge) = (self.patch, self.merge);
        let square = patch * merge;
        let frames = self.frames as usize;
        values.reserve(picture.as_raw().len() * frames);
        for top in (0..picture.height()).step_by(square as usize) {
            for left in (0..picture.width()).step_by(square as usize) {
                for at in 0..merge * merge {
                    let (x, y) = (left + at % merge * patch, top + at / merge * patch);
                    for channel in 0..3 {
                        let start = values.len();
                        for row in y..y + patch {
                            values.extend((x..x + patch).map(|column| {
                                let pixel = picture.get_pixel(column, row);
                                self.levels.of(channel, pixel.0[channel])
                            }));
                        }
                        // Every frame of a still film is the same.
                        let end = values.len();
                        for _ in 1..frames {
                            values.extend_from_within(start..end);
                        }
                    }
                }
            }
        }
    }
}

impl Processor for QwenVlProcessor {
    fn prepare(&self, pictures: &[&RgbImage], question: &str) -> Result<Prompt, Error> {
        let merge = self.merge as usize;
        let (mut pixels, mut layouts, mut regions) = (Vec::new(), Vec::new(), Vec::new());
        let mut grids = Vec::new();
        for (number, picture) in pictures.iter().enumerate() {
            let resized = self.resized(number, picture)?;
            self.patches(&resized, &mut pixels);
            let [rows, columns] =
                [resized.height(), resized.width()].map(|side| (side / self.patch) as usize);
            let grid = [rows / merge, columns / merge];
            regions.extend(TokenRegion::grid(number, [0.0, 0.0, 1.0, 1.0], grid, true));
            grids.push(grid);
            layouts.push(PictureLayout {
                parts: rows * columns,
                grid: [rows, columns],
                size: [picture.height(), picture.width()],
            });
        }
        let Rendered { chat, text, ids } =
            self.text
                .prompt(pictures.len(), question, &self.image, |number| {
                    self.image.repeat(grids[number].iter().product())
                })?;
        let visual: Vec<bool> = ids.iter().map(|&id| id == self.image_token_id).collect();
        let patches: usize = layouts.iter().map(|layout| layout.parts).sum();
        let width = 3 * self.frames * self.patch * self.patch;
        let prompt = Prompt {
            chat,
            text,
            rotary: (!pictures.is_empty()).then(|| rotary_positions(&visual, &grids)),
            visual,
            ids,
            regions,
            pixels,
            pixel_shape: vec![patches as i64, i64::from(width)],
            pictures: layouts,
        };
        prompt.check_visual()?;
        Ok(prompt)
    }

    fn text(&self) -> &Text {
        &self.text
    }
}

/// Sides rounded to multiples of `token`, halves to the even one; scaled down or up where the pixels are then more or fewer than
/// the bounds allow.
fn whole_tokens(width: u32, height: u32, token: u32, [min, max]: [u64; 2]) -> (u32, u32) {
    let (wide, high, unit) = (f64::from(width), f64::from(height), f64::from(token));
    let rounded = |side: f64| (side / unit).round_ties_even() * unit;
    let (mut columns, mut rows) = (rounded(wide), rounded(high));
    if columns * rows > max as f64 {
        let shrink = (high * wide / max as f64).sqrt();
        let fit = |side: f64| ((side / shrink / unit).floor() * unit).max(unit);
        (columns, rows) = (fit(wide), fit(high));
    } else if columns * rows < min as f64 {
        let grow = (min as f64 / (high * wide)).sqrt();
        let fit = |side: f64| (side * grow / unit).ceil() * unit;
        (columns, rows) = (fit(wide), fit(high));
    }
    (columns as u32, rows as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_follow_the_source_for_wide_tall_tiny_and_large_pictures() {
        // What `smart_resize` of the source gives.
        let bounds = [56 * 56, 12 * 14 * 12 * 14];
        for (picture, expected) in [
            ((150, 100), (140, 112)),
            ((70, 42), (56, 56)),
            ((98, 126), (112, 112)),
            ((1, 1), (56, 56)),
            ((2000, 10), (812, 28)),
            ((1000, 1000), (168, 168)),
            ((30, 600), (28, 588)),
        ] {
            let (width, height) = picture;
            assert_eq!(
                whole_tokens(width, height, 28, bounds),
                expected,
                "{width} x {height}"
            );
        }
    }
}
