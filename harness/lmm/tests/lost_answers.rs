//! Answers that are lost, and what their errors say: a deadline that is over, and where a number first is not finite.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use image::RgbImage;
use rave_lmm::{Error, GenerationOptions, Model, Part, Prompt, Stage};
use rave_methods::{Attention, REGISTRY, variant};
use tch::Tensor;

mod common;

const OPTIONS: GenerationOptions = GenerationOptions {
    max_new_tokens: 6,
    stop_at_end: false,
    deadline: None,
};

fn open(fixture: &str) -> (Model, Prompt) {
    let model = common::open(fixture);
    let prompt = prompt(&model, "Read it.");
    (model, prompt)
}

fn prompt(model: &Model, question: &str) -> Prompt {
    let picture = RgbImage::from_fn(60, 44, |x, y| {
        image::Rgb([(4 * x) as u8, (5 * y) as u8, 90])
    });
    model.processor().prepare(&[&picture], question).unwrap()
}

fn standard(model: &Model) -> Box<dyn Attention> {
    let variant = variant("standard").unwrap();
    model.build(variant, 0, None).unwrap().attention
}

#[test]
fn a_deadline_that_is_over_ends_an_answer_and_one_far_away_changes_nothing() {
    let (model, prompt) = open("smolvlm_new");
    let embeds = model.encode_image(&prompt).unwrap();
    let with = |deadline| GenerationOptions {
        deadline: Some(deadline),
        ..OPTIONS
    };
    let (over, far) = (
        with(Instant::now()),
        with(Instant::now() + Duration::from_secs(86_400)),
    );
    for variant in REGISTRY {
        let attention = model.build(variant, 5, None).unwrap().attention;
        let generate = |options| model.generate(attention.as_ref(), &prompt, &embeds, &options);
        assert!(
            matches!(generate(over), Err(Error::Deadline)),
            "{}",
            variant.id
        );
        let batch = model.generate_batch(
            attention.as_ref(),
            &[&prompt, &prompt],
            &[&embeds, &embeds],
            &over,
        );
        assert!(matches!(batch, Err(Error::Deadline)), "{}", variant.id);
        let (late, plain) = (generate(far).unwrap(), generate(OPTIONS).unwrap());
        assert_eq!((late.ids, late.text), (plain.ids, plain.text));
    }
}

#[test]
fn a_deadline_that_is_over_ends_every_familys_look_at_a_picture() {
    let far = Instant::now() + Duration::from_secs(86_400);
    for name in [
        "smolvlm_new",
        "llava",
        "llava_onevision",
        "qwen2_vl",
        "qwen2_5_vl",
        "qwen3_vl",
    ] {
        let (model, prompt) = open(name);
        let late = model.encode_image_until(&prompt, Some(Instant::now()));
        assert!(matches!(late, Err(Error::Deadline)), "{name}");
        assert!(
            model.encode_image_until(&prompt, Some(far)).is_ok(),
            "{name}"
        );
    }
}

/// The stage that a parameter belongs to.
fn stage(model: &Model, name: &str) -> Stage {
    let layer = name.split("layers.").nth(1).map(|rest| {
        let number = rest.split('.').next().unwrap();
        number.parse::<usize>().unwrap()
    });
    match (model.part(name).unwrap(), layer) {
        (Part::Vision | Part::VisionTable | Part::Connector, _) => Stage::Vision,
        (Part::Embedding, _) => Stage::Embeddings,
        (Part::Head, _) => Stage::Head,
        (Part::Decoder, None) => Stage::Norm,
        (Part::Decoder, Some(layer)) if name.contains("attn") || name.contains("input_layer") => {
            Stage::Attention(layer)
        }
        (Part::Decoder, Some(layer)) => Stage::FeedForward(layer),
    }
}

fn parameter<'a>(model: &'a Model, part: &str) -> &'a Tensor {
    let mut all = model.parameters().iter();
    &all.find(|(name, _)| name.contains(part)).unwrap().1
}

/// Runs with some elements of a tensor, which shares storage with the model, overwritten.
fn with<T>(tensor: &Tensor, row: Option<i64>, value: f64, run: impl FnOnce() -> T) -> T {
    tch::no_grad(|| {
        let before = tensor.copy();
        let mut place = match row {
            Some(row) => tensor.get(row),
            None => tensor.view([-1]).get(0),
        };
        let _ = place.fill_(value);
        let result = run();
        tensor.shallow_clone().copy_(&before);
        result
    })
}

/// One bad number in any one tensor of a model is traced to the layer, and the part of it, that the tensor belongs to.
#[test]
fn a_weight_that_is_not_finite_is_traced_to_its_layer() {
    for fixture in ["smolvlm_new", "qwen3_vl", "llava"] {
        let (model, prompt) = open(fixture);
        let attention = standard(&model);
        let run = || {
            let embeds = model.encode_image(&prompt)?;
            model.generate(attention.as_ref(), &prompt, &embeds, &OPTIONS)
        };
        let sound = run().unwrap();
        let mut found = Vec::new();
        for (name, tensor) in model.parameters() {
            let row = name.contains("embed_tokens").then_some(prompt.ids[0]);
            let error = with(tensor, row, f64::NAN, run).unwrap_err();
            let Error::NotFinite {
                position,
                sequence,
                stage: Some(first),
                ..
            } = error
            else {
                panic!("{fixture}, {name}: {error}")
            };
            assert_eq!(
                (position, sequence, first),
                (0, 0, stage(&model, name)),
                "{fixture}, {name}"
            );
            found.push(first);
        }
        for layer in 0..model.info().geometry.layers {
            assert!(found.contains(&Stage::Attention(layer)));
            assert!(found.contains(&Stage::FeedForward(layer)));
        }
        for part in [Stage::Vision, Stage::Embeddings, Stage::Norm, Stage::Head] {
            assert!(found.contains(&part), "{fixture}: {part:?}");
        }
        assert_eq!(run().unwrap().ids, sound.ids, "the weights are as before");
    }
}

#[test]
fn an_overflow_within_a_layer_is_named_in_the_message() {
    let (model, prompt) = open("smolvlm_new");
    let attention = standard(&model);
    let embeds = model.encode_image(&prompt).unwrap();
    let of = |name: &str| {
        let tensor = parameter(&model, name);
        let run = || model.generate(attention.as_ref(), &prompt, &embeds, &OPTIONS);
        with(tensor, None, f64::INFINITY, run)
            .unwrap_err()
            .with_hint()
    };
    assert_eq!(
        of("layers.1.self_attn.o_proj"),
        "the logits are not finite at new token 0, first in decoder layer 1 (attention), in Float; try --dtype f32, or look for \
         such numbers in the checkpoint and the adapter"
    );
    assert!(of("layers.0.mlp.down_proj").contains("first in decoder layer 0 (feed-forward), in"));
}

/// The second of three prompts has a token that no other has; its embedding is bad.
#[test]
fn the_sequence_of_a_batch_is_named() {
    let (model, _) = open("smolvlm_new");
    let prompts = ["Read it.", "Is it z?", "What?"].map(|question| prompt(&model, question));
    let embeds = prompts
        .each_ref()
        .map(|prompt| model.encode_image(prompt).unwrap());
    let own = |id: &&i64| !prompts[0].ids.contains(id) && !prompts[2].ids.contains(id);
    let id = *prompts[1].ids.iter().find(own).unwrap();
    let attention = standard(&model);
    let embedding = parameter(&model, "embed_tokens");
    let run = || {
        model.generate_batch(
            attention.as_ref(),
            &prompts.each_ref(),
            &embeds.each_ref(),
            &OPTIONS,
        )
    };
    let error = with(embedding, Some(id), f64::NAN, run).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                position: 0,
                sequence: 1,
                stage: Some(Stage::Embeddings),
                ..
            }
        ),
        "{error:?}"
    );
}

/// A token of the answer, not of the prompt, has a bad embedding: the answer ends at the token after it.
#[test]
fn what_was_answered_so_far_is_searched_too() {
    let (model, prompt) = open("smolvlm_new");
    let attention = standard(&model);
    let embeds = model.encode_image(&prompt).unwrap();
    let run = || model.generate(attention.as_ref(), &prompt, &embeds, &OPTIONS);
    let answer = run().unwrap().ids;
    let new = answer.iter().position(|id| !prompt.ids.contains(id));
    let new = new.expect("the fixture answers with a token that is not in its prompt");
    assert!(new + 1 < answer.len());
    let embedding = parameter(&model, "embed_tokens");
    let error = with(embedding, Some(answer[new]), f64::NAN, run).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite { position, stage: Some(Stage::Embeddings), .. } if position == new + 1
        ),
        "{error:?}, after {new}"
    );
}
