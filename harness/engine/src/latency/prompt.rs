//! Prompts of any size: whole tiles of noise, and text of the model's own tokens around them.

use image::RgbImage;
use rave_lmm::{Model, Prompt};

use crate::Error;

/// Makes prompts for one model, after the pattern of one that its own processor made.
pub(super) struct PromptMaker {
    model: String,
    tokens_per_tile: usize,
    /// Height and width of a tile.
    tile: [i64; 2],
    image_token: i64,
    /// Text tokens before the picture.
    before: Vec<i64>,
    /// Text tokens after it.
    after: Vec<i64>,
    most_positions: Option<i64>,
}

impl PromptMaker {
    /// Learns the pattern.
    pub(super) fn new(model: &Model) -> Result<Self, Error> {
        let picture = RgbImage::from_fn(32, 32, |x, y| {
            image::Rgb([(x * 8) as u8, (y * 8) as u8, ((x ^ y) * 8) as u8])
        });
        let sample = model.processor().prepare(
            &[&picture],
            "What is written here, and where does it stand?",
        )?;
        let tiles = sample.pixel_shape[0] as usize;
        let visual = || {
            sample
                .visual
                .iter()
                .enumerate()
                .filter(|(_, visual)| **visual)
        };
        let ends = visual()
            .next()
            .zip(visual().next_back())
            .filter(|_| tiles > 0);
        let Some(((first, _), (last, _))) = ends else {
            return Err(Error::Request(format!(
                "{} makes no visual tokens of a picture, so there is nothing to measure",
                model.info().name
            )));
        };
        Ok(Self {
            model: model.info().name.clone(),
            tokens_per_tile: sample.visual_tokens() / tiles,
            tile: [sample.pixel_shape[2], sample.pixel_shape[3]],
            image_token: sample.ids[first],
            before: sample.ids[..first].to_vec(),
            after: sample.ids[last + 1..].to_vec(),
            most_positions: model.most_positions(),
        })
    }

    /// Visual tokens of a tile.
    pub(super) fn tokens_per_tile(&self) -> usize {
        self.tokens_per_tile
    }

    /// Refuses what the model cannot take.
    pub(super) fn check(
        &self,
        image_tokens: usize,
        text_tokens: usize,
        new_tokens: usize,
    ) -> Result<(), Error> {
        let tile = self.tokens_per_tile;
        if image_tokens == 0 || !image_tokens.is_multiple_of(tile) {
            let below = (image_tokens / tile).max(1) * tile;
            return Err(Error::Request(format!(
                "--image-tokens {image_tokens} is not possible: a tile of {} is {tile} visual tokens; give a multiple of {tile}, \
                 for example {below} or {}",
                self.model,
                below + tile
            )));
        }
        if text_tokens == 0 {
            return Err(Error::Request(
                "--text-tokens 0 is not possible: the last token of a prompt is text, and predicts the first of the answer; give \
                 1 or more"
                    .into(),
            ));
        }
        let total = image_tokens
            .saturating_add(text_tokens)
            .saturating_add(new_tokens);
        match self.most_positions {
            Some(most) if total as i64 > most => Err(Error::Request(format!(
                "{image_tokens} image, {text_tokens} text and {new_tokens} new tokens are {total}, more than the {most} positions of \
                 {} (max_position_embeddings); ask for fewer",
                self.model
            ))),
            _ => Ok(()),
        }
    }

    /// A prompt of exactly these sizes; `pixels` says whether the tower is to see its tiles.
    pub(super) fn prompt(&self, image_tokens: usize, text_tokens: usize, pixels: bool) -> Prompt {
        let before = self.before.len().min(text_tokens - 1);
        let after = self.after.iter().cycle().take(text_tokens - before);
        let mut ids = self.before[..before].to_vec();
        ids.resize(before + image_tokens, self.image_token);
        ids.extend(after);
        let visual = (0..ids.len())
            .map(|at| (before..before + image_tokens).contains(&at))
            .collect();
        let tiles = if pixels {
            (image_tokens / self.tokens_per_tile) as i64
        } else {
            0
        };
        let [height, width] = self.tile;
        // No picture has this texture: the tower's work does not depend on it, and a constant might be a shortcut.
        let texture = (0..tiles * 3 * height * width)
            .map(|at| (at.wrapping_mul(7_919) % 251) as f32 / 125.0 - 1.0);
        Prompt {
            chat: String::new(),
            text: String::new(),
            visual,
            ids,
            // Where the tokens lie in a picture: for looking at attention, which nobody does here.
            places: Vec::new(),
            pixels: texture.collect(),
            pixel_shape: [tiles, 3, height, width],
        }
    }
}
