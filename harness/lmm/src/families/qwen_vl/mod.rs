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

use tch::{Device, Kind};

use self::config::Config;
use self::merger::Merger;
use self::processor::QwenVlProcessor;
use self::vision::VisionTower;
use super::{ConfigFile, Network, Opened, Pixels, Seen, Visual};
use crate::decoder::Decoder;
use crate::layers::Root;
use crate::{Checkpoint, Error, Part};

/// Opens a checkpoint of one of these families.
pub(super) fn open(
    checkpoint: &Checkpoint,
    file: &ConfigFile,
    device: Device,
    kind: Kind,
) -> Result<Opened, Error> {
    let config = Config::read(file)?;
    let processor = Arc::new(QwenVlProcessor::open(checkpoint, &config)?);
    let root = Root::new(checkpoint, device, kind);
    let network = Box::new(QwenVl::load(file, &config, &root)?);
    Ok(Opened {
        processor,
        network,
        parameters: root.into_parameters(),
    })
}

/// Refuses a config that these families cannot follow.
pub(super) fn check(file: &ConfigFile) -> Result<(), Error> {
    Config::read(file).map(drop)
}

struct QwenVl {
    vision: VisionTower,
    merger: Merger,
    /// Of the tower's earlier layers.
    deep_mergers: Vec<Merger>,
    decoder: Decoder,
}

impl QwenVl {
    fn load(file: &ConfigFile, config: &Config, root: &Root) -> Result<Self, Error> {
        let visual = root.at(Part::Vision, &["model.visual", "visual"]);
        let connector = visual.as_part(Part::Connector);
        let text = root.at(Part::Decoder, &["model.language_model", "model"]);
        let head = root.head(&["lm_head"], file.tied);
        let vision = &config.vision;
        let deep = &connector / "deepstack_merger_list";
        Ok(Self {
            vision: VisionTower::load(vision, &visual)?,
            merger: Merger::load(vision, &(&connector / "merger"))?,
            deep_mergers: (0..vision.deep_layers().len())
                .map(|number| Merger::load_deep(vision, &(&deep / number)))
                .collect::<Result<_, _>>()?,
            decoder: Decoder::load(&file.decoder, &file.style, &text, head.as_ref())?,
        })
    }
}

impl Network for QwenVl {
    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn look(&self, pixels: &Pixels, deadline: Option<Instant>) -> Result<Seen, Error> {
        self.vision.forward(pixels, deadline)
    }

    fn connect(&self, seen: &Seen) -> Result<Visual, Error> {
        let deep = self.deep_mergers.iter().zip(&seen.deep);
        Ok(Visual {
            embeddings: self.merger.forward(&seen.features)?,
            deep: deep
                .map(|(merger, features)| merger.forward(features))
                .collect::<Result<_, _>>()?,
        })
    }

    fn patch_size(&self) -> i64 {
        self.vision.patch_size()
    }
}
