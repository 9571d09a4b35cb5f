//! LLaVA-OneVision: a picture of any resolution is seen as a whole and, fitted into a canvas, tile by tile; each row of the
//! canvas's tokens ends with a learned one.
//!
//! Sources: `transformers` 5.23 `models/llava_onevision`, `models/siglip` and `models/qwen2`; checkpoints
//! `llava-hf/llava-onevision-qwen2-*`. Several pictures in one prompt are each seen as a whole alone, padded to a square, as the
//! authors train it and as `apply_chat_template` of the source's processor does; calling that processor with a flat list of
//! pictures would tile each.
//!
//! Deviations: the number of visual tokens is counted from the model's own config, not from that of the processor; videos are
//! not supported. The tokens that end a row stand for no part of the picture but are visual keys like the others: they come
//! from the connector, at the places of `<image>`.

mod anyres;
mod config;
mod processor;

use std::sync::Arc;
use std::time::Instant;

use rave_methods::Geometry;
use tch::Tensor;

use self::anyres::AnyResolution;
use self::processor::OneVisionProcessor;
use super::llava::projector::Projector;
use super::llava::{PROJECTOR, decoder, tower};
use super::{ConfigFile, ConnectorOutput, Network, Pixels, TowerOutput};
use crate::nn::decoder::Decoder;
use crate::nn::tower::Tower;
use crate::nn::weights::Root;
use crate::{Checkpoint, Error, Part, PictureLayout, Processor};

/// Where the embedding that ends a row is, in the hub's files and in newer ones.
const ROW_END: &[&str] = &["image_newline", "model.image_newline"];

/// What prepares the prompts of a checkpoint of this family.
pub(super) fn processor(checkpoint: &Checkpoint) -> Result<Arc<dyn Processor>, Error> {
    let (config, resolution) = config::read(&ConfigFile::of(checkpoint)?)?;
    let processor = OneVisionProcessor::open(checkpoint, &config, &resolution)?;
    Ok(Arc::new(processor))
}

/// The network of a checkpoint of this family.
pub(super) fn network(checkpoint: &Checkpoint, root: &Root) -> Result<Box<dyn Network>, Error> {
    let file = ConfigFile::of(checkpoint)?;
    let (config, resolution) = config::read(&file)?;
    let width = config.decoder.hidden_size;
    Ok(Box::new(OneVision {
        tower: tower(&config, root)?,
        projector: Projector::load(&config, &root.at(Part::Connector, PROJECTOR))?,
        row_end: root.tensor(Part::Connector, ROW_END, &[width])?,
        resolution,
        decoder: decoder(&file, root)?,
    }))
}

/// The sizes of the decoder of a checkpoint of this family.
pub(super) fn geometry(checkpoint: &Checkpoint) -> Result<Geometry, Error> {
    let (config, _) = config::read(&ConfigFile::of(checkpoint)?)?;
    Ok(config.decoder.geometry())
}

struct OneVision {
    tower: Tower,
    projector: Projector,
    /// Ends every row of a canvas, and a picture without one, `[C]`.
    row_end: Tensor,
    resolution: AnyResolution,
    decoder: Decoder,
}

impl OneVision {
    /// The tokens `[V, C]` of one picture, given the embeddings `[1 + rows columns, P, C]` of the whole and its tiles.
    fn pack(&self, tiles: &Tensor, picture: &PictureLayout) -> Result<Tensor, Error> {
        let width = self.row_end.size()[0];
        let whole = tiles.f_select(0, 0)?; // [P, C]
        let [rows, columns] = picture.grid;
        if rows * columns == 0 {
            return Ok(Tensor::f_cat(
                &[whole, self.row_end.f_view([1, width])?],
                0,
            )?);
        }
        let covered = self.resolution.covered(picture.size, picture.grid);
        let side = self.resolution.side as i64;
        let (high, wide) = (rows as i64, columns as i64);
        let canvas = tiles
            .f_narrow(0, 1, high * wide)?
            .f_reshape([high, wide, side, side, width])?
            .f_transpose(1, 2)?
            .f_reshape([high * side, wide * side, width])?; // [rows side, columns side, C]
        let mut patches = canvas;
        for axis in [0, 1] {
            let (first, count) = (covered.origin[axis] as i64, covered.patches[axis] as i64);
            patches = patches.f_narrow(axis as i64, first, count)?;
        }
        if covered.tokens != covered.patches {
            let size = covered.tokens.map(|count| count as i64);
            patches = patches
                .f_permute([2, 0, 1])?
                .f_unsqueeze(0)?
                .f_upsample_bilinear2d(size, false, None, None)?
                .f_squeeze_dim(0)?
                .f_permute([1, 2, 0])?; // [token rows, token columns, C]
        }
        let ends = self
            .row_end
            .f_expand([patches.size()[0], 1, width], false)?;
        let rows = Tensor::f_cat(&[patches, ends], 1)?.f_flatten(0, 1)?;
        Ok(Tensor::f_cat(&[whole, rows], 0)?)
    }
}

impl Network for OneVision {
    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn run_tower(&self, pixels: &Pixels, deadline: Option<Instant>) -> Result<TowerOutput, Error> {
        Ok(TowerOutput {
            hidden_states: self.tower.forward(&pixels.values, deadline)?,
            deepstack: Vec::new(),
            pictures: pixels.pictures.clone(),
        })
    }

    fn connect(&self, tower: &TowerOutput) -> Result<ConnectorOutput, Error> {
        let tiles = self.projector.forward(&tower.hidden_states)?; // [N, P, C]
        let mut first = 0;
        let mut packed = Vec::new();
        for picture in &tower.pictures {
            let count = picture.parts as i64;
            packed.push(self.pack(&tiles.f_narrow(0, first, count)?, picture)?);
            first += count;
        }
        Ok(ConnectorOutput {
            embeddings: Tensor::f_cat(&packed, 0)?,
            deepstack: Vec::new(),
        })
    }

    fn patch_size(&self) -> i64 {
        self.tower.patch_size()
    }
}
