//! What a training step computes, in floating-point operations.

use super::batch::Batch;
use crate::{Model, Part};

impl Model {
    /// Floating-point operations of the matrix products of one training step on a batch: two a weight and position in every
    /// pass, for the decoder's attention as if no score were masked. Padding counts: it is computed. Passes of the vision tower,
    /// and of the connector and decoder: 0 when it is not run, 1 forwards, 2 with the gradient of its activations, 3 with its
    /// weights'.
    pub fn step_operations(&self, batch: &Batch, vision_passes: f64, decoder_passes: f64) -> f64 {
        let [conversations, positions] = [batch.ids.size()[0], batch.ids.size()[1]];
        let tokens = (conversations * positions) as f64;
        let patches = batch.pixels.patches(self.network().patch_size()) as f64;
        let visual = batch
            .tokens
            .visual()
            .iter()
            .filter(|&&visual| visual)
            .count() as f64;
        let answers = batch.targets.size()[0] as f64;
        // A model without a head of its own answers with its embedding.
        let has_head = self
            .parameters()
            .iter()
            .any(|(name, _)| self.part(name) == Some(Part::Head));
        let mut operations = 0.0;
        for (name, tensor) in self.parameters() {
            let uses = match self.part(name) {
                Some(Part::Vision) => patches * vision_passes,
                Some(Part::Connector) => visual * decoder_passes,
                Some(Part::Decoder) => tokens * decoder_passes,
                Some(Part::Head) => answers * decoder_passes,
                Some(Part::Embedding) if !has_head => answers * decoder_passes,
                Some(Part::Embedding | Part::VisionTable) | None => 0.0,
            };
            // What has one axis is added or scales.
            if tensor.dim() > 1 {
                operations += 2.0 * tensor.numel() as f64 * uses;
            }
        }
        let geometry = self.decoder().geometry();
        let wide = (geometry.heads * geometry.head_dim) as f64;
        operations
            + 4.0 * decoder_passes * tokens * positions as f64 * wide * geometry.layers as f64
    }
}
