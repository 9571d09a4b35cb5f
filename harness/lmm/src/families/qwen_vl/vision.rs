//! The vision tower: patches of all pictures in one row, rotary positions by row and column, attention within a picture or a
//! window of it.

use std::time::Instant;

use tch::{Kind, Tensor};

use super::config::{Generation, VisionConfig};
use super::order::Order;
use crate::families::{Pixels, TowerOutput};
use crate::nn::layers::{Activation, LayerNorm, Linear, RmsNorm, Rotation, rotate};
use crate::nn::weights::Weights;
use crate::{Error, Part};

/// The norms' epsilon, which no config states.
const EPSILON: f64 = 1e-6;

/// Pixels to patch features.
pub(super) struct VisionTower {
    /// `[width, 3, frames, side, side]`.
    patch_weight: Tensor,
    patch_bias: Option<Tensor>,
    patch_size: i64,
    merge: usize,
    /// Of learned positions.
    table: Option<Table>,
    /// `[D / 4]` f32: what rows turn with, and again columns.
    frequencies: Tensor,
    blocks: Vec<Block>,
    windows: Option<Windows>,
    deepstack_layers: Vec<usize>,
}

/// Learned positions, `[side * side, width]`.
struct Table {
    positions: Tensor,
    side: usize,
}

/// Which layers look at windows.
struct Windows {
    /// Side of a window, in visual tokens.
    side: usize,
    /// The layers that do not.
    whole: Vec<usize>,
}

/// The norm of a generation.
pub(super) enum Norm {
    Layer(LayerNorm),
    RootMeanSquare(RmsNorm),
}

struct Block {
    heads: i64,
    norm: Norm,
    query_key_value: Linear,
    output: Linear,
    feed_forward_norm: Norm,
    /// Of a gated feed-forward.
    gate: Option<Linear>,
    widen: Linear,
    narrow: Linear,
    activation: Activation,
}

impl Norm {
    pub(super) fn load(
        config: &VisionConfig,
        weights: &Weights,
        width: i64,
    ) -> Result<Self, Error> {
        Ok(match config.generation {
            Generation::TwoAndHalf { .. } => {
                Self::RootMeanSquare(RmsNorm::new(weights, width, EPSILON)?)
            }
            Generation::Two | Generation::Three { .. } => {
                Self::Layer(LayerNorm::new(weights, width, EPSILON)?)
            }
        })
    }

    /// Same shape in and out.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::RootMeanSquare(norm) => norm.forward(x),
        }
    }
}

impl VisionTower {
    /// Reads the tower under `weights`.
    pub(super) fn load(config: &VisionConfig, weights: &Weights) -> Result<Self, Error> {
        let (width, patch) = (config.width, config.patch);
        let patches = &(weights / "patch_embed") / "proj";
        let kernel = [width, 3, config.frames, patch, patch];
        let table = match config.generation {
            Generation::Three { table_side, .. } => Some(Table {
                positions: (weights / "pos_embed")
                    .as_part(Part::VisionTable)
                    .tensor("weight", &[table_side * table_side, width])?,
                side: table_side as usize,
            }),
            Generation::Two | Generation::TwoAndHalf { .. } => None,
        };
        let windows = match &config.generation {
            Generation::TwoAndHalf { window, whole } => Some(Windows {
                side: *window,
                whole: whole.clone(),
            }),
            Generation::Two | Generation::Three { .. } => None,
        };
        let turning = width / config.heads / 2;
        let exponents =
            Tensor::f_arange_start_step(0, turning, 2, (Kind::Float, weights.device()))?
                .f_div_scalar(turning)?;
        let layers = weights / "blocks";
        Ok(Self {
            patch_weight: patches.tensor("weight", &kernel)?,
            patch_bias: match table {
                Some(_) => Some(patches.tensor("bias", &[width])?),
                None => None,
            },
            patch_size: patch,
            merge: config.merge,
            table,
            frequencies: Tensor::f_pow_scalar(config.rope_theta, &exponents)?.f_reciprocal()?,
            blocks: (0..config.layers)
                .map(|number| Block::load(config, &(&layers / number)))
                .collect::<Result<_, _>>()?,
            windows,
            deepstack_layers: config.deepstack_layers().to_vec(),
        })
    }

    /// Side of a patch in pixels.
    pub(super) fn patch_size(&self) -> i64 {
        self.patch_size
    }

    /// Flattened patches `[N, values]`, squares of them together, to features `[N, width]` in the same order. The deadline is looked at
    /// before every layer.
    pub(super) fn forward(
        &self,
        pixels: &Pixels,
        deadline: Option<Instant>,
    ) -> Result<TowerOutput, Error> {
        let grids: Vec<_> = pixels.pictures.iter().map(|picture| picture.grid).collect();
        let window = self.windows.as_ref().map(|windows| windows.side);
        let order = Order::new(&grids, self.merge, window);
        // A convolution whose kernel is as large as the patch is a matrix product.
        let patch_weight = self.patch_weight.f_flatten(1, -1)?;
        let mut hidden = pixels
            .values
            .f_linear(&patch_weight, self.patch_bias.as_ref())?; // [N, width]
        if let Some(table) = &self.table {
            hidden = hidden.f_add(&table.at(&order, &grids, hidden.kind())?)?;
        }
        if let Some(windowed) = order.windowed() {
            hidden = select(&hidden, windowed)?;
        }
        let rotation = self.rotation(&order)?;
        let mut deepstack = Vec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let lengths = match &self.windows {
                Some(windows) if !windows.whole.contains(&number) => order.windows(),
                _ => order.pictures(),
            };
            Error::check_deadline(deadline)?;
            hidden = block.forward(&hidden, &rotation, lengths)?;
            if self.deepstack_layers.contains(&number) {
                deepstack.push(hidden.shallow_clone());
            }
        }
        if let Some(windowed) = order.windowed() {
            let mut back = vec![0; windowed.len()];
            for (at, &from) in windowed.iter().enumerate() {
                back[from as usize] = at as i64;
            }
            hidden = select(&hidden, &back)?;
        }
        Ok(TowerOutput {
            hidden_states: hidden,
            deepstack,
            pictures: pixels.pictures.clone(),
        })
    }

    /// Cosines and sines of the patches' rows and columns, `[N, 1, D]` f32.
    fn rotation(&self, order: &Order) -> Result<Rotation, Error> {
        let device = self.frequencies.device();
        let positions = order.positions();
        let angles = Tensor::f_from_slice(positions.as_flattened())?
            .f_view([-1, 2, 1])?
            .f_to_device(device)?
            .f_to_kind(Kind::Float)?
            .f_mul(&self.frequencies)? // [N, 2, D / 4]
            .f_flatten(1, 2)?;
        let angles = Tensor::f_cat(&[&angles, &angles], -1)?.f_unsqueeze(1)?;
        Ok((angles.f_cos()?, angles.f_sin()?))
    }
}

/// Some rows of `[N, width]`.
fn select(rows: &Tensor, index: &[i64]) -> Result<Tensor, Error> {
    let index = Tensor::f_from_slice(index)?.f_to_device(rows.device())?;
    Ok(rows.f_index_select(0, &index)?)
}

impl Table {
    /// The positions of all patches, `[N, width]`: the table stretched over each picture from corner to corner, bilinearly.
    fn at(&self, order: &Order, grids: &[[usize; 2]], kind: Kind) -> Result<Tensor, Error> {
        let device = self.positions.device();
        let shape = [order.positions().len() as i64, self.positions.size()[1]];
        let mut sum = Tensor::f_zeros(shape, (Kind::Float, device))?;
        for (index, weights) in order.taps(grids, self.side) {
            let weights = Tensor::f_from_slice(&weights)?
                .f_to_device(device)?
                .f_unsqueeze(1)?;
            sum = sum.f_add(&select(&self.positions, &index)?.f_mul(&weights)?)?;
        }
        Ok(sum.f_to_kind(kind)?)
    }
}

impl Block {
    fn load(config: &VisionConfig, weights: &Weights) -> Result<Self, Error> {
        let (width, wide) = (config.width, config.wide);
        let (attention, mlp) = (weights / "attn", weights / "mlp");
        let (gate, widen, narrow) = match config.generation {
            Generation::Two => (None, "fc1", "fc2"),
            Generation::TwoAndHalf { .. } => (Some("gate_proj"), "up_proj", "down_proj"),
            Generation::Three { .. } => (None, "linear_fc1", "linear_fc2"),
        };
        Ok(Self {
            heads: config.heads,
            norm: Norm::load(config, &(weights / "norm1"), width)?,
            query_key_value: Linear::with_bias(&(&attention / "qkv"), width, 3 * width)?,
            output: Linear::with_bias(&(&attention / "proj"), width, width)?,
            feed_forward_norm: Norm::load(config, &(weights / "norm2"), width)?,
            gate: gate
                .map(|name| Linear::with_bias(&(&mlp / name), width, wide))
                .transpose()?,
            widen: Linear::with_bias(&(&mlp / widen), width, wide)?,
            narrow: Linear::with_bias(&(&mlp / narrow), wide, width)?,
            activation: config.activation,
        })
    }

    /// `[N, width]` in and out; a patch sees those of its own stretch, of which `lengths` says how many patches each has.
    fn forward(
        &self,
        hidden: &Tensor,
        rotation: &Rotation,
        lengths: &[usize],
    ) -> Result<Tensor, Error> {
        let [patches, width] = [0, 1].map(|axis| hidden.size()[axis]);
        let joined = self
            .query_key_value
            .forward(&self.norm.forward(hidden)?)?
            .f_view([patches, 3, self.heads, width / self.heads])?;
        let part = |number: i64| joined.f_select(1, number); // [N, heads, D]
        // The rotation is done in f32, whatever the compute type.
        let turn = |x: Tensor| -> Result<Tensor, Error> {
            let turned = rotate(&x.f_to_kind(Kind::Float)?, rotation)?;
            Ok(turned.f_to_kind(hidden.kind())?)
        };
        let (query, key, value) = (turn(part(0)?)?, turn(part(1)?)?, part(2)?);
        let mixed = attend(&query, &key, &value, lengths)?.f_reshape([patches, width])?;
        let hidden = hidden.f_add(&self.output.forward(&mixed)?)?;
        let normed = self.feed_forward_norm.forward(&hidden)?;
        let wide = self.widen.forward(&normed)?;
        let wide = match &self.gate {
            Some(gate) => self
                .activation
                .apply(gate.forward(&normed)?)?
                .f_mul(&wide)?,
            None => self.activation.apply(wide)?,
        };
        Ok(hidden.f_add(&self.narrow.forward(&wide)?)?)
    }
}

/// Attention within stretches of so many patches, `[N, heads, D]` all. Neighbours of one length go together.
fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    lengths: &[usize],
) -> Result<Tensor, Error> {
    let mut start = 0;
    let mut outputs = Vec::new();
    for run in lengths.chunk_by(|a, b| a == b) {
        let (count, length) = (run.len() as i64, run[0] as i64);
        let [heads, width] = [1, 2].map(|axis| query.size()[axis]);
        let stretch = |x: &Tensor| {
            x.f_narrow(0, start, count * length)?
                .f_reshape([count, length, heads, width])?
                .f_transpose(1, 2)
        };
        let mixed = Tensor::f_scaled_dot_product_attention(
            &stretch(query)?,
            &stretch(key)?,
            &stretch(value)?,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        outputs.push(
            mixed
                .f_transpose(1, 2)?
                .f_reshape([count * length, heads, width])?,
        );
        start += count * length;
    }
    Ok(Tensor::f_cat(&outputs, 0)?)
}
