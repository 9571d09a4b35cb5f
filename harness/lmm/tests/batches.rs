//! Greedy tokens across batch sizes: several dozen prompts of different lengths and pictures, in every family.

#![allow(clippy::unwrap_used)]

mod answers;
mod common;

use answers::{Compared, build, draw, models};
use common::open;
use rave_lmm::GenerationOptions;
use rave_methods::variant;

const OPTIONS: GenerationOptions = GenerationOptions {
    max_new_tokens: 6,
    stop_at_end: false,
    deadline: None,
};

const QUESTIONS: [&str; 4] = [
    "Read it.",
    "What stands in the third row of the table, and what does it cost?",
    "?",
    "Who wrote this, and when?",
];

#[test]
fn batches_of_any_size_are_answered_alike() {
    let pictures = [draw(70, 30), draw(24, 66), draw(90, 90), draw(33, 20)];
    let mut compared = Compared::default();
    for name in models() {
        let model = open(name);
        // Neighbours differ in picture and question: the harder case for padding.
        let prompts: Vec<_> = (0..16)
            .map(|at| {
                let picture = &pictures[at % pictures.len()];
                let question = QUESTIONS[(at + at / pictures.len()) % QUESTIONS.len()];
                model.processor().prepare(&[picture], question).unwrap()
            })
            .collect();
        let embeds: Vec<_> = prompts
            .iter()
            .map(|p| model.encode_image(p).unwrap())
            .collect();
        for id in [
            "standard",
            "rave",
            "rave-gate",
            "vaf",
            "fastv-50",
            "learned-sink",
        ] {
            let attention = build(&model, variant(id).unwrap());
            let attention = attention.as_ref();
            let each = prompts.iter().zip(&embeds);
            let alone: Vec<_> = each
                .map(|(prompt, embeds)| {
                    let answer = model.generate(attention, prompt, embeds, &OPTIONS);
                    answer.unwrap().ids
                })
                .collect();
            for size in [2, 4, 8] {
                let mut answers = Vec::new();
                for (prompts, embeds) in prompts.chunks(size).zip(embeds.chunks(size)) {
                    let (prompts, embeds) = (Vec::from_iter(prompts), Vec::from_iter(embeds));
                    let batch = model.generate_batch(attention, &prompts, &embeds, &OPTIONS);
                    answers.extend(batch.unwrap());
                }
                for (at, answer) in answers.iter().enumerate() {
                    compared.hold(
                        (&model, attention),
                        (&prompts[at], &embeds[at]),
                        &alone[at],
                        &answer.ids,
                        &format!("{id} on {name}, prompt {at} in batches of {size}"),
                    );
                }
            }
        }
    }
    println!("{compared:?}");
    assert!(100 * compared.ties < compared.answers, "{compared:?}");
}
