//! The sizes of the built-in models.

use super::tokenizer::VOCABULARY;

/// The sizes that differ between the built-in models.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Longest edge of a picture, and of a tile.
    pub picture: i64,
    pub tile: i64,
    pub patch: i64,
    pub shuffle: i64,
    pub vision_width: i64,
    pub vision_layers: i64,
    pub vision_heads: i64,
    pub width: i64,
    pub feed_forward: i64,
    pub layers: i64,
    pub heads: i64,
    pub kv_heads: i64,
    pub vocabulary: i64,
    /// Whether it is made to be trained.
    pub trained: bool,
}

pub(super) const NANO: Sizes = Sizes {
    picture: 128,
    tile: 128,
    patch: 8,
    shuffle: 2,
    vision_width: 128,
    vision_layers: 2,
    vision_heads: 8,
    width: 128,
    feed_forward: 384,
    layers: 4,
    heads: 4,
    kv_heads: 2,
    vocabulary: VOCABULARY,
    trained: true,
};

/// `HuggingFaceTB/SmolVLM-256M-Instruct`.
pub(super) const SMOLVLM_256M: Sizes = Sizes {
    picture: 2048,
    tile: 512,
    patch: 16,
    shuffle: 4,
    vision_width: 768,
    vision_layers: 12,
    vision_heads: 12,
    width: 576,
    feed_forward: 1536,
    layers: 30,
    heads: 9,
    kv_heads: 3,
    vocabulary: 49_280,
    trained: false,
};
