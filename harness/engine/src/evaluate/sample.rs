//! A sample on its way from its item to its record.

use std::time::Duration;

use rave_benchmarks::{Item, Label, Suite};
use rave_lmm::attention::Probed;
use rave_lmm::{Generation, ModelInfo, Prompt};
use rave_methods::Variant;
use rave_results::schema::{Failure, FailureKind, HeadRecord, sha256_hex};
use rave_results::{AttentionRecord, SampleRecord};

/// The record of a probe of a sample's answer, or why there is none.
pub(super) fn attention(sample: &SampleRecord, probed: Result<Probed, Failure>) -> AttentionRecord {
    let mut record = AttentionRecord {
        model: sample.model.clone(),
        seed: sample.seed,
        variant: sample.variant.clone(),
        suite: sample.suite.clone(),
        sample: sample.sample.clone(),
        image_id: sample.image_id.clone(),
        ..AttentionRecord::default()
    };
    match probed {
        Ok(probed) => {
            record.queries = probed.queries as u32;
            let heads = probed.heads.iter();
            record.heads = heads
                .map(|head| HeadRecord {
                    layer: head.layer as u32,
                    head: head.head as u32,
                    visual_tokens: head.visual_tokens as u32,
                    visual_share: Some(head.visual_share),
                    entropy: head.entropy,
                    effective: head.effective,
                    top_share: head.top_share,
                    box_share: head.in_box.map(|inside| inside.share),
                    box_uniform: head.in_box.map(|inside| inside.uniform),
                    pointing: head.in_box.map(|inside| inside.pointing),
                    pointing_uniform: head.in_box.map(|inside| inside.pointing_uniform),
                })
                .collect();
        }
        Err(error) => record.error = Some(error),
    }
    record
}

/// A sample that was prepared for the model, or why it could not be.
pub(super) struct Prepared {
    /// What is known of it whatever fails.
    pub label: Label,
    /// Its item; `None` when even that could not be read.
    pub item: Option<Item>,
    /// Its number in the data set.
    pub index: usize,
    /// A hash of its picture's content; `None` when it could not be read.
    pub picture: Option<[u8; 32]>,
    /// The prompt, or why there is none.
    pub prompt: Result<Prompt, Failure>,
    /// Time to decode the picture, prepare it and tokenise.
    pub elapsed: Duration,
}

impl Prepared {
    /// Whether both are on one picture, by its content.
    pub(super) fn has_picture_of(&self, other: &Self) -> bool {
        self.picture.is_some() && self.picture == other.picture
    }
}

/// An answer, with the times that are its own: what was computed for several samples together has none.
pub(super) struct Answer {
    pub generation: Generation,
    /// Vision tower and connector, when they ran for this picture.
    pub vision: Duration,
    pub prefill: Option<Duration>,
    pub decode: Option<Duration>,
}

/// The record of one sample under one variant; `answer` is the answer, or why there is none.
pub(super) fn record(
    model: &ModelInfo,
    variant: &Variant,
    suite: &Suite,
    seed: u64,
    prepared: &Prepared,
    answer: Result<&Answer, &Failure>,
) -> SampleRecord {
    let mut record = SampleRecord {
        model: model.name.clone(),
        variant: variant.id.to_owned(),
        suite: suite.id.clone(),
        sample: prepared.label.id.clone(),
        number: Some(prepared.label.number as u64),
        seed,
        ..SampleRecord::default()
    };
    if let Some(item) = &prepared.item {
        record.sample.clone_from(&item.id);
        record.image_id.clone_from(&item.image_id);
        record.category = item.category.clone().unwrap_or_default();
        record.answers.clone_from(&item.answers);
        record.prompt.clone_from(&item.prompt);
    } else {
        let label = &prepared.label;
        record.image_id = label.image_id.clone().unwrap_or_else(|| label.id.clone());
        record.category = label.category.clone().unwrap_or_default();
        record.answers.clone_from(&label.answers);
        record.prompt.clone_from(&label.prompt);
    }
    if let Ok(prompt) = &prepared.prompt {
        record.prompt.clone_from(&prompt.chat);
        record.prompt_sha256 = sha256_hex(prompt.text.as_bytes());
        record.prompt_tokens = prompt.ids.len() as u32;
        record.visual_tokens = prompt.visual_tokens() as u32;
        record.preprocess_ms = Some(milliseconds(prepared.elapsed));
    }
    match (answer, &prepared.item) {
        (Ok(answer), Some(item)) => {
            let text = &answer.generation.text;
            record.prediction.clone_from(text);
            record.score = Some(item.metric.unwrap_or(suite.metric).score(
                text,
                &item.answers,
                item.dataset.as_deref(),
            ));
            record.new_tokens = answer.generation.ids.len() as u32;
            record.vision_ms = Some(milliseconds(answer.vision));
            record.prefill_ms = answer.prefill.map(milliseconds);
            record.decode_ms = answer.decode.map(milliseconds);
        }
        (Err(failure), _) => record.error = Some(failure.clone()),
        (Ok(_), None) => {
            record.error = Some(Failure::new(FailureKind::Item, "it could not be read"));
        }
    }
    record
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
