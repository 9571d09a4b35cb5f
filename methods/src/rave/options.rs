//! The axes of the RAVE grid that are built so far, as a user or a run record writes them.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Where the gate takes its query and key features from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// Before the rotary embedding: what the token is, without where it stands (the paper's choice).
    PreRope,
    /// After it (ablation).
    PostRope,
}

/// What the bias depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pair {
    /// Query and key: `b_ij = s (A_h^T q_i) . (B_g^T k_j)`.
    Pair,
    /// The key alone: `b_j = s a_h . (B_g^T k_j)`; re-allocates among visual tokens only.
    KeyOnly,
    /// The query alone: `b_i = s (A_h^T q_i) . c_g` on every visual key; re-allocates between text and image only.
    QueryOnly,
}

/// Options of a RAVE preset; the defaults are the variant `rave`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Source of the gate's features.
    pub features: Features,
    /// What the bias depends on.
    pub pair: Pair,
    /// Rank R of the gate, at least 1.
    pub rank: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            features: Features::PreRope,
            pair: Pair::Pair,
            rank: 8,
        }
    }
}

impl Options {
    /// Checks the options against what any model allows.
    ///
    /// # Errors
    /// [`Error::Options`] for a rank below 1 or above the head width.
    pub fn check(&self, variant: &str, head_width: i64) -> Result<(), Error> {
        if (1..=head_width).contains(&self.rank) {
            return Ok(());
        }
        Err(Error::Options {
            variant: variant.to_owned(),
            reason: format!(
                "rank {} is not possible; allowed is 1 to the head width {head_width}",
                self.rank
            ),
        })
    }
}
