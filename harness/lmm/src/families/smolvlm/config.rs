//! `config.json` of SmolVLM and Idefics3.

use serde::Deserialize;

use crate::Error;
use crate::families::ConfigFile;
use crate::nn::decoder::DecoderConfig;
use crate::nn::tower::TowerConfig;

/// The whole config.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub decoder: DecoderConfig,
    pub vision: TowerConfig,
    pub scale_factor: i64,
    /// The id of the `<image>` token.
    pub image_token_id: i64,
}

/// The keys of the whole.
#[derive(Debug, Deserialize)]
struct Whole {
    scale_factor: i64,
    image_token_id: i64,
}

impl Config {
    /// Reads and checks the config of a checkpoint.
    pub(super) fn read(file: &ConfigFile) -> Result<Self, Error> {
        let whole: Whole = file.parse(&file.whole)?;
        let config = Self {
            decoder: file.decoder.clone(),
            vision: file.parse(&file.vision)?,
            scale_factor: whole.scale_factor,
            image_token_id: whole.image_token_id,
        };
        match config.contradiction() {
            Some(reason) => Err(file.malformed(&reason)),
            None => Ok(config),
        }
    }

    /// Visual tokens of one tile.
    pub(super) fn tokens_per_tile(&self) -> usize {
        let side = self.vision.side() / self.scale_factor;
        (side * side) as usize
    }

    fn contradiction(&self) -> Option<String> {
        let vision = &self.vision;
        if let Some(reason) = vision.contradiction() {
            return Some(reason);
        }
        if self.scale_factor < 1 || vision.side() % self.scale_factor != 0 {
            return Some(format!(
                "image_size {} with patches of {} does not split into squares of scale_factor {}",
                vision.image_size, vision.patch_size, self.scale_factor
            ));
        }
        None
    }
}
