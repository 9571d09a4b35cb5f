//! Names, shapes and first values of the built-in models' tensors.

use std::collections::HashMap;
use std::path::Path;

use half::bf16;
use rave_methods::noise::Noise;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

use super::sizes::Sizes;
use super::start::Tower;
use crate::Error;

impl Sizes {
    /// Names and shapes of all tensors.
    fn shapes(&self) -> Vec<(String, Vec<i64>)> {
        let (width, vision) = (self.width, self.vision_width);
        let mut shapes = vec![
            ("lm_head.weight".to_owned(), vec![self.vocabulary, width]),
            (
                "model.connector.modality_projection.proj.weight".to_owned(),
                vec![width, vision * self.shuffle.pow(2)],
            ),
            (
                "model.text_model.embed_tokens.weight".to_owned(),
                vec![self.vocabulary, width],
            ),
            ("model.text_model.norm.weight".to_owned(), vec![width]),
            (
                "model.vision_model.embeddings.patch_embedding.weight".to_owned(),
                vec![vision, 3, self.patch, self.patch],
            ),
            (
                "model.vision_model.embeddings.patch_embedding.bias".to_owned(),
                vec![vision],
            ),
            (
                "model.vision_model.embeddings.position_embedding.weight".to_owned(),
                vec![(self.tile / self.patch).pow(2), vision],
            ),
            (
                "model.vision_model.post_layernorm.weight".to_owned(),
                vec![vision],
            ),
            (
                "model.vision_model.post_layernorm.bias".to_owned(),
                vec![vision],
            ),
        ];
        for layer in 0..self.layers {
            let shared = width / self.heads * self.kv_heads;
            let own = [
                ("input_layernorm", vec![width]),
                ("post_attention_layernorm", vec![width]),
                ("self_attn.q_proj", vec![width, width]),
                ("self_attn.k_proj", vec![shared, width]),
                ("self_attn.v_proj", vec![shared, width]),
                ("self_attn.o_proj", vec![width, width]),
                ("mlp.gate_proj", vec![self.feed_forward, width]),
                ("mlp.up_proj", vec![self.feed_forward, width]),
                ("mlp.down_proj", vec![width, self.feed_forward]),
            ];
            shapes.extend(own.map(|(name, shape)| {
                (
                    format!("model.text_model.layers.{layer}.{name}.weight"),
                    shape,
                )
            }));
        }
        for layer in 0..self.vision_layers {
            let own = [
                ("layer_norm1", vec![vision]),
                ("layer_norm2", vec![vision]),
                ("self_attn.q_proj", vec![vision, vision]),
                ("self_attn.k_proj", vec![vision, vision]),
                ("self_attn.v_proj", vec![vision, vision]),
                ("self_attn.out_proj", vec![vision, vision]),
                ("mlp.fc1", vec![4 * vision, vision]),
                ("mlp.fc2", vec![vision, 4 * vision]),
            ];
            for (name, shape) in own {
                let prefix = format!("model.vision_model.encoder.layers.{layer}.{name}");
                shapes.push((format!("{prefix}.bias"), vec![shape[0]]));
                shapes.push((format!("{prefix}.weight"), shape));
            }
        }
        shapes
    }

    /// Writes the weights as bf16: norms 1, biases 0, token embeddings normal, everything else normal with variance
    /// 1 / fan-in; a tower that is to be trained starts as [`super::start`] says.
    pub(super) fn write_weights(&self, path: &Path, seed: u64) -> Result<(), Error> {
        let noise = Noise::new(seed);
        let tower = self.trained.then_some(Tower {
            patch: self.patch,
            side: self.tile / self.patch,
            width: self.vision_width,
            heads: self.vision_heads,
        });
        let fill = |(stream, (name, shape)): (usize, (String, Vec<i64>))| {
            let count = shape.iter().product::<i64>() as usize;
            let spread = if name.contains("embed_tokens") {
                1.0
            } else {
                (shape[1..].iter().product::<i64>() as f32).sqrt().recip()
            };
            let begun = tower.and_then(|tower| tower.values(&name, noise, stream as u64));
            let bytes: Vec<u8> = match shape.len() {
                _ if begun.is_some() => begun.into_iter().flatten().flat_map(bytes_of).collect(),
                1 => [bytes_of(if name.ends_with("bias") { 0.0 } else { 1.0 })]
                    .repeat(count)
                    .concat(),
                _ => noise
                    .values(stream as u64, count)
                    .flat_map(|value| bytes_of(value * spread))
                    .collect(),
            };
            (
                name,
                shape.iter().map(|&size| size as usize).collect::<Vec<_>>(),
                bytes,
            )
        };
        let tensors: Vec<_> = self
            .shapes()
            .into_iter()
            .enumerate()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(fill)
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (
                name.as_str(),
                TensorView::new(Dtype::BF16, shape.clone(), bytes)
                    .expect("bytes were made for the shape"),
            )
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| Error::Write {
            path: path.to_owned(),
            source: std::io::Error::other(error),
        })
    }
}

/// A number as bf16, rounded to nearest even.
fn bytes_of(value: f32) -> [u8; 2] {
    bf16::from_f32(value).to_le_bytes()
}
