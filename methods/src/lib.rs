//! Attention variants for the decoders of large multimodal models: pure tensor code, one file a method.
//!
//! A model family computes queries, keys and values once a layer and hands them to one [`slot`]; a variant decides what
//! the key cache stores and how the output is computed. No variant names a model family and no family names a variant.
//!
//! # What `rave` is here
//! RAVE ("Re-Allocating Visual Attention in Large Multimodal Models", arXiv 2605.18359) adds a learned query-key bias to
//! the pre-softmax scores over visual keys, computed from features before the rotary embedding. The gate's rank,
//! initialisation, layers and heads are not public to us: [`variants::rave`] is a **documented reconstruction**, not the authors' code.
//!
//! # Axes, used in every shape of this workspace
//! `B` batch, `H` query heads, `G` key-value heads, `T` queries (new tokens; `t` some of them), `S` keys (all tokens so far),
//! `V` visual tokens, `D` head dimension, `C` model width, `R` gate rank, `K` width of a stored key (`D`, or `D + R` when folded).

mod depth;
mod error;
pub mod explicit;
pub mod kernel;
pub mod method;
pub mod noise;
pub mod primitives;
pub mod registry;
mod sink;
pub mod slot;
mod tokens;
pub mod variants;

pub use depth::{Layers, Range};
pub use error::{Error, first_line};
pub use method::{DynMethod, Method, Variant, VariantInfo};
pub use rave_hints::nearest;
pub use registry::{preset, preset_among, variant};
pub use slot::{Attention, Build, Geometry, Step};
pub use tokens::{QueryRows, RetainedTokens, Tokens};
pub use variants::REGISTRY;
