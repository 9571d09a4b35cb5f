//! Which weight files a checkpoint has: one, or the shards that its index lists.
//!
//! Source: `transformers` 5.23 `modeling_utils.py` (`_get_resolved_checkpoint_files`): a file that `config.json` names under
//! `transformers_weights`, else `model.safetensors`, else the index. An index beside a whole `model.safetensors` is not read.
//! The index says which files there are; a tensor that it lists and no shard holds is missed only by a network that asks for it.
//!
//! Deviations: `model.safetensors` beside whole shards of other tensors is refused; so is an index that says of a tensor that it is
//! in another shard than it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use rave_hints::refusal;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::Error;

pub(crate) const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Tensor name -> file that holds it.
pub(crate) type WeightMap = BTreeMap<String, String>;

/// What a checkpoint's weights are loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// This file.
    Single(String),
    /// The shards that this index lists.
    Sharded(String),
}

impl Layout {
    /// The layout of a checkpoint, given which files there are; `None` without safetensors under a name that is looked for.
    ///
    /// # Errors
    /// A config that names its weights under `transformers_weights`, and not as a file of this format in its own folder.
    pub(crate) fn find(
        config: &Path,
        contents: &Value,
        has: impl Fn(&str) -> bool,
    ) -> Result<Option<Self>, Error> {
        let named = contents.get("transformers_weights");
        if let Some(named) = named.filter(|named| !named.is_null()) {
            let name = named.as_str().filter(|name| is_own(name));
            let layout = name.and_then(|name| {
                if name.ends_with(".safetensors.index.json") {
                    Some(Self::Sharded(name.to_owned()))
                } else {
                    let is_single = name.ends_with(".safetensors");
                    is_single.then(|| Self::Single(name.to_owned()))
                }
            });
            let Some(layout) = layout else {
                let reason = refusal(
                    format!("transformers_weights is {named}"),
                    "give the name of a .safetensors file or of an index of such files in this folder",
                );
                return Err(Error::malformed(config, reason));
            };
            if !has(layout.file()) {
                return Err(Error::Missing {
                    folder: config.parent().unwrap_or(config).to_owned(),
                    what: layout.file().to_owned(),
                    hint: "config.json names it under transformers_weights: fetch it".into(),
                });
            }
            return Ok(Some(layout));
        }
        Ok(if has(SINGLE) {
            Some(Self::Single(SINGLE.to_owned()))
        } else {
            has(INDEX).then(|| Self::Sharded(INDEX.to_owned()))
        })
    }

    /// The weights, or the index of them.
    pub(crate) fn file(&self) -> &str {
        match self {
            Self::Single(file) | Self::Sharded(file) => file,
        }
    }
}

/// The shards that an index lists, as they are in its folder.
pub(super) fn shard_paths(index: &Path, weight_map: &WeightMap) -> Result<Vec<PathBuf>, Error> {
    let folder = index.parent().unwrap_or(index);
    let names = files(weight_map);
    let (there, absent): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| folder.join(name).is_file());
    match absent[..] {
        [] => Ok(there.into_iter().map(|name| folder.join(name)).collect()),
        [name] => Err(Error::Missing {
            folder: folder.to_owned(),
            what: format!("shard {name}"),
            hint: format!("{} lists it: fetch it", file_name(index)),
        }),
        [..] => {
            let reason = refusal(
                format!(
                    "{} of the {} shards that it lists are missing: {}",
                    absent.len(),
                    names.len(),
                    some(&absent)
                ),
                "fetch them",
            );
            Err(Error::malformed(index, reason))
        }
    }
}

/// The names of the files that hold an index's tensors.
pub(crate) fn files(weight_map: &WeightMap) -> BTreeSet<&str> {
    weight_map.values().map(String::as_str).collect()
}

/// Reads an index: each of its shards is in its own folder.
pub(crate) fn read(index: &Path) -> Result<WeightMap, Error> {
    let refused =
        |reason: String| Error::malformed(index, refusal(reason, "fetch the index again"));
    let bytes = Error::read(index)?;
    super::parse_json(index, &bytes)?;
    let Index { weight_map: pairs } = serde_json::from_slice(&bytes)
        .map_err(|error| refused(format!("it is no index of shards: {error}")))?;
    let mut weight_map = WeightMap::new();
    for (tensor, file) in pairs.0 {
        if !is_own(&file) {
            return Err(refused(format!(
                "shard \"{file}\" is not the name of a file in this folder"
            )));
        }
        if let Some(other) = weight_map.insert(tensor.clone(), file.clone()) {
            return Err(refused(format!(
                "it names tensor `{tensor}` twice, in {other} and in {file}"
            )));
        }
    }
    if weight_map.is_empty() {
        return Err(refused("it lists no shard".into()));
    }
    Ok(weight_map)
}

/// The first few of some names, and how many more there are.
pub(crate) fn some(names: &[impl AsRef<str>]) -> String {
    const MAX_SHOWN: usize = 3;
    let shown: Vec<&str> = names.iter().take(MAX_SHOWN).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(MAX_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether this is the name of a file in the folder at hand.
fn is_own(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|own| *own == *name)
}

pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
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
