//! The tensors that a network asks for are those that `transformers` writes: names and shapes, those that it does not compute with
//! too. And what a check says of a checkpoint that has others.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rave_lmm::check::{Report, expected_tensors};
use rave_lmm::{read_tensors, write_tensors};
use serde_json::{Value, json};
use tch::{Kind, Tensor};
use tempfile::TempDir;

mod common;
use common::{FIXTURES, copy, fixture};

/// Every tensor of the weight files in a folder.
fn stored(folder: &Path) -> Vec<(String, Tensor)> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files = names.filter(|name| name.starts_with("model") && name.ends_with(".safetensors"));
    let mut tensors: Vec<_> = files
        .flat_map(|name| read_tensors(&folder.join(name)).unwrap().tensors)
        .collect();
    tensors.sort_by(|one, other| one.0.cmp(&other.0));
    tensors
}

fn shapes(tensors: &[(String, Tensor)]) -> Vec<(String, Vec<i64>)> {
    let shape = |(name, tensor): &(String, Tensor)| (name.clone(), tensor.size());
    tensors.iter().map(shape).collect()
}

/// A copy of `smolvlm_new` with other tensors.
fn with(change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> TempDir {
    let target = copy("smolvlm_new");
    let mut tensors: BTreeMap<_, _> = stored(target.path()).into_iter().collect();
    change(&mut tensors);
    let tensors: Vec<_> = tensors.into_iter().collect();
    let path = target.path().join("model.safetensors");
    write_tensors(&path, &tensors, &BTreeMap::new()).unwrap();
    target
}

#[test]
fn every_family_asks_for_the_tensors_that_transformers_writes() {
    for name in FIXTURES {
        let folder = fixture(name);
        let expected = expected_tensors(&folder).unwrap();
        assert_eq!(expected, shapes(&stored(&folder)), "{name}");
        let report = Report::of(&folder).unwrap();
        assert!(report.fits(), "{name}: {report:?}");
        let tensors = report.tensors.unwrap();
        assert_eq!(tensors.without_shape, 0);
        assert!(tensors.ignored.is_empty() && tensors.missing_unused.is_empty());
        let values: usize = stored(&folder)
            .iter()
            .map(|(_, tensor)| tensor.numel())
            .sum();
        assert_eq!(tensors.parameters, values as u64, "{name}");
    }
}

#[test]
fn names_are_those_of_the_hub_where_nothing_tells() {
    for (name, beginnings) in [
        (
            "llava",
            &[
                "language_model.lm_head.",
                "language_model.model.",
                "multi_modal_projector.",
                "vision_tower.vision_model.",
            ][..],
        ),
        (
            "qwen2_vl",
            &["model.embed", "model.layers.", "model.norm", "visual."],
        ),
        (
            "qwen2_5_vl",
            &[
                "lm_head.",
                "model.embed",
                "model.layers.",
                "model.norm",
                "visual.",
            ],
        ),
        (
            "qwen3_vl",
            &["lm_head.", "model.language_model.", "model.visual."],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        fs::copy(fixture(name).join("config.json"), config).unwrap();
        let expected = expected_tensors(folder.path()).unwrap();
        let mut own: Vec<_> = shapes(&stored(&fixture(name)))
            .into_iter()
            .map(|(_, shape)| shape)
            .collect();
        let mut others: Vec<_> = expected.iter().map(|(_, shape)| shape.clone()).collect();
        own.sort();
        others.sort();
        assert_eq!(own, others, "{name}");
        for beginning in beginnings {
            let known = |(name, _): &(String, _)| name.starts_with(beginning);
            assert!(expected.iter().any(known), "{name}: {beginning}");
        }
        let known = |name: &str| beginnings.iter().any(|own| name.starts_with(own));
        assert!(
            expected.iter().all(|(name, _)| known(name)),
            "{name}: {expected:?}"
        );
    }
}

/// Tensors and values of the model that `tools/transformers_tensors.py` makes on the meta device of the same config (transformers
/// 5.23); the hub's own index of `llava-hf/llava-1.5-7b-hf` has as many.
#[test]
fn a_model_of_full_size_takes_no_memory_to_plan() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "model_type": "llava", "image_token_index": 32_000,
        "text_config": { "model_type": "llama", "rms_norm_eps": 1e-5, "vocab_size": 32_064 },
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 1_024, "image_size": 336, "intermediate_size": 4_096,
            "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14 },
    });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let report = Report::of(folder.path()).unwrap();
    let tensors = report.tensors.unwrap();
    assert_eq!(tensors.expected.len(), 686);
    assert_eq!(tensors.parameters, 7_063_427_072);
    assert_eq!(tensors.found, None);
    // A tokenizer is a problem; weights are merely not there yet.
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.notes[0].contains("model.safetensors"));
}

#[test]
fn a_config_that_asks_for_tensors_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = fs::read(fixture("smolvlm_new").join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&source).unwrap();
    config["text_config"]["num_hidden_layers"] = json!(1_000_000_000);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let message = expected_tensors(folder.path()).unwrap_err().with_hint();
    assert!(
        message.contains("config.json") && message.contains("100000 tensors"),
        "{message}"
    );
}

#[test]
fn a_check_says_what_is_missing_surplus_or_of_another_shape_or_type() {
    const NORM: &str = "model.text_model.norm.weight";
    let report = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let folder = with(|tensors| change(tensors));
        let report = Report::of(folder.path()).unwrap();
        (report.fits(), report.tensors.unwrap())
    };
    let (fits, tensors) = report(&|tensors| drop(tensors.remove(NORM)));
    assert!(!fits && tensors.missing == [NORM]);
    let (fits, tensors) = report(&|tensors| {
        tensors.insert(
            "model.extra.weight".into(),
            Tensor::zeros([2], tch::kind::FLOAT_CPU),
        );
    });
    assert!(!fits && tensors.surplus == ["model.extra.weight"]);
    let (fits, tensors) = report(&|tensors| {
        tensors.insert(NORM.into(), Tensor::zeros([31], tch::kind::FLOAT_CPU));
    });
    let shape = &tensors.shape[0];
    assert!(!fits && tensors.shape.len() == 1);
    assert_eq!(
        (&shape.name[..], &shape.expected[..], &shape.found[..]),
        (NORM, &[32][..], &[31][..])
    );
    // What older versions stored, and newer ones compute.
    let old = [
        "model.text_model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.vision_model.embeddings.position_ids",
    ];
    let (fits, tensors) = report(&|tensors| {
        for name in old {
            tensors.insert(name.into(), Tensor::zeros([4], tch::kind::FLOAT_CPU));
        }
    });
    assert!(fits && tensors.ignored == old);
    let (fits, tensors) = report(&|tensors| {
        for tensor in tensors.values_mut() {
            *tensor = tensor.to_kind(Kind::BFloat16);
        }
    });
    assert!(fits && tensors.bytes == 2 * tensors.parameters);
}

#[test]
fn a_check_goes_by_the_index_where_shards_are_not_there_yet() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("smolvlm_old");
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name != "model-00002-of-00002.safetensors" {
            fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    let report = Report::of(folder.path()).unwrap();
    assert!(report.fits(), "{report:?}");
    let tensors = report.tensors.unwrap();
    let absent = read_tensors(&source.join("model-00002-of-00002.safetensors")).unwrap();
    assert_eq!(tensors.without_shape, absent.tensors.len());
    assert!(
        report.notes[0].contains("1 of 2 weight files"),
        "{:?}",
        report.notes
    );
}
