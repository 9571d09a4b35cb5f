//! The shape of `run.json` and of one sample's record.
//!
//! Every type is plain data with public fields: the engine fills them, the reporters read them. A change of
//! meaning raises [`SCHEMA_VERSION`]; a new optional field with a default does not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod attention;
mod failure;
mod machine;
mod shard;
mod work;

pub use attention::{AttentionRecord, HeadRecord};
pub use failure::{Failure, FailureKind};
pub use machine::{Libraries, Machine};
pub use shard::{MergedShard, Selection, Shard};
pub use work::WorkRecord;

/// The version of `run.json` and `samples.parquet` that this library writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// `run.json`: everything about a run but its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The run's id, also the name of its folder.
    pub run: String,
    /// When it began.
    pub created: Timestamp,
    /// The arguments it was started with, the program's name first.
    pub command_line: Vec<String>,
    /// What was asked for.
    pub configuration: Configuration,
    /// [`Configuration::hash`].
    pub config_hash: String,
    /// The code that ran.
    pub code: CodeVersion,
    /// The checkpoints, one a name in [`Configuration::models`].
    pub models: Vec<ModelRecord>,
    /// The data of each suite.
    pub data: BTreeMap<String, DataRecord>,
    /// Where it ran.
    pub machine: Machine,
    /// Versions of what does the arithmetic.
    pub libraries: Libraries,
    /// When it ended; `None` while it runs and after an interruption.
    pub finished: Option<Timestamp>,
    /// How many samples have a score and how many have none.
    pub counts: Counts,
    /// How the time was spent; `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkRecord>,
    /// The shards that it was joined of, in order; none of a run that was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<MergedShard>,
}

impl RunRecord {
    /// A record of a run that begins now on this machine; hash and time are filled in, nothing is counted yet.
    pub fn new(
        run: impl Into<String>,
        command_line: Vec<String>,
        configuration: Configuration,
        code: CodeVersion,
        libraries: Libraries,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            run: run.into(),
            // Whole milliseconds: what is finer than that means nothing here and makes the file harder to read.
            created: whole_milliseconds(Timestamp::now()),
            command_line,
            config_hash: configuration.hash(),
            configuration,
            code,
            models: Vec::new(),
            data: BTreeMap::new(),
            machine: Machine::detect(),
            libraries,
            finished: None,
            counts: Counts::default(),
            work: None,
            merged_from: Vec::new(),
        }
    }

    /// Samples that the run is to record: the rows of its suites under each variant of each model. `None` where the
    /// data of a suite is not recorded.
    pub fn due(&self) -> Option<u64> {
        let asked = &self.configuration;
        let rows: Option<Vec<usize>> = asked
            .suites
            .iter()
            .map(|suite| Some(self.data.get(&suite.id)?.rows_used))
            .collect();
        let fields: usize = asked.models.iter().map(|name| self.seeds_of(name)).sum();
        Some((rows?.into_iter().sum::<usize>() * asked.variants.len() * fields) as u64)
    }

    /// Under how many seeds the run takes the samples of a model.
    pub fn seeds_of(&self, model: &str) -> usize {
        self.model(model)
            .map_or(1, |model| model.seeds.len().max(1))
    }

    /// The model of this name.
    pub fn model(&self, name: &str) -> Option<&ModelRecord> {
        self.models.iter().find(|model| model.name == name)
    }
}

/// Drops what is finer than a millisecond.
pub(crate) fn whole_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// What was asked of a run; equal configurations on equal checkpoints and data give equal predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Model names, in the order of the command line.
    pub models: Vec<String>,
    /// Attention variants, in the order of the command line.
    pub variants: Vec<VariantConfiguration>,
    /// Suites, in the order of the command line.
    pub suites: Vec<SuiteConfiguration>,
    /// The seed that was asked for; `None` for all that a grid of checkpoints holds, or else 0.
    pub seed: Option<u64>,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Threads that the tensor library may use.
    pub threads: usize,
    /// Samples a batch.
    pub batch: usize,
    /// Whether the attention behind each answer was probed, into `attention.parquet`. Left out of the JSON where not, so that
    /// configurations from before there were probes keep their hash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attention: bool,
    /// Whether questions on one picture shared the keys and values of their beginning, and pictures that came again their features.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    /// Most seconds for one answer, preparing and vision included; `None` without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_timeout: Option<f64>,
    /// Which part of the samples the run takes; `None` for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

impl Configuration {
    /// SHA-256 of the canonical JSON (keys sorted, no white space), in hexadecimal.
    ///
    /// # Panics
    /// Never: strings, numbers and lists are always valid JSON.
    pub fn hash(&self) -> String {
        canonical_hash(self)
    }
}

/// SHA-256 of the canonical JSON of a struct of strings, numbers and lists.
pub(crate) fn canonical_hash(configuration: &impl Serialize) -> String {
    let value = serde_json::to_value(configuration)
        .expect("a struct of strings, numbers and lists is valid JSON");
    let mut canonical = String::new();
    canonical_json(&value, &mut canonical);
    sha256_hex(canonical.as_bytes())
}

/// One attention variant of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantConfiguration {
    /// Its id in the registry.
    pub id: String,
    /// Its version, raised when its numbers may move.
    pub version: u32,
    /// Its options, as the variant spells them.
    #[serde(default)]
    pub options: BTreeMap<String, serde_json::Value>,
    /// Whether it adds parameters that training must fill; without an adapter such a variant is at its identity.
    #[serde(default)]
    pub trainable: bool,
}

/// One suite of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteConfiguration {
    /// Its id in the registry.
    pub id: String,
    /// Its version, raised when its numbers may move.
    pub version: u32,
    /// The metric's id.
    pub metric: String,
    /// The metric's version.
    pub metric_version: u32,
    /// The data's split.
    pub split: String,
    /// At most so many samples.
    pub limit: Option<usize>,
    /// The seed under which the samples of a limit were drawn; `None` for the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<u64>,
    /// The samples that were asked for by id; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<String>,
    /// Whether all families were asked alike, although the suite has prompts that their authors prescribe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_alike: bool,
    /// SHA-256 of the file that defines the suite, of one that is not the program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// How samples make the suite's score.
    #[serde(default)]
    pub aggregate: Aggregate,
    /// Whether an answer must be read off the picture as text.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub reading: bool,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

/// How a suite's score is made of its samples' scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// The mean over all scored samples.
    #[default]
    Mean,
    /// The mean over categories of each category's mean (`mtvqa`: over languages).
    CategoryMean,
}

/// One checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The name used in every record.
    pub name: String,
    /// Hub id with revision, or the folder as it was given.
    pub source: String,
    /// The hub's repository that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit of that repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of the weights, in hexadecimal; of several checkpoints that of their hashes.
    pub sha256: String,
    /// SHA-256 of each file that it was made from, by its name, in hexadecimal; not of several checkpoints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The checkpoints by seed and variant, where each has its own, with the SHA-256 of their weights.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checkpoints: BTreeMap<String, String>,
    /// The seeds of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
    /// The model family's id.
    pub family: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Seeded random weights: the scores say nothing about a method.
    pub untrained: bool,
    /// The trained gate weights that were loaded, by variant.
    #[serde(default)]
    pub adapters: BTreeMap<String, AdapterRecord>,
    /// What of its generation config its answers followed; `None` in records of before that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<GenerationRecord>,
}

impl ModelRecord {
    /// Whether two records are of the same weights: of a grid the checkpoints that both ran on, else the model's own.
    pub fn same_weights(&self, other: &Self) -> bool {
        if self.checkpoints.is_empty() || other.checkpoints.is_empty() {
            return self.sha256 == other.sha256;
        }
        let shared = |place: &String| other.checkpoints.contains_key(place);
        self.checkpoints
            .iter()
            .filter(|(place, _)| shared(place))
            .all(|(place, sha256)| other.checkpoints.get(place) == Some(sha256))
    }

    /// Whether the answers of two records followed the same generation config, as far as they tell.
    pub fn same_decoding(&self, other: &Self) -> bool {
        match (&self.generation, &other.generation) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }
    }
}

/// What of a checkpoint's generation config its answers followed: keys with the values of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GenerationRecord {
    /// The file: `generation_config.json`, or `config.json` where there is none.
    pub file: String,
    /// What was followed, but for values that ask for nothing.
    #[serde(default)]
    pub applied: BTreeMap<String, serde_json::Value>,
    /// What was not looked at, as asked for (`--ignore-generation-config`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ignored: BTreeMap<String, serde_json::Value>,
    /// Keys that are not known and had no effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// Trained weights of one variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterRecord {
    /// The file as it was given.
    pub source: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Number of parameters that it adds.
    pub parameters: u64,
}

/// The data behind one suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// A hash that changes with any item of the data.
    pub fingerprint: String,
    /// Hub repository, folder, or `embedded`.
    pub source: String,
    /// The hub's repository that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit of that repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of each file that was read, by its path in the repository or folder, in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Rows that the run took; of a shard its own.
    pub rows_used: usize,
    /// Rows that there are.
    pub rows_total: usize,
    /// What all shards take together; `None` of a run that is no shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
}

/// The code that ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CodeVersion {
    /// The crate's version.
    pub version: String,
    /// The git commit, where it is known.
    pub commit: Option<String>,
}

/// Samples with and without a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Samples with a finite score.
    pub scored: u64,
    /// Samples without one.
    pub failed: u64,
}

impl Counts {
    /// Counts one more sample.
    pub(crate) fn add(&mut self, sample: &SampleRecord) {
        match sample.score {
            Some(_) => self.scored += 1,
            None => self.failed += 1,
        }
    }
}

/// One sample under one model and variant.
///
/// Times are milliseconds, and `None` where the step did not run for this sample alone: it failed before, or the work was
/// shared with other samples (a batch, a common beginning). Text is kept as it came: not trimmed, not shortened, no word taken for "missing".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// The model's name.
    pub model: String,
    /// The variant's id.
    pub variant: String,
    /// The suite's id.
    pub suite: String,
    /// The sample's id within the suite.
    pub sample: String,
    /// Its number in the split, from 0; `None` in records from before it was kept.
    #[serde(default)]
    pub number: Option<u64>,
    /// The image's id: samples of one image are one cluster.
    pub image_id: String,
    /// The suite's own grouping (question type, language, ...); empty where it has none.
    pub category: String,
    /// The seed under which model or variant was trained or drawn.
    pub seed: u64,
    /// SHA-256 of the prompt, in hexadecimal.
    pub prompt_sha256: String,
    /// The prompt, as the model saw it.
    pub prompt: String,
    /// What the model said.
    pub prediction: String,
    /// The accepted answers.
    pub answers: Vec<String>,
    /// The metric's value; `None` is unscored, and is never read as zero.
    pub score: Option<f64>,
    /// Why there is no score.
    pub error: Option<Failure>,
    /// Tokens of the prompt, visual ones included.
    pub prompt_tokens: u32,
    /// Visual tokens of the prompt.
    pub visual_tokens: u32,
    /// Generated tokens.
    pub new_tokens: u32,
    /// Decoding and preprocessing of the image, tokenising.
    pub preprocess_ms: Option<f64>,
    /// Vision tower and connector.
    pub vision_ms: Option<f64>,
    /// The decoder over the prompt.
    pub prefill_ms: Option<f64>,
    /// The decoder over the generated tokens, all of them together.
    pub decode_ms: Option<f64>,
}

impl SampleRecord {
    /// Makes a score or a time that is not finite into none: a NaN is unscored, never a number.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        if let Some(score) = self.score
            && !score.is_finite()
        {
            self.score = None;
            self.error.get_or_insert_with(|| {
                Failure::new(
                    FailureKind::ScoreNotFinite,
                    format!("the metric gave {score}"),
                )
            });
        }
        for time in [
            &mut self.preprocess_ms,
            &mut self.vision_ms,
            &mut self.prefill_ms,
            &mut self.decode_ms,
        ] {
            if time.is_some_and(|value| !value.is_finite()) {
                *time = None;
            }
        }
        self
    }

    /// What no two records of a run share, readable.
    pub fn key(&self) -> String {
        format!(
            "{}/{}/{}/{}/seed {}",
            self.model, self.suite, self.variant, self.sample, self.seed
        )
    }
}

/// SHA-256 in hexadecimal, as every hash of a record is written.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Appends `value` with sorted keys and without white space.
fn canonical_json(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical_json(item, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical_json(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        Configuration {
            models: vec!["nano".into()],
            variants: vec![VariantConfiguration {
                id: "rave".into(),
                version: 1,
                options: BTreeMap::from([
                    ("rank".into(), 8.into()),
                    ("form".into(), "bilinear".into()),
                ]),
                trainable: true,
            }],
            suites: Vec::new(),
            seed: Some(7),
            dtype: "f32".into(),
            device: "cpu".into(),
            threads: 2,
            batch: 1,
            attention: false,
            reuse: false,
            sample_timeout: None,
            shard: None,
        }
    }

    #[test]
    fn the_hash_is_of_sorted_compact_json() {
        let canonical = concat!(
            r#"{"batch":1,"device":"cpu","dtype":"f32","models":["nano"],"seed":7,"suites":[],"threads":2,"#,
            r#""variants":[{"id":"rave","options":{"form":"bilinear","rank":8},"trainable":true,"version":1}]}"#
        );
        assert_eq!(configuration().hash(), sha256_hex(canonical.as_bytes()));
    }

    #[test]
    fn the_hash_moves_with_an_option() {
        let mut other = configuration();
        other.variants[0].options.insert("rank".into(), 16.into());
        assert_ne!(configuration().hash(), other.hash());
    }

    #[test]
    fn a_score_that_is_not_finite_is_unscored() {
        let record = SampleRecord {
            score: Some(f64::NAN),
            decode_ms: Some(f64::INFINITY),
            ..SampleRecord::default()
        };
        let record = record.normalised();
        assert_eq!(record.score, None);
        assert_eq!(record.decode_ms, None);
        assert_eq!(
            record.error.unwrap().to_string(),
            "score not finite: the metric gave NaN"
        );
    }
}
