//! The fixtures, and copies of them to be damaged for the tests of what is refused.

#![allow(dead_code, reason = "every test file uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

use rave_lmm::{LoadOptions, Model};
use serde_json::Value;
use tempfile::TempDir;

/// A checkpoint of every family and layout of files, written by `transformers` (`fixtures/make_fixtures.py`,
/// `make_llava_fixtures.py`).
pub const FIXTURES: [&str; 7] = [
    "smolvlm_new",
    "smolvlm_old",
    "llava",
    "llava_onevision",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
];

/// The path of a fixture.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The model in a folder.
pub fn load(folder: impl AsRef<Path>) -> Model {
    let folder = folder.as_ref().to_str().unwrap();
    Model::load(folder, LoadOptions::default()).unwrap()
}

/// A fixture by its name, or a built-in model.
pub fn open(name: &str) -> Model {
    let fixture = fixture(name);
    if fixture.join("config.json").is_file() {
        load(fixture)
    } else {
        load(name)
    }
}

/// A copy of a good checkpoint, to be damaged.
pub fn copy(name: &str) -> TempDir {
    let target = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, target.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    target
}

/// The message and the hint with which a damaged copy is refused.
pub fn refusal(fixture: &str, damage: impl FnOnce(&Path)) -> String {
    let folder = copy(fixture);
    damage(folder.path());
    match Model::load(folder.path().to_str().unwrap(), LoadOptions::default()) {
        Ok(_) => panic!("a damaged checkpoint was loaded"),
        Err(error) => {
            assert!(error.hint().is_some(), "no remedy for: {error}");
            error.with_hint()
        }
    }
}

/// Rewrites a JSON file.
pub fn edit(path: PathBuf, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Makes sure that every message has the parts that it must have.
pub fn check(cases: &[(&str, String, &[&str])]) {
    for (damage, message, parts) in cases {
        for part in *parts {
            assert!(
                message.contains(part),
                "{damage}: `{part}` is not in: {message}"
            );
        }
    }
}
