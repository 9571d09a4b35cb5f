//! Networks: layers, the vision tower's, and the decoder with its rotary embedding and key-value cache.

pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod kv_cache;
pub(crate) mod layers;
pub mod libtorch;
pub(crate) mod part;
pub(crate) mod stage;
pub(crate) mod tower;
pub(crate) mod weights;
