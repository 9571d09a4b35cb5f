//! Attention variants for the decoders of large multimodal models: pure tensor code, one file a variant.
//!
//! A model family computes queries, keys and values once a layer and hands them to one [`slot`]; a variant decides what
//! the key cache stores and how the output is computed. No variant names a model family and no family names a variant.
//!
//! # What `rave` is here
//! RAVE ("Re-Allocating Visual Attention in Large Multimodal Models", arXiv 2605.18359) adds a learned query-key bias to
//! the pre-softmax scores over visual keys, computed from features before the rotary embedding. The gate's rank,
//! initialisation, layers and heads are not public to us: [`rave`] is a **documented reconstruction**, not the authors' code.
//!
//! # Axes, used in every shape of this workspace
//! `B` batch, `H` query heads, `G` key-value heads, `T` queries (new tokens; `t` some of them), `S` keys (all tokens so far),
//! `V` visual tokens, `D` head width, `C` model width, `R` gate rank, `K` width of a stored key (`D`, or `D + R` when folded).

pub mod dape;
mod depth;
mod error;
pub mod explicit;
pub mod fastv;
pub mod gated;
pub mod kernel;
pub mod noise;
pub mod pai;
pub mod rave;
pub mod registry;
pub mod scaling_vis;
mod single_query;
pub mod sink;
pub mod slot;
pub mod standard;
pub mod team;
mod tokens;
pub mod vaf;
pub mod vis_sink;

pub use depth::{Layers, Range};
pub use error::{Error, did_you_mean, first_line, nearest};
pub use registry::{Facts, Method, REGISTRY, Variant, preset, variant};
pub use slot::{Attention, Build, Geometry, Step};
pub use tokens::{Kept, Rows, Tokens};
