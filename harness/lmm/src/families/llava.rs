//! LLaVA-1.5: a picture becomes one square, seen by a CLIP tower and projected into a Llama decoder (or a Mistral one, as
//! `bakLlava`).
//!
//! Sources: `transformers` 5.23 `models/llava`, `models/clip` and `models/siglip`; checkpoints `llava-hf/llava-1.5-*` and, with a
//! SigLIP tower and a Qwen2 decoder, `llava-hf/llava-interleave-qwen-*`. Tensor names are those of the hub's files or those that
//! newer versions write, with or without `model.` before them and `vision_model.` within.
//!
//! Deviation: the number of visual tokens is counted from the model's own config, not from that of the processor.

pub(super) mod config;
pub(super) mod frame;
pub(super) mod preprocess;
pub(super) mod processor;
pub(super) mod projector;

use std::sync::Arc;
use std::time::Instant;

use rave_methods::Geometry;

use self::config::Config;
use self::processor::LlavaProcessor;
use self::projector::Projector;
use super::{ConfigFile, ConnectorOutput, Network, Pixels, TowerOutput};
use crate::nn::decoder::Decoder;
use crate::nn::tower::{Tower, TowerStyle};
use crate::nn::weights::Root;
use crate::{Checkpoint, Error, Part, Processor};

/// Where the parts of a LLaVA lie in a checkpoint: as the hub's files have them, then as newer versions of `transformers` write
/// them.
pub(super) const TOWER: &[&str] = &[
    "vision_tower.vision_model",
    "vision_tower",
    "model.vision_tower.vision_model",
    "model.vision_tower",
];
pub(super) const PROJECTOR: &[&str] = &["multi_modal_projector", "model.multi_modal_projector"];
pub(super) const DECODER: &[&str] = &["language_model.model", "model.language_model"];
pub(super) const HEAD: &[&str] = &["language_model.lm_head", "lm_head"];

/// What prepares the prompts of a checkpoint of this family.
pub(super) fn processor(checkpoint: &Checkpoint) -> Result<Arc<dyn Processor>, Error> {
    let config = Config::read(&ConfigFile::of(checkpoint)?)?;
    Ok(Arc::new(LlavaProcessor::open(checkpoint, &config)?))
}

/// The network of a checkpoint of this family.
pub(super) fn network(checkpoint: &Checkpoint, root: &Root) -> Result<Box<dyn Network>, Error> {
    Ok(Box::new(Llava::load(&ConfigFile::of(checkpoint)?, root)?))
}

/// The sizes of the decoder of a checkpoint of this family.
pub(super) fn geometry(checkpoint: &Checkpoint) -> Result<Geometry, Error> {
    let config = Config::read(&ConfigFile::of(checkpoint)?)?;
    Ok(config.decoder.geometry())
}

struct Llava {
    tower: Tower,
    /// Features before those of the patches that are not kept.
    dropped: i64,
    projector: Projector,
    decoder: Decoder,
}

impl Llava {
    fn load(file: &ConfigFile, root: &Root) -> Result<Self, Error> {
        let config = Config::read(file)?;
        Ok(Self {
            tower: tower(&config, root)?,
            dropped: i64::from(config.drops_first()),
            projector: Projector::load(&config, &root.at(Part::Connector, PROJECTOR))?,
            decoder: decoder(file, root)?,
        })
    }
}

/// The tower of any LLaVA.
pub(super) fn tower(config: &Config, root: &Root) -> Result<Tower, Error> {
    let weights = root.at(Part::Vision, TOWER);
    Tower::load(
        &config.vision,
        config.tower_style,
        &config.feature_layers(),
        &weights,
    )
}

/// The decoder of any LLaVA.
pub(super) fn decoder(file: &ConfigFile, root: &Root) -> Result<Decoder, Error> {
    let head = root.head(HEAD, file.tied);
    let weights = root.at(Part::Decoder, DECODER);
    Decoder::load(&file.decoder, &file.style, &weights, head.as_ref())
}

impl Network for Llava {
    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn run_tower(&self, pixels: &Pixels, deadline: Option<Instant>) -> Result<TowerOutput, Error> {
        let features = self.tower.forward(&pixels.values, deadline)?; // [N, P, W]
        let kept = features.size()[1] - self.dropped;
        Ok(TowerOutput {
            hidden_states: features.f_narrow(1, self.dropped, kept)?,
            deepstack: Vec::new(),
            pictures: pixels.pictures.clone(),
        })
    }

    fn connect(&self, tower: &TowerOutput) -> Result<ConnectorOutput, Error> {
        let embeddings = self.projector.forward(&tower.hidden_states)?; // [N, V / N, C]
        Ok(ConnectorOutput {
            embeddings: embeddings.f_flatten(0, 1)?,
            deepstack: Vec::new(),
        })
    }

    fn patch_size(&self) -> i64 {
        self.tower.patch_size()
    }
}

impl Config {
    /// Whether a visual token stands for the whole tile, before those of the patches.
    pub(super) fn keeps_class(&self) -> bool {
        self.tower_style == TowerStyle::Clip && !self.drops_first()
    }
}
