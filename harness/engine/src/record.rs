//! From what the engine knows to what a run records.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use image::RgbImage;
use rave_benchmarks::{Average, Dataset, Item, Label, Picture, Suite};
use rave_lmm::attention::{Bounds, Probed};
use rave_lmm::{Checkpoint, Generation, ModelInfo, Prompt, decode};
use rave_methods::Variant;
use rave_results::schema::{
    AdapterRecord, Aggregate, DataRecord, Failure, FailureKind, GenerationRecord, HeadRecord,
    ModelRecord, SuiteConfiguration, VariantConfiguration, sha256_hex,
};
use rave_results::{AttentionRecord, SampleRecord};

use crate::chosen::Chosen;
use crate::evaluate::{Contender, Field, Request};

/// The configuration record of a variant.
pub(crate) fn variant(variant: &Variant) -> VariantConfiguration {
    let options = match variant.options() {
        serde_json::Value::Object(map) => map.into_iter().collect(),
        other => [("method".to_owned(), other)].into(),
    };
    VariantConfiguration {
        id: variant.id.to_owned(),
        version: variant.version,
        options,
        trainable: variant.is_trained(),
    }
}

/// The configuration record of a suite: what all shards of a run take, so that it is the same in each of them.
pub(crate) fn suite(request: &Request, dataset: &Dataset, chosen: &Chosen) -> SuiteConfiguration {
    let suite = dataset.suite();
    let samples = if request.samples.is_empty() {
        Vec::new()
    } else {
        let rows = chosen.all.iter();
        rows.filter_map(|&row| dataset.id(row)).collect()
    };
    SuiteConfiguration {
        id: suite.id.clone(),
        version: suite.version,
        metric: suite.metric.to_string(),
        metric_version: suite.metric.version(),
        split: suite.split.clone(),
        limit: request.limit,
        shuffle: request.shuffle,
        samples,
        asked_alike: !request.family_prompts && !suite.prompts.is_empty(),
        definition: suite.file.as_ref().map(|file| file.sha256.clone()),
        aggregate: match suite.average {
            Average::Items => Aggregate::Mean,
            Average::Categories => Aggregate::CategoryMean,
        },
        reading: suite.reading,
    }
}

/// The record of one loaded checkpoint.
pub(crate) fn checkpoint(info: &ModelInfo) -> ModelRecord {
    let origin = info.origin.as_ref();
    ModelRecord {
        name: info.name.clone(),
        source: origin.map_or_else(
            || info.name.clone(),
            |origin| format!("{}@{}", origin.repository, origin.revision),
        ),
        repository: origin.map(|origin| origin.repository.clone()),
        revision: origin.map(|origin| origin.revision.clone()),
        sha256: info.sha256.clone(),
        files: info.files.clone(),
        family: info.family.to_owned(),
        parameters: info.parameters,
        untrained: info.untrained,
        generation: Some(GenerationRecord {
            file: info.generation.file.clone(),
            applied: info.generation.applied.clone(),
            ignored: info.generation.ignored.clone(),
            unknown: info.generation.unknown.clone(),
        }),
        ..ModelRecord::default()
    }
}

/// The record of a loaded model: its checkpoints, and the adapters that its variants were given.
pub(crate) fn model(fields: &[Field]) -> ModelRecord {
    let by_seed = fields[0].trained_by_seed;
    let mut record = checkpoint(fields[0].contenders[0].model.info());
    let mut adapters: BTreeMap<String, (AdapterRecord, Vec<String>)> = BTreeMap::new();
    for field in fields {
        for Contender {
            variant,
            model,
            built,
            ..
        } in &field.contenders
        {
            record.untrained |= model.info().untrained;
            if by_seed {
                let place = format!("seed {}, {}", field.seed, variant.id);
                record
                    .checkpoints
                    .insert(place, model.info().sha256.clone());
            }
            let Some(adapter) = &built.adapter else {
                continue;
            };
            let name = adapter.path.file_name().unwrap_or_default();
            let parameters = built.attention.parameters();
            let found = AdapterRecord {
                source: name.to_string_lossy().into_owned(),
                sha256: adapter.sha256.clone(),
                parameters: parameters
                    .iter()
                    .map(|(_, tensor)| tensor.numel() as u64)
                    .sum(),
            };
            let entry = adapters.entry(variant.id.to_owned());
            entry
                .or_insert((found, Vec::new()))
                .1
                .push(adapter.sha256.clone());
        }
    }
    // Of several files the hash of their hashes.
    let joined = |hashes: &mut dyn Iterator<Item = &String>| {
        sha256_hex(
            hashes
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("\n")
                .as_bytes(),
        )
    };
    if by_seed {
        record.seeds = fields.iter().map(|field| field.seed).collect();
        record.sha256 = joined(&mut record.checkpoints.values());
        record.files.clear();
    }
    record.adapters = adapters
        .into_iter()
        .map(|(variant, (mut adapter, hashes))| {
            if hashes.len() > 1 {
                adapter.sha256 = joined(&mut hashes.iter());
            }
            (variant, adapter)
        })
        .collect();
    record
}

/// The record of a suite's data, and of what is taken of it.
pub(crate) fn data(dataset: &Dataset, chosen: &Chosen) -> DataRecord {
    DataRecord {
        fingerprint: dataset.fingerprint().to_owned(),
        source: dataset.source(),
        repository: dataset.origin().map(|origin| origin.repository.clone()),
        revision: dataset.origin().map(|origin| origin.revision.clone()),
        files: dataset.files().iter().cloned().collect(),
        rows_used: chosen.rows().count(),
        rows_total: dataset.size_hint_full().unwrap_or(dataset.len()),
        selection: chosen.selection.clone(),
    }
}

/// The picture of an item, decoded if it is a file's.
///
/// # Errors
/// A picture that cannot be decoded.
pub fn picture(item: &Item) -> Result<RgbImage, rave_lmm::Error> {
    match &item.picture {
        Picture::Rendered(picture) => Ok(picture.clone()),
        Picture::Encoded { bytes, name } => decode(bytes, name),
    }
}

/// The `model_type` of a checkpoint's `config.json`, by which a suite chooses its words ([`Suite::prompt`]).
///
/// # Errors
/// A folder that is no checkpoint.
pub fn model_type(folder: &Path) -> Result<Option<String>, rave_lmm::Error> {
    let checkpoint = Checkpoint::small_files(folder)?;
    Ok(checkpoint.config()["model_type"]
        .as_str()
        .map(str::to_owned))
}

/// Where an item's answer stands, as shares of its picture's width and height.
///
/// # Errors
/// A picture that cannot be decoded.
pub fn answer_boxes(item: &Item) -> Result<Vec<Bounds>, rave_lmm::Error> {
    if item.answer_boxes.is_empty() {
        return Ok(Vec::new());
    }
    let picture = picture(item)?;
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let shares = item.answer_boxes.iter().map(|own| {
        [
            own.left / width,
            own.top / height,
            own.right / width,
            own.bottom / height,
        ]
    });
    Ok(shares.collect())
}

/// The record of a probe of a sample's answer, or why there is none.
pub(crate) fn attention(sample: &SampleRecord, probed: Result<Probed, Failure>) -> AttentionRecord {
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
pub(crate) struct Prepared {
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
    pub(crate) fn has_picture_of(&self, other: &Self) -> bool {
        self.picture.is_some() && self.picture == other.picture
    }
}

/// An answer, with the times that are its own: what was computed for several samples together has none.
pub(crate) struct Answer {
    pub generation: Generation,
    /// Vision tower and connector, when they ran for this picture.
    pub vision: Duration,
    pub prefill: Option<Duration>,
    pub decode: Option<Duration>,
}

/// The record of one sample under one variant; `answer` is the answer, or why there is none.
pub(crate) fn sample(
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
