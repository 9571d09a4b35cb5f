//! One sample under one model and variant.

use serde::{Deserialize, Serialize};

use super::{Failure, FailureKind};

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

#[cfg(test)]
mod tests {
    use super::*;

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
