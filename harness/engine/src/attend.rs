//! `rave attend`: where the attention behind one answer lies on its picture, variant by variant.
//!
//! Each variant answers the question first; what is looked at is the attention of the tokens that predict that answer
//! ([`rave_lmm::attention`]), and of all layers and heads the chosen ones.

use std::path::PathBuf;

use image::RgbImage;
use rave_lmm::attention::{Bounds, Choice, HeadStatistics, InBox, Probed, map, statistics};
use rave_lmm::{GenerationOptions, LoadOptions, Model, checkpoint_folder};
use rave_methods::Variant;

use crate::Error;
use crate::record::check_adapter;

/// What to look at.
#[derive(Debug, Clone)]
pub struct AttendRequest {
    /// The model by name or folder.
    pub model: String,
    /// Attention variants.
    pub variants: Vec<&'static Variant>,
    /// Device, compute type, and what of the generation config is not followed.
    pub options: LoadOptions,
    /// Trained weights for the one trained variant; otherwise those beside the checkpoint are taken.
    pub adapter: Option<PathBuf>,
    /// Of a grid of checkpoints the seed to take, by default its first; else the seed of a variant at its initial values.
    pub seed: Option<u64>,
    /// Most tokens to generate.
    pub max_new_tokens: usize,
    /// The layers and heads.
    pub choice: Choice,
}

/// A question about a picture.
#[derive(Debug, Clone)]
pub struct Question {
    /// The picture.
    pub picture: RgbImage,
    /// What is asked.
    pub prompt: String,
    /// Where the answer stands, as shares of the picture's width and height.
    pub boxes: Vec<Bounds>,
}

/// What a variant answered, and where it looked.
#[derive(Debug, Clone)]
pub struct Attended {
    /// The variant's id.
    pub variant: &'static str,
    /// Whether the checkpoint has seeded random weights.
    pub untrained: bool,
    /// The answer.
    pub answer: String,
    /// Number of tokens that predict the answer's.
    pub queries: usize,
    /// Means over the chosen layers and heads.
    pub means: Means,
    /// The part of the picture that each visual token stands for (left, top, right, bottom, as shares of width and height) and its
    /// share of the attention on the picture.
    pub tokens: Vec<(Bounds, f64)>,
}

/// Means over the chosen layers and heads, of what [`HeadStatistics`] says of each.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Share of the attention on the picture.
    pub visual_share: f64,
    /// How many visual keys share that attention as if evenly.
    pub effective: Option<f64>,
    /// What of it is in the answer's box; `None` without one.
    pub in_box: Option<InBox>,
}

/// Answers with every variant in turn and looks at what it attended to.
///
/// # Errors
/// Bad input; a model that cannot be loaded or run; a prompt without visual tokens.
pub fn attend(request: &AttendRequest, question: &Question) -> Result<Vec<Attended>, Error> {
    check_adapter(&request.variants, request.adapter.is_some())?;
    let mut attended = Vec::with_capacity(request.variants.len());
    // Most variants run on one checkpoint; those of a grid may have their own.
    let mut open: Option<Model> = None;
    for &variant in &request.variants {
        let folder = checkpoint_folder(&request.model, variant.id, request.seed)?;
        let same = open.take().filter(|model| model.info().folder == folder);
        let model = match same {
            Some(model) => model,
            None => Model::open(&request.model, folder, request.options)?,
        };
        attended.push(attend_with(request, variant, &model, question)?);
        open = Some(model);
    }
    Ok(attended)
}

/// Answers with one variant and looks at what it attended to.
fn attend_with(
    request: &AttendRequest,
    variant: &'static Variant,
    model: &Model,
    question: &Question,
) -> Result<Attended, Error> {
    let adapter = request.adapter.as_deref().filter(|_| variant.is_trained());
    let built = model.build(variant, request.seed.unwrap_or(0), adapter)?;
    let prompt = model
        .processor()
        .prepare(&[&question.picture], &question.prompt)?;
    let features = model.encode_image(&prompt)?;
    let options = GenerationOptions {
        max_new_tokens: request.max_new_tokens,
        stop_at_end: true,
        deadline: None,
    };
    let attention = built.attention.as_ref();
    let generation = model.generate(attention, &prompt, &features, &options)?;
    let answer = &generation.ids;
    let weights = map(model, attention, &prompt, &features, answer, request.choice)?;
    let boxes = &question.boxes;
    let probed = statistics(model, attention, &prompt, &features, answer, boxes)?;
    let Some(probed) = probed else {
        return Err(Error::refused(format!(
            "{} makes no visual tokens of this prompt, so there is nothing to show",
            request.model
        )));
    };
    let mass: f64 = weights.iter().sum();
    let tokens = prompt.regions.iter().zip(&weights);
    let tokens = tokens.map(|(place, weight)| (place.bounds, weight / mass.max(f64::MIN_POSITIVE)));
    Ok(Attended {
        variant: variant.id,
        untrained: model.info().untrained,
        answer: generation.text,
        queries: probed.queries,
        means: Means::of(&probed, request.choice),
        tokens: tokens.collect(),
    })
}

impl Means {
    fn of(probed: &Probed, choice: Choice) -> Self {
        let is = |head: &&HeadStatistics| {
            choice.layer.is_none_or(|layer| layer == head.layer)
                && choice.head.is_none_or(|number| number == head.head)
        };
        let heads: Vec<&HeadStatistics> = probed.heads.iter().filter(is).collect();
        let mean = |of: &dyn Fn(&HeadStatistics) -> Option<f64>| -> Option<f64> {
            let values: Vec<f64> = heads.iter().filter_map(|head| of(head)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let inside = |of: fn(&InBox) -> f64| mean(&|head| head.in_box.as_ref().map(of));
        let in_box = || {
            Some(InBox {
                share: inside(|own| own.share)?,
                uniform: inside(|own| own.uniform)?,
                pointing: inside(|own| own.pointing)?,
                pointing_uniform: inside(|own| own.pointing_uniform)?,
            })
        };
        Self {
            visual_share: mean(&|head| Some(head.visual_share)).unwrap_or(0.0),
            effective: mean(&|head| head.effective),
            in_box: in_box(),
        }
    }
}
