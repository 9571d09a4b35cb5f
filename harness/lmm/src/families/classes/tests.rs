//! The tables against what `tests/fixtures/classes/make_classes.py` found in `transformers`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::configs::CONFIGS;
use super::images::IMAGES;
use super::{Class, KeyUse, config, config_keys, entries, image, same, wholes};

fn found() -> Value {
    let text = include_str!("../../../tests/fixtures/classes/classes.json");
    serde_json::from_str(text).unwrap()
}

fn assert_as_found(classes: &[fn() -> Class], found: &Value) {
    let names: BTreeSet<_> = classes.iter().map(|class| class().name).collect();
    let theirs: BTreeSet<_> = entries(found).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, theirs);
    for class in classes.iter().map(|class| class()) {
        for (key, default) in entries(&found[class.name]) {
            let (read, fixed) = (class.read.get(key), class.fixed.get(key));
            let inert = class.inert.contains(&key.as_str());
            let places = usize::from(read.is_some()) + usize::from(fixed.is_some());
            assert_eq!(
                places + usize::from(inert),
                1,
                "{}.{key} stands in one list",
                class.name
            );
            // The canvases are a null in the class's signature, which its body fills in.
            let ours = read.or(fixed).unwrap_or(default);
            let filled = key == "image_grid_pinpoints" && default.is_null();
            assert!(
                filled || alike(ours, default),
                "{}.{key} is {ours}, there {default}",
                class.name
            );
        }
        let known: BTreeSet<_> = entries(&found[class.name]).map(|(key, _)| key).collect();
        for key in &class.inert {
            assert!(known.contains(&(*key).to_owned()), "{}.{key}", class.name);
        }
    }
}

/// Whether two values are the same, the numbers in them too.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        _ => same(one, other),
    }
}

#[test]
fn every_field_of_a_config_class_is_known_with_its_default() {
    assert_as_found(CONFIGS, &found()["configs"]);
}

#[test]
fn every_field_of_an_image_processor_is_known_with_its_default() {
    assert_as_found(IMAGES, &found()["images"]);
}

#[test]
fn a_part_that_is_absent_is_what_transformers_makes_of_it() {
    let found = found();
    for whole in wholes() {
        for (key, part) in [
            ("text_config", &whole.text),
            ("vision_config", &whole.vision),
        ] {
            let theirs = &found["parts"][whole.class][key];
            let (_, class) = part.classes[0];
            assert_eq!(theirs["class"], class, "{} {key}", whole.class);
            let read = config(class).read;
            let told = entries(&theirs["where_absent"]).filter(|(key, _)| read.get(key).is_some());
            let told: serde_json::Map<_, _> = told
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            assert_eq!(
                Value::Object(told),
                part.where_absent,
                "{} {key}",
                whole.class
            );
        }
    }
}

#[test]
fn what_a_file_says_stays_and_what_it_leaves_out_is_filled_in() {
    let filled = |file: Value| config("MistralConfig").fill(&file).unwrap();
    let own = filled(
        json!({ "hidden_size": 9, "sliding_window": null, "vocab_size": null, "nonsense": 3 }),
    );
    assert_eq!(own["hidden_size"], 9);
    assert_eq!(own["sliding_window"], Value::Null);
    assert_eq!(own["vocab_size"], 32_000);
    assert_eq!(own["num_key_value_heads"], 8);
    assert_eq!(own.get("nonsense"), None);
    assert_eq!(filled(json!({}))["sliding_window"], 4_096);
    let heads = filled(json!({ "num_key_value_heads": null }));
    assert_eq!(heads["num_key_value_heads"], Value::Null);
    let nulls = json!({ "do_normalize": null, "image_mean": null, "size": null });
    let image = |name: &str| image(name).unwrap().fill(&nulls).unwrap();
    let (clip, qwen) = (image("CLIPImageProcessor"), image("Qwen2VLImageProcessor"));
    assert_eq!(
        (&clip["do_normalize"], &clip["size"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        (&clip["image_mean"], &clip["do_resize"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(qwen["size"]["shortest_edge"], 3_136);
    let tower = config("Qwen2VLVisionConfig");
    let tower = tower.fill(&json!({ "num_heads": 3, "num_attention_heads": 4 }));
    assert_eq!(tower.unwrap()["num_heads"], 4);
}

#[test]
fn a_key_that_is_not_computed_is_refused_by_name() {
    let llama = config("LlamaConfig");
    assert!(
        llama
            .fill(&json!({ "qk_layer_norms": false, "is_causal": true }))
            .is_ok()
    );
    let reason = llama.fill(&json!({ "qk_layer_norms": true })).unwrap_err();
    assert_eq!(reason, "qk_layer_norms true is not supported; false is");
    let keys = config_keys();
    let key = keys
        .iter()
        .find(|key| key.class == "LlamaConfig" && key.key == "is_causal");
    assert_eq!(key.unwrap().key_use, KeyUse::Only(json!(true)));
}
