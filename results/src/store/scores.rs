//! What a summary needs of a run's samples, small enough to hold a million of them.

use std::collections::HashMap;

use crate::schema::{Failure, FailureKind, SampleRecord};

/// What a summary needs of each sample, without the texts: about a hundred bytes a sample.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    pub(crate) names: Names,
    pub(crate) rows: Vec<ScoreRow>,
}

/// One sample; the strings are indices into [`Names`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoreRow {
    pub model: u32,
    pub variant: u32,
    pub suite: u32,
    pub sample: u32,
    pub image: u32,
    pub category: u32,
    pub prompt: u32,
    /// Why there is no score.
    pub failure: Option<FailureNames>,
    pub seed: u64,
    pub score: Option<f64>,
    /// prompt, visual, new
    pub tokens: [u32; 3],
    /// preprocess, vision, prefill, decode; milliseconds
    pub times: [Option<f64>; 4],
}

/// A failure, its texts as indices into [`Names`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailureNames {
    pub kind: u32,
    pub whole: u32,
}

/// Each distinct string once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    list: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    pub(crate) fn intern(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.index.get(name) {
            return index;
        }
        let index = self.list.len() as u32;
        self.list.push(name.to_string());
        self.index.insert(name.to_string(), index);
        index
    }

    pub(crate) fn of(&self, index: u32) -> &str {
        &self.list[index as usize]
    }

    /// Of a sample that has no score.
    pub(super) fn failure(&mut self, failure: Option<&Failure>) -> FailureNames {
        let unscored = Failure::new(FailureKind::Unscored, "");
        let failure = failure.unwrap_or(&unscored);
        FailureNames {
            kind: self.intern(failure.kind.name()),
            whole: self.intern(&failure.to_string()),
        }
    }
}

impl Scores {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Gives every row this model, and the variant that `label` makes of its model and variant.
    pub(crate) fn relabel(&mut self, model: &str, label: impl Fn(&str, &str) -> String) {
        let Self { names, rows } = self;
        let new_model = names.intern(model);
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        for row in rows {
            let old = (row.model, row.variant);
            row.variant = *known.entry(old).or_insert_with(|| {
                let name = label(names.of(old.0), names.of(old.1));
                names.intern(&name)
            });
            row.model = new_model;
        }
    }

    /// Keeps the rows of some variants.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Self { names, rows } = self;
        rows.retain(|row| keep(names.of(row.variant)));
    }

    /// The same, from records in memory.
    pub(super) fn from_samples(samples: &[SampleRecord]) -> Self {
        let mut scores = Self::default();
        for sample in samples {
            scores.push(&sample.clone().normalised());
        }
        scores
    }

    /// Adds what a summary needs of a sample.
    pub(super) fn push(&mut self, sample: &SampleRecord) {
        let names = &mut self.names;
        let failure = sample.score.is_none();
        self.rows.push(ScoreRow {
            model: names.intern(&sample.model),
            variant: names.intern(&sample.variant),
            suite: names.intern(&sample.suite),
            sample: names.intern(&sample.sample),
            image: names.intern(&sample.image_id),
            category: names.intern(&sample.category),
            prompt: names.intern(&sample.prompt_sha256),
            failure: failure.then(|| names.failure(sample.error.as_ref())),
            seed: sample.seed,
            score: sample.score,
            tokens: [
                sample.prompt_tokens,
                sample.visual_tokens,
                sample.new_tokens,
            ],
            times: [
                sample.preprocess_ms,
                sample.vision_ms,
                sample.prefill_ms,
                sample.decode_ms,
            ],
        });
    }
}
