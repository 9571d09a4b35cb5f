//! The model families: one folder each, one line in [`FAMILIES`].

pub(crate) mod classes;
mod config;
mod llava;
mod llava_onevision;
mod quantised;
mod qwen_vl;
mod smolvlm;

use std::sync::Arc;
use std::time::Instant;

use rave_methods::Geometry;
use tch::Tensor;

pub(crate) use self::config::ConfigFile;
use crate::nn::decoder::Decoder;
use crate::nn::weights::Root;
use crate::{Checkpoint, Error, PictureLayout, Processor};

/// A family of models that share config, tensor names and preprocessing.
#[derive(Debug)]
pub struct Family {
    /// The family's id.
    pub id: &'static str,
    /// The `model_type`s of `config.json` that belong to it.
    pub model_types: &'static [&'static str],
    /// One line for people.
    pub summary: &'static str,
    /// The sizes of the decoder, from the config alone: reads and checks all of it.
    pub(crate) geometry: fn(&Checkpoint) -> Result<Geometry, Error>,
    /// What prepares prompts, from the config and the small files.
    pub(crate) processor: fn(&Checkpoint) -> Result<Arc<dyn Processor>, Error>,
    /// The network, from the config and the tensors that it asks the root for.
    pub(crate) network: Load,
}

/// Makes a network of the tensors that it asks the root for.
type Load = fn(&Checkpoint, &Root) -> Result<Box<dyn Network>, Error>;

/// Every family that can be loaded.
pub static FAMILIES: &[Family] = &[
    Family {
        id: "smolvlm",
        model_types: &["smolvlm", "idefics3"],
        summary: "SmolVLM and Idefics3: SigLIP tiles, pixel shuffle, Llama decoder",
        geometry: smolvlm::geometry,
        processor: smolvlm::processor,
        network: smolvlm::network,
    },
    Family {
        id: "llava",
        model_types: &["llava"],
        summary: "LLaVA-1.5: one square of CLIP patches a picture, two-layer connector, Llama or Mistral decoder",
        geometry: llava::geometry,
        processor: llava::processor,
        network: llava::network,
    },
    Family {
        id: "llava_onevision",
        model_types: &["llava_onevision"],
        summary: "LLaVA-OneVision: the whole and tiles at any resolution, SigLIP, Qwen2 decoder",
        geometry: llava_onevision::geometry,
        processor: llava_onevision::processor,
        network: llava_onevision::network,
    },
    Family {
        id: "qwen2_vl",
        model_types: &["qwen2_vl"],
        summary: "Qwen2-VL: patches at any size, 2 x 2 merger, rotary positions on three axes",
        geometry: qwen_vl::geometry,
        processor: qwen_vl::processor,
        network: qwen_vl::network,
    },
    Family {
        id: "qwen2_5_vl",
        model_types: &["qwen2_5_vl"],
        summary: "Qwen2.5-VL: as Qwen2-VL, with windows in the vision tower",
        geometry: qwen_vl::geometry,
        processor: qwen_vl::processor,
        network: qwen_vl::network,
    },
    Family {
        id: "qwen3_vl",
        model_types: &["qwen3_vl"],
        summary: "Qwen3-VL: early decoder layers see the tower's early layers, interleaved rotary positions",
        geometry: qwen_vl::geometry,
        processor: qwen_vl::processor,
        network: qwen_vl::network,
    },
];

/// The vision input of some prompts, on a model's device.
#[derive(Debug)]
pub struct Pixels {
    /// Tiles `[N, 3, height, width]`, or flattened patches `[N, width]`, in the compute type.
    pub values: Tensor,
    /// Whose they are, one a picture.
    pub pictures: Vec<PictureLayout>,
}

impl Pixels {
    /// How many patches of a side of `patch_size` pixels they are.
    pub(crate) fn patches(&self, patch_size: i64) -> i64 {
        match self.values.size()[..] {
            [tiles, _, height, width] => tiles * (height / patch_size) * (width / patch_size),
            [patches, ..] => patches,
            [] => 0,
        }
    }
}

/// What a vision tower makes of pixels.
#[derive(Debug)]
pub struct TowerOutput {
    /// Patch features, patches row by row: `[N, P, vision width]` of tiles, `[N, vision width]` of patches (in the order of the
    /// pixels).
    pub hidden_states: Tensor,
    /// The same from layers below, for a decoder that is given those as well; their order is that of its layers.
    pub deepstack: Vec<Tensor>,
    /// Whose they are, one a picture.
    pub pictures: Vec<PictureLayout>,
}

/// What the decoder is given of pictures.
#[derive(Debug)]
pub(crate) struct ConnectorOutput {
    /// Visual embeddings `[V, C]`, in the order of the visual tokens.
    pub embeddings: Tensor,
    /// What is added at these tokens to the output of the first layers, one after the other, `[V, C]` each.
    pub deepstack: Vec<Tensor>,
}

impl ConnectorOutput {
    /// The same storage.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self {
            embeddings: self.embeddings.shallow_clone(),
            deepstack: self.deepstack.iter().map(Tensor::shallow_clone).collect(),
        }
    }

    /// What the pictures of several prompts give, in order; `None` without pictures.
    pub(crate) fn joined(all: &[&Self]) -> Result<Option<Self>, Error> {
        let Some(first) = all.first() else {
            return Ok(None);
        };
        let join = |part: &dyn Fn(&Self) -> Tensor| {
            Tensor::f_cat(&all.iter().map(|own| part(own)).collect::<Vec<_>>(), 0)
        };
        Ok(Some(Self {
            embeddings: join(&|own| own.embeddings.shallow_clone())?,
            deepstack: (0..first.deepstack.len())
                .map(|layer| join(&|own| own.deepstack[layer].shallow_clone()))
                .collect::<Result<_, _>>()?,
        }))
    }
}

/// The tensors of a model. Belongs to one thread.
pub(crate) trait Network: Send {
    /// The decoder and its attention slot.
    fn decoder(&self) -> &Decoder;

    /// Runs the vision tower, until a deadline at most, at which it looks before every layer.
    fn run_tower(&self, pixels: &Pixels, deadline: Option<Instant>) -> Result<TowerOutput, Error>;

    /// Runs the connector.
    fn connect(&self, tower: &TowerOutput) -> Result<ConnectorOutput, Error>;

    /// Side of a patch of [`Self::run_tower`], in pixels.
    fn patch_size(&self) -> i64;
}

/// The family that a checkpoint's config names.
///
/// # Errors
/// A model that is none of theirs, by what it is.
pub(crate) fn of(checkpoint: &Checkpoint) -> Result<&'static Family, Error> {
    let whole = config::whole(&checkpoint.path("config.json"), checkpoint.config())?;
    let mut families = FAMILIES.iter();
    Ok(families
        .find(|family| family.model_types.contains(&whole.model_type))
        .expect("a test holds that every class of a whole config has a family"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_a_whole_config_has_one_family() {
        let named = FAMILIES.iter().flat_map(|family| family.model_types);
        let mut named: Vec<_> = named.copied().collect();
        let mut known: Vec<_> = classes::wholes()
            .iter()
            .map(|whole| whole.model_type)
            .collect();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(named, known);
    }
}
