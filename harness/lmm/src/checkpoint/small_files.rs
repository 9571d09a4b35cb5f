//! What the small files of a checkpoint say: all of it is read before the weights are looked at, so that a model that cannot run
//! is refused in a moment and not after gigabytes were fetched.

use std::path::Path;
use std::sync::Arc;

use rave_methods::Geometry;

use super::{grid, resolve::checkpoint_folder};
use crate::families::{self, Family};
use crate::inference::generation_config::StopStrings;
use crate::{Checkpoint, Error, GenerationConfig, GenerationKeys, Processor};

/// What a model is made from beside its weights.
pub(crate) struct SmallFiles {
    pub family: &'static Family,
    pub processor: Arc<dyn Processor>,
    pub generation: GenerationConfig,
    pub stop_strings: Option<StopStrings>,
}

impl SmallFiles {
    /// Reads them in this order: config, then tokenizer, chat template and image processor, then how to decode, but for
    /// the keys `ignored`.
    ///
    /// # Errors
    /// Names the file: of a model that is not supported, missing, damaged or contradictory.
    pub(crate) fn open(checkpoint: &Checkpoint, ignored: GenerationKeys) -> Result<Self, Error> {
        let family = families::of(checkpoint)?;
        // Reads and checks all of the config.
        (family.geometry)(checkpoint)?;
        let processor = (family.processor)(checkpoint)?;
        let generation = GenerationConfig::of(checkpoint, ignored)?;
        generation.check_tokens(processor.text().vocabulary())?;
        Ok(Self {
            family,
            stop_strings: generation.stop_strings(processor.text().tokenizer())?,
            processor,
            generation,
        })
    }
}

/// Whether the checkpoint in `folder` can be opened without following the keys `ignored` of its generation config: its small files
/// first, then the headers of its weights.
///
/// # Errors
/// As [`Model::load`](crate::Model::load), as far as this can be told without reading weights.
pub fn preflight(folder: &Path, ignored: GenerationKeys) -> Result<(), Error> {
    let checkpoint = Checkpoint::small_files(folder)?;
    SmallFiles::open(&checkpoint, ignored)?;
    checkpoint.with_weights().map(drop)
}

/// The sizes of the decoder of the model called `name` (see [`resolve`](crate::resolve)), from its config alone; of a [`Grid`](crate::Grid) those of its
/// first checkpoint.
///
/// # Errors
/// As [`Model::load`](crate::Model::load).
pub fn geometry(name: &str) -> Result<Geometry, Error> {
    let checkpoint = Checkpoint::small_files(&checkpoint_folder(name, grid::BASELINE, None)?)?;
    (families::of(&checkpoint)?.geometry)(&checkpoint)
}
