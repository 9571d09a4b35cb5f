//! Prompts that begin alike: their answers after the shared beginning are those of the whole prompts, and every variant's word on
//! whether it allows that is held against what its layers hold.

#![allow(clippy::unwrap_used)]

mod answers;
mod common;

use std::time::Instant;

use answers::{Compared, build, draw, models};
use common::open;
use image::RgbImage;
use rave_lmm::{Error, GenerationOptions, Model, Prompt, Stage};
use rave_methods::{Attention, REGISTRY, Step, variant};
use tch::{Kind, Tensor};

const QUESTIONS: [&str; 3] = [
    "Read it.",
    "What stands in the third row of the table, and what does it cost?",
    "?",
];

const OPTIONS: GenerationOptions = GenerationOptions {
    max_new_tokens: 6,
    stop_at_end: false,
    deadline: None,
};

/// Every question about the same pictures.
fn ask(model: &Model, pictures: &[&RgbImage]) -> Vec<Prompt> {
    let prepare = |question| model.processor().prepare(pictures, question).unwrap();
    QUESTIONS.map(prepare).into()
}

/// Alone, all in one batch, and as whole prompts: the same tokens, of one picture and of two.
#[test]
fn answers_after_a_shared_beginning_are_those_of_whole_prompts() {
    let (wide, tall) = (draw(70, 30), draw(24, 66));
    let mut compared = Compared::default();
    for name in models() {
        let model = open(name);
        // Nano has seen but one picture a prompt, and takes the longest.
        let cases = [&[&wide][..], &[&tall, &wide]];
        for pictures in &cases[..if name == "nano" { 1 } else { 2 }] {
            let prompts = ask(&model, pictures);
            let embeds = model.encode_image(&prompts[0]).unwrap();
            for variant in REGISTRY {
                let attention = build(&model, variant);
                let attention = attention.as_ref();
                let prefix = match model.prefix(attention, &prompts[0], &embeds, None) {
                    Ok(prefix) => prefix,
                    Err(error) => {
                        assert!(!attention.reuses_prefix());
                        assert!(error.with_hint().contains("answer the prompt as a whole"));
                        continue;
                    }
                };
                assert_eq!(prefix.tokens(), prompts[0].prefix_len());
                let all: Vec<_> = prompts.iter().collect();
                let batched = model
                    .generate_after(attention, &prefix, &all, &OPTIONS)
                    .unwrap();
                assert_eq!(batched.len(), prompts.len());
                for (prompt, batched) in prompts.iter().zip(batched) {
                    let whole = model
                        .generate(attention, prompt, &embeds, &OPTIONS)
                        .unwrap();
                    let alone = model
                        .generate_after(attention, &prefix, &[prompt], &OPTIONS)
                        .unwrap();
                    for (answer, how) in [(&alone[0], "alone"), (&batched, "in a batch")] {
                        let what = format!("{} on {name}, {how}: {}", variant.id, prompt.text);
                        let of = ((&model, attention), (prompt, &embeds));
                        compared.hold(of.0, of.1, &whole.ids, &answer.ids, &what);
                    }
                    assert_eq!(alone[0].cache_bytes, whole.cache_bytes);
                }
            }
        }
    }
    println!("{compared:?}");
    assert!(100 * compared.ties < compared.answers, "{compared:?}");
}

/// What every layer holds of the first `length` tokens of a prompt: which tokens these are, what enters the layer and the keys.
fn held(
    model: &Model,
    attention: &dyn Attention,
    prompt: &Prompt,
    length: usize,
) -> Vec<(Vec<i64>, Tensor, Tensor)> {
    let embeds = model.encode_image(prompt).unwrap();
    let mut layers = Vec::new();
    let mut probe = |_: &dyn Attention, step: &Step, keys: &Tensor| {
        let positions = step.tokens.positions().iter();
        let own: Vec<i64> = positions
            .filter(|&&position| position < length as i64)
            .copied()
            .collect();
        let count = own.len() as i64;
        layers.push((
            own,
            step.hidden.narrow(1, 0, count).copy(),
            keys.narrow(2, 0, count).copy(),
        ));
        Ok(())
    };
    model
        .probe(attention, prompt, &embeds, &[], &mut probe)
        .unwrap();
    layers
}

/// A variant that says so holds the same of the beginning whatever is asked, in every layer; one that does not say so holds
/// something else for some question.
#[test]
fn what_layers_hold_of_the_beginning_depends_on_the_question_as_variants_say() {
    for name in ["nano", "smolvlm_new", "qwen3_vl"] {
        let model = open(name);
        let prompts = ask(&model, &[&draw(90, 56)]);
        let length = prompts[0].prefix_len();
        for variant in REGISTRY {
            let attention = build(&model, variant);
            let first = held(&model, attention.as_ref(), &prompts[0], length);
            let mut moved: f64 = 0.0;
            let mut others = 0;
            for prompt in &prompts[1..] {
                let other = held(&model, attention.as_ref(), prompt, length);
                for ((tokens, hidden, keys), (other, other_hidden, other_keys)) in
                    first.iter().zip(&other)
                {
                    if tokens != other {
                        others += 1;
                        continue;
                    }
                    for (one, other) in [(hidden, other_hidden), (keys, other_keys)] {
                        let off = (one - other).abs().max() / one.abs().max();
                        moved = moved.max(f64::try_from(off.to_kind(Kind::Double)).unwrap());
                    }
                }
            }
            let alike = others == 0 && moved < 1e-4;
            assert_eq!(
                attention.reuses_prefix(),
                alike,
                "{} on {name}: moved by {moved:.1e}, other tokens in {others} layers",
                variant.id
            );
        }
    }
}

#[test]
fn a_prefix_that_is_not_a_prompts_is_refused() {
    let model = open("smolvlm_new");
    let attention = build(&model, variant("standard").unwrap());
    let attention = attention.as_ref();
    let (one, other) = (draw(70, 30), draw(24, 66));
    let [prompts, others] = [&one, &other].map(|picture| ask(&model, &[picture]));
    let embeds = model.encode_image(&prompts[0]).unwrap();
    let prefix = model.prefix(attention, &prompts[0], &embeds, None).unwrap();
    assert!(prompts.iter().all(|prompt| prefix.fits(prompt)));
    let text = model.processor().prepare(&[], "Read it.").unwrap();
    assert_eq!(text.prefix_len(), 0);
    let mut elsewhere = prompts[0].clone();
    elsewhere.rotary = Some(vec![[0; 3]; elsewhere.ids.len()]);
    for stranger in [&others[0], &text, &elsewhere] {
        assert!(!prefix.fits(stranger));
        let refused = model.generate_after(attention, &prefix, &[&prompts[1], stranger], &OPTIONS);
        let message = refused.unwrap_err().with_hint();
        assert!(message.contains("begins otherwise"), "{message}");
    }
    let nothing = model.encode_image(&text).unwrap();
    let refused = model.prefix(attention, &text, &nothing, None).unwrap_err();
    assert!(refused.with_hint().contains("no picture"), "{refused}");
    for id in ["fastv-25", "fastv-50", "fastv-75"] {
        let attention = build(&model, variant(id).unwrap());
        let refused = model.prefix(attention.as_ref(), &prompts[0], &embeds, None);
        let message = refused.unwrap_err().with_hint();
        assert!(message.contains("depends on what follows"), "{message}");
    }
    let none = model.generate_after(attention, &prefix, &[], &OPTIONS);
    assert!(none.unwrap().is_empty());
}

#[test]
fn answers_after_a_prefix_are_lost_as_others_are() {
    let model = open("qwen3_vl");
    let attention = build(&model, variant("standard").unwrap());
    let attention = attention.as_ref();
    let prompts = ask(&model, &[&draw(70, 30)]);
    let embeds = model.encode_image(&prompts[0]).unwrap();
    let over = Some(Instant::now());
    let late = model.prefix(attention, &prompts[0], &embeds, over);
    assert!(matches!(late, Err(Error::Deadline)));
    let prefix = model.prefix(attention, &prompts[0], &embeds, None).unwrap();
    let after = |prompts: &[&Prompt], deadline| {
        let options = GenerationOptions {
            deadline,
            ..OPTIONS
        };
        model.generate_after(attention, &prefix, prompts, &options)
    };
    assert!(matches!(after(&[&prompts[1]], over), Err(Error::Deadline)));
    let (_, weight) = model
        .parameters()
        .iter()
        .find(|(name, _)| name.contains("layers.1.mlp.up_proj"))
        .unwrap();
    let _ = tch::no_grad(|| weight.get(0).fill_(f64::NAN));
    let error = after(&[&prompts[2], &prompts[1]], None).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                position: 0,
                sequence: 0,
                stage: Some(Stage::FeedForward(1)),
                ..
            }
        ),
        "{error:?}"
    );
}
