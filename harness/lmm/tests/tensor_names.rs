//! The tensor names of the LLaVA families as different versions of `transformers` write them: one checkpoint under all of them
//! gives the same logits, to the bit.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rave_lmm::{read_tensors, write_tensors};
use rave_methods::variant;
use tch::Tensor;

mod common;

/// From one name to another.
type Rename = fn(&str) -> String;

/// The name of a tensor as the hub's files write it.
fn hub(name: &str) -> String {
    let name = name.strip_prefix("model.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("lm_head.") {
        return format!("language_model.lm_head.{rest}");
    }
    let decoder = name.strip_prefix("language_model.");
    if let Some(rest) =
        decoder.filter(|rest| !rest.starts_with("model.") && !rest.starts_with("lm_head."))
    {
        return format!("language_model.model.{rest}");
    }
    let tower = name.strip_prefix("vision_tower.");
    match tower.filter(|rest| !rest.starts_with("vision_model.")) {
        Some(rest) => format!("vision_tower.vision_model.{rest}"),
        None => name.to_owned(),
    }
}

/// That of a newer file, given that of the hub's.
fn newer(name: &str) -> String {
    match name.strip_prefix("language_model.lm_head.") {
        Some(rest) => format!("lm_head.{rest}"),
        None => format!(
            "model.{}",
            name.replace("language_model.model.", "language_model.")
        ),
    }
}

/// The tower without the level that newest versions leave out.
fn flat(name: &str) -> String {
    name.replace("vision_tower.vision_model.", "vision_tower.")
}

/// A checkpoint folder whose tensors are called otherwise.
fn renamed(folder: &Path, name_of: impl Fn(&str) -> String) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, target.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let file = target.path().join("model.safetensors");
    let tensors = read_tensors(&file).unwrap().tensors;
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(name, tensor)| (name_of(&name), tensor))
        .collect();
    write_tensors(&file, &tensors, &BTreeMap::new()).unwrap();
    target
}

fn logits(folder: &Path) -> Tensor {
    let model = common::load(folder);
    let picture = RgbImage::from_fn(70, 33, |x, y| image::Rgb([x as u8, (5 * y) as u8, 90]));
    let prompt = model.processor().prepare(&[&picture], "Read it.").unwrap();
    let standard = model.build(variant("standard").unwrap(), 0, None).unwrap();
    let embeds = model.encode_image(&prompt).unwrap();
    model
        .logits(standard.attention.as_ref(), &prompt, &embeds, &[])
        .unwrap()
}

#[test]
fn a_llava_is_the_same_under_old_and_new_names() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/fixtures", "../../../shared/goldens/parity"].map(|at| tests.join(at));
    let folders = folders
        .iter()
        .flat_map(|at| ["llava", "llava_onevision"].map(|name| at.join(name)));
    for folder in folders {
        if !folder.is_dir() {
            println!("skipped: {} is not there", folder.display());
            continue;
        }
        let expected = logits(&folder);
        let layouts: [(&str, Rename); 4] = [
            ("hub", str::to_owned),
            ("hub, flat tower", flat),
            ("newer", newer),
            ("newer, flat tower", |name| flat(&newer(name))),
        ];
        for (layout, name_of) in layouts {
            let other = renamed(&folder, |name| name_of(&hub(name)));
            assert_eq!(
                logits(other.path()),
                expected,
                "{layout}: {}",
                folder.display()
            );
        }
    }
}

/// As `AutoModel` saves a checkpoint: the names of the model within, without the level that has the head beside it.
#[test]
fn tensors_of_a_model_saved_without_its_head_are_found() {
    for fixture in ["smolvlm_new", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"] {
        let folder = common::fixture(fixture);
        let within = |name: &str| {
            let Some(inner) = name.strip_prefix("model.") else {
                return name.to_owned();
            };
            let old_decoder = ["layers.", "embed_tokens.", "norm."];
            if old_decoder.iter().any(|part| inner.starts_with(part)) {
                return format!("language_model.{inner}");
            }
            inner.to_owned()
        };
        let other = renamed(&folder, within);
        assert_eq!(logits(other.path()), logits(&folder), "{fixture}");
    }
}

/// The tower's last layer and norm are not used, but `transformers` looks for them.
#[test]
fn a_saved_llava_has_every_tensor_that_it_was_opened_with() {
    let folder = common::fixture("llava");
    let model = common::load(&folder);
    let weights = |folder: &Path| {
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        // The fixture holds what was expected of it beside its weights.
        let files = files.filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("model")
        });
        let files = files.filter(|path| path.extension().is_some_and(|own| own == "safetensors"));
        let tensors = files.flat_map(|path| read_tensors(&path).unwrap().tensors);
        tensors.collect::<BTreeMap<_, _>>()
    };
    let (target, expected) = (tempfile::tempdir().unwrap(), weights(&folder));
    assert!(expected.len() > model.parameters().len());
    for apart in [false, true] {
        let place = target.path().join(apart.to_string());
        model
            .save(&place, &[], apart, &serde_json::json!({}))
            .unwrap();
        assert_eq!(weights(&place), expected);
        assert_eq!(logits(&place), logits(&folder));
    }
}

/// What the hub's `llava-1.5-7b-hf` says of its decoder.
#[test]
fn the_sizes_of_a_sparse_config_are_those_of_a_llama() {
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "model_type": "llava", "image_token_index": 32_000,
        "text_config": { "model_type": "llama", "max_position_embeddings": 4_096, "rms_norm_eps": 1e-5, "vocab_size": 32_064 },
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 1_024, "image_size": 336, "intermediate_size": 4_096,
            "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14 },
    });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let weights: PathBuf = folder.path().join("model.safetensors");
    write_tensors(
        &weights,
        &[("some".to_owned(), Tensor::from(1.0))],
        &BTreeMap::new(),
    )
    .unwrap();
    let geometry = rave_lmm::geometry(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(
        (geometry.layers, geometry.heads, geometry.kv_heads),
        (32, 32, 32)
    );
    assert_eq!((geometry.head_dim, geometry.model_width), (128, 4_096));
}
