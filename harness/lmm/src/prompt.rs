//! What a family's processor makes of pictures and a question, ready for the model: no tensors, so any thread can make it.

use image::RgbImage;

use crate::Error;

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
    pub places: Vec<Place>,
    /// The tiles of all pictures in order, `[N, 3, height, width]` row-major, normalised.
    pub pixels: Vec<f32>,
    /// `[N, 3, height, width]`; N is 0 without a picture.
    pub pixel_shape: [i64; 4],
}

/// The part of a picture that a visual token stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Number of the picture in the prompt, from 0.
    pub picture: usize,
    /// Left, top, right and bottom as shares of the picture's width and height.
    pub bounds: [f32; 4],
    /// Whether it belongs to a view of the whole picture rather than to a crop of it.
    pub whole: bool,
}

impl Place {
    /// The places of a grid of `side` x `side` tokens over the part `bounds` of a picture, row by row.
    pub fn grid(
        picture: usize,
        bounds: [f32; 4],
        side: usize,
        whole: bool,
    ) -> impl Iterator<Item = Self> {
        let [left, top, right, bottom] = bounds;
        let (wide, high) = ((right - left) / side as f32, (bottom - top) / side as f32);
        (0..side * side).map(move |at| {
            let (row, column) = ((at / side) as f32, (at % side) as f32);
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
    ) -> Result<(Vec<i64>, Vec<i64>), Error>;

    /// The text of generated ids, special tokens left out.
    ///
    /// # Errors
    /// [`Error::Prompt`] when an id is not in the vocabulary.
    fn decode(&self, ids: &[i64]) -> Result<String, Error>;
}
