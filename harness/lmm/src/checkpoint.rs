//! A checkpoint folder in the Hugging Face layout: `config.json` and its weights as `model.safetensors` or as shards with
//! `model.safetensors.index.json`.
//!
//! Weights are memory-mapped and read a tensor at a time, so loading needs the weights in the compute type and little
//! more. The header of every file is validated by the `safetensors` crate before a byte of data is touched: offsets past
//! the end, holes, overlaps and sizes that contradict the shapes are errors. Torch pickles are refused: opening one runs
//! code that its author chose.

pub mod adapter;
pub mod built_in;
pub mod check;
pub mod dtype;
mod foreign;
mod gguf;
pub mod grid;
mod hashes;
pub mod hub;
pub mod import;
mod json;
mod layout;
mod outline;
pub(crate) mod resolve;
mod shard;
pub mod size;
pub(crate) mod small_files;
pub(crate) mod tensors;
mod unread_index;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rave_hints::refusal;
use safetensors::Dtype;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

pub(crate) use self::foreign::{PEFT_CONFIG, is_peft, no_weights, peft};
pub use self::hashes::{Hashes, Rehashed};
pub(crate) use self::json::{parse_json, read_json};
pub(crate) use self::layout::{INDEX, Layout, SINGLE, files, read as read_index, some};
pub(crate) use self::outline::Outline;
use self::shard::Shard;
pub(crate) use self::shard::map;
use crate::Error;

/// The files of a checkpoint beside its weights that a model is made from.
pub(crate) const COMPANIONS: [&str; 14] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "processor_config.json",
    "preprocessor_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/default.jinja",
];

/// Where further chat templates lie, each a file.
const TEMPLATES: &str = "additional_chat_templates/";

/// Whether a model is made from the file of this name, beside its weights.
pub(crate) fn is_companion(name: &str) -> bool {
    COMPANIONS.contains(&name)
        || name
            .strip_prefix(TEMPLATES)
            .is_some_and(|own| !own.contains('/') && foreign::has_extension(own, &["jinja"]))
}

/// An opened checkpoint folder.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    config: Value,
    shards: Vec<Shard>,
    /// Tensor name -> shard that holds it.
    location: BTreeMap<String, usize>,
    /// Tensor name -> file that should hold it by the index, and does not.
    unheld: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Checkpoint {
    /// Opens a folder, reads its config and validates the headers of its weight files.
    ///
    /// # Errors
    /// As [`Self::small_files`] and [`Self::with_weights`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::small_files(folder)?.with_weights()
    }

    /// Opens a folder and reads its config. Its weights need not be there yet, and are not looked at.
    ///
    /// # Errors
    /// Names the file: missing, not JSON, or an adapter in the place of a checkpoint.
    pub fn small_files(folder: &Path) -> Result<Self, Error> {
        let config_path = folder.join("config.json");
        if !config_path.is_file() {
            let adapter = folder.join(PEFT_CONFIG);
            if adapter.is_file() {
                return Err(peft(&adapter, &read_json(&adapter)?, false));
            }
            return Err(Error::Missing {
                folder: folder.to_owned(),
                what: "config.json".into(),
                hint: "give the folder of a whole checkpoint, with config.json, weights and tokenizer.json".into(),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            config: read_json(&config_path)?,
            shards: Vec::new(),
            location: BTreeMap::new(),
            unheld: BTreeMap::new(),
            notes: Vec::new(),
        })
    }

    /// Maps the weight files and validates their headers.
    ///
    /// # Errors
    /// Names the file: missing, not safetensors, truncated, an index that contradicts the shards, pickles, or other weights that are
    /// not loaded.
    pub fn with_weights(mut self) -> Result<Self, Error> {
        let layout = self.layout()?;
        let file = self.path(layout.file());
        let (paths, weight_map) = match &layout {
            Layout::Single(_) => (vec![file.clone()], BTreeMap::new()),
            Layout::Sharded(_) => {
                let weight_map = layout::read(&file)?;
                (layout::shard_paths(&file, &weight_map)?, weight_map)
            }
        };
        self.shards = paths
            .iter()
            .map(|path| Shard::open(path))
            .collect::<Result<Vec<_>, _>>()?;
        for (number, shard) in self.shards.iter().enumerate() {
            for name in shard.view()?.names() {
                if let Some(other) = self.location.insert(name.to_owned(), number) {
                    let reason = refusal(
                        format!(
                            "tensor `{name}` is also in {}",
                            self.shards[other].path.display()
                        ),
                        "keep one of the two",
                    );
                    return Err(Error::malformed(&shard.path, reason));
                }
            }
        }
        for (name, place) in weight_map {
            let Some(&number) = self.location.get(&name) else {
                self.unheld.insert(name, place);
                continue;
            };
            let held = &self.shards[number].path;
            if *held != self.path(&place) {
                self.notes.push(format!(
                    "`{name}` is loaded from {}, which holds it, as transformers does; {INDEX} says {place}",
                    layout::file_name(held)
                ));
            }
        }
        if let (Layout::Single(_), [single]) = (layout, &self.shards[..]) {
            let note = unread_index::note(single, &self.folder)?;
            self.notes.extend(note);
        }
        Ok(self)
    }

    /// What its weights are loaded from.
    pub(crate) fn layout(&self) -> Result<Layout, Error> {
        let entries = std::fs::read_dir(&self.folder).map_err(|source| Error::Io {
            path: self.folder.clone(),
            source,
        })?;
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        let has = |name: &str| self.path(name).is_file();
        let layout = Layout::find(&self.path("config.json"), &self.config, has)?;
        if is_peft(has) {
            let adapter = self.path(PEFT_CONFIG);
            return Err(peft(&adapter, &read_json(&adapter)?, layout.is_some()));
        }
        layout.ok_or_else(|| {
            let names = names.iter().map(String::as_str);
            no_weights(&self.folder, &names, "fetch the weights of this checkpoint")
        })
    }

    /// What is odd about its weight files, and harmless.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of one of its files.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// `config.json`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.location.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.location.contains_key(name)
    }

    /// The element type in which a tensor is stored; `None` for one that there is not.
    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        let shard = &self.shards[*self.location.get(name)?];
        floating(shard.view().ok()?.tensor(name).ok()?.dtype())
    }

    /// One tensor as it is stored; `None` for one that is not there or holds no floating-point numbers.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub(crate) fn stored(&self, name: &str) -> Result<Option<Tensor>, Error> {
        let (Some(&number), Some(kind)) = (self.location.get(name), self.kind(name)) else {
            return Ok(None);
        };
        let shard = &self.shards[number];
        let header = shard.view()?;
        let view = header.tensor(name).map_err(|error| shard.invalid(&error))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        self.tensor(name, &shape, Device::Cpu, kind).map(Some)
    }

    /// Number of values in all tensors.
    ///
    /// # Errors
    /// When a header is no longer valid (the file changed under us).
    pub fn parameters(&self) -> Result<u64, Error> {
        let mut count = 0;
        for shard in &self.shards {
            for (_, view) in shard.view()?.tensors() {
                count += view.shape().iter().product::<usize>() as u64;
            }
        }
        Ok(count)
    }

    /// The files that it is made from beside its weights, as far as they are there.
    pub(crate) fn companions(&self) -> Vec<String> {
        let mut names: Vec<_> = COMPANIONS.map(str::to_owned).into();
        let templates = std::fs::read_dir(self.path(TEMPLATES));
        let templates = templates.into_iter().flatten().flatten();
        names.extend(
            templates.map(|entry| format!("{TEMPLATES}{}", entry.file_name().to_string_lossy())),
        );
        names.retain(|name| is_companion(name) && self.path(name).is_file());
        names
    }

    /// Reads one tensor of the given shape onto a device in an element type.
    ///
    /// # Errors
    /// A missing tensor, a shape that the config contradicts, an element type that is no floating-point number.
    pub fn tensor(
        &self,
        name: &str,
        shape: &[i64],
        device: Device,
        kind: Kind,
    ) -> Result<Tensor, Error> {
        let Some(&number) = self.location.get(name) else {
            if let Some(file) = self.unheld.get(name) {
                return Err(not_there(&self.path(self.layout()?.file()), name, file));
            }
            let what = format!("tensor `{name}`");
            let adapted = name.replace(".weight", ".base_layer.weight");
            let hint = if self.location.contains_key(&adapted) {
                "the weights hold a LoRA adapter that was not merged (`base_layer`): merge it (in Python: merge_and_unload(), then \
                 save_pretrained) and give that folder"
            } else {
                "the weights do not fit config.json: use the config that was saved with them"
            }
            .into();
            return Err(Error::Missing {
                folder: self.folder.clone(),
                what,
                hint,
            });
        };
        let shard = &self.shards[number];
        let header = shard.view()?;
        let view = header.tensor(name).map_err(|error| shard.invalid(&error))?;
        let found: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        if found != shape {
            let reason = refusal(
                format!("tensor `{name}` has shape {found:?} where config.json asks for {shape:?}"),
                "use the config that was saved with the weights",
            );
            return Err(Error::malformed(&shard.path, reason));
        }
        let Some(stored) = floating(view.dtype()) else {
            let reason = refusal(
                format!("tensor `{name}` is {:?}", view.dtype()),
                "F32, F16 and BF16 weights can be loaded",
            );
            return Err(Error::malformed(&shard.path, reason));
        };
        shard.copy(&view, stored, device, kind)
    }
}

/// An index that places a tensor where it is not.
fn not_there(index: &Path, tensor: &str, file: &str) -> Error {
    let reason = refusal(
        format!("it says that {file} holds tensor `{tensor}`, which is not there"),
        "fetch the index and its shards again",
    );
    Error::malformed(index, reason)
}

/// The tensor element type of a floating-point safetensors type.
pub(crate) fn floating(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::F64 => Some(Kind::Double),
        _ => None,
    }
}
