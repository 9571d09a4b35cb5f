//! What was asked of a run, and its hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Shard;
use super::hash::canonical_hash;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::sha256_hex;

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
}
