//! Built-in models, in the unchanged SmolVLM layout: `nano`, tiny and trained, the same untrained, and one of SmolVLM-256M's
//! exact sizes.
//!
//! The trained ones are a [`crate::Grid`] of checkpoints in this crate's `models/`. The untrained ones are seeded random
//! weights, written once into the cache folder and then loaded as any checkpoint, so that the whole path from file to
//! answer is the real one, and latency can be measured at a real size with no hub. A marker file beside the weights says
//! so, and every record, table and chart repeats it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

mod files;
mod sizes;
mod start;
mod tokenizer;
mod weights;

use self::sizes::{NANO, SMOLVLM_256M, Sizes};
use super::{grid, read_json};
use crate::Error;

/// Raised whenever the files would differ.
const VERSION: u32 = 3;
const SEED: u64 = 0;
/// The marker beside the weights.
pub(crate) const MARKER: &str = "rave.json";

/// A model that comes with this program.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its name for `--model`.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Whether trained checkpoints of it are shipped; else its weights are seeded random numbers.
    pub shipped: bool,
    sizes: Sizes,
}

/// Every built-in model.
pub static MODELS: &[BuiltIn] = &[
    BuiltIn {
        name: "nano",
        summary: "tiny SmolVLM that reads the embedded suites: a checkpoint for each of three training seeds and each trained \
                  variant, made as results/PROTOCOL.md says",
        shipped: true,
        sizes: NANO,
    },
    BuiltIn {
        name: "nano-untrained",
        summary: "nano with seeded random weights, to train from and to try things with",
        shipped: false,
        sizes: NANO,
    },
    BuiltIn {
        name: "smolvlm-256m-random",
        summary: "SmolVLM-256M's exact sizes with seeded random weights, for latency and memory alone (0.5 GB on disk)",
        shipped: false,
        sizes: SMOLVLM_256M,
    },
];

/// The folder of the built-in model of this name, made on first use when it is not shipped; `None` when there is none of
/// this name.
///
/// # Errors
/// When the shipped checkpoints are not where this program was built; when the cache folder cannot be written, naming it.
pub fn folder(name: &str) -> Result<Option<PathBuf>, Error> {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        return Ok(None);
    };
    if model.shipped {
        let models = std::env::var_os("RAVE_MODELS").filter(|folder| !folder.is_empty());
        let models = models.map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("models"),
            PathBuf::from,
        );
        let folder = models.join(name);
        if !folder.join(grid::FILE).is_file() {
            return Err(Error::Missing {
                what: format!("{}, of the shipped model `{name}`,", grid::FILE),
                hint: "set RAVE_MODELS to harness/lmm/models of this program's source, or give the folder of another \
                         model"
                    .into(),
                folder,
            });
        }
        return Ok(Some(folder));
    }
    let cache = cache_folder()?;
    let folder = cache.join(format!(
        "{}-untrained-{VERSION}",
        name.trim_end_matches("-untrained")
    ));
    if folder.join(MARKER).is_file() {
        return Ok(Some(folder));
    }
    write(name, SEED, &folder)?;
    Ok(Some(folder))
}

/// Writes the built-in model of this name with weights of that seed into a folder, unless it is there already.
///
/// # Errors
/// No such model; a folder that cannot be written, naming it.
pub fn write(name: &str, seed: u64, folder: &Path) -> Result<(), Error> {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        return Err(Error::UnknownModel {
            name: name.to_owned(),
            built_in: MODELS.iter().map(|model| model.name.to_owned()).collect(),
            hint: None,
        });
    };
    if folder.join(MARKER).is_file() {
        return Ok(());
    }
    // Written beside and moved into place, so that a killed process leaves no half checkpoint and two may race.
    let partial = folder.with_extension(std::process::id().to_string());
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(&partial).map_err(io(&partial))?;
    model.sizes.write(&partial, seed)?;
    match fs::rename(&partial, folder) {
        Err(_) if folder.join(MARKER).is_file() => {
            fs::remove_dir_all(&partial).map_err(io(&partial))
        }
        moved => moved.map_err(io(folder)),
    }
}

/// Whether a checkpoint folder is marked as untrained.
pub(crate) fn is_untrained(folder: &Path) -> Result<bool, Error> {
    let marker = folder.join(MARKER);
    Ok(marker.is_file() && read_json(&marker)?.get("untrained") == Some(&Value::Bool(true)))
}

/// The project's cache folder: `RAVE_CACHE`, or `rave-bench` in the user's cache.
///
/// # Errors
/// When none of the variables that place it is set.
pub fn cache_folder() -> Result<PathBuf, Error> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("RAVE_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("rave-bench")))
        .or_else(|| from("HOME").map(|home| home.join(".cache").join("rave-bench")))
        .ok_or_else(|| Error::Missing {
            folder: PathBuf::from("~"),
            what: "a cache folder".into(),
            hint: "set RAVE_CACHE to a folder that can be written".into(),
        })
}
