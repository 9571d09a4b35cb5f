//! What the small files of a checkpoint say: all of it is read before the weights are looked at, so that a model that cannot run
//! is refused in a moment and not after gigabytes were fetched.

use std::path::Path;
use std::sync::Arc;

use crate::families::{self, Family};
use crate::model::{end_tokens, generation_config, repetition_penalty};
use crate::{Checkpoint, Error, Processor};

/// What a model is made from beside its weights.
pub(crate) struct SmallFiles {
    pub family: &'static Family,
    pub processor: Arc<dyn Processor>,
    pub end_tokens: Vec<i64>,
    pub repetition_penalty: Option<f64>,
}

impl SmallFiles {
    /// Reads them in this order: config, then tokenizer, chat template and image processor, then how to decode.
    ///
    /// # Errors
    /// Names the file: of a model that is not supported, missing, damaged or contradictory.
    pub(crate) fn open(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let family = families::of(checkpoint)?;
        // Reads and checks all of the config.
        (family.geometry)(checkpoint)?;
        let processor = (family.processor)(checkpoint)?;
        let generation = generation_config(checkpoint)?;
        Ok(Self {
            family,
            processor,
            end_tokens: end_tokens(checkpoint, &generation),
            repetition_penalty: repetition_penalty(checkpoint, &generation)?,
        })
    }
}

/// Whether the checkpoint in `folder` can be opened: its small files first, then the headers of its weights.
///
/// # Errors
/// As [`Model::load`](crate::Model::load), as far as this can be told without reading weights.
pub fn preflight(folder: &Path) -> Result<(), Error> {
    let checkpoint = Checkpoint::small_files(folder)?;
    SmallFiles::open(&checkpoint)?;
    checkpoint.with_weights().map(drop)
}
