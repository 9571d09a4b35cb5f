//! The files of a checkpoint beside its weights: one of them is the input, the others are those of a parity fixture.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rave_lmm::{Error, LoadOptions, Model};

use super::{named, working};
use crate::Outcome;

const CONFIGS: &[&str] = &[
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
];

/// Where the fixtures lie.
pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lmm/tests/fixtures")
}

/// `<fixture>/<file>`, then the file.
pub(super) fn config(input: &[u8]) -> Outcome {
    read(input, CONFIGS)
}

/// `<fixture>/tokenizer.json`, then the file.
pub(super) fn tokenizer(input: &[u8]) -> Outcome {
    read(input, &["tokenizer.json"])
}

/// `<fixture>/chat_template.jinja` or `<fixture>/chat_template.json`, then the file.
pub(super) fn template(input: &[u8]) -> Outcome {
    read(input, &["chat_template.jinja", "chat_template.json"])
}

fn read(input: &[u8], files: &[&str]) -> Outcome {
    let Some((place, bytes)) = named(input) else {
        return Outcome::Foreign;
    };
    let Some((fixture, file)) = place.split_once('/') else {
        return Outcome::Foreign;
    };
    let source = fixtures().join(fixture);
    let is_name = !fixture.is_empty() && !fixture.starts_with('.');
    if !is_name || !files.contains(&file) || !source.join("config.json").is_file() {
        return Outcome::Foreign;
    }
    let folder = working(tempfile::tempdir());
    for entry in working(fs::read_dir(&source)) {
        let path = working(entry).path();
        if let Some(name) = path.file_name().filter(|name| *name != file) {
            working(symlink(&path, folder.path().join(name)));
        }
    }
    working(fs::write(folder.path().join(file), bytes));
    ask(folder.path()).into()
}

/// Opens a checkpoint and prepares a prompt with a picture.
fn ask(folder: &Path) -> Result<(), Error> {
    let model = Model::open("fuzzed", folder.to_owned(), LoadOptions::default())?;
    let picture = RgbImage::from_pixel(20, 12, image::Rgb([7, 99, 200]));
    let prompt = model.processor().prepare(&[&picture], "What is it?")?;
    model.processor().decode(&prompt.ids)?;
    Ok(())
}
