//! The model families: one folder each, one line in [`FAMILIES`].

mod smolvlm;

use std::sync::Arc;

use rave_methods::Geometry;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::decoder::Decoder;
use crate::{Checkpoint, Error, Processor};

/// A family of models that share config, tensor names and preprocessing.
#[derive(Debug)]
pub struct Family {
    /// The family's id.
    pub id: &'static str,
    /// The `model_type`s of `config.json` that belong to it.
    pub model_types: &'static [&'static str],
    /// One line for people.
    pub summary: &'static str,
    pub(crate) open: fn(&Checkpoint, Device, Kind) -> Result<Opened, Error>,
    /// The sizes of the decoder, from the config alone.
    pub(crate) geometry: fn(&Checkpoint) -> Result<Geometry, Error>,
}

/// Every family that can be loaded.
pub static FAMILIES: &[Family] = &[Family {
    id: "smolvlm",
    model_types: &["smolvlm", "idefics3"],
    summary: "SmolVLM and Idefics3: SigLIP tiles, pixel shuffle, Llama decoder",
    open: smolvlm::open,
    geometry: smolvlm::geometry,
}];

/// An opened model of some family.
pub(crate) struct Opened {
    pub processor: Arc<dyn Processor>,
    pub network: Box<dyn Network>,
    /// Every tensor of the network by its name in the checkpoint, sharing storage with it.
    pub parameters: Vec<(String, Tensor)>,
}

/// The tensors of a model. Belongs to one thread.
pub(crate) trait Network: Send {
    /// The decoder and its attention slot.
    fn decoder(&self) -> &Decoder;

    /// Tiles `[N, 3, height, width]` to the vision tower's patch features `[N, P, vision width]`, patches row by row.
    fn look(&self, pixels: &Tensor) -> Result<Tensor, Error>;

    /// Patch features `[N, P, vision width]` to visual embeddings `[V, C]`, in the order of the visual tokens.
    fn connect(&self, patches: &Tensor) -> Result<Tensor, Error>;

    /// Side of a patch of [`Self::look`], in pixels of a tile.
    fn patch_size(&self) -> i64;

    /// Whether the parameter of this name belongs to the vision tower.
    fn is_vision(&self, parameter: &str) -> bool;
}

/// The family that a checkpoint's config names.
pub(crate) fn of(checkpoint: &Checkpoint) -> Result<&'static Family, Error> {
    let path = checkpoint.path("config.json");
    let Some(model_type) = checkpoint
        .config()
        .get("model_type")
        .and_then(Value::as_str)
    else {
        return Err(Error::malformed(
            &path,
            "the key `model_type` is missing: this is no model config of transformers; give the folder of a whole checkpoint",
        ));
    };
    let all = || {
        FAMILIES
            .iter()
            .flat_map(|family| family.model_types.iter().copied())
    };
    FAMILIES
        .iter()
        .find(|family| family.model_types.contains(&model_type))
        .ok_or_else(|| Error::UnknownFamily {
            path,
            model_type: model_type.to_owned(),
            nearest: rave_methods::nearest(model_type, all()).map(str::to_owned),
            supported: all().map(str::to_owned).collect(),
        })
}
