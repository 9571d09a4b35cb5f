//! What a probe saw of the attention behind one answer.
//!
//! Every value is a mean over the *answering queries*, the tokens that predict the answer's, each query counting as one.
//! Shares among the visual keys are taken query by query, over the queries that give them any weight.

use serde::{Deserialize, Serialize};

use super::Failure;

/// One answer's probe: a row a layer and head in `attention.parquet`, or a row with the reason why there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttentionRecord {
    /// The model's name.
    pub model: String,
    /// The seed under which model or variant was trained or drawn.
    pub seed: u64,
    /// The variant's id.
    pub variant: String,
    /// The suite's id.
    pub suite: String,
    /// The sample's id within the suite.
    pub sample: String,
    /// The image's id.
    pub image_id: String,
    /// Number of answering queries.
    pub queries: u32,
    /// Why there are no heads.
    pub error: Option<Failure>,
    /// The layers and heads; empty where there is an error.
    pub heads: Vec<HeadRecord>,
}

/// The statistics of one layer and head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadRecord {
    /// Layer, from 0.
    pub layer: u32,
    /// Query head, from 0.
    pub head: u32,
    /// Visual keys in this layer; fewer where a variant dropped some before it.
    pub visual_tokens: u32,
    /// Share of the attention on visual keys; the rest lies on text or, for a variant with a sink, nowhere.
    pub visual_share: Option<f64>,
    /// Entropy in nats of the distribution over the visual keys.
    pub entropy: Option<f64>,
    /// `exp(entropy)`: how many visual keys share the attention as if evenly.
    pub effective: Option<f64>,
    /// Share of the visual mass on the top 1 % of the visual keys, at least one of them.
    pub top_share: Option<f64>,
    /// Share of the visual mass inside the answer box: each key's weight times the part of its area there.
    pub box_share: Option<f64>,
    /// What `box_share` would be if every visual key had the same weight.
    pub box_uniform: Option<f64>,
    /// The pointing game: how often the visual key with the most weight touches the answer box.
    pub pointing: Option<f64>,
    /// Share of the visual keys that touch the box: what `pointing` would be by chance.
    pub pointing_uniform: Option<f64>,
}

/// A column's name, and its value.
pub(crate) type Statistic = (&'static str, fn(&mut HeadRecord) -> &mut Option<f64>);

impl HeadRecord {
    /// The statistics in the order of the columns.
    pub(crate) const STATISTICS: [Statistic; 8] = [
        ("visual_share", |head| &mut head.visual_share),
        ("entropy", |head| &mut head.entropy),
        ("effective", |head| &mut head.effective),
        ("top_share", |head| &mut head.top_share),
        ("box_share", |head| &mut head.box_share),
        ("box_uniform", |head| &mut head.box_uniform),
        ("pointing", |head| &mut head.pointing),
        ("pointing_uniform", |head| &mut head.pointing_uniform),
    ];

    /// The statistics in the order of the columns.
    pub(crate) fn values(mut self) -> [Option<f64>; 8] {
        Self::STATISTICS.map(|(_, place)| *place(&mut self))
    }
}

impl AttentionRecord {
    /// Makes a value that is not finite into none.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        for head in &mut self.heads {
            for (_, place) in HeadRecord::STATISTICS {
                let value = place(head);
                *value = value.filter(|value| value.is_finite());
            }
        }
        self
    }

    /// [`SampleRecord::key`](super::SampleRecord::key) of the sample that was probed.
    pub fn key(&self) -> String {
        format!(
            "{}/{}/{}/{}/seed {}",
            self.model, self.suite, self.variant, self.sample, self.seed
        )
    }
}
