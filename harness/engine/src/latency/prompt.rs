//! Prompts of any size: whole tiles of noise, or a picture of so many patches, and text of the model's own tokens around them.

use image::RgbImage;
use rave_lmm::{Model, PictureLayout, Prompt, rotary_positions};

use crate::Error;

/// Makes prompts for one model, after the pattern of one that its own processor made.
pub(super) struct PromptMaker {
    model: String,
    pictures: Pictures,
    /// Whether tokens have rotary positions on several axes.
    rotary: bool,
    image_token: i64,
    /// Text tokens before the picture.
    before: Vec<i64>,
    /// Text tokens after it.
    after: Vec<i64>,
    max_positions: Option<i64>,
}

/// How a model cuts pictures.
#[derive(Clone, Copy)]
enum Pictures {
    /// Into tiles of one size.
    Tiles {
        tokens: usize,
        height: i64,
        width: i64,
    },
    /// Into flattened patches of so many values, a square of a side of `merge` for every visual token.
    Patches { width: i64, merge: usize },
}

impl PromptMaker {
    /// Learns the pattern.
    pub(super) fn new(model: &Model) -> Result<Self, Error> {
        let picture = RgbImage::from_fn(32, 32, |x, y| {
            image::Rgb([(x * 8) as u8, (y * 8) as u8, ((x ^ y) * 8) as u8])
        });
        // Two, so that no family cuts them: see `Self::prompt`.
        let sample = model.processor().prepare(
            &[&picture, &picture],
            "What is written here, and where does it stand?",
        )?;
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
            .filter(|_| sample.pixel_shape[0] > 0);
        let Some(((first, _), (last, _))) = ends else {
            return Err(Error::refused(format!(
                "{} makes no visual tokens of a picture, so there is nothing to measure",
                model.info().name
            )));
        };
        let tokens = sample.visual_tokens();
        let pictures = match sample.pixel_shape[..] {
            [tiles, _, height, width] => Pictures::Tiles {
                tokens: tokens / tiles as usize,
                height,
                width,
            },
            _ => Pictures::Patches {
                width: sample.pixel_shape[1],
                merge: (sample.pixel_shape[0] as usize / tokens).isqrt(),
            },
        };
        Ok(Self {
            model: model.info().name.clone(),
            pictures,
            rotary: sample.rotary.is_some(),
            image_token: sample.ids[first],
            before: sample.ids[..first].to_vec(),
            after: sample.ids[last + 1..].to_vec(),
            max_positions: model.max_positions(),
        })
    }

    /// Visual tokens of a tile; 1 for a model without tiles.
    pub(super) fn tokens_per_tile(&self) -> usize {
        match self.pictures {
            Pictures::Tiles { tokens, .. } => tokens,
            Pictures::Patches { .. } => 1,
        }
    }

    /// Visual tokens of a prompt when nobody says how many: those of a picture that SmolVLM-256M cuts into 4 x 4 tiles and sees
    /// once more as a whole, or as many tiles.
    pub(super) fn default_image_tokens(&self) -> usize {
        match self.pictures {
            Pictures::Tiles { tokens, .. } => 17 * tokens,
            Pictures::Patches { .. } => 17 * 64,
        }
    }

    /// What the pictures of the prompts are, in words.
    pub(super) fn noise(&self) -> String {
        match self.pictures {
            Pictures::Tiles { tokens, .. } => format!("whole tiles ({tokens} each) of noise"),
            Pictures::Patches { .. } => "one picture of noise, nearly square,".to_owned(),
        }
    }

    /// Refuses what the model cannot take.
    pub(super) fn check(
        &self,
        image_tokens: usize,
        text_tokens: usize,
        new_tokens: usize,
    ) -> Result<(), Error> {
        let tile = self.tokens_per_tile();
        if image_tokens == 0 || !image_tokens.is_multiple_of(tile) {
            let below = (image_tokens / tile).max(1) * tile;
            return Err(Error::request(
                format!(
                    "--image-tokens {image_tokens} is not possible: a tile of {} is {tile} visual tokens",
                    self.model
                ),
                format!(
                    "give a multiple of {tile}, for example {below} or {}",
                    below + tile
                ),
            ));
        }
        if text_tokens == 0 {
            return Err(Error::request(
                "--text-tokens 0 is not possible: the last token of a prompt is text, and predicts the first of the answer",
                "give 1 or more",
            ));
        }
        let total = image_tokens
            .saturating_add(text_tokens)
            .saturating_add(new_tokens);
        match self.max_positions {
            Some(most) if total as i64 > most => Err(Error::request(
                format!(
                    "{image_tokens} image, {text_tokens} text and {new_tokens} new tokens are {total}, more than the {most} \
                     positions of {} (max_position_embeddings)",
                    self.model
                ),
                "ask for fewer",
            )),
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
        let visual = (0..ids.len()).map(|at| (before..before + image_tokens).contains(&at));
        let visual: Vec<bool> = visual.collect();
        let (pictures, shape) = match self.pictures {
            // Each tile is a picture of its own: of one that is cut, some families see other numbers of tokens a tile.
            Pictures::Tiles {
                tokens,
                height,
                width,
            } => {
                let picture = PictureLayout {
                    parts: 1,
                    grid: [0, 0],
                    size: [height as u32, width as u32],
                };
                (vec![picture; image_tokens / tokens], vec![3, height, width])
            }
            Pictures::Patches { width, merge } => {
                let [rows, columns] = near_square(image_tokens);
                let picture = PictureLayout {
                    parts: image_tokens * merge * merge,
                    grid: [rows * merge, columns * merge],
                    size: [1, 1],
                };
                (vec![picture], vec![width])
            }
        };
        let pictures = if pixels { pictures } else { Vec::new() };
        let parts: usize = pictures.iter().map(|picture| picture.parts).sum();
        // No picture has this texture: the tower's work does not depend on it, and a constant might be a shortcut.
        let texture = (0..parts as i64 * shape.iter().product::<i64>())
            .map(|at| (at.wrapping_mul(7_919) % 251) as f32 / 125.0 - 1.0);
        Prompt {
            chat: String::new(),
            text: String::new(),
            rotary: self
                .rotary
                .then(|| rotary_positions(&visual, &[near_square(image_tokens)])),
            visual,
            ids,
            // Where the tokens lie in a picture: for looking at attention, which nobody does here.
            regions: Vec::new(),
            pixels: texture.collect(),
            pixel_shape: [vec![parts as i64], shape].concat(),
            pictures,
        }
    }
}

/// Rows and columns of a grid of so many tokens, as near to a square as can be.
fn near_square(tokens: usize) -> [usize; 2] {
    let rows = (1..=tokens.isqrt())
        .rev()
        .find(|rows| tokens.is_multiple_of(*rows));
    let rows = rows.unwrap_or(1);
    [rows, tokens / rows]
}
