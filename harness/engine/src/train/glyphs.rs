//! The dense auxiliary task: which character stands at each patch of a picture, as the renderer knows it.
//!
//! Reading is learned much faster when the vision tower is told what each patch shows. A linear head on the patch
//! features is trained beside the model on the embedded stream and thrown away afterwards.

use rave_benchmarks::render::classes::{CLASS_COUNT, patch_classes};
use rave_benchmarks::render::{CANVAS, Rendered};
use rave_lmm::{Error as ModelError, Prompt};
use tch::{Device, Kind, Tensor};

use crate::Error;

/// Weight of a patch without a character, which most are, against one with.
const BACKGROUND_WEIGHT: f64 = 0.1;

/// Turns the characters of a drawn item into a class a patch.
#[derive(Debug, Clone)]
pub(super) struct Glyphs {
    patch: usize,
}

impl Glyphs {
    pub(super) fn new(patch: usize) -> Self {
        Self { patch }
    }

    /// The class of every patch of an item, row by row.
    pub(super) fn of(&self, rendered: &Rendered, prompt: &Prompt) -> Result<Vec<i64>, Error> {
        let side = i64::from(CANVAS);
        if prompt.pixel_shape != [1, 3, side, side] {
            return Err(Error::Request(format!(
                "the dense loss needs a model that sees the embedded pictures as they are, {side} x {side} pixels in one \
                 tile; this one makes {:?} of them: train with --dense 0",
                prompt.pixel_shape
            )));
        }
        Ok(patch_classes(rendered, self.patch as u32)?
            .into_iter()
            .map(i64::from)
            .collect())
    }
}

/// The head's parameters, at zero: weight `[classes, width]` and bias `[classes]`.
pub(super) fn head(width: i64, device: Device) -> Result<Vec<(String, Tensor)>, Error> {
    let classes = CLASS_COUNT as i64;
    let options = (Kind::Float, device);
    let zeros = |shape: &[i64]| Tensor::f_zeros(shape, options).map_err(ModelError::from);
    Ok(vec![
        ("dense.weight".to_owned(), zeros(&[classes, width])?),
        ("dense.bias".to_owned(), zeros(&[classes])?),
    ])
}

/// Mean cross entropy of the classes `[B x P]` from patch features `[B, P, W]`, patches without a character weighted down,
/// and the share of characters that are recognised.
pub(super) fn loss(
    head: &[Tensor],
    patches: &Tensor,
    classes: &Tensor,
) -> Result<(Tensor, f64), ModelError> {
    let features = patches.f_flatten(0, 1)?.f_to_kind(Kind::Float)?;
    let logits = features.f_linear(&head[0], Some(&head[1]))?;
    let weight = Tensor::f_ones([head[1].size()[0]], (Kind::Float, patches.device()))?;
    let _ = weight.f_narrow(0, 0, 1)?.f_fill_(BACKGROUND_WEIGHT)?;
    let loss =
        logits.f_cross_entropy_loss(classes, Some(&weight), tch::Reduction::Mean, -100, 0.0)?;
    let right = logits.f_argmax(-1, false)?.f_eq_tensor(classes)?;
    let glyphs = classes.f_gt(0)?;
    let hits = right
        .f_logical_and(&glyphs)?
        .f_sum(Kind::Float)?
        .f_div(&glyphs.f_sum(Kind::Float)?)?;
    Ok((loss, f64::try_from(hits)?))
}
