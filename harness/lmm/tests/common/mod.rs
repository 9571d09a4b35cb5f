//! Checkpoints to be damaged, for the tests of what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use rave_lmm::{LoadOptions, Model};
use serde_json::Value;
use tempfile::TempDir;

/// A copy of a good checkpoint, to be damaged.
pub fn copy(fixture: &str) -> TempDir {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(fixture);
    let target = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(source).unwrap() {
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
