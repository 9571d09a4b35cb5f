//! How large the models are and how much they were trained.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::summary::ModelNote;
use crate::{Run, Summary};

/// The size of one model of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scale {
    /// The model's name.
    pub model: String,
    /// Its parameters.
    pub parameters: u64,
    /// What trained variants add, in the order of the table.
    pub added: Vec<(String, u64)>,
    /// How its weights were trained; `None` where that is not recorded.
    pub training: Option<&'static [Stage]>,
}

/// One stage of training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What was trained on.
    pub what: String,
    /// The losses, under `results/training`.
    #[serde(skip_serializing)]
    pub losses: Vec<String>,
    /// Steps.
    pub steps: u64,
    /// Pictures in each step.
    pub batch: u64,
}

impl Stage {
    /// Pictures in all.
    pub fn pictures(&self) -> u64 {
        self.steps * self.batch
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    model: Vec<KnownModel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownModel {
    sha256: String,
    stages: Vec<Stage>,
}

/// The stages behind the weights of this SHA-256, as a run records it.
pub fn training_of(sha256: &str) -> Option<&'static [Stage]> {
    static KNOWN: LazyLock<Known> = LazyLock::new(|| {
        toml::from_str(include_str!("../../training/scale.toml"))
            .expect("scale.toml is part of the program, and a test reads it")
    });
    let known = KNOWN.model.iter().find(|known| known.sha256 == sha256)?;
    Some(&known.stages)
}

/// The scale of a summary's models.
pub(super) fn of(summary: &Summary, runs: &[Run]) -> Vec<Scale> {
    let one = |model: &ModelNote| {
        let records = runs.iter().filter_map(|run| run.record.model(&model.name));
        let mut added: Vec<(String, u64)> = Vec::new();
        for record in records {
            for variant in &summary.variants {
                if let Some(adapter) = record.adapters.get(&variant.id)
                    && !added.iter().any(|(id, _)| *id == variant.id)
                {
                    added.push((variant.id.clone(), adapter.parameters));
                }
            }
        }
        Scale {
            model: model.name.clone(),
            parameters: model.parameters,
            added,
            training: training_of(&model.sha256),
        }
    };
    summary.models.iter().map(one).collect()
}
