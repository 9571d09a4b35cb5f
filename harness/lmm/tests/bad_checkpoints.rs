//! Damaged, incomplete and lying checkpoints: each is one error that names the file and says what to do.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rave_lmm::{GenerationOptions, LoadOptions, Model};
use serde_json::{Value, json};

use common::{check, copy, edit, refusal};

/// Rewrites the header of a safetensors file, leaving its data.
fn edit_header(path: PathBuf, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    let mut damaged = (header.len() as u64).to_le_bytes().to_vec();
    damaged.extend(header.as_bytes());
    damaged.extend(&bytes[8 + length..]);
    fs::write(path, damaged).unwrap();
}

const NORM: &str = "model.text_model.norm.weight";

/// The file that holds a tensor by the index.
fn shard_of(folder: &Path, tensor: &str) -> String {
    let index = fs::read(folder.join("model.safetensors.index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    index["weight_map"][tensor].as_str().unwrap().to_owned()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of damages")]
fn every_damage_is_one_error_that_names_the_file_and_the_remedy() {
    let new = |damage: &dyn Fn(&Path)| refusal("smolvlm_new", damage);
    let old = |damage: &dyn Fn(&Path)| refusal("smolvlm_old", damage);
    let config = |change: &dyn Fn(&mut Value)| {
        new(&|folder| edit(folder.join("config.json"), |value| change(value)))
    };
    let header = |change: &dyn Fn(&mut Value)| {
        new(&|folder| edit_header(folder.join("model.safetensors"), |value| change(value)))
    };
    let remove =
        |name: &'static str| new(&move |folder| fs::remove_file(folder.join(name)).unwrap());
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "no config",
            remove("config.json"),
            &["config.json is missing", "whole checkpoint"],
        ),
        (
            "config is no JSON",
            new(&|f| fs::write(f.join("config.json"), "{").unwrap()),
            &["config.json", "not valid JSON"],
        ),
        (
            "a number that only Python has",
            new(&|f| fs::write(f.join("config.json"), "{\n\"a\": NaN}").unwrap()),
            &["config.json: NaN in line 2", "write null or a number there"],
        ),
        (
            "a negative one",
            new(&|f| fs::write(f.join("config.json"), "{\"a\": -Infinity}").unwrap()),
            &["config.json: Infinity in line 1"],
        ),
        (
            "one in the tokenizer",
            new(&|f| {
                let file = f.join("tokenizer.json");
                let text = fs::read_to_string(&file).unwrap();
                fs::write(file, text.replacen('{', "{\"a\": NaN,", 1)).unwrap();
            }),
            &["tokenizer.json: NaN in line 1"],
        ),
        (
            "one in an index",
            old(&|f| {
                let file = f.join("model.safetensors.index.json");
                let text = fs::read_to_string(&file).unwrap();
                fs::write(file, text.replacen('{', "{\"a\": NaN,", 1)).unwrap();
            }),
            &["model.safetensors.index.json: NaN in line 1"],
        ),
        (
            "no model_type",
            config(&|c| c["model_type"] = Value::Null),
            &["config.json", "model_type"],
        ),
        (
            "misspelt family",
            config(&|c| c["model_type"] = json!("smolvml")),
            &["`smolvml`", "did you mean `smolvlm`"],
        ),
        (
            "unknown family",
            config(&|c| c["model_type"] = json!("gpt")),
            &["`gpt` is not supported", "idefics3"],
        ),
        (
            "a key is missing, and takes the default of its class",
            config(&|c| {
                drop(
                    c["text_config"]
                        .as_object_mut()
                        .unwrap()
                        .remove("hidden_size"),
                );
            }),
            &["[32, 96]", "config.json asks for [4096, 96]"],
        ),
        (
            "heads do not divide",
            config(&|c| c["text_config"]["num_key_value_heads"] = json!(3)),
            &["config.json", "3 does not divide"],
        ),
        (
            "zero layers",
            config(&|c| c["text_config"]["num_hidden_layers"] = json!(0)),
            &["config.json", "positive"],
        ),
        (
            "scaled rope",
            config(&|c| c["text_config"]["rope_parameters"]["rope_type"] = json!("longrope")),
            &["config.json", "rope_type `longrope`", "yarn"],
        ),
        (
            "shapes disagree",
            config(&|c| c["text_config"]["intermediate_size"] = json!(64)),
            &["[48, 32]", "[64, 32]", "config"],
        ),
        (
            "an adapter that was not merged",
            header(&|h| {
                let own = h.as_object_mut().unwrap();
                let norm = own.remove(NORM).unwrap();
                own.insert(NORM.replace(".weight", ".base_layer.weight"), norm);
            }),
            &[NORM, "LoRA adapter that was not merged"],
        ),
        (
            "more layers than weights",
            config(&|c| c["text_config"]["num_hidden_layers"] = json!(3)),
            &["layers.2", "missing"],
        ),
        (
            "no weights",
            remove("model.safetensors"),
            &["model.safetensors", "missing", "fetch"],
        ),
        (
            "a pickle",
            new(&|f| fs::rename(f.join("model.safetensors"), f.join("pytorch_model.bin")).unwrap()),
            &["pytorch_model.bin", "pickle", "convert it to safetensors"],
        ),
        (
            "a pickle that was renamed",
            new(&|f| fs::write(f.join("model.safetensors"), b"PK\x03\x04 and so on").unwrap()),
            &["model.safetensors", "pickle", "convert it to safetensors"],
        ),
        (
            "truncated weights",
            new(&|f| {
                fs::OpenOptions::new()
                    .write(true)
                    .open(f.join("model.safetensors"))
                    .unwrap()
                    .set_len(9000)
                    .unwrap();
            }),
            &["model.safetensors", "truncated", "fetch it again"],
        ),
        (
            "empty weights",
            new(&|f| fs::write(f.join("model.safetensors"), []).unwrap()),
            &["model.safetensors"],
        ),
        (
            "a header longer than the file",
            new(&|f| fs::write(f.join("model.safetensors"), [255; 16]).unwrap()),
            &["not a valid"],
        ),
        (
            "an offset past the end",
            header(&|h| h[NORM]["data_offsets"] = json!([0, 1_u64 << 40])),
            &["model.safetensors", "not a valid safetensors file"],
        ),
        (
            "a size that its shape contradicts",
            header(&|h| h[NORM]["shape"] = json!([33])),
            &["not a valid safetensors file"],
        ),
        (
            "integer weights",
            header(&|h| h[NORM]["dtype"] = json!("I32")),
            &[NORM, "I32", "BF16"],
        ),
        (
            "a shard is absent",
            old(&|f| fs::remove_file(f.join("model-00002-of-00002.safetensors")).unwrap()),
            &["model-00002-of-00002.safetensors is missing", "fetch it"],
        ),
        (
            "a shard outside the folder",
            old(&|f| {
                edit(f.join("model.safetensors.index.json"), |i| {
                    i["weight_map"][NORM] = json!("../secret.safetensors");
                });
            }),
            &[
                "model.safetensors.index.json",
                "../secret.safetensors",
                "not the name of a file in this folder",
            ],
        ),
        (
            "an index that names a tensor twice",
            old(&|f| {
                let path = f.join("model.safetensors.index.json");
                let text = fs::read_to_string(&path).unwrap();
                let again = format!("\"weight_map\": {{\n    \"{NORM}\": \"other.safetensors\",");
                fs::write(&path, text.replacen("\"weight_map\": {", &again, 1)).unwrap();
            }),
            &[
                "model.safetensors.index.json",
                NORM,
                "twice, in other.safetensors and in model-0000",
            ],
        ),
        (
            "an index without shards",
            old(&|f| {
                edit(f.join("model.safetensors.index.json"), |i| {
                    i["weight_map"] = json!({});
                });
            }),
            &["model.safetensors.index.json", "lists no shard"],
        ),
        (
            "an index that is none",
            old(&|f| fs::write(f.join("model.safetensors.index.json"), "{}").unwrap()),
            &["model.safetensors.index.json", "weight_map"],
        ),
        (
            "a tensor that its shard lacks",
            old(&|f| {
                let shard = f.join(shard_of(f, NORM));
                edit_header(shard, |header| {
                    let header = header.as_object_mut().unwrap();
                    let norm = header.remove(NORM).unwrap();
                    header.insert("another.weight".into(), norm);
                });
            }),
            &[
                "model.safetensors.index.json",
                "holds tensor `model.text_model.norm.weight`",
                "not there",
            ],
        ),
        (
            "a truncated shard",
            old(&|f| {
                let shard = fs::OpenOptions::new()
                    .write(true)
                    .open(f.join("model-00002-of-00002.safetensors"));
                shard.unwrap().set_len(500).unwrap();
            }),
            &["model-00002-of-00002.safetensors", "truncated"],
        ),
        (
            "a tensor in two shards",
            old(&|f| {
                fs::copy(
                    f.join("model-00001-of-00002.safetensors"),
                    f.join("again.safetensors"),
                )
                .unwrap();
                edit(f.join("model.safetensors.index.json"), |i| {
                    i["weight_map"]["extra"] = json!("again.safetensors");
                });
            }),
            &["is also in", "keep one"],
        ),
        (
            "no tokenizer",
            remove("tokenizer.json"),
            &["tokenizer.json is missing"],
        ),
        (
            "a broken tokenizer",
            new(&|f| fs::write(f.join("tokenizer.json"), "{}").unwrap()),
            &["tokenizer.json", "not a tokenizer"],
        ),
        (
            "no image token",
            new(&|f| {
                let path = f.join("tokenizer.json");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, text.replace("<image>", "<picture>")).unwrap();
            }),
            &["tokenizer.json", "<image> is missing"],
        ),
        (
            "another family's config",
            new(&|f| {
                let config = json!({ "model_type": "gpt2", "hidden_size": 32, "vocab_size": 270 });
                fs::write(f.join("config.json"), config.to_string()).unwrap();
            }),
            &["config.json", "`gpt2` is not supported"],
        ),
        (
            "a config of the family with another model's sizes",
            config(&|c| c["vision_config"]["hidden_size"] = json!(64)),
            &["model.safetensors", "config.json asks for"],
        ),
        (
            "another image token",
            config(&|c| c["image_token_id"] = json!(7)),
            &["tokenizer.json", "<image> is token 259", "7"],
        ),
        (
            "no chat template",
            remove("chat_template.jinja"),
            &["chat template", "missing"],
        ),
        (
            "a broken chat template",
            new(&|f| fs::write(f.join("chat_template.jinja"), "{% for %}").unwrap()),
            &["chat_template.jinja", "does not compile"],
        ),
        (
            "no image config",
            remove("processor_config.json"),
            &["preprocessor_config.json", "missing"],
        ),
        (
            "a penalty that is none",
            new(&|f| {
                let path = f.join("generation_config.json");
                fs::write(path, "{\"repetition_penalty\": \"1.1\"}").unwrap();
            }),
            &["generation_config.json", "repetition_penalty", "above 0"],
        ),
        (
            "another tile",
            new(&|f| {
                edit(f.join("processor_config.json"), |p| {
                    p["image_processor"]["max_image_size"]["longest_edge"] = json!(64);
                });
            }),
            &[
                "processor_config.json",
                "max_image_size 64",
                "image_size 32",
            ],
        ),
    ];
    check(&cases);
}

/// Of the families of Qwen, what is theirs alone.
#[test]
fn damages_of_patches_and_positions_are_one_error_each() {
    let config = |fixture: &str, change: &dyn Fn(&mut Value)| {
        refusal(fixture, |folder| edit(folder.join("config.json"), change))
    };
    let images = |change: &dyn Fn(&mut Value)| {
        refusal("qwen3_vl", |folder| {
            edit(folder.join("processor_config.json"), |file| {
                change(&mut file["image_processor"]);
            });
        })
    };
    let vision = |change: &dyn Fn(&mut Value)| {
        config("qwen3_vl", &|file| change(&mut file["vision_config"]))
    };
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "no vision config, which is then that of its class",
            config("qwen2_vl", &|file| file["vision_config"] = Value::Null),
            &["config.json", "3584 wide", "hidden_size is 32"],
        ),
        (
            "another family",
            config("qwen2_vl", &|file| file["model_type"] = json!("qwen3_vl")),
            &["config.json", "3584 wide", "hidden_size is 4096"],
        ),
        (
            "sections that do not fill a head",
            config("qwen2_vl", &|file| {
                file["rope_scaling"]["mrope_section"] = json!([2, 2, 2]);
            }),
            &["config.json", "mrope_section [2, 2, 2]", "head_dim 8"],
        ),
        (
            "a decoder of another width",
            vision(&|file| file["out_hidden_size"] = json!(64)),
            &["config.json", "64 wide", "hidden_size is 32"],
        ),
        (
            "a table that is no square",
            vision(&|file| file["num_position_embeddings"] = json!(26)),
            &["config.json", "num_position_embeddings"],
        ),
        (
            "a layer that is not there",
            vision(&|file| file["deepstack_visual_indexes"] = json!([0, 7])),
            &["config.json", "deepstack_visual_indexes [0, 7]"],
        ),
        (
            "other patches",
            images(&|file| file["patch_size"] = json!(14)),
            &["processor_config.json", "patch_size 14", "patch_size 4"],
        ),
        (
            "bounds the wrong way round",
            images(&|file| file["size"] = json!({ "shortest_edge": 9, "longest_edge": 8 })),
            &["processor_config.json", "9 to 8 pixels"],
        ),
        (
            "a tokenizer without the image token",
            refusal("qwen3_vl", |folder| {
                edit(folder.join("tokenizer.json"), |tokenizer| {
                    let tokens = tokenizer["added_tokens"].as_array_mut().unwrap();
                    tokens.retain(|token| token["content"] != json!("<|image_pad|>"));
                });
            }),
            &["tokenizer.json", "<|image_pad|> is missing"],
        ),
    ];
    check(&cases);
}

#[test]
fn a_picture_that_is_too_long_for_its_family_is_refused() {
    let folder = copy("qwen3_vl");
    let model = common::load(folder.path());
    let (long, short) = (RgbImage::new(3, 603), RgbImage::new(3, 600));
    let prepare = |picture| model.processor().prepare(&[picture], "Where?");
    assert!(prepare(&short).is_ok());
    let message = prepare(&long).unwrap_err().with_hint();
    assert!(message.contains("picture 0 is 3 x 603"), "{message}");
}

#[test]
fn a_token_without_an_embedding_is_refused() {
    let folder = copy("smolvlm_new");
    edit(folder.path().join("tokenizer.json"), |tokenizer| {
        let tokens = tokenizer["added_tokens"].as_array_mut().unwrap();
        let mut extra = tokens[0].clone();
        (extra["id"], extra["content"]) = (json!(9_999), json!("what"));
        tokens.push(extra);
    });
    let path = folder.path().to_str().unwrap();
    let processor = Model::load(path, LoadOptions::default())
        .unwrap()
        .processor();
    assert!(processor.prepare(&[], "where?").is_ok());
    let error = processor.prepare(&[], "what?").unwrap_err().with_hint();
    assert!(error.contains("vocab_size of 270"), "{error}");
}

#[test]
fn more_tokens_than_positions_are_refused_before_memory_is_taken() {
    let folder = copy("smolvlm_new");
    let model = common::load(folder.path());
    let standard = model.build(rave_methods::variant("standard").unwrap(), 0, None);
    let prompt = model.processor().prepare(&[], "where?").unwrap();
    let embeds = model.encode_image(&prompt).unwrap();
    let options = GenerationOptions {
        max_new_tokens: 4_000_000_000,
        stop_at_end: true,
        deadline: None,
    };
    let attention = standard.unwrap().attention;
    let error = model.generate(attention.as_ref(), &prompt, &embeds, &options);
    let message = error.unwrap_err().with_hint();
    assert!(message.contains("max_position_embeddings"), "{message}");
}

#[test]
fn a_prompt_that_the_tokenizer_would_cut_or_pad_is_refused() {
    let cut =
        json!({ "direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0 });
    let padded = json!({
        "strategy": { "Fixed": 4_000 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "a",
    });
    for (key, value, part) in [
        ("truncation", cut, "cut to 9 by `truncation`"),
        ("padding", padded, "padded to 4000 by `padding`"),
    ] {
        let folder = copy("smolvlm_new");
        edit(folder.path().join("tokenizer.json"), |tokenizer| {
            tokenizer[key] = value.clone();
        });
        let model = common::load(folder.path());
        let prompt = model.processor().prepare(&[], "What is the total of this?");
        let refused = prompt.err().unwrap().with_hint();
        assert!(
            refused.contains(part) && refused.contains("tokenizer.json"),
            "{refused}"
        );
    }
}

#[test]
fn a_name_that_is_no_model_says_what_would_be() {
    for (name, part) in [
        (
            "org/no-such-model@v1",
            "org/no-such-model@v1 is not in the hub's cache",
        ),
        (
            "nanno",
            "built-in model (nano, nano-untrained, smolvlm-256m-random)",
        ),
        ("./nowhere", "give the folder of a checkpoint"),
    ] {
        let Err(error) = Model::load(name, LoadOptions::default()) else {
            panic!("{name} was loaded")
        };
        assert!(error.with_hint().contains(part), "{error}");
    }
}
