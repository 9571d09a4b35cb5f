//! Questions that hold a model's own tokens: the ids of `transformers` 5.23, with a picture and without one.
//!
//! `fixtures/texts/questions.json` was written by `fixtures/make_text_fixtures.py`. Where a processor refuses a question, which
//! it does for the marker of a picture or video, the ids are those of `apply_chat_template(sanitize_control_tokens=True)`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use image::RgbImage;
use serde::Deserialize;

mod common;
use common::{fixture, open};

#[derive(Deserialize)]
struct Case {
    fixture: String,
    question: String,
    /// Of 60 x 40 black pixels each.
    pictures: usize,
    ids: Vec<i64>,
}

#[test]
fn questions_with_markers_are_asked_as_transformers_asks_them() {
    let questions = std::fs::read(fixture("texts/questions.json")).unwrap();
    let questions: Vec<Case> = serde_json::from_slice(&questions).unwrap();
    let picture = RgbImage::new(60, 40);
    let mut processors = BTreeMap::new();
    for case in &questions {
        let processor = processors
            .entry(&case.fixture)
            .or_insert_with(|| open(&case.fixture).processor());
        let pictures = vec![&picture; case.pictures];
        let prompt = processor.prepare(&pictures, &case.question).unwrap();
        assert_eq!(
            prompt.ids, case.ids,
            "{}: {:?}",
            case.fixture, case.question
        );
        let shown = case.question.trim_end_matches('\u{f0000}');
        assert!(prompt.text.contains(shown), "{:?}", prompt.text);
        assert_eq!(prompt.visual_tokens() > 0, case.pictures > 0);
    }
    assert_eq!(processors.len(), 5);
}
