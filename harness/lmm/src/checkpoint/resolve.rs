//! From a model's name to the folder of its checkpoint.

use std::path::PathBuf;

use rave_hub::{Kind, Reference, Settings, cached};

use super::built_in;
use super::grid::{self, Grid};
use crate::{Checkpoint, Error, families};

/// The folder of a model by its name: a built-in model, a folder, or a repository that [`crate::hub::fetch`] has brought into
/// the hub's cache. Nothing is fetched here, so every part of a run finds the same files.
///
/// # Errors
/// [`Error::UnknownModel`] and [`Error::Hub`] with the remedy.
pub fn resolve(name: &str) -> Result<PathBuf, Error> {
    if let Some(folder) = built_in::folder(name)? {
        return Ok(folder);
    }
    let folder = PathBuf::from(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let hint = if folder.is_file() {
        "that is a file: give the checkpoint's folder".to_owned()
    } else if let Ok(reference) = name.parse::<Reference>() {
        return Ok(cached(Kind::Model, &reference, &Settings::from_env())?);
    } else {
        "give the folder of a checkpoint with config.json, model.safetensors and tokenizer.json"
            .to_owned()
    };
    Err(Error::UnknownModel {
        name: name.to_owned(),
        built_in: built_in::MODELS
            .iter()
            .map(|model| model.name.to_owned())
            .collect(),
        hint: Some(hint),
    })
}

/// The checkpoint of the model called `name` (see [`resolve`]) on which `variant` runs; of a [`Grid`] the variant's own, at
/// the first seed when none is given.
///
/// # Errors
/// As [`resolve`]; a damaged grid, or a seed that it lacks.
pub fn checkpoint_folder(name: &str, variant: &str, seed: Option<u64>) -> Result<PathBuf, Error> {
    let folder = resolve(name)?;
    match Grid::open(&folder)? {
        Some(grid) => grid.checkpoint(seed.unwrap_or(grid.contents().seeds[0]), variant),
        None => Ok(folder),
    }
}
/// The checkpoint of a model with the headers of its weights, of a grid that of `standard`: what is asked before anything is loaded.
pub(crate) fn open_headers(name: &str) -> Result<Checkpoint, Error> {
    let folder = checkpoint_folder(name, grid::BASELINE, None)?;
    let checkpoint = Checkpoint::small_files(&folder)?;
    // A model that cannot run is refused for that, and not for weights that are not there.
    (families::of(&checkpoint)?.geometry)(&checkpoint)?;
    checkpoint.with_weights()
}
