//! The registry of variants: one literal table, one line a variant.

use serde::Serialize;

use crate::rave::{self, Features, Pair, Rave};
use crate::standard::Standard;
use crate::{Attention, Build, Error, nearest};

/// A variant as the registry knows it: what it is, before it is built for a model.
#[derive(Debug, Clone, Serialize)]
pub struct Variant {
    /// The id: command line name, results key, adapter file name.
    pub id: &'static str,
    /// Raised whenever the variant's numbers may move.
    pub version: u32,
    /// One line for people.
    pub summary: &'static str,
    /// Whether it has parameters that must be trained before it can differ from `standard`.
    pub trained: bool,
    /// Which scores it touches.
    pub touches: &'static str,
    /// Whether it runs inside the unchanged fused kernel.
    pub folds: bool,
    /// The method and its options, as recorded with every result.
    pub method: Method,
}

/// The computation behind a preset, with its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Method {
    /// [`Standard`].
    Standard,
    /// [`Rave`] at one point of its grid.
    Rave(rave::Options),
}

/// A point of the RAVE grid at the default rank.
const fn grid(features: Features, pair: Pair) -> Method {
    Method::Rave(rave::Options {
        features,
        pair,
        rank: 8,
    })
}

/// Builds one row of [`REGISTRY`] for a point of the RAVE grid.
const fn rave_preset(id: &'static str, summary: &'static str, method: Method) -> Variant {
    Variant {
        id,
        version: 1,
        summary,
        trained: true,
        touches: "all queries x visual keys",
        folds: true,
        method,
    }
}

/// Every variant there is, in the order in which tables and charts show them.
pub static REGISTRY: &[Variant] = &[
    Variant {
        id: "standard",
        version: 1,
        summary: "the decoder's own attention, through the fused kernel: the baseline",
        trained: false,
        touches: "nothing",
        folds: true,
        method: Method::Standard,
    },
    rave_preset(
        "rave",
        "learned query-key bias on visual keys from pre-RoPE features (our reconstruction)",
        grid(Features::PreRope, Pair::Pair),
    ),
    rave_preset(
        "rave-post-rope",
        "ablation: the gate's features are taken after RoPE",
        grid(Features::PostRope, Pair::Pair),
    ),
    rave_preset(
        "rave-key-only",
        "ablation: the bias depends on the key alone (intra-visual)",
        grid(Features::PreRope, Pair::KeyOnly),
    ),
    rave_preset(
        "rave-query-only",
        "ablation: the bias depends on the query alone (cross-modal)",
        grid(Features::PreRope, Pair::QueryOnly),
    ),
];

/// The registered variant with this id.
///
/// # Errors
/// [`Error::UnknownVariant`] with the nearest id.
pub fn variant(id: &str) -> Result<&'static Variant, Error> {
    REGISTRY
        .iter()
        .find(|variant| variant.id == id)
        .ok_or_else(|| Error::UnknownVariant {
            id: id.to_owned(),
            nearest: nearest(id, REGISTRY.iter().map(|variant| variant.id)).map(str::to_owned),
        })
}

impl Variant {
    /// The variant for one model, at its initial values.
    ///
    /// # Errors
    /// [`Error::Options`] when its options do not fit the model.
    pub fn build(&self, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(match &self.method {
            Method::Standard => Box::new(Standard::new(build)),
            Method::Rave(options) => Box::new(Rave::new(self.id, options, build)?),
        })
    }

    /// Its options as canonical JSON, for run records and adapters.
    ///
    /// # Panics
    /// Never: options are plain enums and integers, which JSON can hold.
    pub fn options(&self) -> serde_json::Value {
        serde_json::to_value(&self.method).expect("options are plain enums and integers")
    }
}
