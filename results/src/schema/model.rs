//! A checkpoint, and what of it shaped the answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
