//! Models of every family and their answers, which must be the same however they are computed.

use image::RgbImage;
use rave_lmm::{ImageEmbeds, Model, Prompt};
use rave_methods::noise::disturb;
use rave_methods::{Attention, Variant};

use crate::common::FIXTURES;

/// One model of every family and layout of files, the shipped one first.
pub fn models() -> impl Iterator<Item = &'static str> {
    std::iter::once("nano").chain(FIXTURES)
}

pub fn draw(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(3 * x) as u8, (7 * y) as u8, (x ^ y) as u8])
    })
}

/// Away from the initial values, at which a trained variant is the standard one.
pub fn build(model: &Model, variant: &Variant) -> Box<dyn Attention> {
    let attention = model.build(variant, 5, None).unwrap().attention;
    disturb(attention.as_ref(), 11).unwrap();
    attention
}

/// Answers that were compared, and what came of it.
#[derive(Debug, Default)]
pub struct Compared {
    pub answers: usize,
    pub tokens: usize,
    /// Answers that part where the two likeliest tokens have the same logit but for its last bits.
    pub ties: usize,
}

impl Compared {
    /// Holds two answers to a prompt against each other. Products of other shapes round otherwise, so a token may be another one
    /// where a tie decides: where its logit is within 1e-5 of the largest, relative. Nothing else may differ.
    pub fn hold(
        &mut self,
        (model, attention): (&Model, &dyn Attention),
        (prompt, embeds): (&Prompt, &ImageEmbeds),
        expected: &[i64],
        answer: &[i64],
        what: &str,
    ) {
        self.answers += 1;
        self.tokens += expected.len();
        assert_eq!(answer.len(), expected.len(), "{what}");
        let mut pairs = expected.iter().zip(answer);
        let Some(at) = pairs.position(|(one, other)| one != other) else {
            return;
        };
        let logits = model
            .logits(attention, prompt, embeds, &expected[..at])
            .unwrap()
            .get(-1);
        let [one, other] = [expected[at], answer[at]].map(|id| logits.double_value(&[id]));
        let largest = logits.abs().max().double_value(&[]);
        assert!(
            (one - other).abs() < 1e-5 * largest,
            "{what}: {answer:?}, {expected:?} expected; logits {other} and {one} at token {at}"
        );
        self.ties += 1;
    }
}
