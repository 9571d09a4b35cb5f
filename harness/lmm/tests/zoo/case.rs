//! A case as `tools/zoo.py` writes it, and the checkpoint that it and the small files make.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::formula;

/// One checkpoint, and what `transformers` made of it.
#[derive(Deserialize)]
pub struct Case {
    pub checkpoint: String,
    /// Each small file, and the folder that it comes from.
    pub files: BTreeMap<String, String>,
    /// What a refusal must name, where the small files alone must be refused.
    pub refused: Option<Vec<String>>,
    /// Name and shape of every tensor of `transformers`' model at the sizes of the published config, under the hub's names.
    #[serde(default)]
    full_size: BTreeMap<String, Vec<i64>>,
    /// Sizes to change in `config.json`, by dotted path.
    #[serde(default)]
    changed: BTreeMap<String, Value>,
    /// A key that a file, by its name, is to go without.
    #[serde(default)]
    dropped: BTreeMap<String, String>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    pub new_tokens: usize,
    /// The lead over the second token below which either is right, as a share of the largest logit.
    #[serde(default)]
    pub tie: f64,
    #[serde(default)]
    tensors: BTreeMap<String, Rule>,
    #[serde(default)]
    pub prompts: Vec<Asked>,
}

/// How the values of a tensor are drawn.
#[derive(Clone, Deserialize)]
struct Rule {
    shape: Vec<usize>,
    spread: f32,
    offset: f32,
}

/// A prompt with what `transformers` made of it.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Asked {
    Answered(Answer),
    /// What `transformers` does not compute either.
    Refused {
        question: String,
        transformers_refuses: String,
    },
}

#[derive(Deserialize)]
pub struct Answer {
    pub question: String,
    /// Number, width and height of each.
    pub pictures: Vec<[u32; 3]>,
    input_ids: Vec<Run>,
    /// [`formula::digest`] of the pixel values; none without a picture.
    pub pixels: Option<String>,
    pub generated_ids: Vec<i64>,
    /// The lead of each generated token, and of the end token that followed.
    pub margins: Vec<f64>,
}

/// A token id, or one with how often it is repeated.
#[derive(Deserialize)]
#[serde(untagged)]
enum Run {
    One(i64),
    Many(i64, usize),
}

impl Answer {
    pub fn input_ids(&self) -> Vec<i64> {
        let repeated = self.input_ids.iter().flat_map(|run| {
            let (id, count) = match *run {
                Run::One(id) => (id, 1),
                Run::Many(id, count) => (id, count),
            };
            std::iter::repeat_n(id, count)
        });
        repeated.collect()
    }
}

/// The file itself, where a copy has made a text file of a link between folders.
fn target(path: PathBuf) -> PathBuf {
    if fs::metadata(&path).unwrap().len() < 200 {
        let link = fs::read_to_string(&path).unwrap();
        let other = path.parent().unwrap().join(link.trim());
        if link.starts_with("../") && other.is_file() {
            return other;
        }
    }
    path
}

/// Changes a JSON file. It is not written over: the copy of a read-only file is read-only.
fn rewrite(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::remove_file(path).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

impl Case {
    /// All cases of a folder, by name.
    pub fn all(folder: &Path) -> Vec<Self> {
        let entries = fs::read_dir(folder).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
        paths.sort();
        let read = |path: &PathBuf| {
            serde_json::from_slice(&fs::read(path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        paths.iter().map(read).collect()
    }

    /// Name and shape of every tensor of the published checkpoint; none where `transformers` does not open it.
    pub fn full_size(&self) -> BTreeMap<String, Vec<i64>> {
        formula::expanded(&self.full_size)
    }

    /// Whether the small files that it is made of are there.
    pub fn has_files(&self, hub_files: &Path) -> bool {
        let mut files = self.files.iter();
        files.all(|(name, folder)| hub_files.join(folder).join(name).is_file())
    }

    /// A folder with the small files as they are.
    pub fn small_files(&self, hub_files: &Path) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, source) in &self.files {
            let path = target(hub_files.join(source).join(name));
            fs::copy(path, folder.path().join(name)).unwrap();
        }
        folder
    }

    /// A folder with the whole checkpoint: small files, changed where the case says so, and weights.
    pub fn checkpoint(&self, hub_files: &Path) -> TempDir {
        let folder = self.small_files(hub_files);
        rewrite(&folder.path().join("config.json"), |config| {
            for (name, value) in &self.changed {
                let parts = name.split('.');
                *parts.fold(&mut *config, |place, part| &mut place[part]) = value.clone();
            }
        });
        for (name, key) in &self.dropped {
            rewrite(&folder.path().join(name), |value| {
                value.as_object_mut().unwrap().remove(key).unwrap();
            });
        }
        let mut tensors = Vec::new();
        for (name, rule) in formula::expanded(&self.tensors) {
            let count = rule.shape.iter().product::<usize>() as u64;
            let values = formula::weights(self.seed, &name, count, rule.spread, rule.offset);
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            tensors.push((name, rule.shape, bytes));
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name, view.unwrap())
        });
        let path = folder.path().join("model.safetensors");
        safetensors::serialize_to_file(views, None, &path).unwrap();
        folder
    }
}
