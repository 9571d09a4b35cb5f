//! Files of tensors: safetensors, the index of their shards, an adapter, GGUF.

use std::fs;
use std::path::Path;

use rave_lmm::{Checkpoint, Error, adapter, import, read_tensors};
use rave_methods::{Build, Geometry, variant};
use tch::{Device, Kind};

use super::{checkpoint, named, working};
use crate::Outcome;

/// The shards that lie beside an index.
const SHARDS: [&str; 2] = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];

/// What an adapter says it was trained on, and the model that it is loaded for.
const BASE: &str = "base";
const GEOMETRY: Geometry = Geometry {
    layers: 1,
    heads: 2,
    kv_heads: 1,
    head_dim: 4,
    model_width: 8,
};

/// `model.safetensors`, `model.safetensors.index.json` or `adapter`, then the file.
pub(super) fn read(input: &[u8]) -> Outcome {
    let Some((name, bytes)) = named(input) else {
        return Outcome::Foreign;
    };
    let folder = working(tempfile::tempdir());
    let path = folder.path().join(name);
    match name {
        "model.safetensors" => {
            working(fs::write(&path, bytes));
            whole(folder.path()).into()
        }
        "model.safetensors.index.json" => {
            working(fs::write(&path, bytes));
            for shard in SHARDS {
                let source = checkpoint::fixtures().join("smolvlm_old").join(shard);
                working(fs::copy(source, folder.path().join(shard)));
            }
            open(folder.path()).into()
        }
        "adapter" => {
            working(fs::write(&path, bytes));
            load_adapter(&path).into()
        }
        _ => Outcome::Foreign,
    }
}

/// A checkpoint of these weights alone.
fn open(folder: &Path) -> Result<Checkpoint, Error> {
    working(fs::write(folder.join("config.json"), "{}"));
    let checkpoint = Checkpoint::open(folder)?;
    checkpoint.parameters()?;
    checkpoint.hashes()?;
    Ok(checkpoint)
}

/// Every tensor, as a checkpoint's and as a file's of its own.
fn whole(folder: &Path) -> Result<(), Error> {
    let checkpoint = open(folder)?;
    let file = read_tensors(&folder.join("model.safetensors"))?;
    for (name, tensor) in &file.tensors {
        drop(checkpoint.tensor(name, &tensor.size(), Device::Cpu, Kind::Float)?);
    }
    Ok(())
}

fn load_adapter(path: &Path) -> Result<(), Error> {
    let rave = variant("rave")?;
    let attention = rave.build(&Build {
        geometry: GEOMETRY,
        device: Device::Cpu,
        kind: Kind::Float,
        seed: 0,
    })?;
    adapter::load(path, rave, BASE, attention.as_ref()).map(drop)
}

/// A GGUF file, imported over a checkpoint of the sizes that the seed has.
pub(super) fn gguf(input: &[u8]) -> Outcome {
    let folder = working(tempfile::tempdir());
    let path = folder.path().join("model.gguf");
    working(fs::write(&path, input));
    let base = checkpoint::fixtures().join("smolvlm_new");
    import::gguf(&path, &base, &folder.path().join("out")).into()
}
