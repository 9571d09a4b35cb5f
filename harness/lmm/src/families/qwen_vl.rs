//! Qwen2-VL, Qwen2.5-VL and Qwen3-VL: a picture is seen at nearly its own size, in patches whose squares of 2 x 2 become a
//! visual token each; rotary positions say time, row and column.
//!
//! Sources: `transformers` 5.23 `models/qwen2_vl`, `models/qwen2_5_vl`, `models/qwen3_vl` and `vision_utils.py`; checkpoints
//! `Qwen/Qwen2-VL-*`, `Qwen/Qwen2.5-VL-*`, `Qwen/Qwen3-VL-*`. What a generation has that others have not stands in
//! `config::Generation`.
//!
//! Deviations: pictures alone, no videos; the patch embedding, a convolution over one patch, is a matrix product.

mod config;
mod merger;
mod order;
mod processor;
mod vision;

use std::sync::Arc;
use std::time::Instant;

use rave_methods::Geometry;

use self::config::{Config, Generation};
use self::merger::Merger;
use self::processor::QwenVlProcessor;
use self::vision::VisionTower;
use super::{ConfigFile, ConnectorOutput, Network, Pixels, TowerOutput};
use crate::nn::decoder::Decoder;
use crate::nn::weights::Root;
use crate::{Checkpoint, Error, Part, Processor};

/// What prepares the prompts of a checkpoint of one of these families.
pub(super) fn processor(checkpoint: &Checkpoint) -> Result<Arc<dyn Processor>, Error> {
    let config = Config::read(&ConfigFile::of(checkpoint)?)?;
    Ok(Arc::new(QwenVlProcessor::open(checkpoint, &config)?))
}

/// The network of a checkpoint of one of these families.
pub(super) fn network(checkpoint: &Checkpoint, root: &Root) -> Result<Box<dyn Network>, Error> {
    Ok(Box::new(QwenVl::load(&ConfigFile::of(checkpoint)?, root)?))
}

/// The sizes of the decoder of a checkpoint of one of these families.
pub(super) fn geometry(checkpoint: &Checkpoint) -> Result<Geometry, Error> {
    Ok(Config::read(&ConfigFile::of(checkpoint)?)?
        .decoder
        .geometry())
}

struct QwenVl {
    vision: VisionTower,
    merger: Merger,
    /// Of the tower's earlier layers.
    deepstack_mergers: Vec<Merger>,
    decoder: Decoder,
}

impl QwenVl {
    fn load(file: &ConfigFile, root: &Root) -> Result<Self, Error> {
        let config = Config::read(file)?;
        let vision = &config.vision;
        let is_newer = matches!(vision.generation, Generation::Three { .. });
        // The hub's names first; the last ones are of a model that was saved without its head.
        let (visual, text) = if is_newer {
            (
                ["model.visual", "visual"],
                ["model.language_model", "model", "language_model"],
            )
        } else {
            (
                ["visual", "model.visual"],
                ["model", "model.language_model", "language_model"],
            )
        };
        let visual = root.at(Part::Vision, &visual);
        let connector = visual.as_part(Part::Connector);
        let text = root.at(Part::Decoder, &text);
        let head = root.head(&["lm_head"], file.tied);
        let deepstack = &connector / "deepstack_merger_list";
        Ok(Self {
            vision: VisionTower::load(vision, &visual)?,
            merger: Merger::load(vision, &(&connector / "merger"))?,
            deepstack_mergers: (0..vision.deepstack_layers().len())
                .map(|number| Merger::load_deepstack(vision, &(&deepstack / number)))
                .collect::<Result<_, _>>()?,
            decoder: Decoder::load(&config.decoder, &file.style, &text, head.as_ref())?,
        })
    }
}

impl Network for QwenVl {
    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn run_tower(&self, pixels: &Pixels, deadline: Option<Instant>) -> Result<TowerOutput, Error> {
        self.vision.forward(pixels, deadline)
    }

    fn connect(&self, tower: &TowerOutput) -> Result<ConnectorOutput, Error> {
        let deepstack = self.deepstack_mergers.iter().zip(&tower.deepstack);
        Ok(ConnectorOutput {
            embeddings: self.merger.forward(&tower.hidden_states)?,
            deepstack: deepstack
                .map(|(merger, features)| merger.forward(features))
                .collect::<Result<_, _>>()?,
        })
    }

    fn patch_size(&self) -> i64 {
        self.vision.patch_size()
    }
}
