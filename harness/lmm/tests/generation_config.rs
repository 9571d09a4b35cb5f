//! Answers under another generation config, against those of `transformers` (`fixtures/make_generation_cases.py`).

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rave_lmm::{
    GenerationKey, GenerationOptions, ImageEmbeds, LoadOptions, Model, Prompt, Stage, decode,
};
use rave_methods::variant;
use serde_json::{Value, json};
use tempfile::TempDir;

use common::{copy, edit, fixture, load};

const OPTIONS: GenerationOptions = GenerationOptions {
    max_new_tokens: 24,
    stop_at_end: true,
    deadline: None,
};

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A fixture's checkpoint with another generation config, or none and other keys in its config.json.
fn checkpoint(fixture: &str, config: &Value, model: &Value) -> TempDir {
    let folder = copy(fixture);
    let path = folder.path().join("generation_config.json");
    if config.is_null() {
        fs::remove_file(path).unwrap();
    } else {
        fs::write(path, config.to_string()).unwrap();
    }
    edit(folder.path().join("config.json"), |file| {
        for part in ["", "text_config"] {
            let part = if part.is_empty() {
                Some(&mut *file)
            } else {
                file.get_mut(part)
            };
            if let Some(part) = part {
                part.as_object_mut().unwrap().remove("eos_token_id");
            }
        }
        for (key, value) in model.as_object().into_iter().flatten() {
            if key == "text_config" {
                for (key, value) in value.as_object().unwrap() {
                    file["text_config"][key] = value.clone();
                }
            } else {
                file[key] = value.clone();
            }
        }
    });
    folder
}

/// The fixture's own prompt.
fn prompt(model: &Model, name: &str) -> Prompt {
    let folder = fixture(name);
    let case = json_file(&folder.join("case.json"));
    let pictures: Vec<_> = ["image.png", "image_2.png"]
        .iter()
        .filter_map(|file| fs::read(folder.join(file)).ok())
        .map(|bytes| decode(&bytes, "image").unwrap())
        .collect();
    let pictures: Vec<_> = pictures.iter().collect();
    let prompt = model
        .processor()
        .prepare(&pictures, case["prompt"].as_str().unwrap())
        .unwrap();
    assert_eq!(json!(prompt.ids), case["input_ids"]);
    prompt
}

fn answer(model: &Model, prompt: &Prompt, embeds: &ImageEmbeds) -> Vec<i64> {
    let built = model.build(variant("standard").unwrap(), 0, None).unwrap();
    model
        .generate(built.attention.as_ref(), prompt, embeds, &OPTIONS)
        .unwrap()
        .ids
}

#[test]
fn answers_follow_the_generation_config_as_transformers_does() {
    let cases = json_file(&fixture("generation.json"));
    let cases = cases["answers"].as_array().unwrap();
    assert!(cases.len() > 100);
    for case in cases {
        let name = case["fixture"].as_str().unwrap();
        let model = load(checkpoint(name, &case["config"], &case["model"]));
        let prompt = prompt(&model, name);
        let embeds = model.encode_image(&prompt).unwrap();
        assert_eq!(
            json!(answer(&model, &prompt, &embeds)),
            case["generated_ids"],
            "{name}, {}",
            case["name"]
        );
    }
}

/// A config with every kind of rule, and stop strings that some answers have.
fn everything() -> Value {
    json!({
        "eos_token_id": [5, 77, 200], "min_new_tokens": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.15,
        "encoder_repetition_penalty": 1.1, "encoder_no_repeat_ngram_size": 3, "bad_words_ids": [[9], [4, 5]],
        "sequence_bias": [[[12], -1.5]], "suppress_tokens": [30], "begin_suppress_tokens": [2], "stop_strings": ["~", "$"],
        "forced_eos_token_id": 5, "exponential_decay_length_penalty": [8, 1.05], "renormalize_logits": true,
    })
}

/// Prompts of one length and of several, each alone, all at once, after a shared beginning, and under a variant that runs each twice.
#[test]
fn a_batch_and_a_shared_beginning_answer_as_each_alone() {
    let mut lengths = HashSet::new();
    for (name, id) in [
        ("smolvlm_new", "standard"),
        ("qwen3_vl", "standard"),
        ("smolvlm_new", "adapt-vis"),
    ] {
        let model = load(checkpoint(name, &everything(), &Value::Null));
        let picture = decode(&fs::read(fixture(name).join("image.png")).unwrap(), "image").unwrap();
        let questions = ["Read it.", "What is it?", "Who wrote this, and when?", "?"];
        let prepared = questions.map(|text| model.processor().prepare(&[&picture], text).unwrap());
        let prompts: Vec<&Prompt> = prepared.iter().collect();
        let embeds = model.encode_image(prompts[0]).unwrap();
        let built = model.build(variant(id).unwrap(), 0, None).unwrap();
        let attention = built.attention.as_ref();
        let alone: Vec<Vec<i64>> = prompts
            .iter()
            .map(|prompt| {
                model
                    .generate(attention, prompt, &embeds, &OPTIONS)
                    .unwrap()
                    .ids
            })
            .collect();
        lengths.extend(alone.iter().map(Vec::len));
        let all = vec![&embeds; prompts.len()];
        let batched = model
            .generate_batch(attention, &prompts, &all, &OPTIONS)
            .unwrap();
        let batched: Vec<_> = batched.into_iter().map(|one| one.ids).collect();
        assert_eq!(batched, alone, "{name} under {id}");
        if attention.reuses_prefix() {
            let prefix = model.prefix(attention, prompts[0], &embeds, None).unwrap();
            let after = model
                .generate_after(attention, &prefix, &prompts, &OPTIONS)
                .unwrap();
            let after: Vec<_> = after.into_iter().map(|one| one.ids).collect();
            assert_eq!(after, alone, "{name} under {id}");
        }
    }
    assert!(lengths.len() > 2, "{lengths:?}");
}

/// The text keeps the stop string, and where no end is wanted none comes.
#[test]
fn a_stop_string_belongs_to_the_answer() {
    let plain = load(checkpoint("smolvlm_new", &json!({}), &Value::Null));
    let prompt = prompt(&plain, "smolvlm_new");
    let embeds = plain.encode_image(&prompt).unwrap();
    let ids = answer(&plain, &prompt, &embeds);
    let model = load(checkpoint(
        "smolvlm_new",
        &json!({ "stop_strings": "~" }),
        &Value::Null,
    ));
    let built = model.build(variant("standard").unwrap(), 0, None).unwrap();
    let said = |stop_at_end| {
        let options = GenerationOptions {
            stop_at_end,
            ..OPTIONS
        };
        let answer = model.generate(built.attention.as_ref(), &prompt, &embeds, &options);
        answer.unwrap()
    };
    let stopped = said(true);
    assert_eq!(stopped.ids, ids[..3]);
    assert_eq!(stopped.text.find('~'), Some(stopped.text.len() - 1));
    assert_eq!(said(false).ids, ids);
}

#[test]
fn a_refused_key_is_refused_before_the_weights_and_can_be_ignored() {
    let folder = checkpoint(
        "smolvlm_new",
        &json!({ "num_beams": 4, "no_repeat_ngram_size": 2 }),
        &Value::Null,
    );
    // Nothing of the tensors is looked at: this one would be refused too.
    edit(folder.path().join("config.json"), |file| {
        file["text_config"]["intermediate_size"] = json!(50);
    });
    let name = folder.path().to_str().unwrap();
    let refusal = |options| {
        Model::load(name, options)
            .map(drop)
            .unwrap_err()
            .with_hint()
    };
    let message = refusal(LoadOptions::default());
    assert!(
        message.contains("num_beams 4 asks for beam search"),
        "{message}"
    );
    let ignored = ["num_beams".parse::<GenerationKey>().unwrap()];
    let options = LoadOptions::default().without(ignored.into_iter().collect());
    assert!(refusal(options).contains("shape"), "{}", refusal(options));
    edit(folder.path().join("config.json"), |file| {
        file["text_config"]["intermediate_size"] = json!(48);
    });
    let model = Model::load(name, options).unwrap();
    let told = &model.info().generation;
    assert_eq!(json!(told.ignored), json!({ "num_beams": 4 }));
    assert_eq!(json!(told.applied), json!({ "no_repeat_ngram_size": 2 }));
}

/// Logits that are no numbers end a run, unless the config says what they are to be.
#[test]
fn values_that_are_none_are_removed_only_where_the_config_says_so() {
    use rave_lmm::Error;
    for (config, removed) in [
        (json!({}), false),
        (json!({ "remove_invalid_values": true }), true),
    ] {
        let model = load(checkpoint("smolvlm_new", &config, &Value::Null));
        for (name, tensor) in model.parameters() {
            if name.ends_with("text_model.norm.weight") {
                let _ = tch::no_grad(|| tensor.shallow_clone().fill_(f64::NAN));
            }
        }
        let prompt = prompt(&model, "smolvlm_new");
        let embeds = model.encode_image(&prompt).unwrap();
        let built = model.build(variant("standard").unwrap(), 0, None).unwrap();
        let answer = model.generate(built.attention.as_ref(), &prompt, &embeds, &OPTIONS);
        match answer {
            Ok(answer) => {
                assert!(removed);
                assert_eq!(answer.ids, vec![0; 24]);
            }
            Err(Error::NotFinite { stage, .. }) => {
                assert!(!removed && matches!(stage, Some(Stage::Norm)));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_token_past_the_vocabulary_is_refused() {
    let message = common::refusal("smolvlm_new", |folder| {
        fs::write(
            folder.join("generation_config.json"),
            "{\"suppress_tokens\": [9000]}",
        )
        .unwrap();
    });
    let parts = ["generation_config.json", "suppress_tokens", "token 9000"];
    common::check(&[("a token that there is not", message, &parts)]);
}
