//! LLaVA-1.5: a picture becomes one square, seen by a CLIP tower and projected into a Llama decoder (or a Mistral one, as in
//! BakLLaVA).
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

use tch::{Device, Kind};

use self::config::Config;
use self::processor::LlavaProcessor;
use self::projector::Projector;
use super::{ConfigFile, Network, Opened, Pixels, Seen, Visual};
use crate::decoder::Decoder;
use crate::layers::Root;
use crate::tower::{Tower, TowerStyle};
use crate::{Checkpoint, Error, Part};

/// Where the parts of a LLaVA lie in a checkpoint: as newer versions of `transformers` write them, then as the hub's files do.
pub(super) const TOWER: &[&str] = &[
    "model.vision_tower.vision_model",
    "model.vision_tower",
    "vision_tower.vision_model",
    "vision_tower",
];
pub(super) const PROJECTOR: &[&str] = &["model.multi_modal_projector", "multi_modal_projector"];
pub(super) const DECODER: &[&str] = &["model.language_model", "language_model.model"];
pub(super) const HEAD: &[&str] = &["lm_head", "language_model.lm_head"];

/// Opens a checkpoint of this family.
pub(super) fn open(
    checkpoint: &Checkpoint,
    file: &ConfigFile,
    device: Device,
    kind: Kind,
) -> Result<Opened, Error> {
    let config = Config::read(file)?;
    let processor = Arc::new(LlavaProcessor::open(checkpoint, &config)?);
    let root = Root::new(checkpoint, device, kind);
    let network = Box::new(Llava::load(file, &config, &root)?);
    Ok(Opened {
        processor,
        network,
        parameters: root.into_parameters(),
    })
}

/// Refuses a config that this family cannot follow.
pub(super) fn check(file: &ConfigFile) -> Result<(), Error> {
    Config::read(file).map(drop)
}

struct Llava {
    tower: Tower,
    /// Features before those of the patches that are not kept.
    dropped: i64,
    projector: Projector,
    decoder: Decoder,
}

impl Llava {
    fn load(file: &ConfigFile, config: &Config, root: &Root) -> Result<Self, Error> {
        Ok(Self {
            tower: tower(config, root)?,
            dropped: i64::from(config.drops_first()),
            projector: Projector::load(config, &root.at(Part::Connector, PROJECTOR))?,
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
        &config.features(),
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

    fn look(&self, pixels: &Pixels, deadline: Option<Instant>) -> Result<Seen, Error> {
        let features = self.tower.forward(&pixels.values, deadline)?; // [N, P, W]
        let kept = features.size()[1] - self.dropped;
        Ok(Seen {
            features: features.f_narrow(1, self.dropped, kept)?,
            deep: Vec::new(),
            pictures: pixels.pictures.clone(),
        })
    }

    fn connect(&self, seen: &Seen) -> Result<Visual, Error> {
        let embeddings = self.projector.forward(&seen.features)?; // [N, V / N, C]
        Ok(Visual {
            embeddings: embeddings.f_flatten(0, 1)?,
            deep: Vec::new(),
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
