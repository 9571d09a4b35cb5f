//! The auxiliary task: what stands at each patch of a picture, as the renderer knows it.
//!
//! Reading is learned much faster when the vision tower is told what each patch shows: the character, the ones before and
//! after it in its word (what a decoder that spells a word out has to look for, and what it says next), the colour and the
//! mark or form of the thing. Linear heads on the patch features are trained beside the model on the embedded stream and
//! thrown away afterwards.

use rave_benchmarks::render::classes::{
    CLASS_COUNT, COLOUR_COUNT, KIND_COUNT, PatchClasses, patch_classes,
};
use rave_benchmarks::render::{CANVAS, Rendered};
use rave_lmm::{Error as ModelError, Prompt};
use tch::{Device, Kind, Tensor};

use crate::Error;

/// Weight of a patch without a character (or colour, or mark), which most are, against one with.
const BACKGROUND_WEIGHT: f64 = 0.1;

/// One linear head.
struct Head {
    name: &'static str,
    classes: usize,
    /// Its share in the loss.
    weight: f64,
    of: fn(&PatchClasses) -> &Vec<u8>,
}

/// The heads, that of the characters first.
const HEADS: [Head; 5] = [
    Head {
        name: "character",
        classes: CLASS_COUNT,
        weight: 1.0,
        of: |classes| &classes.character,
    },
    Head {
        name: "next",
        classes: CLASS_COUNT,
        weight: 0.5,
        of: |classes| &classes.next,
    },
    Head {
        name: "previous",
        classes: CLASS_COUNT,
        weight: 0.5,
        of: |classes| &classes.previous,
    },
    Head {
        name: "colour",
        classes: COLOUR_COUNT,
        weight: 0.5,
        of: |classes| &classes.colour,
    },
    Head {
        name: "kind",
        classes: KIND_COUNT,
        weight: 0.5,
        of: |classes| &classes.kind,
    },
];

/// Turns what is drawn on an item into a class a patch and head.
#[derive(Debug, Clone)]
pub(super) struct Glyphs {
    patch: usize,
}

impl Glyphs {
    pub(super) fn new(patch: usize) -> Self {
        Self { patch }
    }

    /// The classes of every patch of an item, row by row.
    pub(super) fn of(&self, rendered: &Rendered, prompt: &Prompt) -> Result<PatchClasses, Error> {
        let side = i64::from(CANVAS);
        if prompt.pixel_shape != [1, 3, side, side] {
            return Err(Error::request(
                format!(
                    "the auxiliary loss needs a model that sees the embedded pictures as they are, {side} x {side} pixels in one \
                     tile; this one makes {:?} of them",
                    prompt.pixel_shape
                ),
                "train with --aux-loss 0",
            ));
        }
        Ok(patch_classes(rendered, self.patch as u32)?)
    }
}

/// The heads' parameters, at zero: weight `[classes, width]` and bias `[classes]` each.
pub(super) fn heads(width: i64, device: Device) -> Result<Vec<(String, Tensor)>, Error> {
    let mut parameters = Vec::new();
    for Head { name, classes, .. } in HEADS {
        let classes = classes as i64;
        for (part, shape) in [("weight", &[classes, width][..]), ("bias", &[classes])] {
            let zeros = Tensor::f_zeros(shape, (Kind::Float, device)).map_err(ModelError::from)?;
            parameters.push((format!("dense.{name}.{part}"), zeros));
        }
    }
    Ok(parameters)
}

/// The classes of some items, `[heads, B x P]`.
pub(super) fn targets(items: &[&PatchClasses], device: Device) -> Result<Tensor, ModelError> {
    let mut all: Vec<i64> = Vec::new();
    for head in HEADS {
        for item in items {
            all.extend((head.of)(item).iter().map(|&class| i64::from(class)));
        }
    }
    let rows = HEADS.len() as i64;
    Ok(Tensor::f_from_slice(&all)?
        .f_view([rows, -1])?
        .f_to_device(device)?)
}

/// Sum over the heads of the mean cross entropy of their classes (rows of `targets`) from patch features `[B, P, W]`, patches
/// with nothing weighted down, and the share of characters that are recognised.
pub(super) fn loss(
    heads: &[Tensor],
    patches: &Tensor,
    targets: &Tensor,
) -> Result<(Tensor, f64), ModelError> {
    let features = patches.f_flatten(0, 1)?.f_to_kind(Kind::Float)?;
    let mut sum = Tensor::f_zeros([], (Kind::Float, patches.device()))?;
    let mut recognised = 0.0;
    for (number, (head, parameters)) in HEADS.iter().zip(heads.chunks(2)).enumerate() {
        let classes = targets.f_select(0, number as i64)?;
        let logits = features.f_linear(&parameters[0], Some(&parameters[1]))?;
        let weight = Tensor::f_ones([head.classes as i64], (Kind::Float, patches.device()))?;
        let _ = weight.f_narrow(0, 0, 1)?.f_fill_(BACKGROUND_WEIGHT)?;
        let loss = logits.f_cross_entropy_loss(
            &classes,
            Some(&weight),
            tch::Reduction::Mean,
            -100,
            0.0,
        )?;
        sum = sum.f_add(&loss.f_mul_scalar(head.weight)?)?;
        if number == 0 {
            let right = logits.f_argmax(-1, false)?.f_eq_tensor(&classes)?;
            let glyphs = classes.f_gt(0)?;
            let hits = right.f_logical_and(&glyphs)?.f_sum(Kind::Float)?;
            // Items without a character have none to miss.
            let count = f64::try_from(glyphs.f_sum(Kind::Float)?)?;
            recognised = f64::try_from(hits)? / count.max(1.0);
        }
    }
    Ok((sum, recognised))
}
