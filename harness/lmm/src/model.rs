//! A model: the network, processor and generation config of one checkpoint. [`crate::inference`] answers with it, [`crate::train`] trains it.

mod load;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rave_hub::Origin;
use rave_methods::{Attention, Build, Geometry, Variant};
use tch::{Cuda, Device, Tensor};

pub use self::load::{LoadOptions, kind};
use crate::checkpoint::adapter::{self, Adapter};
use crate::families::Network;
use crate::inference::generation_config::{GenerationConfig, StopStrings};
use crate::nn::decoder::Decoder;
use crate::{Error, Followed, Part, Processor};

/// What a run record says of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name it was asked for by.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Id of its family.
    pub family: &'static str,
    /// The hub's repository and commit, where the folder lies in its cache.
    pub origin: Option<Origin>,
    /// SHA-256 of its weight files, together.
    pub sha256: String,
    /// SHA-256 of each file that it was made from.
    pub files: BTreeMap<String, String>,
    /// Number of parameters.
    pub parameters: u64,
    /// Whether its weights are seeded random numbers, so that its scores say nothing.
    pub untrained: bool,
    /// Sizes of its decoder.
    pub geometry: Geometry,
    /// What is odd about its weight files, and harmless: for people.
    pub notes: Vec<String>,
    /// How its answers are decoded.
    pub generation: Followed,
}

/// A model on its device. Belongs to one thread; its [`Processor`] may be shared.
pub struct Model {
    info: ModelInfo,
    processor: Arc<dyn Processor>,
    network: Box<dyn Network>,
    parameters: Vec<(String, Tensor)>,
    parts: HashMap<String, Part>,
    generation: GenerationConfig,
    stop_strings: Option<StopStrings>,
    end_tokens: Vec<i64>,
}

/// A variant built for a model, with the trained weights it was given.
pub struct Built {
    /// The attention to hand to [`Model::generate`].
    pub attention: Box<dyn Attention>,
    /// The adapter that its weights came from; `None` for a variant without parameters or at its initial values.
    pub adapter: Option<Adapter>,
}

impl Model {
    /// What a run record says of it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Where its tensors are.
    pub fn device(&self) -> Device {
        self.decoder().options().1
    }

    /// Its processor, for any thread.
    pub fn processor(&self) -> Arc<dyn Processor> {
        Arc::clone(&self.processor)
    }

    /// Builds a variant for this model, with the weights of `adapter`, or of the adapter that lies beside the checkpoint,
    /// or else at its initial values (equal to `standard`).
    ///
    /// # Errors
    /// Options that do not fit the model; an adapter for another variant, version, options or checkpoint.
    pub fn build(
        &self,
        variant: &Variant,
        seed: u64,
        adapter: Option<&Path>,
    ) -> Result<Built, Error> {
        let (kind, device) = self.decoder().options();
        let attention = variant.build(&Build {
            geometry: self.info.geometry,
            device,
            kind,
            seed,
        })?;
        let beside = self.info.folder.join(adapter::file_name(variant.id));
        let path = adapter.or_else(|| beside.is_file().then_some(beside.as_path()));
        let adapter = match path {
            Some(path) => Some(adapter::load(
                path,
                variant,
                &self.info.sha256,
                attention.as_ref(),
            )?),
            None => None,
        };
        Ok(Built { attention, adapter })
    }

    /// Most tokens of a prompt and its answer together (`max_position_embeddings`), where the checkpoint says.
    pub fn max_positions(&self) -> Option<i64> {
        self.decoder().max_positions()
    }

    /// Its tensors.
    pub(crate) fn network(&self) -> &dyn Network {
        self.network.as_ref()
    }

    /// Its decoder.
    pub(crate) fn decoder(&self) -> &Decoder {
        self.network.decoder()
    }

    /// How it is decoded.
    pub(crate) fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The texts that end an answer, if there are any.
    pub(crate) fn stop_strings(&self) -> Option<&StopStrings> {
        self.stop_strings.as_ref()
    }

    /// The tokens that an answer to train on may end with.
    pub fn end_tokens(&self) -> &[i64] {
        &self.end_tokens
    }

    /// Every tensor by its name in the checkpoint, sharing storage with the model: copying into one changes the model.
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// Which part of the model the parameter of this name belongs to; `None` for a name that it does not have.
    pub fn part(&self, parameter: &str) -> Option<Part> {
        self.parts.get(parameter).copied()
    }

    /// Side of a patch of [`Self::run_tower_on`], in pixels.
    pub fn patch_size(&self) -> usize {
        self.network().patch_size() as usize
    }

    /// Whether the parameter of this name belongs to the vision tower.
    pub fn is_vision(&self, parameter: &str) -> bool {
        self.part(parameter).is_some_and(Part::is_vision)
    }

    /// Waits for the device, so that a clock read after it means something.
    pub(crate) fn finish(&self) {
        if let Device::Cuda(index) = self.decoder().options().1 {
            Cuda::synchronize(index as i64);
        }
    }
}
