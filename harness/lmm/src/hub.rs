//! Checkpoints from the hub: what a model is loaded from, and nothing else of its repository.

use std::path::{Path, PathBuf};

use rave_hub::{Hub, Kind, Observer, Reference};

use crate::checkpoint::{COMPANIONS, INDEX, PICKLE, SINGLE, is_pickle, shards};
use crate::{Error, built_in, grid};

/// Brings a checkpoint from the hub into its cache, and gives its folder: config, tokenizer, chat template, preprocessing,
/// the safetensors files that it is loaded from, and adapters beside them. Of a [`crate::Grid`] every checkpoint.
///
/// # Errors
/// What the hub refuses; a repository that is no checkpoint, or one of pickles, before anything large is fetched.
pub fn fetch(
    hub: &Hub,
    reference: &Reference,
    observer: &mut dyn Observer,
) -> Result<PathBuf, Error> {
    let repository = hub.open(Kind::Model, reference, observer)?;
    let files = repository.files();
    let has = |name: &str| files.iter().any(|file| file == name);
    let mut folders = vec![""];
    if has(grid::FILE) {
        repository.fetch(grid::FILE, observer)?;
        let configs = files
            .iter()
            .filter_map(|file| file.strip_suffix("config.json"));
        folders = configs.filter(|folder| folder.ends_with('/')).collect();
    } else if !has("config.json") {
        return Err(Error::Missing {
            folder: reference.to_string().into(),
            what: "config.json".into(),
            remedy: "give a repository with a whole checkpoint, or another revision of it".into(),
        });
    }
    for folder in folders {
        let inside = |name: &str| files.iter().any(|file| *file == format!("{folder}{name}"));
        let weights = [INDEX, SINGLE].into_iter().find(|name| inside(name));
        let Some(weights) = weights else {
            return Err(no_weights(reference, files));
        };
        let companions = COMPANIONS.into_iter().chain([built_in::MARKER]);
        for name in companions.filter(|name| inside(name)) {
            repository.fetch(&format!("{folder}{name}"), observer)?;
        }
        for file in files {
            let own = file.strip_prefix(folder);
            if own.is_some_and(|name| name.ends_with(".adapter.safetensors") && !name.contains('/'))
            {
                repository.fetch(file, observer)?;
            }
        }
        let path = repository.fetch(&format!("{folder}{weights}"), observer)?;
        if weights == INDEX {
            for shard in shards(&path)? {
                repository.fetch(&format!("{folder}{shard}"), observer)?;
            }
        }
    }
    Ok(repository.complete()?)
}

/// Why a repository without safetensors is refused.
fn no_weights(reference: &Reference, files: &[String]) -> Error {
    let repository = reference.to_string();
    match files.iter().find(|file| is_pickle(Path::new(file))) {
        Some(file) => Error::malformed(&Path::new(&repository).join(file), PICKLE),
        None => Error::Missing {
            folder: repository.into(),
            what: format!("{SINGLE} (or {INDEX} with its shards)"),
            remedy: "give a repository with safetensors weights, or a revision that has them (some keep them at refs/pr/N)".into(),
        },
    }
}
