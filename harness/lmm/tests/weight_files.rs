//! Weights under every name and index that people have them: loaded as `transformers` 5.23 loads them (`modeling_utils.py`,
//! `_get_resolved_checkpoint_files`), or refused as what they are. Small files are looked at first.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rave_lmm::{
    GenerationKeys, LoadOptions, Model, geometry, preflight, read_tensors, write_tensors,
};
use serde_json::{Value, json};
use tch::Tensor;

use common::{check, copy, edit, load, refusal};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 2] = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];
const HEAD: &str = "lm_head.weight";
const NORM: &str = "model.text_model.norm.weight";
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:091aa7594dc2fcfbfa06b9e3c22a5f0562ac14f30375c13af7309407a0e67b8a\nsize 7031660\n";

const POINTED: &str = "a Git LFS pointer and not the file itself; run `git lfs pull`";

type Tensors = Vec<(String, Tensor)>;

fn tensors(folder: &Path) -> Tensors {
    let tensors = read_tensors(&folder.join(SINGLE)).unwrap().tensors;
    tensors.into_iter().collect()
}

fn write(path: &Path, tensors: &[(String, Tensor)]) {
    write_tensors(path, tensors, &BTreeMap::new()).unwrap();
}

/// Two shards with an index that also lists what no shard holds.
fn write_shards(folder: &Path, tensors: &[(String, Tensor)], unheld: &[&str]) {
    let halves = tensors.split_at(tensors.len() / 2);
    let mut places = serde_json::Map::new();
    for (shard, half) in SHARDS.into_iter().zip([halves.0, halves.1]) {
        write(&folder.join(shard), half);
        places.extend(half.iter().map(|(name, _)| (name.clone(), json!(shard))));
    }
    places.extend(
        unheld
            .iter()
            .map(|name| ((*name).to_owned(), json!(SHARDS[1]))),
    );
    let index = json!({ "metadata": {}, "weight_map": places });
    fs::write(folder.join(INDEX), index.to_string()).unwrap();
}

fn without(tensors: Tensors, name: &str) -> Tensors {
    let kept = tensors.into_iter().filter(|(own, _)| own != name);
    kept.collect()
}

fn halved(tensors: &Tensors) -> Tensors {
    let half = |(name, tensor): &(String, Tensor)| (name.clone(), tensor / 2.0);
    tensors.iter().map(half).collect()
}

/// Whether a loaded model has exactly the values of these tensors.
fn has_values(model: &Model, tensors: &Tensors) -> bool {
    let own: BTreeMap<_, _> = model
        .parameters()
        .iter()
        .map(|(name, tensor)| (name, tensor))
        .collect();
    tensors.iter().all(|(name, tensor)| own[name].equal(tensor))
}

#[test]
fn a_tied_head_that_the_index_lists_need_not_be_stored() {
    let folder = copy("smolvlm_new");
    let stored = without(tensors(folder.path()), HEAD);
    fs::remove_file(folder.path().join(SINGLE)).unwrap();
    write_shards(folder.path(), &stored, &[HEAD]);
    let untied = Model::load(folder.path().to_str().unwrap(), LoadOptions::default());
    let message = untied.err().unwrap().with_hint();
    for part in [INDEX, SHARDS[1], HEAD, "which is not there"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    edit(folder.path().join("config.json"), |config| {
        config["tie_word_embeddings"] = json!(true);
    });
    assert!(has_values(&load(folder.path()), &stored));
}

#[test]
fn a_tensor_is_taken_from_the_shard_that_holds_it() {
    let folder = copy("smolvlm_new");
    let stored = tensors(folder.path());
    fs::remove_file(folder.path().join(SINGLE)).unwrap();
    write_shards(folder.path(), &stored, &[]);
    let first = stored[0].0.clone();
    edit(folder.path().join(INDEX), |index| {
        index["weight_map"][&first] = json!(SHARDS[1]);
    });
    let model = load(folder.path());
    assert!(has_values(&model, &stored));
    let notes = &model.info().notes;
    assert!(
        notes.len() == 1 && notes[0].contains(&first) && notes[0].contains(SHARDS[0]),
        "{notes:?}"
    );
}

#[test]
fn a_whole_single_file_is_taken_before_an_index() {
    let folder = copy("smolvlm_new");
    let stored = tensors(folder.path());
    // Of an older save: the same tensors, other values.
    write_shards(folder.path(), &halved(&stored), &[]);
    let model = load(folder.path());
    assert!(has_values(&model, &stored));
    let notes = &model.info().notes;
    assert!(
        notes.len() == 1 && notes[0].contains("model.safetensors is loaded, as transformers does"),
        "{notes:?}"
    );
    assert_eq!(
        model
            .info()
            .files
            .keys()
            .filter(|name| name.ends_with(".safetensors"))
            .count(),
        1
    );
    for damage in [0, 1] {
        match damage {
            0 => fs::remove_file(folder.path().join(SHARDS[1])).unwrap(),
            _ => fs::write(folder.path().join(INDEX), "{").unwrap(),
        }
        let model = load(folder.path());
        assert!(has_values(&model, &stored));
        assert!(model.info().notes[0].contains("not whole"));
    }
    fs::remove_file(folder.path().join(INDEX)).unwrap();
    assert!(load(folder.path()).info().notes.is_empty());
}

#[test]
fn weights_that_the_config_names_are_loaded() {
    let folder = copy("smolvlm_new");
    let stored = tensors(folder.path());
    write(&folder.path().join("other.safetensors"), &halved(&stored));
    edit(folder.path().join("config.json"), |config| {
        config["transformers_weights"] = json!("other.safetensors");
    });
    assert!(has_values(&load(folder.path()), &halved(&stored)));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one kind after the other")]
fn weights_that_are_not_loaded_are_refused_as_what_they_are() {
    let renamed = |name: &'static str| {
        refusal("smolvlm_new", move |folder| {
            fs::rename(folder.join(SINGLE), folder.join(name)).unwrap();
        })
    };
    let adapter = |folder: &Path| {
        let config = json!({ "peft_type": "LORA", "base_model_name_or_path": "org/base" });
        fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
        write(&folder.join("adapter_model.safetensors"), &tensors(folder));
    };
    let pointed = |name: &'static str| {
        refusal("smolvlm_new", move |folder| {
            fs::write(folder.join(name), POINTER).unwrap();
        })
    };
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "a variant",
            renamed("model.fp16.safetensors"),
            &["model.fp16.safetensors", "variant", "as model.safetensors"],
        ),
        (
            "an index of a variant",
            renamed("model.safetensors.index.fp16.json"),
            &["model.safetensors.index.fp16.json", "variant"],
        ),
        (
            "the authors' own layout",
            renamed("consolidated.safetensors"),
            &["consolidated.safetensors", "layout of transformers"],
        ),
        (
            "GGUF",
            renamed("model-Q4_K_M.gguf"),
            &["model-Q4_K_M.gguf", "GGUF", "use the safetensors"],
        ),
        (
            "shards without their index",
            renamed("model-00001-of-00002.safetensors"),
            &["model.safetensors.index.json", SHARDS[0], "fetch the index"],
        ),
        (
            "an adapter alone",
            refusal("smolvlm_new", |folder| {
                adapter(folder);
                fs::remove_file(folder.join(SINGLE)).unwrap();
                fs::remove_file(folder.join("config.json")).unwrap();
            }),
            &[
                "adapter_config.json",
                "PEFT adapter (LORA) of org/base",
                "merge",
            ],
        ),
        (
            "an adapter and a config",
            refusal("smolvlm_new", |folder| {
                adapter(folder);
                fs::remove_file(folder.join(SINGLE)).unwrap();
            }),
            &["PEFT adapter (LORA) of org/base"],
        ),
        (
            "an adapter beside weights",
            refusal("smolvlm_new", adapter),
            &[
                "PEFT adapter (LORA) of org/base",
                "take the adapter's files out",
            ],
        ),
        ("weights not pulled", pointed(SINGLE), &[SINGLE, POINTED]),
        (
            "a tokenizer not pulled",
            pointed("tokenizer.json"),
            &["tokenizer.json", POINTED],
        ),
        (
            "a config not pulled",
            pointed("config.json"),
            &["config.json", POINTED],
        ),
        (
            "a single file beside whole shards of another model",
            refusal("smolvlm_new", |folder| {
                write_shards(folder, &without(tensors(folder), NORM), &[]);
            }),
            &[INDEX, "two models", "keep one"],
        ),
        (
            "shards that are gone",
            refusal("smolvlm_old", |folder| {
                for shard in SHARDS {
                    fs::remove_file(folder.join(shard)).unwrap();
                }
            }),
            &[
                INDEX,
                "2 of the 2 shards",
                SHARDS[0],
                SHARDS[1],
                "fetch them",
            ],
        ),
        (
            "a file that the config names and that is not there",
            refusal("smolvlm_new", |folder| {
                edit(folder.join("config.json"), |config| {
                    config["transformers_weights"] = json!("other.safetensors");
                });
            }),
            &[
                "other.safetensors is missing",
                "transformers_weights",
                "fetch it",
            ],
        ),
        (
            "a file that the config names and that is elsewhere",
            refusal("smolvlm_new", |folder| {
                edit(folder.join("config.json"), |config| {
                    config["transformers_weights"] = json!("../other.safetensors");
                });
            }),
            &["config.json", "../other.safetensors", "in this folder"],
        ),
    ];
    check(&cases);
}

/// Without weights, and with the one thing that is wrong besides.
#[test]
fn small_files_are_refused_before_weights_are_missed() {
    let refused = |damage: &dyn Fn(&Path)| {
        refusal("smolvlm_new", |folder| {
            for name in [SINGLE, "expected.safetensors"] {
                fs::remove_file(folder.join(name)).unwrap();
            }
            damage(folder);
        })
    };
    let config = |change: &dyn Fn(&mut Value)| {
        refused(&|folder| edit(folder.join("config.json"), |config| change(config)))
    };
    let remove = |name: &str| refused(&|folder| fs::remove_file(folder.join(name)).unwrap());
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "unsupported",
            config(&|config| config["model_type"] = json!("gpt")),
            &["config.json", "`gpt` is not supported"],
        ),
        (
            "contradictory",
            config(&|config| config["text_config"]["num_key_value_heads"] = json!(3)),
            &["config.json", "3 does not divide"],
        ),
        (
            "no tokenizer",
            remove("tokenizer.json"),
            &["tokenizer.json is missing"],
        ),
        (
            "no template",
            remove("chat_template.jinja"),
            &["chat template", "missing"],
        ),
        (
            "no image config",
            remove("processor_config.json"),
            &["preprocessor_config.json"],
        ),
        (
            "a decoding that is none",
            refused(&|folder| {
                let path = folder.join("generation_config.json");
                fs::write(path, "{\"repetition_penalty\": \"1.1\"}").unwrap();
            }),
            &["generation_config.json", "repetition_penalty"],
        ),
        (
            "nothing but weights",
            refused(&|_| {}),
            &["model.safetensors", "fetch the weights"],
        ),
    ];
    check(&cases);
}

#[test]
fn the_config_alone_says_the_sizes_of_a_decoder() {
    let folder = copy("smolvlm_new");
    let path = folder.path().to_str().unwrap();
    preflight(folder.path(), GenerationKeys::default()).unwrap();
    let expected = load(folder.path()).info().geometry;
    for name in [SINGLE, "tokenizer.json", "processor_config.json"] {
        fs::remove_file(folder.path().join(name)).unwrap();
        assert!(preflight(folder.path(), GenerationKeys::default()).is_err());
        assert_eq!(geometry(path).unwrap(), expected);
    }
}
