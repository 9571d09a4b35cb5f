//! The samples as the page's script reads them.

use std::collections::HashMap;

use rave_results::Summary;
use rave_results::excerpt::{Answer, Excerpt, Sample};
use rave_results::maps::AttentionMaps;
use rave_results::schema::{Failure, FailureKind};
use serde::Serialize;
use serde_json::{Value, json};

use super::pictures::{Inline, Pictures, fitted, inline};
use super::text::{script_json, short, show_hidden};
use crate::Error;

/// Bytes that the pictures of a page may take, as they stand in it.
const PICTURES: usize = 3_200_000;
/// Answers of a page's samples, over variants and seeds.
const ANSWERS: usize = 20_000;
/// Opacity of the densest part of an attention map.
const DENSEST: f64 = 0.85;
/// What is more transparent is left out.
const FAINTEST: f32 = 0.01;

/// Most samples of a page: fewer where each has more answers.
pub fn max_samples(summary: &Summary) -> usize {
    let seeds = summary
        .macros
        .iter()
        .map(|cell| cell.by_seed.len().max(1))
        .max();
    let answers = summary.variants.len().max(1) * seeds.unwrap_or(1);
    (ANSWERS / answers).clamp(100, 1_000)
}

/// What the script reads.
#[derive(Serialize)]
struct Data<'a> {
    models: Vec<String>,
    suites: Vec<String>,
    variants: Vec<String>,
    /// Place of the baseline among the variants.
    baseline: usize,
    seeds: &'a [u64],
    /// What stands before the colon of errors.
    reasons: Vec<String>,
    /// Why pictures are absent.
    absent: Vec<String>,
    pictures: Vec<Inline>,
    samples: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    model: usize,
    suite: usize,
    id: String,
    category: String,
    question: String,
    accepted: Vec<String>,
    /// By variant: null, or by seed null, `[prediction, score]` or `[prediction, null, reason, error]`.
    answers: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    boxes: Vec<[f32; 4]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maps: Vec<Heat>,
}

/// A map as it lies over a picture.
#[derive(Serialize)]
struct Heat {
    /// Whose it is, in words.
    name: String,
    /// Parts of the picture, each with its opacity.
    tokens: Vec<([f32; 4], f32)>,
}

/// Each distinct text once, with its place.
#[derive(Default)]
struct Distinct(Vec<String>);

impl Distinct {
    fn of(&mut self, text: &str) -> usize {
        self.0
            .iter()
            .position(|known| known == text)
            .unwrap_or_else(|| {
                self.0.push(text.to_owned());
                self.0.len() - 1
            })
    }
}

/// The data of the script, and what a reader must know of the choice.
pub(super) fn samples(
    summary: &Summary,
    excerpt: &Excerpt,
    maps: &[AttentionMaps],
    pictures: &mut dyn Pictures,
) -> Result<(String, Vec<String>), Error> {
    let (mut reasons, mut absent) = (Distinct::default(), Distinct::default());
    let (mut drawn, mut places) = (Vec::new(), HashMap::new());
    let mut shown = Vec::new();
    for sample in &excerpt.samples {
        let suite = &summary.suites[sample.suite].id;
        let mut entry = entry(sample, &mut reasons);
        match pictures.find(suite, &sample.id) {
            Ok(found) => {
                // Questions about one picture share it.
                let place = *places
                    .entry((sample.suite, sample.image_id.as_str()))
                    .or_insert_with(|| {
                        drawn.push(fitted(found.picture));
                        drawn.len() - 1
                    });
                entry.picture = Some(place);
                entry.question = short(&found.question);
                entry.maps = heats(summary, sample, maps);
                entry.boxes = found
                    .boxes
                    .into_iter()
                    .map(|own| own.map(rounded))
                    .collect();
            }
            Err(reason) => entry.absent = Some(absent.of(&show_hidden(&reason))),
        }
        shown.push(entry);
    }
    let mapped = shown
        .iter()
        .filter(|sample| !sample.maps.is_empty())
        .count();
    let names = |names: Vec<&String>| names.into_iter().map(|name| show_hidden(name)).collect();
    let data = Data {
        models: names(summary.models.iter().map(|model| &model.name).collect()),
        suites: names(summary.suites.iter().map(|suite| &suite.id).collect()),
        variants: names(summary.variants.iter().map(|variant| &variant.id).collect()),
        baseline: 0,
        seeds: &excerpt.seeds,
        reasons: reasons.0,
        absent: absent.0,
        pictures: inline(drawn, PICTURES)?,
        samples: shown,
    };
    let json = script_json(&data).map_err(|error| Error::Text(error.to_string()))?;
    Ok((json, about(excerpt, mapped)))
}

fn entry(sample: &Sample, reasons: &mut Distinct) -> Shown {
    let mut answer = |answer: &Option<Answer>| match answer {
        None => Value::Null,
        Some(Answer {
            prediction,
            score: Some(score),
            ..
        }) => json!([short(prediction.trim_matches(' ')), score]),
        Some(Answer {
            prediction, error, ..
        }) => {
            let unscored = || Failure::new(FailureKind::Unscored, "");
            let failure = error.clone().unwrap_or_else(unscored);
            json!([
                short(prediction.trim_matches(' ')),
                null,
                reasons.of(&show_hidden(failure.kind.name())),
                short(&failure.to_string())
            ])
        }
    };
    let answers = sample.answers.iter().map(|own| {
        if own.iter().all(Option::is_none) {
            return Value::Null;
        }
        own.iter().map(&mut answer).collect()
    });
    Shown {
        model: sample.model,
        suite: sample.suite,
        id: show_hidden(&sample.id),
        category: show_hidden(&sample.category),
        question: short(&sample.prompt),
        accepted: distinct(&sample.accepted),
        answers: answers.collect(),
        picture: None,
        absent: None,
        boxes: Vec::new(),
        maps: Vec::new(),
    }
}

/// The maps of a sample. All of a sample's share one scale: the densest part of any is the least transparent.
fn heats(summary: &Summary, sample: &Sample, maps: &[AttentionMaps]) -> Vec<Heat> {
    let (model, suite) = (
        &summary.models[sample.model].name,
        &summary.suites[sample.suite].id,
    );
    let own = maps.iter().filter(|maps| {
        maps.model == *model
            && maps.suite.as_ref() == Some(suite)
            && maps.sample.as_ref() == Some(&sample.id)
    });
    let density = |&([left, top, right, bottom], share): &([f32; 4], f64)| {
        share / f64::from((right - left) * (bottom - top)).max(f64::MIN_POSITIVE)
    };
    let variants = own.clone().flat_map(|maps| &maps.variants);
    let densest = variants
        .flat_map(|map| &map.tokens)
        .map(density)
        .fold(0.0, f64::max);
    let mut heats = Vec::new();
    for maps in own {
        let seed = maps
            .seed
            .map_or(String::new(), |seed| format!(", seed {seed}"));
        for map in &maps.variants {
            let tokens = map.tokens.iter().map(|token| {
                let opacity = DENSEST * density(token) / densest.max(f64::MIN_POSITIVE);
                (token.0.map(rounded), rounded(opacity as f32))
            });
            heats.push(Heat {
                name: show_hidden(&format!("{}{seed}", map.variant)),
                tokens: tokens.filter(|(_, opacity)| *opacity > FAINTEST).collect(),
            });
        }
    }
    heats
}

/// Each accepted answer once: some suites repeat it for each annotator.
fn distinct(accepted: &[String]) -> Vec<String> {
    let mut places = Distinct::default();
    for answer in accepted {
        places.of(&short(answer));
    }
    places.0
}

/// To a ten-thousandth of the picture.
fn rounded(share: f32) -> f32 {
    (share * 10_000.0).round() / 10_000.0
}

/// What a reader must know of the choice of samples and of their cards; `mapped` of them have attention maps.
fn about(excerpt: &Excerpt, mapped: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (shown, total) = (excerpt.samples.len(), excerpt.total);
    if shown < total {
        lines.push(format!(
            "Here are {shown} of {total} samples, the same number of each suite as far as it has them: up to half of them tell \
             variants apart or lack a score, the others are drawn at random. Every number above is of all {total}."
        ));
    }
    lines.push(
        "Right is a score of at least 0.5; scores between 0 and 1 are given. Spaces around a prediction are not shown, and \
         characters that cannot be seen are written as ⟨U+…⟩."
            .into(),
    );
    if mapped > 0 {
        lines.push(format!(
            "{mapped} of them have attention maps: the more opaque a part of the picture, the more attention for its size; the \
             maps of a sample share one scale."
        ));
    }
    lines
}
