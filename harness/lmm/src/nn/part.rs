//! Which part of a model a parameter belongs to: what is frozen or shared as one, and how often its weights are used.

/// A part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The vision tower's weights, which multiply patches.
    Vision,
    /// A table of the vision tower, which is looked up and multiplies nothing.
    VisionTable,
    /// What turns patch features into visual embeddings.
    Connector,
    /// The token embedding.
    Embedding,
    /// The vocabulary head, where it is not the embedding.
    Head,
    /// The decoder's layers and its last norm.
    Decoder,
}

impl Part {
    /// Whether it belongs to the vision tower.
    pub fn is_vision(self) -> bool {
        matches!(self, Self::Vision | Self::VisionTable)
    }
}
