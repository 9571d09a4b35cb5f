//! How a checkpoint becomes a [`Model`]: what can be refused by its small files is, before its weights are read.

use std::path::PathBuf;

use rave_hub::Origin;
use tch::{Device, Kind};

use super::{Model, ModelInfo};
use crate::checkpoint::built_in;
use crate::checkpoint::small_files::SmallFiles;
use crate::families::{Family, Network};
use crate::inference::generation_config::trained_end_tokens;
use crate::nn::libtorch;
use crate::nn::weights::{Parameter, Root};
use crate::{Checkpoint, Error, GenerationKeys, Hashes, checkpoint_folder, grid};

/// Where and how a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// The device that holds weights and activations.
    pub device: Device,
    /// The compute type: `Float`, `BFloat16` or `Half`.
    pub kind: Kind,
    /// Keys of the checkpoint's generation config that answers do not follow.
    pub ignored: GenerationKeys,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            kind: Kind::Float,
            ignored: GenerationKeys::default(),
        }
    }
}

impl LoadOptions {
    /// From the names on a command line: `cpu`, `cuda` or `cuda:N`, and `f32`, `bf16` or `f16`.
    ///
    /// # Errors
    /// [`Error::Device`] and [`Error::Dtype`] with the remedy.
    pub fn named(device: &str, dtype: &str) -> Result<Self, Error> {
        Ok(Self {
            device: libtorch::device(device)?,
            kind: kind(dtype).ok_or_else(|| Error::Dtype(dtype.to_owned()))?,
            ignored: GenerationKeys::default(),
        })
    }

    /// The same, for answers that do not follow these keys of the checkpoint's generation config.
    #[must_use]
    pub fn without(self, ignored: GenerationKeys) -> Self {
        Self { ignored, ..self }
    }
}

/// The compute type of a `--dtype` name.
pub fn kind(name: &str) -> Option<Kind> {
    match name {
        "f32" => Some(Kind::Float),
        "bf16" => Some(Kind::BFloat16),
        "f16" => Some(Kind::Half),
        _ => None,
    }
}

impl Model {
    /// Loads the model called `name` (see [`resolve`](crate::resolve)); of a [`Grid`](crate::Grid) the checkpoint of `standard` at the first seed.
    ///
    /// # Errors
    /// Names the file and the remedy for anything missing, damaged or contradictory in the checkpoint.
    pub fn load(name: &str, options: LoadOptions) -> Result<Self, Error> {
        Self::load_for(name, grid::BASELINE, None, options)
    }

    /// Loads the model called `name` to run `variant` on it: the checkpoint in its [`checkpoint_folder`].
    ///
    /// # Errors
    /// As [`Model::load`] and [`checkpoint_folder`].
    pub fn load_for(
        name: &str,
        variant: &str,
        seed: Option<u64>,
        options: LoadOptions,
    ) -> Result<Self, Error> {
        Self::open(name, checkpoint_folder(name, variant, seed)?, options)
    }

    /// Loads the checkpoint in `folder` under the name that records are to show.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn open(name: &str, folder: PathBuf, options: LoadOptions) -> Result<Self, Error> {
        // Small files first, weights last: what cannot run is refused before gigabytes are asked for.
        let checkpoint = Checkpoint::small_files(&folder)?;
        let SmallFiles {
            family,
            processor,
            generation,
            stop_strings,
        } = SmallFiles::open(&checkpoint, options.ignored)?;
        let end_tokens = trained_end_tokens(&checkpoint, processor.text())?;
        let checkpoint = checkpoint.with_weights()?;
        // Beside each other: hashing takes one core as long as loading.
        let (loaded, hashes) = std::thread::scope(|scope| {
            let hashes = scope.spawn(|| checkpoint.hashes());
            let loaded = load(family, &checkpoint, options);
            (
                loaded,
                hashes
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        });
        let (network, parameters) = loaded?;
        let Hashes { weights, files } = hashes?;
        let info = ModelInfo {
            name: name.to_owned(),
            family: family.id,
            origin: Origin::of(&folder),
            sha256: weights,
            files,
            parameters: checkpoint.parameters()?,
            untrained: built_in::is_untrained(&folder)?,
            geometry: *network.decoder().geometry(),
            notes: checkpoint.notes().to_vec(),
            generation: generation.followed().clone(),
            folder,
        };
        let parts = parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.part));
        Ok(Self {
            info,
            processor,
            network,
            parts: parts.collect(),
            parameters: parameters
                .into_iter()
                .map(|parameter| (parameter.name, parameter.tensor))
                .collect(),
            end_tokens,
            generation,
            stop_strings,
        })
    }
}

/// The network of a checkpoint on its device, and every tensor of it.
fn load(
    family: &Family,
    checkpoint: &Checkpoint,
    options: LoadOptions,
) -> Result<(Box<dyn Network>, Vec<Parameter>), Error> {
    let root = Root::new(checkpoint, options.device, options.kind);
    let network = (family.network)(checkpoint, &root)?;
    Ok((network, root.into_parameters()))
}
