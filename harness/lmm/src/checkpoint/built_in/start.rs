//! Where the vision tower of a built-in model that is to be trained starts: at sight of its neighbourhood instead of at noise.
//!
//! A character lies across the edges of the patches, anywhere. A tower that starts at noise finds out patch by patch what
//! "the patch to the left" is, and spends its whole training on that: after 19,000 pages of text it knew a fifth of the
//! characters. So the three parts below start at what a convolution has by construction (d'Ascoli et al., arXiv 2103.10697,
//! start attention as a convolution too). They are initial values: the layout is unchanged, and all of it is trained.
//!
//! - The patch embedding is a discrete cosine transform: all of a patch's brightness, the coarse half of its two colour
//!   differences, in the first dimensions. A plain patch is then near zero, whatever its shade.
//! - The positions are sines and cosines of row and column, in the dimensions left over.
//! - In the first layers each head looks at one neighbour, by query and key rows that turn those waves by one patch; in the
//!   first it carries over the neighbour's coarse half. Values and feed-forward layers read the content and not the waves.
//!
//! Measured in PyTorch on the same pages (batches of 4, one run each): characters known after 3,200 pages: from noise 4 %, with the
//! first two parts and the heads 9 %, with all of it 23 %; a stem of three convolutions 47 %.

use std::f32::consts::PI;

use rave_methods::noise::Noise;

/// Sizes of a tower.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tower {
    /// Pixels along a patch.
    pub(super) patch: i64,
    /// Patches along the picture.
    pub(super) side: i64,
    pub(super) width: i64,
    pub(super) heads: i64,
}

/// Scale of a patch's mean brightness, and of everything else about it.
const MEAN_SCALE: f32 = 0.25;
const DETAIL_SCALE: f32 = 0.7;
/// Amplitude of the waves: well above the content, so that normalisation leaves them nearly as they are.
const AMPLITUDE: f32 = 3.0;
/// Angle from one patch to the next of the fastest wave, and the ratio of the slowest to it.
const FASTEST: f32 = 2.0;
const SPREAD: f32 = 0.03;
/// Spread of the noise on top of the rows that turn waves.
const NOISE: f32 = 0.02;
/// What values and feed-forward layers multiply the content by, and what the first layer's values do.
const GAIN: f32 = 2.0;
const COARSE_GAIN: f32 = 1.5;
/// Where the heads of the first layer look, in rows and columns; those of the second take the first four, the rest are noise.
const NEIGHBOURS: [(i64, i64); 8] = [
    (0, -1),
    (0, 1),
    (-1, 0),
    (1, 0),
    (-1, -1),
    (-1, 1),
    (1, -1),
    (1, 1),
];

impl Tower {
    /// Dimensions that hold content: brightness whole, two colour differences at half the detail.
    fn content(self) -> i64 {
        self.patch * self.patch + 2 * (self.patch / 2).pow(2)
    }

    /// Number of waves along one axis.
    fn waves(self) -> i64 {
        (self.width - self.content()) / 4
    }

    fn angle(self, wave: i64) -> f32 {
        FASTEST * SPREAD.powf(wave as f32 / self.waves() as f32)
    }

    /// The dimension of a wave's sine; its cosine follows.
    fn dimension(self, axis: i64, wave: i64) -> i64 {
        self.content() + 2 * (axis * self.waves() + wave)
    }

    /// The values of the tensor of this name, row by row; `None` where noise is right.
    pub(super) fn values(self, name: &str, noise: Noise, stream: u64) -> Option<Vec<f32>> {
        let name = name.strip_prefix("model.vision_model.")?;
        match name {
            "embeddings.patch_embedding.weight" => Some(self.patch_embedding()),
            "embeddings.position_embedding.weight" => Some(self.positions()),
            _ => {
                let (layer, part) = name.strip_prefix("encoder.layers.")?.split_once('.')?;
                let looking = match layer {
                    "0" => NEIGHBOURS.len(),
                    "1" => NEIGHBOURS.len() / 2,
                    _ => 0,
                };
                match part {
                    "self_attn.q_proj.weight" => Some(self.turned(looking, 1, noise, stream)),
                    "self_attn.k_proj.weight" => Some(self.turned(looking, 0, noise, stream)),
                    "self_attn.v_proj.weight" if layer == "0" => Some(self.coarse()),
                    "self_attn.v_proj.weight" => Some(self.reading(self.width, noise, stream)),
                    "self_attn.out_proj.weight" => Some(self.writing(noise, stream)),
                    "mlp.fc1.weight" => Some(self.reading(4 * self.width, noise, stream)),
                    _ => None,
                }
            }
        }
    }

    /// Noise of variance 1 / fan-in, `[rows, width]`.
    fn noise(self, rows: i64, noise: Noise, stream: u64) -> Vec<f32> {
        let spread = (self.width as f32).sqrt().recip();
        let count = (rows * self.width) as usize;
        noise
            .values(stream, count)
            .map(|value| value * spread)
            .collect()
    }

    /// Rows that read the content alone, `[rows, width]`; larger, since the waves take most of what normalisation leaves.
    fn reading(self, rows: i64, noise: Noise, stream: u64) -> Vec<f32> {
        let mut values = self.noise(rows, noise, stream);
        for row in values.chunks_exact_mut(self.width as usize) {
            let (content, waves) = row.split_at_mut(self.content() as usize);
            for value in content {
                *value *= GAIN;
            }
            waves.fill(0.0);
        }
        values
    }

    /// Rows that write to the content alone, `[width, width]`.
    fn writing(self, noise: Noise, stream: u64) -> Vec<f32> {
        let mut values = self.noise(self.width, noise, stream);
        values[(self.content() * self.width) as usize..].fill(0.0);
        values
    }

    /// In every head the coarse brightness, `[width, width]`: of the transform's components those with the lowest frequencies.
    fn coarse(self) -> Vec<f32> {
        let side = self.patch;
        let mut components: Vec<(i64, i64)> = (0..side * side)
            .map(|index| (index / side, index % side))
            .collect();
        components.sort_by_key(|&(down, across)| (down + across, down));
        let head_dim = (self.width / self.heads) as usize;
        let mut values = vec![0.0; (self.width * self.width) as usize];
        for (row, values) in values.chunks_exact_mut(self.width as usize).enumerate() {
            if let Some((down, across)) = components.get(row % head_dim) {
                values[(down * side + across) as usize] = COARSE_GAIN;
            }
        }
        values
    }

    /// `[width, 3, patch, patch]`.
    fn patch_embedding(self) -> Vec<f32> {
        const BRIGHTNESS: [f32; 3] = [0.299, 0.587, 0.114];
        let side = self.patch;
        let cosine = |frequency: i64, at: i64| {
            let norm = if frequency == 0 { 1.0 } else { 2.0 } / side as f32;
            norm.sqrt() * (PI * frequency as f32 * (2 * at + 1) as f32 / (2 * side) as f32).cos()
        };
        // Red, green and blue to blue minus brightness and to red minus brightness.
        let difference = |colour: usize| {
            let own: [f32; 3] = std::array::from_fn(|channel| f32::from(channel == colour));
            std::array::from_fn(|channel| own[channel] - BRIGHTNESS[channel])
        };
        let planes: [(i64, [f32; 3]); 3] = [
            (side, BRIGHTNESS),
            (side / 2, difference(2)),
            (side / 2, difference(0)),
        ];
        let mut values = Vec::with_capacity((self.width * 3 * side * side) as usize);
        for (plane, (detail, mix)) in planes.into_iter().enumerate() {
            for (down, across) in (0..detail * detail).map(|index| (index / detail, index % detail))
            {
                let scale = if plane == 0 && down + across == 0 {
                    MEAN_SCALE
                } else {
                    DETAIL_SCALE
                };
                for share in mix {
                    for (y, x) in (0..side * side).map(|index| (index / side, index % side)) {
                        values.push(scale * share * cosine(down, y) * cosine(across, x));
                    }
                }
            }
        }
        values.resize((self.width * 3 * side * side) as usize, 0.0);
        values
    }

    /// `[side x side, width]`.
    fn positions(self) -> Vec<f32> {
        let mut values = vec![0.0; (self.side * self.side * self.width) as usize];
        for (place, row) in values.chunks_exact_mut(self.width as usize).enumerate() {
            let place = place as i64;
            for (axis, along) in [(0, place / self.side), (1, place % self.side)] {
                for wave in 0..self.waves() {
                    let (sine, cosine) = (self.angle(wave) * along as f32).sin_cos();
                    let at = self.dimension(axis, wave) as usize;
                    (row[at], row[at + 1]) = (AMPLITUDE * sine, AMPLITUDE * cosine);
                }
            }
        }
        values
    }

    /// Query rows (`turn` 1) or key rows (`turn` 0), `[width, width]`: head by head, the waves of both axes from the fastest on,
    /// turned by as many patches as the head's neighbour is away.
    fn turned(self, looking: usize, turn: i64, noise: Noise, stream: u64) -> Vec<f32> {
        let width = self.width as usize;
        let mut values: Vec<f32> = noise.values(stream, width * width).collect();
        let head_dim = self.width / self.heads;
        let waves = (head_dim / 4).min(self.waves());
        for (head, offset) in NEIGHBOURS
            .iter()
            .take(looking.min(self.heads as usize))
            .enumerate()
        {
            let first = head * head_dim as usize;
            for value in &mut values[first * width..(first + head_dim as usize) * width] {
                *value *= NOISE;
            }
            for (axis, steps) in [(0, offset.0), (1, offset.1)] {
                for wave in 0..waves {
                    let (sine, cosine) = (self.angle(wave) * (turn * steps) as f32).sin_cos();
                    let row = first + (2 * (axis * waves + wave)) as usize;
                    let at = self.dimension(axis, wave) as usize;
                    // sin(a + b) and cos(a + b) from sin(a) and cos(a).
                    values[row * width + at] += cosine;
                    values[row * width + at + 1] += sine;
                    values[(row + 1) * width + at] -= sine;
                    values[(row + 1) * width + at + 1] += cosine;
                }
            }
        }
        // The rows of other heads are noise of variance 1 / fan-in.
        let rest = looking.min(self.heads as usize) * head_dim as usize;
        for value in &mut values[rest * width..] {
            *value *= (width as f32).sqrt().recip();
        }
        values
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TOWER: Tower = Tower {
        patch: 8,
        side: 16,
        width: 128,
        heads: 8,
    };
    const WIDTH: usize = 128;

    fn values(name: &str) -> Vec<f32> {
        TOWER
            .values(&format!("model.vision_model.{name}"), Noise::new(3), 1)
            .unwrap()
    }

    /// `rows` times a vector.
    fn product(rows: &[f32], vector: &[f32]) -> Vec<f32> {
        let row = |row: &[f32]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
        rows.chunks(vector.len()).map(row).collect()
    }

    #[test]
    fn a_plain_patch_is_its_mean_and_its_two_colour_differences() {
        let embedding = values("embeddings.patch_embedding.weight");
        let plain = [1.0, 0.2, -0.5].map(|level| [level; 64]).concat();
        let found = product(&embedding, &plain);
        let brightness = 0.299 + 0.587 * 0.2 - 0.114 * 0.5;
        let expected = [
            (0, MEAN_SCALE * 8.0 * brightness),
            (64, DETAIL_SCALE * 8.0 * (-0.5 - brightness)),
            (80, DETAIL_SCALE * 8.0 * (1.0 - brightness)),
        ];
        for (dimension, value) in found.into_iter().enumerate() {
            let wanted = expected.iter().find(|(place, _)| *place == dimension);
            let wanted = wanted.map_or(0.0, |(_, value)| *value);
            assert!(
                (value - wanted).abs() < 1e-4,
                "{dimension}: {value} {wanted}"
            );
        }
    }

    #[test]
    fn each_head_of_the_first_layer_looks_at_its_neighbour() {
        let positions = values("embeddings.position_embedding.weight");
        let place = |row: i64, column: i64| {
            let start = (row * 16 + column) as usize * WIDTH;
            &positions[start..start + WIDTH]
        };
        let queries = values("encoder.layers.0.self_attn.q_proj.weight");
        let keys = values("encoder.layers.0.self_attn.k_proj.weight");
        for (head, (down, across)) in NEIGHBOURS.into_iter().enumerate() {
            let rows = head * 16 * WIDTH..(head + 1) * 16 * WIDTH;
            let query = product(&queries[rows.clone()], place(7, 5));
            let score = |row: i64, column: i64| -> f32 {
                let key = product(&keys[rows.clone()], place(row, column));
                key.iter().zip(&query).map(|(a, b)| a * b).sum()
            };
            let positions = (0..16).flat_map(|row| (0..16).map(move |column| (row, column)));
            let best = positions.max_by(|a, b| score(a.0, a.1).total_cmp(&score(b.0, b.1)));
            assert_eq!(best, Some((7 + down, 5 + across)), "head {head}");
        }
    }

    #[test]
    fn values_and_feed_forward_leave_the_waves_alone() {
        for name in [
            "encoder.layers.1.self_attn.v_proj.weight",
            "encoder.layers.0.mlp.fc1.weight",
        ] {
            for row in values(name).chunks(WIDTH) {
                assert!(
                    row[96..].iter().all(|value| *value == 0.0)
                        && row[..96].iter().any(|value| *value != 0.0)
                );
            }
        }
        let out = values("encoder.layers.0.self_attn.out_proj.weight");
        assert!(out[96 * WIDTH..].iter().all(|value| *value == 0.0));
        assert!(
            TOWER
                .values("model.text_model.norm.weight", Noise::new(3), 1)
                .is_none()
        );
    }
}
