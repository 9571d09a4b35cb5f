//! A checkpoint folder in the Hugging Face layout: `config.json` and its weights as `model.safetensors` or as shards with
//! `model.safetensors.index.json`.
//!
//! Weights are memory-mapped and read a tensor at a time, so loading needs the weights in the compute type and little
//! more. The header of every file is validated by the `safetensors` crate before a byte of data is touched: offsets past
//! the end, holes, overlaps and sizes that contradict the shapes are errors. Torch pickles are refused: opening one runs
//! code that its author chose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::Error;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Why pickles are refused.
const PICKLE: &str = "a Torch pickle is not loaded: opening one runs code chosen by its author; convert it to safetensors \
     (in Python: safetensors.torch.save_file) and put model.safetensors beside config.json";

/// An opened checkpoint folder.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    config: Value,
    shards: Vec<Shard>,
    /// Tensor name -> shard that holds it.
    location: BTreeMap<String, usize>,
}

/// One mapped weight file.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    bytes: Mmap,
}

impl Checkpoint {
    /// Opens a folder, reads its config and validates the headers of its weight files.
    ///
    /// # Errors
    /// Names the file: missing, not JSON, not safetensors, truncated, an index that contradicts the shards, or pickles.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let config_path = folder.join("config.json");
        if !config_path.is_file() {
            return Err(Error::Missing {
                folder: folder.to_owned(),
                what: "config.json".into(),
                remedy: "give the folder of a whole checkpoint, with config.json, weights and tokenizer.json".into(),
            });
        }
        let config = read_json(&config_path)?;
        let shards = weight_files(folder)?
            .iter()
            .map(|path| Shard::open(path))
            .collect::<Result<Vec<_>, _>>()?;
        let mut location = BTreeMap::new();
        for (number, shard) in shards.iter().enumerate() {
            for name in shard.view()?.names() {
                if let Some(other) = location.insert(name.to_owned(), number) {
                    let reason = format!(
                        "tensor `{name}` is also in {}; keep one of the two",
                        shards[other].path.display()
                    );
                    return Err(Error::malformed(&shard.path, reason));
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            config,
            shards,
            location,
        })
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

    /// SHA-256 of the weight files in order, hex: what an adapter and a run record refer to.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for shard in &self.shards {
            hash.update(&shard.bytes);
        }
        hex(&hash.finalize())
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
            let what = format!("tensor `{name}`");
            let remedy =
                "the weights do not fit config.json; use the config that was saved with them"
                    .into();
            return Err(Error::Missing {
                folder: self.folder.clone(),
                what,
                remedy,
            });
        };
        let shard = &self.shards[number];
        let header = shard.view()?;
        let view = header.tensor(name).map_err(|error| shard.invalid(&error))?;
        let found: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        if found != shape {
            let reason = format!(
                "tensor `{name}` has shape {found:?} where config.json asks for {shape:?}; use the config that was saved with the weights"
            );
            return Err(Error::malformed(&shard.path, reason));
        }
        let Some(stored) = floating(view.dtype()) else {
            let reason = format!(
                "tensor `{name}` is {:?}; F32, F16 and BF16 weights can be loaded",
                view.dtype()
            );
            return Err(Error::malformed(&shard.path, reason));
        };
        let tensor = Tensor::f_from_data_size(view.data(), &found, stored)?;
        Ok(tensor.f_to_device(device)?.f_to_kind(kind)?)
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        // SAFETY: the mapping is read-only and private to this value. A file that another process truncates while it is
        // mapped would fault; checkpoints are written once and then left alone, as every safetensors reader assumes.
        #[allow(unsafe_code)]
        let bytes = unsafe { Mmap::map(&file) }.map_err(io)?;
        // A zip archive (Torch since 1.6) or a bare pickle: renaming a file does not convert it.
        if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80\x02") {
            return Err(Error::malformed(path, PICKLE));
        }
        let shard = Self {
            path: path.to_owned(),
            bytes,
        };
        shard.view()?;
        Ok(shard)
    }

    fn view(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| self.invalid(&error))
    }

    fn invalid(&self, error: &safetensors::SafeTensorError) -> Error {
        let reason = format!(
            "not a valid safetensors file ({error}); it is truncated or damaged: fetch it again"
        );
        Error::malformed(&self.path, reason)
    }
}

/// The weight files of a folder: the single file, or the shards that the index lists.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let index = folder.join(INDEX);
    if !index.is_file() {
        let single = folder.join(SINGLE);
        if single.is_file() {
            return Ok(vec![single]);
        }
        return Err(no_weights(folder));
    }
    let map = read_json(&index)?;
    let Some(map) = map.get("weight_map").and_then(Value::as_object) else {
        return Err(Error::malformed(
            &index,
            "it has no `weight_map`; fetch the index again",
        ));
    };
    let mut names = BTreeSet::new();
    for file in map.values() {
        match file.as_str() {
            Some(name) if Path::new(name).file_name().is_some_and(|own| own == name) => {
                names.insert(name)
            }
            _ => {
                return Err(Error::malformed(
                    &index,
                    format!(
                        "shard {file} is not the name of a file in this folder; fetch the index again"
                    ),
                ));
            }
        };
    }
    for name in &names {
        if !folder.join(name).is_file() {
            let remedy = format!("{INDEX} lists it: fetch it");
            return Err(Error::Missing {
                folder: folder.to_owned(),
                what: format!("shard {name}"),
                remedy,
            });
        }
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Why a folder without safetensors is refused: pickles are named as what they are.
fn no_weights(folder: &Path) -> Error {
    let pickle = std::fs::read_dir(folder).ok().and_then(|entries| {
        entries.flatten().map(|entry| entry.path()).find(|path| {
            path.extension().is_some_and(|extension| {
                ["bin", "pt", "pth", "ckpt"]
                    .iter()
                    .any(|pickle| extension == *pickle)
            })
        })
    });
    match pickle {
        Some(path) => Error::malformed(&path, PICKLE),
        None => Error::Missing {
            folder: folder.to_owned(),
            what: format!("{SINGLE} (or {INDEX} with its shards)"),
            remedy: "fetch the weights of this checkpoint".into(),
        },
    }
}

/// Reads and parses a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value, Error> {
    serde_json::from_slice(&Error::read(path)?)
        .map_err(|error| Error::malformed(path, format!("not valid JSON: {error}; fetch it again")))
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

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
