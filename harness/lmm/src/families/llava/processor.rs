//! Preprocessing of LLaVA-1.5: a picture is resized by its shortest edge and its middle is cut out, or it is padded to a square
//! first, or it is squeezed into one, as the checkpoint's image config says.
//!
//! Source: `transformers` 5.23 `image_processing_pil_clip.py`, `image_processing_pil_llava.py`, `image_processing_pil_siglip.py`
//! and `processing_llava.py` (the Pillow backend; the torchvision backend resizes with other rounding and differs by grey
//! levels). Sizes are computed in f64 and truncated as Python's `int` does.

use image::RgbImage;
use serde::Deserialize;
use serde_json::Value;

use super::config::Config;
use super::frame::Frame;
use super::preprocess::{background, middle, square, within_limit};
use crate::checkpoint::read_json;
use crate::processor::image_config::{ImageConfig, Levels, Size, image_config, unfit};
use crate::processor::text::{Rendered, Text};
use crate::{Checkpoint, Error, Filter, PictureLayout, Processor, Prompt, TokenRegion, resize};

/// Marks a picture, where neither tokenizer nor processor gives it another name.
pub(in crate::families) const IMAGE: &str = "<image>";

/// The image processors that pictures of this family are prepared with.
const CLASSES: [&str; 3] = [
    "LlavaImageProcessor",
    "CLIPImageProcessor",
    "SiglipImageProcessor",
];

/// What the image processor's file says besides the steps that all have.
#[derive(Debug, Clone, Deserialize)]
struct ImageKeys {
    size: Value,
    crop_size: Option<Value>,
    do_center_crop: Option<bool>,
    /// Whether a picture is padded to a square first; the other image processors have the key too, but pad a batch of tiles, which
    /// are of one size here.
    #[serde(default)]
    do_pad: bool,
}

/// The processor of one checkpoint.
pub(super) struct LlavaProcessor {
    text: Text,
    image: String,
    image_token_id: i64,
    /// Patches along a side of the tile.
    side: usize,
    /// Whether a visual token stands for the whole tile, before those of its patches.
    keeps_class: bool,
    tile: u32,
    resizing: Resizing,
    /// What a picture is padded to a square with, if it is.
    background: Option<image::Rgb<u8>>,
    filter: Filter,
    levels: Levels,
}

/// How a picture comes to the size of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resizing {
    /// Its shortest edge to so many pixels; then the middle is cut out.
    ShortestEdge(u32),
    /// Both sides to those of the tile.
    Squeeze,
}

impl LlavaProcessor {
    /// Opens the tokenizer, chat template and image config of a checkpoint, and checks them against each other.
    pub(super) fn open(checkpoint: &Checkpoint, config: &Config) -> Result<Self, Error> {
        let image: ImageConfig<ImageKeys> = image_config(checkpoint, &CLASSES)?;
        let (tile, keys) = (config.vision.image_size as u32, &image.keys);
        let refuse = |reason: String| unfit(&image.path, &reason);
        let size = image.steps.size(&keys.size).map_err(refuse)?;
        let crops = keys.do_center_crop.unwrap_or(false);
        let cut = match &keys.crop_size {
            Some(cut) if crops => Some(Size::read(cut, true).map_err(refuse)?),
            _ => None,
        };
        let (resizing, side) = match (size, crops) {
            (Size::Exact { .. }, false) => (Some(Resizing::Squeeze), size.side()),
            (
                Size::Shortest {
                    edge,
                    longest: None,
                },
                true,
            ) => (
                Some(Resizing::ShortestEdge(edge)),
                cut.filter(|cut| matches!(cut, Size::Exact { .. }))
                    .and_then(Size::side),
            ),
            _ => (None, None),
        };
        let (Some(resizing), true) = (resizing, side == Some(tile)) else {
            return Err(refuse(format!(
                "pictures would not come out as squares of vision_config.image_size {tile} in config.json (size {}, crop_size {}, \
                 do_center_crop {crops})",
                keys.size,
                keys.crop_size.as_ref().unwrap_or(&Value::Null)
            )));
        };
        let mut text = Text::open(checkpoint, config.decoder.vocab_size, &[])?;
        let marker = text.named("image_token", &text_key(checkpoint, "image_token", IMAGE)?);
        text.set_markers([marker.as_str()]);
        text.require(&marker, Some(("image_token_index", config.image_token())))?;
        Ok(Self {
            text,
            image: marker,
            image_token_id: config.image_token(),
            side: config.vision.side() as usize,
            keeps_class: config.keeps_class(),
            tile,
            resizing,
            background: keys.do_pad.then(|| background(image.steps.mean())),
            filter: image.steps.filter(&image.path)?,
            levels: image.steps.levels(),
        })
    }

    /// What the tower sees of a picture, and where in it the picture lies.
    fn tile(&self, picture: &RgbImage) -> Result<(RgbImage, Frame), Error> {
        let padded;
        let (source, origin) = match self.background {
            Some(background) => {
                let (square, origin) = square(picture, background)?;
                padded = square;
                (&padded, origin)
            }
            None => (picture, [0, 0]),
        };
        let (width, height) = match self.resizing {
            Resizing::Squeeze => (self.tile, self.tile),
            Resizing::ShortestEdge(edge) => shortest_edge(source.width(), source.height(), edge),
        };
        within_limit(picture, width, height)?;
        let (tile, cut) = middle(&resize(source, width, height, self.filter), self.tile);
        let scale = [
            f64::from(width) / f64::from(source.width()),
            f64::from(height) / f64::from(source.height()),
        ];
        let size = [picture.width(), picture.height()];
        let frame = Frame {
            origin: [0, 1].map(|axis| f64::from(origin[axis]) * scale[axis] + cut[axis] as f64),
            extent: [0, 1].map(|axis| f64::from(size[axis]) * scale[axis]),
        };
        Ok((tile, frame))
    }

    /// Visual tokens of a picture.
    fn tokens(&self) -> usize {
        self.side * self.side + usize::from(self.keeps_class)
    }

    /// Where the visual tokens of one picture lie.
    fn regions(&self, picture: usize, frame: &Frame) -> impl Iterator<Item = TokenRegion> {
        let edge = f64::from(self.tile);
        let whole = frame.region(picture, [0.0, 0.0, edge, edge], true);
        let class = self.keeps_class.then_some(whole);
        class
            .into_iter()
            .chain(frame.grid(picture, self.tile, self.side, true))
    }
}

impl Processor for LlavaProcessor {
    fn prepare(&self, pictures: &[&RgbImage], question: &str) -> Result<Prompt, Error> {
        let placeholder = self.image.repeat(self.tokens());
        let Rendered { chat, text, ids } =
            self.text
                .prompt(pictures.len(), question, &self.image, |_| {
                    placeholder.clone()
                })?;
        let (mut pixels, mut regions, mut layouts) = (Vec::new(), Vec::new(), Vec::new());
        for (number, picture) in pictures.iter().enumerate() {
            let (tile, frame) = self.tile(picture)?;
            pixels.extend(self.levels.channels_first(&tile));
            regions.extend(self.regions(number, &frame));
            layouts.push(PictureLayout {
                parts: 1,
                grid: [0, 0],
                size: [picture.height(), picture.width()],
            });
        }
        let side = i64::from(self.tile);
        let prompt = Prompt {
            chat,
            text,
            visual: ids.iter().map(|&id| id == self.image_token_id).collect(),
            ids,
            regions,
            pixels,
            pixel_shape: vec![pictures.len() as i64, 3, side, side],
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

/// A text in `processor_config.json`, or else `default`.
pub(in crate::families) fn text_key(
    checkpoint: &Checkpoint,
    key: &str,
    default: &str,
) -> Result<String, Error> {
    let path = checkpoint.path("processor_config.json");
    let config = if path.is_file() {
        read_json(&path)?
    } else {
        Value::Null
    };
    let text = config.get(key).and_then(Value::as_str);
    Ok(text.unwrap_or(default).to_owned())
}

/// Width and height after scaling the shortest edge to `edge`, the longer one truncated.
fn shortest_edge(width: u32, height: u32, edge: u32) -> (u32, u32) {
    let (short, long) = (width.min(height), width.max(height));
    let longer = (f64::from(edge) * f64::from(long) / f64::from(short)) as u32;
    if width <= height {
        (edge, longer)
    } else {
        (longer, edge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_edge_follows_the_source() {
        assert_eq!(shortest_edge(150, 100, 56), (84, 56));
        assert_eq!(shortest_edge(100, 150, 56), (56, 84));
        assert_eq!(shortest_edge(7, 7, 336), (336, 336));
        assert_eq!(shortest_edge(1, 1_000, 336), (336, 336_000));
        assert_eq!(shortest_edge(101, 77, 336), (440, 336));
    }
}
