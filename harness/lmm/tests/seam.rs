//! The slot is the only place where families and variants meet: no family's code names a variant, and no variant's code names
//! a family.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rave_lmm::FAMILIES;
use rave_methods::REGISTRY;
use safetensors::SafeTensors;

mod common;

/// What the decoder side may know of `rave_methods`: the slot and its vocabulary.
const SLOT: [&str; 9] = [
    "Attention",
    "Build",
    "Error",
    "Geometry",
    "Step",
    "Tokens",
    "Variant",
    "nearest",
    "noise",
];

#[test]
fn no_family_names_a_variant() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = rust_files(&source.join("families"));
    files.extend(rust_files(&source.join("nn")));
    files.push(source.join("families.rs"));
    assert!(files.len() >= 30, "the families lie elsewhere now");
    for file in files {
        let code = code(&file);
        for variant in REGISTRY {
            let literal = format!("\"{}\"", variant.id);
            assert!(
                !code.contains(&literal),
                "{} names {literal}",
                file.display()
            );
        }
        for part in code.split("rave_methods::").skip(1) {
            let names = part.strip_prefix('{').map_or_else(
                || {
                    part.split(|letter: char| !is_word(letter))
                        .take(1)
                        .collect()
                },
                |list| {
                    list.split('}')
                        .next()
                        .unwrap()
                        .split(',')
                        .collect::<Vec<_>>()
                },
            );
            for name in names
                .iter()
                .map(|name| name.trim())
                .filter(|name| !name.is_empty())
            {
                assert!(
                    SLOT.contains(&name),
                    "{} uses rave_methods::{name}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn no_variant_names_a_family() {
    let methods = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../methods/src");
    let files = rust_files(&methods);
    assert!(files.len() > 15, "the variants lie elsewhere now");
    for file in files {
        let code = code(&file).to_lowercase();
        for family in FAMILIES {
            for name in family.model_types.iter().chain([&family.id]) {
                assert!(!code.contains(name), "{} names {name}", file.display());
            }
        }
    }
}

/// What a parameter belongs to is noted where a family reads it; nobody else goes by names.
#[test]
fn code_that_families_share_names_no_tensor() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for fixture in ["smolvlm_new", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"] {
        let bytes = fs::read(common::fixture(fixture).join("model.safetensors")).unwrap();
        for name in SafeTensors::deserialize(&bytes).unwrap().names() {
            // Parts of names that no other text has.
            let parts = name.split('.').filter(|part| part.contains('_'));
            names.extend(parts.map(str::to_owned));
        }
    }
    assert!(names.contains("embed_tokens") && names.contains("lm_head"));
    let source = crate_folder.join("src");
    let rooms = ["model", "inference", "train"].map(|room| rust_files(&source.join(room)));
    let shared = [
        "model.rs",
        "processor/prompt.rs",
        "processor/text.rs",
        "nn/kv_cache.rs",
        "nn/part.rs",
    ];
    let shared = shared.map(|name| source.join(name));
    for file in rooms.into_iter().flatten().chain(shared) {
        for literal in code(&file).split('"').skip(1).step_by(2) {
            let mut words = literal.split(|letter| !is_word(letter));
            let named = words.find(|word| names.contains(*word));
            assert_eq!(named, None, "{} has \"{literal}\"", file.display());
        }
    }
}

/// Beside the kernels, `unsafe` maps files and loads LibTorch's CUDA library.
#[test]
fn unsafe_code_stands_in_the_kernels_and_at_the_edges_alone() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["methods/src", "harness/lmm/src", "harness/kernels/src"];
    let files = folders.map(|folder| rust_files(&workspace.join(folder)));
    let (mut kernels, mut edges) = (0, 0);
    for file in files.into_iter().flatten() {
        if !code(&file).contains("unsafe ") {
            continue;
        }
        if file.starts_with(workspace.join("harness/kernels")) {
            kernels += 1;
        } else {
            let is_edge = file.ends_with("checkpoint/shard.rs") || file.ends_with("nn/libtorch.rs");
            assert!(is_edge, "{} has unsafe code", file.display());
            edges += 1;
        }
    }
    assert_eq!((kernels, edges), (4, 2));
}

/// Every Rust file under a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// A file without its comments, which may say where a number comes from.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
