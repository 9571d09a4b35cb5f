//! Which weight files a checkpoint has: one, or the shards that its index lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::Error;

pub(crate) const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Why pickles are refused.
pub(crate) const PICKLE: &str = "a Torch pickle is not loaded: opening one runs code chosen by its author; convert it to safetensors \
     (in Python: safetensors.torch.save_file) and put model.safetensors beside config.json";

/// Tensor name -> file that holds it.
pub(super) type Places = BTreeMap<String, String>;

/// The weight files of a folder, and what its index says if it has one.
pub(super) fn weight_files(folder: &Path) -> Result<(Vec<PathBuf>, Places), Error> {
    let index = folder.join(INDEX);
    if !index.is_file() {
        let single = folder.join(SINGLE);
        return if single.is_file() {
            Ok((vec![single], Places::new()))
        } else {
            Err(no_weights(folder))
        };
    }
    let places = read(&index)?;
    let names: BTreeSet<&String> = places.values().collect();
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
    let paths = names.into_iter().map(|name| folder.join(name)).collect();
    Ok((paths, places))
}

/// The names of the shards that an index lists, each in the index's own folder.
pub(crate) fn shards(index: &Path) -> Result<BTreeSet<String>, Error> {
    Ok(read(index)?.into_values().collect())
}

/// Whether a file is a Torch pickle, by its name.
pub(crate) fn is_pickle(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["bin", "pt", "pth", "ckpt"]
            .iter()
            .any(|pickle| extension == *pickle)
    })
}

fn read(index: &Path) -> Result<Places, Error> {
    let again =
        |reason: String| Error::malformed(index, format!("{reason}; fetch the index again"));
    let Index { weight_map } = serde_json::from_slice(&Error::read(index)?)
        .map_err(|error| again(format!("it is no index of shards: {error}")))?;
    let mut places = Places::new();
    for (tensor, file) in weight_map.0 {
        if Path::new(&file).file_name().is_none_or(|own| *own != *file) {
            return Err(again(format!(
                "shard \"{file}\" is not the name of a file in this folder"
            )));
        }
        if let Some(other) = places.insert(tensor.clone(), file.clone()) {
            return Err(again(format!(
                "it names tensor `{tensor}` twice, in {other} and in {file}"
            )));
        }
    }
    if places.is_empty() {
        return Err(again("it lists no shard".into()));
    }
    Ok(places)
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: Pairs,
}

/// Every pair of a JSON object: a map would keep the last of two that have the same key, and say nothing.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object of tensor names and file names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// Why a folder without safetensors is refused: pickles are named as what they are.
fn no_weights(folder: &Path) -> Error {
    let pickle = std::fs::read_dir(folder).ok().and_then(|entries| {
        let mut paths = entries.flatten().map(|entry| entry.path());
        paths.find(|path| is_pickle(path))
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
