//! Preprocessing: resize with Lanczos to the longest edge, then to whole tiles; cut row by row; the whole picture last.
//!
//! Source: `transformers` 5.23 `image_processing_pil_idefics3.py` and `processing_idefics3.py` (the Pillow backend; the
//! torchvision backend resizes with other rounding and differs by grey levels). Sizes are computed in f64 and truncated
//! as Python's `int` does.

use image::{RgbImage, imageops};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::config::Config;
use crate::chat::ChatTemplate;
use crate::checkpoint::read_json;
use crate::{Checkpoint, Error, Filter, Place, Processor, Prompt, resize};

/// Pictures are never scaled beyond this longest edge.
const LARGEST_EDGE: u32 = 4096;

const IMAGE: &str = "<image>";
const FAKE: &str = "<fake_token_around_image>";
const GLOBAL: &str = "<global-img>";

/// `preprocessor_config.json`, or the `image_processor` part of `processor_config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names are those of preprocessor_config.json"
)]
struct ImageConfig {
    size: LongestEdge,
    max_image_size: LongestEdge,
    do_image_splitting: bool,
    do_resize: bool,
    do_rescale: bool,
    do_normalize: bool,
    resample: u64,
    rescale_factor: f64,
    image_mean: [f64; 3],
    image_std: [f64; 3],
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct LongestEdge {
    longest_edge: u32,
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            size: LongestEdge {
                longest_edge: 4 * 364,
            },
            max_image_size: LongestEdge { longest_edge: 364 },
            do_image_splitting: true,
            do_resize: true,
            do_rescale: true,
            do_normalize: true,
            resample: 1,
            rescale_factor: 1.0 / 255.0,
            image_mean: [0.5; 3],
            image_std: [0.5; 3],
        }
    }
}

/// The processor of one checkpoint.
pub(super) struct SmolVlmProcessor {
    tokenizer: Tokenizer,
    chat: ChatTemplate,
    image_token_id: i64,
    /// Number of embeddings: ids from here on have none.
    vocabulary: i64,
    tokens_per_tile: usize,
    longest_edge: u32,
    tile: u32,
    split: bool,
    filter: Filter,
    /// What a channel's 8-bit value becomes.
    levels: [Vec<f32>; 3],
}

impl SmolVlmProcessor {
    /// Opens the tokenizer, chat template and image config of a checkpoint, and checks them against each other.
    pub(super) fn open(checkpoint: &Checkpoint, config: &Config) -> Result<Self, Error> {
        let (path, image) = image_config(checkpoint)?;
        let filter = Filter::from_pillow(image.resample).ok_or_else(|| {
            Error::malformed(
                &path,
                format!(
                    "resample {} is not supported; use a checkpoint with 1, 2 or 3",
                    image.resample
                ),
            )
        })?;
        if !image.do_resize {
            return Err(Error::malformed(
                &path,
                "do_resize is false; this family cuts resized pictures into tiles; use the file that was saved with the weights",
            ));
        }
        let tile = image.max_image_size.longest_edge;
        if i64::from(tile) != config.vision_config.image_size {
            let reason = format!(
                "max_image_size {tile} is not the vision tower's image_size {} in config.json; use the files of one checkpoint",
                config.vision_config.image_size
            );
            return Err(Error::malformed(&path, reason));
        }
        if !(1..=LARGEST_EDGE).contains(&image.size.longest_edge) {
            return Err(Error::malformed(
                &path,
                format!(
                    "size.longest_edge must be 1 to {LARGEST_EDGE}; use the file that was saved with the weights"
                ),
            ));
        }
        let tokenizer = open_tokenizer(checkpoint)?;
        for (token, required) in [
            (IMAGE, Some(config.image_token_id)),
            (FAKE, None),
            (GLOBAL, None),
        ] {
            let found = tokenizer.token_to_id(token).map(i64::from);
            if found.is_none() || required.is_some() && found != required {
                let reason = match found {
                    None => format!(
                        "the token {token} is missing; use the tokenizer of this checkpoint"
                    ),
                    Some(id) => format!(
                        "{token} is token {id}, but config.json says image_token_id {}; use the files of one checkpoint",
                        config.image_token_id
                    ),
                };
                return Err(Error::malformed(&checkpoint.path("tokenizer.json"), reason));
            }
        }
        Ok(Self {
            tokenizer,
            chat: ChatTemplate::open(checkpoint)?,
            image_token_id: config.image_token_id,
            vocabulary: config.text_config.vocab_size,
            tokens_per_tile: config.tokens_per_tile(),
            longest_edge: image.size.longest_edge,
            tile,
            split: image.do_image_splitting,
            filter,
            levels: [0, 1, 2].map(|channel| image.levels(channel)),
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
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let mut tiles: Vec<_> = places
            .map(|(row, column)| {
                imageops::crop_imm(&fitted, column * tile, row * tile, tile, tile).to_image()
            })
            .collect();
        tiles.push(resize(&fitted, tile, tile, self.filter));
        (tiles, rows, columns)
    }

    /// Token ids of a text, with the tokenizer's own additions (such as a first token) where `additions`.
    fn encode(&self, text: &str, additions: bool) -> Result<Vec<i64>, Error> {
        let encoding = self
            .tokenizer
            .encode(text, additions)
            .map_err(|error| Error::Prompt(format!("cannot be tokenised: {error}")))?;
        let ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        if let Some(id) = ids.iter().find(|&&id| id >= self.vocabulary) {
            return Err(Error::Prompt(format!(
                "the tokenizer gives token {id}, but config.json has a vocab_size of {}; use the tokenizer of this checkpoint",
                self.vocabulary
            )));
        }
        Ok(ids)
    }

    fn resized(&self, picture: &RgbImage) -> RgbImage {
        let (width, height) = longest_edge(picture.width(), picture.height(), self.longest_edge);
        resize(picture, width, height, self.filter)
    }

    /// Where the visual tokens of one picture lie, in the order of its tiles.
    fn places(&self, picture: usize, rows: u32, columns: u32) -> Vec<Place> {
        let side = self.tokens_per_tile.isqrt();
        let (high, wide) = (rows as f32, columns as f32);
        let crops = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let crops = crops.flat_map(|(row, column)| {
            let (x, y) = (column as f32 / wide, row as f32 / high);
            let bounds = [x, y, (column + 1) as f32 / wide, (row + 1) as f32 / high];
            Place::grid(picture, bounds, side, false)
        });
        let whole = Place::grid(picture, [0.0, 0.0, 1.0, 1.0], side, true);
        crops.chain(whole).collect()
    }

    /// The text that stands for one picture.
    fn placeholder(&self, rows: u32, columns: u32) -> String {
        let tokens = IMAGE.repeat(self.tokens_per_tile);
        let mut text = String::new();
        for row in 1..=rows {
            for column in 1..=columns {
                text += &format!("{FAKE}<row_{row}_col_{column}>{tokens}");
            }
            text.push('\n');
        }
        if rows > 0 {
            text.push('\n');
        }
        text + &format!("{FAKE}{GLOBAL}{tokens}{FAKE}")
    }
}

impl Processor for SmolVlmProcessor {
    fn prepare(&self, pictures: &[&RgbImage], question: &str) -> Result<Prompt, Error> {
        if let Some(token) = [IMAGE, FAKE, GLOBAL]
            .iter()
            .find(|token| question.contains(**token))
        {
            return Err(Error::Prompt(format!(
                "the question contains {token}, which marks a picture; take it out"
            )));
        }
        let chat = self.chat.render(pictures.len(), question)?;
        let parts: Vec<_> = chat.split(IMAGE).collect();
        if parts.len() != pictures.len() + 1 {
            let found = parts.len() - 1;
            return Err(Error::Prompt(format!(
                "the chat template writes {found} {IMAGE} for {} pictures; use the template of this checkpoint",
                pictures.len()
            )));
        }
        let mut text = parts[0].to_owned();
        let (mut tiles, mut places) = (Vec::new(), Vec::new());
        for (number, (picture, rest)) in pictures.iter().zip(&parts[1..]).enumerate() {
            let (own, rows, columns) = self.tiles(picture);
            tiles.extend(own);
            places.extend(self.places(number, rows, columns));
            text += &self.placeholder(rows, columns);
            text += rest;
        }
        let ids = self.encode(&text, true)?;
        let visual: Vec<bool> = ids.iter().map(|&id| id == self.image_token_id).collect();
        let side = i64::from(self.tile);
        let prompt = Prompt {
            chat,
            text,
            visual,
            ids,
            places,
            pixels: tiles
                .iter()
                .flat_map(|tile| channels_first(tile, &self.levels))
                .collect(),
            pixel_shape: [tiles.len() as i64, 3, side, side],
        };
        let expected = tiles.len() * self.tokens_per_tile;
        if prompt.visual_tokens() != expected {
            return Err(Error::Prompt(format!(
                "{} visual tokens for {} tiles of {}",
                prompt.visual_tokens(),
                tiles.len(),
                self.tokens_per_tile
            )));
        }
        Ok(prompt)
    }

    fn answer(
        &self,
        question: &str,
        answer: &str,
        next: Option<&str>,
        end_tokens: &[i64],
    ) -> Result<(Vec<i64>, Vec<i64>), Error> {
        let text = self.chat.answer(question, answer, next)?;
        let mut ids = self.encode(&text, false)?;
        let end = ids.iter().position(|id| end_tokens.contains(id));
        let Some(end) = end else {
            return Err(Error::Prompt(format!(
                "the chat template ends the answer {text:?} with none of the end tokens {end_tokens:?}"
            )));
        };
        let mut rest = ids.split_off(end + 1);
        if next.is_none() {
            rest.clear();
        }
        Ok((ids, rest))
    }

    fn decode(&self, ids: &[i64]) -> Result<String, Error> {
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        self.tokenizer
            .decode(&ids, true)
            .map_err(|error| Error::Prompt(format!("generated ids cannot be decoded: {error}")))
    }
}

impl ImageConfig {
    /// What each 8-bit value of a channel becomes: `(value * factor - mean) / std`, in f32 after the product, as NumPy does it.
    fn levels(&self, channel: usize) -> Vec<f32> {
        let normalise = |value: u8| {
            let mut level = f64::from(value) as f32;
            if self.do_rescale {
                level = (f64::from(value) * self.rescale_factor) as f32;
            }
            if self.do_normalize {
                level = (level - self.image_mean[channel] as f32) / self.image_std[channel] as f32;
            }
            level
        };
        (0..=255).map(normalise).collect()
    }
}

/// The normalised values of a tile, `[3, height, width]` row-major.
fn channels_first<'a>(
    tile: &'a RgbImage,
    levels: &'a [Vec<f32>; 3],
) -> impl Iterator<Item = f32> + 'a {
    (0..3).flat_map(move |channel| {
        tile.pixels()
            .map(move |pixel| levels[channel][usize::from(pixel.0[channel])])
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

/// The image processor's config and the file that it came from.
fn image_config(checkpoint: &Checkpoint) -> Result<(std::path::PathBuf, ImageConfig), Error> {
    let (newer, older) = (
        checkpoint.path("processor_config.json"),
        checkpoint.path("preprocessor_config.json"),
    );
    if newer.is_file()
        && let Some(nested) = read_json(&newer)?.get("image_processor")
    {
        let config = parse(nested.clone()).map_err(|error| {
            Error::malformed(&newer, format!("image_processor: {error}; fetch it again"))
        })?;
        return Ok((newer, config));
    }
    if older.is_file() {
        let config = parse(read_json(&older)?)
            .map_err(|error| Error::malformed(&older, format!("{error}; fetch it again")))?;
        return Ok((older, config));
    }
    Err(Error::Missing {
        folder: checkpoint.folder().to_owned(),
        what: "preprocessor_config.json (or image_processor in processor_config.json)".into(),
        remedy:
            "fetch it with the checkpoint: without it pictures cannot be prepared as in training"
                .into(),
    })
}

fn parse(value: Value) -> Result<ImageConfig, serde_json::Error> {
    serde_json::from_value(value)
}

/// The checkpoint's `tokenizer.json`.
fn open_tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer, Error> {
    let path = checkpoint.path("tokenizer.json");
    if !path.is_file() {
        return Err(Error::Missing {
            folder: checkpoint.folder().to_owned(),
            what: "tokenizer.json".into(),
            remedy: "fetch it with the checkpoint, or save the tokenizer with transformers' fast tokenizer".into(),
        });
    }
    let mut tokenizer = Tokenizer::from_bytes(Error::read(&path)?).map_err(|error| {
        Error::malformed(&path, format!("not a tokenizer ({error}); fetch it again"))
    })?;
    // A prompt is never cut or padded behind the user's back.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| Error::malformed(&path, format!("{error}; fetch it again")))?;
    Ok(tokenizer)
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
        let places: Vec<_> = Place::grid(1, quarter, 2, false).collect();
        let bounds: Vec<_> = places.iter().map(|place| place.bounds).collect();
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
            places
                .iter()
                .all(|place| place.picture == 1 && !place.whole)
        );
    }
}
