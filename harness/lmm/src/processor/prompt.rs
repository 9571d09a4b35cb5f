//! What a family's processor makes of pictures and a question, ready for the model: no tensors, so any thread can make it.

use image::RgbImage;
use rave_hints::refusal;

use crate::Error;
use crate::processor::text::Text;

/// A prepared input.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The chat text with one placeholder a picture, as the template gave it.
    pub chat: String,
    /// The chat text after the template and the image placeholders were expanded: what the tokenizer saw.
    pub text: String,
    /// Token ids, T of them.
    pub ids: Vec<i64>,
    /// Which tokens stand for visual features, one flag a token.
    pub visual: Vec<bool>,
    /// Where each of the visual tokens lies, V of them.
    pub regions: Vec<TokenRegion>,
    /// The pixels of all pictures in order, row-major, normalised.
    pub pixels: Vec<f32>,
    /// Tiles `[N, 3, height, width]`, or flattened patches `[N, width]`; N is 0 without a picture.
    pub pixel_shape: Vec<i64>,
    /// What the vision side must know besides, one a picture.
    pub pictures: Vec<PictureLayout>,
    /// Where the rotary embedding puts each of the T tokens (time, row, column), in a model that places the tokens of a
    /// picture on several axes; `None` where that is the token's position.
    pub rotary: Option<Vec<[i64; 3]>>,
}

/// How a picture is laid out in a prompt's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLayout {
    /// Tiles or patches that it takes of the N.
    pub parts: usize,
    /// Rows and columns: of the tiles it was cut into (0, 0 uncut), or of its patches.
    pub grid: [usize; 2],
    /// Height and width in pixels, as it came.
    pub size: [u32; 2],
}

/// Rotary positions (time, row, column) of a prompt's tokens, of which `visual` are visual: text moves on by one on all axes;
/// the tokens of a picture, in `grids` by its rows and columns of tokens, share its time and count rows and columns from
/// there; what follows goes on past the largest of these.
///
/// Source: `get_rope_index` of `transformers` 5.23 `models/qwen2_vl/modeling_qwen2_vl.py`, for pictures (time stands still).
pub fn rotary_positions(visual: &[bool], grids: &[[usize; 2]]) -> Vec<[i64; 3]> {
    let mut positions = Vec::with_capacity(visual.len());
    let mut grids = grids.iter();
    let mut next = 0;
    while positions.len() < visual.len() {
        let grid = if visual[positions.len()] {
            grids.next()
        } else {
            None
        };
        let Some(&[rows, columns]) = grid else {
            positions.push([next; 3]);
            next += 1;
            continue;
        };
        let tokens =
            (0..rows as i64).flat_map(|row| (0..columns as i64).map(move |column| (row, column)));
        positions.extend(tokens.map(|(row, column)| [next, next + row, next + column]));
        next += rows.max(columns) as i64;
    }
    positions
}

/// The part of a picture that a visual token stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenRegion {
    /// Number of the picture in the prompt, from 0.
    pub picture: usize,
    /// Left, top, right and bottom as shares of the picture's width and height.
    pub bounds: [f32; 4],
    /// Whether it belongs to a view of the whole picture rather than to a crop of it.
    pub whole: bool,
}

impl TokenRegion {
    /// The places of a grid of tokens, its rows and columns given, over the part `bounds` of a picture, row by row.
    pub fn grid(
        picture: usize,
        bounds: [f32; 4],
        [rows, columns]: [usize; 2],
        whole: bool,
    ) -> impl Iterator<Item = Self> {
        let [left, top, right, bottom] = bounds;
        let (wide, high) = (
            (right - left) / columns as f32,
            (bottom - top) / rows as f32,
        );
        (0..rows * columns).map(move |at| {
            let (row, column) = ((at / columns) as f32, (at % columns) as f32);
            let (x, y) = (left + column * wide, top + row * high);
            Self {
                picture,
                bounds: [x, y, x + wide, y + high],
                whole,
            }
        })
    }
}

impl Prompt {
    /// Makes sure that every visual token has a place, and every place a token.
    pub(crate) fn check_visual(&self) -> Result<(), Error> {
        let (tokens, regions) = (self.visual_tokens(), self.regions.len());
        if tokens == regions {
            return Ok(());
        }
        Err(Error::prompt(refusal(
            format!("the tokenizer gives {tokens} visual tokens where the pictures take {regions}"),
            "use the tokenizer of this checkpoint",
        )))
    }

    /// Number of visual tokens, V.
    pub fn visual_tokens(&self) -> usize {
        self.visual.iter().filter(|&&visual| visual).count()
    }
}

/// Turns pictures and a question into a [`Prompt`], and token ids into text. Shared between threads.
pub trait Processor: Send + Sync {
    /// The prompt of one user turn: the pictures, then the question, then the assistant's cue.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the text contains the model's own image tokens, or cannot be rendered or tokenised.
    fn prepare(&self, pictures: &[&RgbImage], question: &str) -> Result<Prompt, Error>;

    /// Its chat template and tokenizer.
    fn text(&self) -> &Text;

    /// What the chat template lets an assistant say after the cue when its answer is `answer`, as token ids: what a model is
    /// trained to generate, ending with the first of `end_tokens`; and what follows from there to the cue after the question
    /// `next`, if there is one.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the template has no place for an answer after its cue, or ends it with none of `end_tokens`.
    fn answer(
        &self,
        question: &str,
        answer: &str,
        next: Option<&str>,
        end_tokens: &[i64],
    ) -> Result<(Vec<i64>, Vec<i64>), Error> {
        self.text().answer(question, answer, next, end_tokens)
    }

    /// The text of generated ids, special tokens left out.
    ///
    /// # Errors
    /// [`Error::Prompt`] when an id is not in the vocabulary.
    fn decode(&self, ids: &[i64]) -> Result<String, Error> {
        self.text().decode(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_after_a_picture_goes_on_past_its_longer_side() {
        // text, 2 x 3 tokens, text, 2 x 1 tokens, 1 x 1 token at once behind it, text
        let visual: Vec<bool> = "tvvvvvvtvvvt".chars().map(|letter| letter == 'v').collect();
        let positions = rotary_positions(&visual, &[[2, 3], [2, 1], [1, 1]]);
        assert_eq!(
            positions,
            [
                [0, 0, 0],
                [1, 1, 1],
                [1, 1, 2],
                [1, 1, 3],
                [1, 2, 1],
                [1, 2, 2],
                [1, 2, 3],
                [4, 4, 4],
                [5, 5, 5],
                [5, 6, 5],
                [7, 7, 7],
                [8, 8, 8],
            ]
        );
    }
}
