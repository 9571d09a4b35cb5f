//! What training asks of a model: the operations of a step, against a count by hand.
#![allow(clippy::unwrap_used, clippy::float_cmp)]

use std::collections::BTreeMap;
use std::path::Path;

use image::RgbImage;
use rave_lmm::{Example, Model, Part, Turn, read_tensors, write_tensors};

mod common;
use common::fixture;

/// An example with a picture of 24 x 24 pixels and an answer of so many tokens.
fn example(model: &Model, question: &str, answer: usize) -> Example {
    let picture = RgbImage::from_pixel(24, 24, image::Rgb([9, 90, 200]));
    let prompt = model.processor().prepare(&[&picture], question).unwrap();
    Example {
        prompt,
        turns: vec![Turn {
            answer: vec![7; answer],
            next: Vec::new(),
        }],
    }
}

/// Operations of one pass forwards over two examples of different lengths: those of the tower, and of the rest.
fn counted(model: &Model) -> ([f64; 2], Vec<Example>) {
    let examples = vec![
        example(model, "Which?", 3),
        example(model, "Which one is it?", 2),
    ];
    let batch = model.batch(&examples).unwrap();
    let operations = [(1.0, 0.0), (0.0, 1.0)]
        .map(|(vision, decoder)| model.step_operations(&batch, vision, decoder));
    let both = model.step_operations(&batch, 1.0, 3.0);
    assert!((both - operations[0] - 3.0 * operations[1]).abs() < 1.0);
    (operations, examples)
}

/// Tokens that are computed, padding among them: both rows are as long as the longer conversation without its last token.
fn computed(examples: &[Example]) -> (usize, usize) {
    let lengths = examples
        .iter()
        .map(|example| example.prompt.ids.len() + example.turns[0].answer.len() - 1);
    let longest = lengths.max().unwrap();
    (2 * longest, longest)
}

#[test]
fn operations_of_a_step_are_those_of_a_count_by_hand() {
    // The tower: 24 wide, patches of 8 x 8 x 3, 2 layers with 4 square products and a middle of 40.
    let vision = 24 * 3 * 64 + 2 * (4 * 24 * 24 + 2 * 24 * 40);
    // The decoder: 32 wide, 4 heads of 8 over 2 groups, a middle of 48, 2 layers.
    let decoder = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48);
    let (connector, vocabulary) = (4 * 24 * 32, 270 * 32);
    let untied = fixture("smolvlm_new");
    let tied = tied_copy(&untied);
    for folder in [untied.as_path(), tied.path()] {
        let model = common::load(folder);
        let ([tower, rest], examples) = counted(&model);
        let (tokens, length) = computed(&examples);
        let tiles: i64 = examples.iter().map(|e| e.prompt.pixel_shape[0]).sum();
        let visual: usize = examples.iter().map(|e| e.prompt.visual_tokens()).sum();
        let answers = 3 + 2;
        assert_eq!(tower, (2 * tiles as usize * 16 * vision) as f64);
        let attention = 4 * tokens * length * 32 * 2;
        let products = connector * visual + decoder * tokens + vocabulary * answers;
        assert_eq!(rest, (2 * products + attention) as f64);
    }
}

#[test]
fn operations_of_a_step_on_flattened_patches_are_those_of_a_count_by_hand() {
    // 32 wide, patches of 4 x 4 in 2 frames, 3 layers with a middle of 48; mergers from 4 patches, of the output and two layers.
    let vision = 32 * 3 * 2 * 16 + 3 * (4 * 32 * 32 + 2 * 32 * 48);
    let connector = 3 * (128 * 128 + 128 * 32);
    let decoder = 3 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48);
    let folder = fixture("qwen3_vl");
    let model = common::load(&folder);
    let ([tower, rest], examples) = counted(&model);
    let (tokens, length) = computed(&examples);
    let visual: usize = examples.iter().map(|e| e.prompt.visual_tokens()).sum();
    let vocabulary = model
        .parameters()
        .iter()
        .find(|(name, _)| model.part(name) == Some(Part::Head));
    let vocabulary = vocabulary.unwrap().1.numel();
    assert_eq!(tower, (2 * 4 * visual * vision) as f64);
    let attention = 4 * tokens * length * 32 * 3;
    let products = connector * visual + decoder * tokens + vocabulary * 5;
    assert_eq!(rest, (2 * products + attention) as f64);
}

/// The checkpoint with its head tied to the embedding.
fn tied_copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let config = copy.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let tied = text.replace(
        "\"tie_word_embeddings\": false",
        "\"tie_word_embeddings\": true",
    );
    std::fs::write(config, tied).unwrap();
    let weights = copy.path().join("model.safetensors");
    let mut tensors = read_tensors(&weights).unwrap().tensors;
    assert!(tensors.remove("lm_head.weight").is_some());
    write_tensors(&weights, &Vec::from_iter(tensors), &BTreeMap::new()).unwrap();
    copy
}
