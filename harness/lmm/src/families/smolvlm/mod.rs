//! SmolVLM and Idefics3: a picture is cut into tiles, each tile becomes the same number of visual tokens.
//!
//! Sources: `transformers` 5.23 `models/idefics3` and `models/smolvlm`; checkpoints `HuggingFaceTB/SmolVLM-*` and
//! `HuggingFaceM4/Idefics3-*`. The two differ in name alone.
//!
//! Deviations: positions in the vision tower are integers (the source's rounded fractions give the same for whole tiles,
//! and older versions of it gave wrong ones); a picture is never padded, since its sides are multiples of the tile by then.

mod config;
mod processor;
mod vision;

use std::cell::RefCell;
use std::sync::Arc;

use rave_methods::Geometry;
use tch::{Device, Kind, Tensor};

use self::config::Config;
use self::processor::SmolVlmProcessor;
use self::vision::VisionTower;
use super::{Network, Opened};
use crate::decoder::Decoder;
use crate::layers::{Linear, Weights};
use crate::{Checkpoint, Error};

/// Opens a checkpoint of this family.
pub(super) fn open(checkpoint: &Checkpoint, device: Device, kind: Kind) -> Result<Opened, Error> {
    let config = Config::read(checkpoint)?;
    let processor = Arc::new(SmolVlmProcessor::open(checkpoint, &config)?);
    let read = RefCell::new(Vec::new());
    let root = Weights::new(checkpoint, device, kind, &read);
    let network = Box::new(SmolVlm::load(checkpoint, &config, &root)?);
    Ok(Opened {
        processor,
        network,
        parameters: read.into_inner(),
    })
}

/// The sizes of the decoder of a checkpoint of this family.
pub(super) fn geometry(checkpoint: &Checkpoint) -> Result<Geometry, Error> {
    Ok(Config::read(checkpoint)?.text_config.geometry())
}

/// The names of the vision tower's parameters begin so.
const VISION: &str = "model.vision_model.";

struct SmolVlm {
    vision: VisionTower,
    connector: Linear,
    scale_factor: i64,
    decoder: Decoder,
}

impl SmolVlm {
    fn load(checkpoint: &Checkpoint, config: &Config, root: &Weights) -> Result<Self, Error> {
        let model = root / "model";
        let head = root / "lm_head";
        let tied = config.tied() && !checkpoint.contains("lm_head.weight");
        let shuffled = config.vision_config.hidden_size * config.scale_factor * config.scale_factor;
        let projection = &(&(&model / "connector") / "modality_projection") / "proj";
        Ok(Self {
            vision: VisionTower::load(&config.vision_config, &(&model / "vision_model"))?,
            connector: Linear::without_bias(&projection, shuffled, config.text_config.hidden_size)?,
            scale_factor: config.scale_factor,
            decoder: Decoder::load(
                &config.text_config,
                &(&model / "text_model"),
                (!tied).then_some(&head),
            )?,
        })
    }
}

impl Network for SmolVlm {
    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn look(&self, pixels: &Tensor) -> Result<Tensor, Error> {
        self.vision.forward(pixels)
    }

    fn connect(&self, patches: &Tensor) -> Result<Tensor, Error> {
        let shuffled = pixel_shuffle(patches, self.scale_factor)?;
        let embeddings = self.connector.forward(&shuffled)?; // [N, V / N, C]
        Ok(embeddings.f_flatten(0, 1)?)
    }

    fn patch_size(&self) -> i64 {
        self.vision.patch_size()
    }

    fn is_vision(&self, parameter: &str) -> bool {
        parameter.starts_with(VISION)
    }
}

/// Trades resolution for width: every square of `factor` x `factor` patches becomes one token, `[N, P, W]` to
/// `[N, P / factor^2, W factor^2]`.
fn pixel_shuffle(features: &Tensor, factor: i64) -> Result<Tensor, Error> {
    let [tiles, patches, width] = [0, 1, 2].map(|axis| features.size()[axis]);
    let side = (patches as f64).sqrt().round() as i64;
    let squares = features.f_view([tiles, side / factor, factor, side / factor, factor * width])?;
    Ok(squares.f_transpose(2, 3)?.f_reshape([
        tiles,
        patches / (factor * factor),
        width * factor * factor,
    ])?)
}
