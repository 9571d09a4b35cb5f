//! SmolVLM and Idefics3: a picture is cut into tiles, each tile becomes the same number of visual tokens.
//!
//! Sources: `transformers` 5.23 `models/idefics3` and `models/smolvlm`; checkpoints `HuggingFaceTB/SmolVLM-*` and
//! `HuggingFaceM4/Idefics3-*`. The two differ in name alone.
//!
//! Deviations: positions in the vision tower are integers (the source's rounded fractions give the same for whole tiles,
//! and older versions of it gave wrong ones); a picture is never padded, since its sides are multiples of the tile by then.

mod config;
mod processor;

use std::sync::Arc;
use std::time::Instant;

use rave_methods::Geometry;
use tch::Tensor;

use self::config::Config;
use self::processor::SmolVlmProcessor;
use super::{ConfigFile, ConnectorOutput, Network, Pixels, TowerOutput};
use crate::nn::decoder::Decoder;
use crate::nn::layers::Linear;
use crate::nn::tower::{FeatureLayers, Tower, TowerStyle};
use crate::nn::weights::Root;
use crate::{Checkpoint, Error, Part, Processor};

/// What prepares the prompts of a checkpoint of this family.
pub(super) fn processor(checkpoint: &Checkpoint) -> Result<Arc<dyn Processor>, Error> {
    let config = Config::read(&ConfigFile::of(checkpoint)?)?;
    Ok(Arc::new(SmolVlmProcessor::open(checkpoint, &config)?))
}

/// The network of a checkpoint of this family.
pub(super) fn network(checkpoint: &Checkpoint, root: &Root) -> Result<Box<dyn Network>, Error> {
    Ok(Box::new(SmolVlm::load(&ConfigFile::of(checkpoint)?, root)?))
}

/// The sizes of the decoder of a checkpoint of this family.
pub(super) fn geometry(checkpoint: &Checkpoint) -> Result<Geometry, Error> {
    Ok(Config::read(&ConfigFile::of(checkpoint)?)?
        .decoder
        .geometry())
}

struct SmolVlm {
    vision: Tower,
    connector: Linear,
    scale_factor: i64,
    decoder: Decoder,
}

impl SmolVlm {
    fn load(file: &ConfigFile, root: &Root) -> Result<Self, Error> {
        let config = Config::read(file)?;
        // Without `model.` where the model was saved without its head.
        let vision = root.at(Part::Vision, &["model.vision_model", "vision_model"]);
        let connector = root.at(
            Part::Connector,
            &[
                "model.connector.modality_projection.proj",
                "connector.modality_projection.proj",
            ],
        );
        let text = root.at(Part::Decoder, &["model.text_model", "text_model"]);
        let head = root.head(&["lm_head"], file.tied);
        let shuffled = config.vision.hidden_size * config.scale_factor * config.scale_factor;
        let width = config.decoder.hidden_size;
        Ok(Self {
            vision: Tower::load(
                &config.vision,
                TowerStyle::Siglip,
                &FeatureLayers::Normalised,
                &vision,
            )?,
            connector: Linear::without_bias(&connector, shuffled, width)?,
            scale_factor: config.scale_factor,
            decoder: Decoder::load(&config.decoder, &file.style, &text, head.as_ref())?,
        })
    }
}

impl Network for SmolVlm {
    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn run_tower(&self, pixels: &Pixels, deadline: Option<Instant>) -> Result<TowerOutput, Error> {
        Ok(TowerOutput {
            hidden_states: self.vision.forward(&pixels.values, deadline)?,
            deepstack: Vec::new(),
            pictures: pixels.pictures.clone(),
        })
    }

    fn connect(&self, tower: &TowerOutput) -> Result<ConnectorOutput, Error> {
        let shuffled = pixel_shuffle(&tower.hidden_states, self.scale_factor)?;
        let embeddings = self.connector.forward(&shuffled)?; // [N, V / N, C]
        Ok(ConnectorOutput {
            embeddings: embeddings.f_flatten(0, 1)?,
            deepstack: Vec::new(),
        })
    }

    fn patch_size(&self) -> i64 {
        self.vision.patch_size()
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
