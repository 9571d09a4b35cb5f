//! Small files that say something else than the fixtures' own: what `transformers` 5.23 then answers with the same weights
//! (`fixtures/classes/config_cases.json`, written by the script beside it), and prompts that a config does not allow.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use image::RgbImage;
use rave_lmm::{GenerationOptions, LoadOptions, Model, decode};
use rave_methods::variant;
use serde_json::{Value, json};

use common::{check, copy, edit, refusal};

/// Makes a JSON file say something at a path, which is the file's name and the keys to go through; nothing takes the last key out.
fn tell(folder: &Path, path: &str, value: Option<Value>) {
    let mut keys = path.split(' ');
    let file = folder.join(keys.next().unwrap());
    let keys: Vec<_> = keys.collect();
    let (last, inner) = keys.split_last().unwrap();
    edit(file, |whole| {
        let place = inner.iter().fold(whole, |place, key| &mut place[*key]);
        match value {
            Some(value) => place[*last] = value,
            None => drop(place.as_object_mut().unwrap().remove(*last)),
        }
    });
}

/// The ids that are read and those of the answer, or why there are none.
fn answer(folder: &Path, question: &str, new: usize) -> Result<[Vec<i64>; 2], rave_lmm::Error> {
    let model = Model::load(folder.to_str().unwrap(), LoadOptions::default())?;
    let files = ["image.png", "image_2.png"].map(|name| folder.join(name));
    let present = files.iter().filter(|path| path.exists());
    let pictures: Vec<RgbImage> = present
        .map(|path| decode(&std::fs::read(path).unwrap(), "picture").unwrap())
        .collect();
    let pictures: Vec<_> = pictures.iter().collect();
    let prompt = model.processor().prepare(&pictures, question)?;
    let embeds = model.encode_image(&prompt)?;
    let attention = model
        .build(variant("standard").unwrap(), 0, None)?
        .attention;
    let options = GenerationOptions {
        max_new_tokens: new,
        stop_at_end: false,
        deadline: None,
    };
    let generation = model.generate(attention.as_ref(), &prompt, &embeds, &options)?;
    Ok([prompt.ids, generation.ids])
}

#[test]
fn answers_are_those_of_transformers_for_whatever_the_small_files_say() {
    let cases = include_str!("fixtures/classes/config_cases.json");
    let cases: Value = serde_json::from_str(cases).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let folder = copy(case["fixture"].as_str().unwrap());
        for change in case["set"].as_array().unwrap() {
            let path = change[0].as_str().unwrap();
            tell(folder.path(), path, Some(change[1].clone()));
        }
        for path in case["drop"].as_array().unwrap() {
            tell(folder.path(), path.as_str().unwrap(), None);
        }
        let [read, answered] = answer(folder.path(), case["prompt"].as_str().unwrap(), 10).unwrap();
        assert_eq!(json!(read), case["input_ids"], "{}", case["name"]);
        assert_eq!(json!(answered), case["generated_ids"], "{}", case["name"]);
    }
}

#[test]
fn a_prompt_is_refused_where_its_config_would_have_it_computed_otherwise() {
    const TEXT: &str = "config.json text_config";
    let window = json!({ "model_type": "mistral", "num_key_value_heads": 4, "sliding_window": 20 });
    let keys = [(window, "sliding_window 20")];
    for (keys, part) in keys {
        let folder = copy("llava");
        for (key, value) in keys.as_object().unwrap() {
            tell(folder.path(), &format!("{TEXT} {key}"), Some(value.clone()));
        }
        let refused = answer(folder.path(), "What is it?", 3).unwrap_err();
        assert!(refused.with_hint().contains(part), "{refused}");
    }
}

#[test]
fn an_answer_ends_where_a_window_would_begin_to_act() {
    let folder = copy("llava");
    let [read, _] = answer(folder.path(), "What is it?", 1).unwrap();
    for (key, value) in [
        ("model_type", json!("mistral")),
        ("num_key_value_heads", json!(4)),
        ("sliding_window", json!(read.len() + 4)),
    ] {
        tell(
            folder.path(),
            &format!("config.json text_config {key}"),
            Some(value),
        );
    }
    // The last new token is not read itself.
    let [_, answered] = answer(folder.path(), "What is it?", 5).unwrap();
    assert_eq!(answered.len(), 5);
    let refused = answer(folder.path(), "What is it?", 6).unwrap_err();
    assert!(refused.with_hint().contains("sliding_window"), "{refused}");
}

#[test]
fn an_image_processors_file_that_cannot_be_followed_is_refused_by_the_key() {
    let lies: [(&str, &str, &str, Value, &[&str]); 7] = [
        (
            "a size of both sides",
            "smolvlm_new",
            "size",
            json!({ "height": 64, "width": 64 }),
            &["has no longest_edge"],
        ),
        (
            "a null size",
            "smolvlm_new",
            "size",
            Value::Null,
            &["size of null is not supported"],
        ),
        (
            "another family's image processor",
            "smolvlm_new",
            "image_processor_type",
            json!("Qwen2VLImageProcessorFast"),
            &["`Qwen2VLImageProcessorFast`", "Idefics3ImageProcessor"],
        ),
        (
            "tiles of another size",
            "llava_onevision",
            "crop_size",
            json!(7),
            &["image_size 14", "crop_size 7"],
        ),
        (
            "a bound alone",
            "qwen3_vl",
            "size",
            json!({ "shortest_edge": 1024 }),
            &["has no longest_edge"],
        ),
        (
            "a number for bounds",
            "qwen3_vl",
            "size",
            json!(1024),
            &["size 1024 is not supported", "shortest_edge"],
        ),
        (
            "pictures as they come",
            "qwen2_5_vl",
            "do_resize",
            Value::Null,
            &["do_resize is false"],
        ),
    ];
    let cases = lies.map(|(name, fixture, key, value, parts)| {
        let message = refusal(fixture, |folder| {
            let path = format!("processor_config.json image_processor {key}");
            tell(folder, &path, Some(value));
        });
        assert!(message.contains("processor_config.json"), "{message}");
        (name, message, parts)
    });
    check(&cases);
}

#[test]
fn a_prompt_of_a_length_that_the_rotary_embedding_follows_shares_no_beginning() {
    let folder = copy("llava");
    let model = || common::load(folder.path());
    let picture = decode(
        &std::fs::read(folder.path().join("image.png")).unwrap(),
        "picture",
    )
    .unwrap();
    let fits = |model: &Model| {
        let prompt = model
            .processor()
            .prepare(&[&picture], "What is it?")
            .unwrap();
        let built = model.build(variant("standard").unwrap(), 0, None).unwrap();
        let features = model.encode_image(&prompt).unwrap();
        let prefix = model
            .prefix(built.attention.as_ref(), &prompt, &features, None)
            .unwrap();
        prefix.fits(&prompt)
    };
    assert!(fits(&model()));
    for (key, value) in [
        ("rope_scaling", json!({ "type": "dynamic", "factor": 2.0 })),
        ("max_position_embeddings", json!(20)),
    ] {
        tell(
            folder.path(),
            &format!("config.json text_config {key}"),
            Some(value),
        );
    }
    assert!(!fits(&model()));
}

#[test]
fn an_answer_is_trained_to_end_with_the_tokenizers_own_token_where_no_config_names_one() {
    let folder = copy("llava");
    let ends = || {
        let model = common::load(folder.path());
        model.end_tokens().to_vec()
    };
    std::fs::remove_file(folder.path().join("generation_config.json")).unwrap();
    for part in ["config.json", "config.json text_config"] {
        tell(folder.path(), &format!("{part} eos_token_id"), None);
    }
    assert_eq!(ends(), [258]);
    // One that the tokenizer does not have ends nothing.
    tell(
        folder.path(),
        "config.json text_config eos_token_id",
        Some(json!(1_000_000)),
    );
    assert_eq!(ends(), [258]);
}
