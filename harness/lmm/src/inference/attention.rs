//! Where the attention behind an answer goes: statistics of every layer and head, and the weights themselves for a map.
//!
//! Made of [`Model::probe`]: one more pass, without a cache, over the prompt and the answer that was generated before. It
//! changes no output, and no time that is measured. The queries are those that predict the answer's tokens (the token that
//! ends it, which is not part of it, is not asked about); of a model that answered nothing it is the prompt's last token
//! alone. Every value is a mean over them.
//!
//! - *visual share*: the weight on visual keys; the rest is on text or, for a variant with a sink, nowhere.
//! - *entropy*, in nats, *effective number* `exp(entropy)`, and the share of the *top 1 %* of the keys (rounded up, so at
//!   least one) are of the distribution over visual keys alone: the weights over their sum, query by query. A query that
//!   gives the picture nothing has no such distribution and is left out of these.
//! - *box share*: that distribution times the part of each token's area inside the answer box, on the first picture. Crops
//!   and views of the whole picture both count, each by its own bounds. *Uniform* is its value for even weights.
//! - *pointing game* (Zhang et al., Top-down Neural Attention by Excitation Backprop, 2016): whether the visual token with
//!   the most weight touches the box; *uniform* is the share of the tokens that do.
//!
//! A variant that drops tokens has fewer of them in the layers after, and there only what is left counts. Variants with a gate on
//! a head's output give the weights before it.

mod statistics;

use rave_methods::{Attention, Step};
use tch::{Kind, Tensor};

pub use self::statistics::{Bounds, HeadStatistics, InBox};
use self::statistics::{Sums, host, inside};
use crate::{Error, ImageEmbeds, Model, Prompt};

/// Most bytes of the weights that are looked at together.
const BLOCK_BYTES: usize = 32 << 20;

/// The attention behind one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Number of queries.
    pub queries: usize,
    /// By layer, then head.
    pub heads: Vec<HeadStatistics>,
}

/// The layer and head of a map; `None` for the mean over all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// From 0.
    pub layer: Option<usize>,
    /// From 0.
    pub head: Option<usize>,
}

/// Statistics of the attention behind `answer`, the tokens that were generated for the prompt. `boxes` are where the answer
/// stands on the first picture. `None` for a prompt without visual tokens.
///
/// # Errors
/// When LibTorch refuses an operation, for example for lack of memory.
pub fn statistics(
    model: &Model,
    attention: &dyn Attention,
    prompt: &Prompt,
    image_embeds: &ImageEmbeds,
    answer: &[i64],
    boxes: &[Bounds],
) -> Result<Option<Probed>, Error> {
    if prompt.regions.is_empty() {
        return Ok(None);
    }
    let all: Vec<f64> = prompt
        .regions
        .iter()
        .map(|region| inside(region, boxes))
        .collect();
    let mut probed = Probed {
        queries: 0,
        heads: Vec::new(),
    };
    let mut probe = |attention: &dyn Attention, step: &Step, keys: &Tensor| {
        let visual = VisualKeys::of(step, prompt);
        let overlaps: Vec<f64> = visual.regions.iter().map(|&region| all[region]).collect();
        let mut sums: Vec<Sums> = Vec::new();
        for_blocks(attention, step, keys, |weights| {
            let block = Sums::of_block(weights, &visual.index, &overlaps)?;
            sums.resize(block.len(), Sums::default());
            for (sum, own) in sums.iter_mut().zip(block) {
                sum.add(&own);
            }
            Ok(())
        })?;
        let has_box = all.iter().any(|&overlap| overlap > 0.0);
        for (head, sums) in sums.iter().enumerate() {
            probed.queries = sums.queries as usize;
            let overlaps = has_box.then_some(overlaps.as_slice());
            probed
                .heads
                .push(sums.statistics(step.layer, head, overlaps, visual.index.len()));
        }
        Ok(())
    };
    model.probe(attention, prompt, image_embeds, answer, &mut probe)?;
    Ok(Some(probed))
}

/// The weight of every visual token of the prompt, `[V]`, as a mean over the answering queries and over the chosen layers and
/// heads; a token that a layer does not have has none there. The sum is the visual share.
///
/// # Errors
/// [`Error::Prompt`] for a layer or head that the model lacks; when LibTorch refuses an operation.
pub fn map(
    model: &Model,
    attention: &dyn Attention,
    prompt: &Prompt,
    image_embeds: &ImageEmbeds,
    answer: &[i64],
    choice: Choice,
) -> Result<Vec<f64>, Error> {
    let geometry = model.info().geometry;
    for (name, index, count) in [
        ("layer", choice.layer, geometry.layers),
        ("head", choice.head, geometry.heads as usize),
    ] {
        if let Some(index) = index.filter(|&index| index >= count) {
            return Err(Error::prompt(format!(
                "{name} {index} is not there: {} has the {name}s 0 to {}, or `mean` over all",
                model.info().name,
                count - 1
            )));
        }
    }
    let layers = if choice.layer.is_some() {
        1
    } else {
        geometry.layers
    };
    let heads = if choice.head.is_some() {
        1
    } else {
        geometry.heads as usize
    };
    let mut sums = vec![0.0; prompt.regions.len()];
    let mut probe = |attention: &dyn Attention, step: &Step, keys: &Tensor| {
        if choice.layer.is_some_and(|layer| layer != step.layer) {
            return Ok(());
        }
        let visual = VisualKeys::of(step, prompt);
        let queries = step.tokens.answering().index.len();
        for_blocks(attention, step, keys, |weights| {
            let weights = match choice.head {
                Some(head) => weights.f_narrow(1, head as i64, 1)?,
                None => weights.shallow_clone(),
            };
            let index = Tensor::f_from_slice(&visual.index)?.f_to_device(weights.device())?;
            let summed = weights
                .f_to_kind(Kind::Double)?
                .f_sum_dim_intlist([0, 1, 2].as_slice(), false, Kind::Double)?
                .f_index_select(0, &index)?;
            for (&region, weight) in visual.regions.iter().zip(host(&summed)?) {
                sums[region] += weight / (queries * heads * layers) as f64;
            }
            Ok(())
        })
    };
    model.probe(attention, prompt, image_embeds, answer, &mut probe)?;
    Ok(sums)
}

/// The visual keys of a layer.
struct VisualKeys {
    /// Their places among the stored keys.
    index: Vec<i64>,
    /// Which of the prompt's visual tokens each of them is.
    regions: Vec<usize>,
}

impl VisualKeys {
    fn of(step: &Step, prompt: &Prompt) -> Self {
        // A probe's batch holds one sequence. Positions are those in the prompt also where tokens were dropped.
        let mut number = 0;
        let numbers: Vec<Option<usize>> = prompt
            .visual
            .iter()
            .map(|&visual| {
                number += usize::from(visual);
                visual.then(|| number - 1)
            })
            .collect();
        let tokens = step.tokens;
        let (mut index, mut regions) = (Vec::new(), Vec::new());
        for at in 0..tokens.stored() {
            if tokens.visual()[at]
                && tokens.valid()[at]
                && let Some(region) = numbers[tokens.positions()[at] as usize]
            {
                index.push(at as i64);
                regions.push(region);
            }
        }
        Self { index, regions }
    }
}

/// Shows `visit` the weights of the answering queries, `[1, H, t, S]` f32, in blocks of so many queries that they stay small.
fn for_blocks(
    attention: &dyn Attention,
    step: &Step,
    keys: &Tensor,
    mut visit: impl FnMut(&Tensor) -> Result<(), rave_methods::Error>,
) -> Result<(), rave_methods::Error> {
    let rows = step.tokens.answering().index;
    let row_bytes = 4 * (step.query.size()[1] * keys.size()[2]) as usize;
    for rows in rows.chunks((BLOCK_BYTES / row_bytes.max(1)).max(1)) {
        visit(&attention.weights(step, keys, rows)?)?;
    }
    Ok(())
}
