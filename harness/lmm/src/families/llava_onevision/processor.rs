//! Preprocessing of LLaVA-OneVision: the whole picture squeezed into a tile, then the picture fitted into the middle of a canvas
//! and cut into tiles row by row; of several pictures only the whole of each, padded to a square.
//!
//! Source: `transformers` 5.23 `image_processing_pil_llava_onevision.py` and `processing_llava_onevision.py` (the Pillow backend;
//! the torchvision backend resizes with other rounding and differs by grey levels).

use image::{RgbImage, imageops};
use serde::Deserialize;
use serde_json::Value;

use super::anyres::AnyResolution;
use super::config::canvases;
use crate::families::llava::config::Config;
use crate::families::llava::frame::Frame;
use crate::families::llava::preprocess::{background, square};
use crate::families::llava::processor::{IMAGE, text_key};
use crate::processor::image_config::{ImageConfig, Levels, Size, image_config, unfit};
use crate::processor::text::{Rendered, Text};
use crate::{Checkpoint, Error, Filter, PictureLayout, Processor, Prompt, TokenRegion, resize};

/// Marks a video, where the tokenizer gives it no other name.
const VIDEO: &str = "<video>";

/// What the image processor's file says besides the steps that all have.
#[derive(Debug, Clone, Deserialize)]
struct ImageKeys {
    size: Value,
    crop_size: Option<Value>,
    do_center_crop: Option<bool>,
    image_grid_pinpoints: Value,
}

/// The processor of one checkpoint.
pub(super) struct OneVisionProcessor {
    text: Text,
    image: String,
    image_token_id: i64,
    resolution: AnyResolution,
    background: image::Rgb<u8>,
    filter: Filter,
    levels: Levels,
}

/// A picture as the tower sees it.
struct Views {
    tiles: Vec<RgbImage>,
    layout: PictureLayout,
    regions: Vec<TokenRegion>,
}

impl OneVisionProcessor {
    /// Opens the tokenizer, chat template and image config of a checkpoint, and checks them against each other.
    pub(super) fn open(
        checkpoint: &Checkpoint,
        config: &Config,
        resolution: &AnyResolution,
    ) -> Result<Self, Error> {
        let classes = ["LlavaOnevisionImageProcessor"];
        let image: ImageConfig<ImageKeys> = image_config(checkpoint, &classes)?;
        let (tile, keys) = (resolution.tile, &image.keys);
        let refuse = |reason: String| unfit(&image.path, &reason);
        let size = image.steps.size(&keys.size).map_err(refuse)?;
        // Tiles are as large as what is cropped, even where nothing is.
        let cut = keys.crop_size.as_ref().map(|cut| Size::read(cut, true));
        let cut = cut.transpose().map_err(refuse)?;
        if size.side() != Some(tile)
            || cut.is_some_and(|cut| cut.side() != Some(tile))
            || keys.do_center_crop == Some(true)
        {
            return Err(refuse(format!(
                "pictures would not come out as squares of vision_config.image_size {tile} in config.json (size {}, crop_size {}, \
                 do_center_crop {})",
                keys.size,
                keys.crop_size.as_ref().unwrap_or(&Value::Null),
                keys.do_center_crop.unwrap_or(false)
            )));
        }
        if canvases(&keys.image_grid_pinpoints, tile).map_err(refuse)? != resolution.canvases {
            return Err(refuse(
                "image_grid_pinpoints are not those of config.json".into(),
            ));
        }
        let mut text = Text::open(checkpoint, config.decoder.vocab_size, &[])?;
        let marker = text.named("image_token", &text_key(checkpoint, "image_token", IMAGE)?);
        let video = text.named("video_token", &text_key(checkpoint, "video_token", VIDEO)?);
        text.set_markers([marker.as_str(), video.as_str()]);
        text.require(&marker, Some(("image_token_index", config.image_token())))?;
        Ok(Self {
            text,
            image: marker,
            image_token_id: config.image_token(),
            resolution: resolution.clone(),
            background: background(image.steps.mean()),
            filter: image.steps.filter(&image.path)?,
            levels: image.steps.levels(),
        })
    }

    /// The whole picture, and the tiles of its canvas.
    fn tiled(&self, number: usize, picture: &RgbImage) -> Views {
        let tile = self.resolution.tile;
        let size = [picture.height(), picture.width()];
        let grid = self.resolution.grid(size);
        let ([high, wide], [height, width]) = (
            self.resolution.fitted(size, grid),
            self.resolution.canvas(grid),
        );
        let mut canvas = RgbImage::new(width, height);
        imageops::replace(
            &mut canvas,
            &resize(picture, wide, high, self.filter),
            i64::from((width - wide) / 2),
            i64::from((height - high) / 2),
        );
        let [rows, columns] = grid.map(|count| count as u32);
        let cuts = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let mut tiles = vec![resize(picture, tile, tile, self.filter)];
        tiles.extend(cuts.map(|(row, column)| {
            imageops::crop_imm(&canvas, column * tile, row * tile, tile, tile).to_image()
        }));
        let whole = Frame::filled(tile).grid(number, tile, self.resolution.side, true);
        Views {
            layout: PictureLayout {
                parts: tiles.len(),
                grid,
                size,
            },
            tiles,
            regions: whole
                .chain(self.resolution.regions(number, size, grid))
                .collect(),
        }
    }

    /// The whole picture alone, in the middle of a square.
    fn padded(&self, number: usize, picture: &RgbImage) -> Result<Views, Error> {
        let tile = self.resolution.tile;
        let (square, origin) = square(picture, self.background)?;
        let scale = f64::from(tile) / f64::from(square.width());
        let frame = Frame {
            origin: origin.map(|edge| f64::from(edge) * scale),
            extent: [picture.width(), picture.height()].map(|edge| f64::from(edge) * scale),
        };
        let edge = f64::from(tile);
        let end = frame.region(number, [edge, edge, edge, edge], true);
        Ok(Views {
            tiles: vec![resize(&square, tile, tile, self.filter)],
            layout: PictureLayout {
                parts: 1,
                grid: [0, 0],
                size: [picture.height(), picture.width()],
            },
            regions: frame
                .grid(number, tile, self.resolution.side, true)
                .chain([end])
                .collect(),
        })
    }
}

impl Processor for OneVisionProcessor {
    fn prepare(&self, pictures: &[&RgbImage], question: &str) -> Result<Prompt, Error> {
        let views = match pictures {
            [only] => vec![self.tiled(0, only)],
            several => {
                let numbered = several.iter().enumerate();
                numbered
                    .map(|(number, picture)| self.padded(number, picture))
                    .collect::<Result<_, _>>()?
            }
        };
        let Rendered { chat, text, ids } =
            self.text
                .prompt(pictures.len(), question, &self.image, |number| {
                    self.image.repeat(views[number].regions.len())
                })?;
        let tiles = views.iter().flat_map(|views| &views.tiles);
        let side = i64::from(self.resolution.tile);
        let count: usize = views.iter().map(|views| views.tiles.len()).sum();
        let prompt = Prompt {
            chat,
            text,
            visual: ids.iter().map(|&id| id == self.image_token_id).collect(),
            ids,
            pixels: tiles
                .flat_map(|tile| self.levels.channels_first(tile))
                .collect(),
            pixel_shape: vec![count as i64, 3, side, side],
            pictures: views.iter().map(|views| views.layout).collect(),
            regions: views.into_iter().flat_map(|views| views.regions).collect(),
            rotary: None,
        };
        prompt.check_visual()?;
        Ok(prompt)
    }

    fn text(&self) -> &Text {
        &self.text
    }
}
