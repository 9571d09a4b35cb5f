//! The methods, one file each, and [`REGISTRY`]: one literal table, one line a variant.

use crate::Variant;

pub mod adapt_vis;
pub mod dape;
pub mod fastv;
pub mod gated;
pub mod learned_sink;
pub mod pai;
pub mod rave;
pub mod scaling_vis;
pub mod softmax_off_by_one;
pub mod standard;
pub mod vaf;
pub mod vis_sink;

use gated::Per;
use rave::{FeatureSource, Form, Heads, Options as Rave, Pair, Side};

/// Every variant there is, in the order in which tables and charts show them. A method is what a line here refers to: presets
/// know it by that.
#[rustfmt::skip] // One line a variant.
pub static REGISTRY: &[Variant] = &[
    Variant { id: "standard", version: 1, summary: "the decoder's own attention, through the fused kernel: the baseline", method: &standard::Options {} },
    Variant { id: "rave", version: 1, summary: "learned query-key bias on visual keys from pre-RoPE features (our reconstruction)", method: &Rave::DEFAULT },
    Variant { id: "rave-post-rope", version: 1, summary: "ablation: the gate's features are taken after RoPE", method: &Rave { features: FeatureSource::PostRope, ..Rave::DEFAULT } },
    Variant { id: "rave-gate", version: 1, summary: "ablation: a gate log(2 sigmoid) of the bias, which does not fold", method: &Rave { form: Form::Gate, ..Rave::DEFAULT } },
    Variant { id: "rave-key-only", version: 1, summary: "ablation: the bias depends on the key alone (intra-visual)", method: &Rave { pair: Pair::KeyOnly, ..Rave::DEFAULT } },
    Variant { id: "rave-query-only", version: 1, summary: "ablation: the bias depends on the query alone (cross-modal)", method: &Rave { pair: Pair::QueryOnly, ..Rave::DEFAULT } },
    Variant { id: "rave-scalar", version: 1, summary: "ablation: one learned number a head", method: &Rave { pair: Pair::Scalar, ..Rave::DEFAULT } },
    Variant { id: "rave-all-keys", version: 1, summary: "ablation: the bias is on all keys", method: &Rave { keys: Side::All, ..Rave::DEFAULT } },
    Variant { id: "rave-text-queries", version: 1, summary: "ablation: only text queries get the bias", method: &Rave { queries: Side::Text, ..Rave::DEFAULT } },
    Variant { id: "rave-shared", version: 1, summary: "ablation: one gate for all heads of a layer", method: &Rave { shared: true, ..Rave::DEFAULT } },
    Variant { id: "rave-half-heads", version: 1, summary: "ablation: half of the heads of each key group have a gate", method: &Rave { heads: Heads::Share(0.5), ..Rave::DEFAULT } },
    Variant { id: "rave-rank-2", version: 1, summary: "ablation: rank 2 instead of 8", method: &Rave { rank: 2, ..Rave::DEFAULT } },
    Variant { id: "rave-rank-4", version: 1, summary: "ablation: rank 4 instead of 8", method: &Rave { rank: 4, ..Rave::DEFAULT } },
    Variant { id: "rave-rank-16", version: 1, summary: "ablation: rank 16 instead of 8", method: &Rave { rank: 16, ..Rave::DEFAULT } },
    Variant { id: "rave-rank-32", version: 1, summary: "ablation: rank 32 instead of 8", method: &Rave { rank: 32, ..Rave::DEFAULT } },
    Variant { id: "pai", version: 1, summary: "adds a share of each visual score's magnitude", method: &pai::Options::DEFAULT },
    Variant { id: "vaf", version: 1, summary: "scales visual scores up and the system prompt's down in the middle layers", method: &vaf::Options::DEFAULT },
    Variant { id: "scaling-vis", version: 1, summary: "one factor on the visual scores of the prompt's last token", method: &scaling_vis::Options::DEFAULT },
    Variant { id: "adapt-vis", version: 1, summary: "scaling-vis with the factor chosen by the model's confidence, in a second run", method: &adapt_vis::Options::DEFAULT },
    Variant { id: "vis-sink", version: 1, summary: "takes weight from attention sinks for the other visual tokens", method: &vis_sink::Options::DEFAULT },
    Variant { id: "fastv-25", version: 1, summary: "drops the least attended 25 % of the visual tokens after the first layers", method: &fastv::Options::at(0.25) },
    Variant { id: "fastv-50", version: 1, summary: "drops the least attended 50 %", method: &fastv::Options::at(0.5) },
    Variant { id: "fastv-75", version: 1, summary: "drops the least attended 75 %", method: &fastv::Options::at(0.75) },
    Variant { id: "gated-head", version: 1, summary: "a learned gate on each head's output", method: &gated::Options { per: Per::Head } },
    Variant { id: "gated-element", version: 1, summary: "a learned gate on each element of the output", method: &gated::Options { per: Per::Element } },
    Variant { id: "softmax-off-by-one", version: 1, summary: "softmax with 1 more in its denominator; for a model that was trained with it", method: &softmax_off_by_one::Options::DEFAULT },
    Variant { id: "learned-sink", version: 1, summary: "one learned logit a head joins the softmax and is dropped", method: &learned_sink::Options::DEFAULT },
    Variant { id: "dape", version: 1, summary: "a small network over the heads corrects every score", method: &dape::Options::DEFAULT },
];
