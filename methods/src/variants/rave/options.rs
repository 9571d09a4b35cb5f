//! The axes of the RAVE grid, as a user's preset or a run record writes them.
//!
//! Axes beyond the first three are written only where they differ from the default, so that records and adapters made
//! before an axis existed still say the same.

use rave_hints::refusal;
use serde::{Deserialize, Serialize};

use crate::{Error, Layers};

/// Where the gate takes its query and key features from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureSource {
    /// Before the rotary embedding: what the token is, without where it stands (the paper's choice).
    PreRope,
    /// After it (ablation).
    PostRope,
}

/// What the bias depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pair {
    /// Query and key: `s_ij = s (A_h^T q_i) . (B_g^T k_j)`.
    Pair,
    /// The key alone: `s_j = s a_h . (B_g^T k_j)`; re-allocates among visual tokens only.
    KeyOnly,
    /// The query alone: `s_i = s (A_h^T q_i) . c_g` on every visual key; re-allocates between text and image only.
    QueryOnly,
    /// Neither: one learned number a head on every visual key.
    Scalar,
}

/// How the bias comes from `s_ij`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `b = s_ij`, which folds into the fused kernel.
    #[default]
    Bilinear,
    /// `b = log(2 sigmoid(s_ij))`: a gate on the unnormalised weight, at most twice what it was.
    Gate,
    /// `b = c tanh(s_ij / c)` with the bound c.
    Tanh,
}

/// Some of the tokens, as keys or as queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Visual tokens.
    Visual,
    /// All tokens.
    All,
    /// Text tokens.
    Text,
}

/// Which query heads of every key group have a gate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "heads must be a share above 0 and at most 1 of the heads of each key group, or a list of their numbers, such as [0, 2]"
)]
pub enum Heads {
    /// Every head; written as the share 1.
    #[default]
    #[serde(skip)]
    All,
    /// The first heads of each group up to this share, rounded up.
    Share(f64),
    /// These heads of each group, from 0.
    List(Vec<i64>),
}

/// Options of a RAVE preset; the defaults are the variant `rave`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Source of the gate's features.
    pub features: FeatureSource,
    /// What the bias depends on.
    pub pair: Pair,
    /// Rank R of the gate, 1 to 128; without meaning for a scalar.
    pub rank: i64,
    /// How the bias comes from the gate's product.
    #[serde(skip_serializing_if = "is_default")]
    pub form: Form,
    /// The bound c of the form `tanh`.
    #[serde(skip_serializing_if = "is_usual_bound")]
    pub bound: f64,
    /// Keys that get a bias.
    #[serde(skip_serializing_if = "is_visual")]
    pub keys: Side,
    /// Queries that get a bias.
    #[serde(skip_serializing_if = "is_all")]
    pub queries: Side,
    /// Heads with a gate.
    #[serde(skip_serializing_if = "is_default")]
    pub heads: Heads,
    /// Layers with a gate.
    #[serde(skip_serializing_if = "is_default")]
    pub layers: Layers,
    /// One gate for all heads of a layer instead of one each.
    #[serde(skip_serializing_if = "is_default")]
    pub shared: bool,
}

/// The highest rank: head width and rank together must not pass 256, where fused kernels of GPUs end. Above the head width
/// a rank adds parameters and nothing that a smaller one could not learn.
const MAX_RANK: i64 = 128;

/// The bound of the form `tanh` unless a preset says otherwise: a factor of 55 on the unnormalised weight, either way.
const BOUND: f64 = 4.0;

impl Options {
    /// The variant `rave`.
    pub const DEFAULT: Self = Self {
        features: FeatureSource::PreRope,
        pair: Pair::Pair,
        rank: 8,
        form: Form::Bilinear,
        bound: BOUND,
        keys: Side::Visual,
        queries: Side::All,
        heads: Heads::All,
        layers: Layers::All,
        shared: false,
    };

    /// Whether the bias runs inside the fused kernel.
    pub fn folds(&self) -> bool {
        self.form == Form::Bilinear
    }

    /// Channels that the gate adds to a stored key.
    pub fn width(&self) -> i64 {
        if self.pair == Pair::Scalar {
            1
        } else {
            self.rank
        }
    }

    /// Checks the options against what any model allows.
    ///
    /// # Errors
    /// [`Error::Options`] for a rank below 1 or above 128, an impossible bound, share or list of heads.
    pub fn check(&self, variant: &str, heads_a_group: i64) -> Result<(), Error> {
        let reason = if !(1..=MAX_RANK).contains(&self.rank) {
            refusal(
                format!("rank {} is not possible", self.rank),
                format!("allowed is 1 to {MAX_RANK}"),
            )
        } else if !(self.bound.is_finite() && self.bound > 0.0) {
            refusal(
                format!("bound {} is not possible", self.bound),
                "allowed is above 0",
            )
        } else if self.queries == Side::Visual {
            refusal(
                "queries = \"visual\" is not possible",
                "allowed are \"all\" and \"text\"",
            )
        } else {
            match &self.heads {
                Heads::Share(share) if !(*share > 0.0 && *share <= 1.0) => refusal(
                    format!("heads = {share} is not possible"),
                    "allowed is a share above 0 and at most 1",
                ),
                Heads::List(list) if list.is_empty() => refusal(
                    "the list of heads is empty",
                    "name one, or leave `heads` out",
                ),
                Heads::List(list) => {
                    let Some(head) = list.iter().find(|head| !(0..heads_a_group).contains(*head))
                    else {
                        return Ok(());
                    };
                    refusal(
                        format!("head {head} is not possible"),
                        format!(
                            "a key group of this model has the heads 0 to {}",
                            heads_a_group - 1
                        ),
                    )
                }
                _ => return Ok(()),
            }
        };
        Err(Error::options(variant, reason))
    }

    /// Which query heads have a gate, `None` for all.
    pub fn gated_heads(&self, heads: i64, kv_heads: i64) -> Option<Vec<i64>> {
        let each = heads / kv_heads;
        let selected: Vec<i64> = match &self.heads {
            Heads::All => return None,
            Heads::Share(share) => (0..(share * each as f64).ceil() as i64).collect(),
            Heads::List(list) => list.clone(),
        };
        let gated = (0..heads).filter(|head| selected.contains(&(head % each)));
        let gated: Vec<i64> = gated.collect();
        (gated.len() < heads as usize).then_some(gated)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_visual(side: &Side) -> bool {
    *side == Side::Visual
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_all(side: &Side) -> bool {
    *side == Side::All
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_usual_bound(bound: &f64) -> bool {
    (bound - BOUND).abs() < f64::EPSILON
}
