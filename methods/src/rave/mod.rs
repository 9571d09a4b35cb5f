//! `rave` and its ablations: a low-rank, learned query-key bias on the visual keys.
//!
//! Source: RAVE, arXiv 2605.18359. **A reconstruction**: public are a lightweight pair gate that adds a learned query-key
//! bias to the pre-softmax scores over visual keys only, from features before the rotary embedding, on an unchanged
//! backbone. Ours are the bilinear form, the rank, the initialisation, and that every layer, head and query has a gate.
//!
//! For head h of key group g, query i and visual key j (0 for every other key):
//! ```text
//! b_ij = s (A_h^T q~_i) . (B_g^T k~_j),   A_h, B_g: [D, R],   s = 1 / sqrt(R)
//! ```
//! `A ~ N(0, 1/D)` and `B = 0`: at step 0 the model is the standard one, and the gradient of B is not zero.
//!
//! **The fold.** The bias is itself a dot product: with `q' = [q ; (s / scale) A_h^T q~]` and `k' = [k ; 1_V B_g^T k~]`,
//! `scale q'.k' = z + b`. So RAVE runs inside the unchanged fused kernel at head width `D + R`, nothing of size T x S is
//! made, and the key cache holds `k'`: decoding needs no other state and never computes a key feature again.

mod options;

use tch::Tensor;

pub use options::{Features, Options, Pair};

use crate::noise::Noise;
use crate::{Attention, Build, Error, Geometry, Step, kernel};

/// One layer's gate. A side that does not look at its token holds one learned vector `[heads, 1, R]` instead of `[heads, D, R]`.
#[derive(Debug)]
struct Gate {
    /// `A`, `[H, D, R]`, or `a` `[H, 1, R]` for key-only.
    query: Tensor,
    /// `B`, `[G, D, R]`, or `c` `[G, 1, R]` for query-only.
    key: Tensor,
}

/// RAVE for one model: a gate a layer.
#[derive(Debug)]
pub struct Rave {
    options: Options,
    geometry: Geometry,
    gates: Vec<Gate>,
    /// Whether scores are folded into the fused kernel (the default) or the bias is materialised (the reference).
    folded: bool,
}

impl Rave {
    /// A freshly initialised gate, at its identity: equal to `standard` until trained.
    ///
    /// # Errors
    /// [`Error::Options`] for an impossible rank; LibTorch's own for lack of memory.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Self, Error> {
        let Geometry {
            layers,
            heads,
            groups,
            head_width,
            ..
        } = build.geometry;
        options.check(variant, head_width)?;
        let query_rows = if options.pair == Pair::KeyOnly {
            1
        } else {
            head_width
        };
        let key_rows = if options.pair == Pair::QueryOnly {
            1
        } else {
            head_width
        };
        // Drawn on the CPU in f32, so that a seed gives the same gate on every device and in every element type.
        let noise = Noise::new(build.seed);
        let gates = (0..layers)
            .map(|layer| {
                let query = noise.normal(layer as u64, &[heads, query_rows, options.rank])
                    / (query_rows as f64).sqrt();
                Ok(Gate {
                    query: query.f_to_device(build.device)?.f_to_kind(build.kind)?,
                    key: Tensor::f_zeros(
                        [groups, key_rows, options.rank],
                        (build.kind, build.device),
                    )?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            options: options.clone(),
            geometry: build.geometry,
            gates,
            folded: true,
        })
    }

    /// The same gate with an explicit bias `[B, H, T, S]`: slower, and the reference that the fold is tested against.
    #[must_use]
    pub fn materialised(mut self) -> Self {
        self.folded = false;
        self
    }

    /// `s A_h^T q~` for the new tokens, `[B or 1, H, T or 1, R]`.
    fn query_side(&self, step: &Step) -> Result<Tensor, Error> {
        let gate = &self.gates[step.layer].query;
        let scale = 1.0 / (self.options.rank as f64).sqrt();
        Ok(match (self.options.pair, self.options.features) {
            (Pair::KeyOnly, _) => gate.f_unsqueeze(0)?,
            (_, Features::PreRope) => step.query_features.f_matmul(gate)?,
            (_, Features::PostRope) => step.query.f_matmul(gate)?,
        }
        .f_mul_scalar(scale)?)
    }

    /// `1_V B_g^T k~` for the new tokens, `[B, G, T, R]`.
    fn key_side(&self, step: &Step) -> Result<Tensor, Error> {
        let [batch, groups, tokens] = [step.key.size()[0], step.key.size()[1], step.key.size()[2]];
        let Some(visual) = step.visual else {
            return Ok(Tensor::f_zeros(
                [batch, groups, tokens, self.options.rank],
                (step.key.kind(), step.key.device()),
            )?);
        };
        let gate = &self.gates[step.layer].key;
        let side = match (self.options.pair, self.options.features) {
            (Pair::QueryOnly, _) => gate.f_unsqueeze(0)?,
            (_, Features::PreRope) => step.key_features.f_matmul(gate)?,
            (_, Features::PostRope) => step.key.f_matmul(gate)?,
        };
        let on_visual = visual
            .f_to_kind(side.kind())?
            .f_view([batch, 1, tokens, 1])?;
        Ok(side.f_mul(&on_visual)?) // [B, G, T, R]
    }
}

impl Attention for Rave {
    fn key_width(&self) -> i64 {
        self.geometry.head_width + self.options.rank
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(Tensor::f_cat(&[step.key, &self.key_side(step)?], 3)?)
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        let query_side = self.query_side(step)?;
        if self.folded {
            let [batch, heads, tokens, _] = [0, 1, 2, 3].map(|axis| step.query.size()[axis]);
            let query_side = query_side
                .f_div_scalar(step.scale)?
                .f_expand([batch, heads, tokens, self.options.rank], false)?;
            let query = Tensor::f_cat(&[step.query, &query_side], 3)?; // [B, H, T, D + R]
            return kernel::fused(&query, keys, values, step.valid, step.scale);
        }
        let Geometry {
            heads,
            groups,
            head_width,
            ..
        } = self.geometry;
        let key_side = keys.f_narrow(3, head_width, self.options.rank)?; // [B, G, S, R]
        let key_side = key_side.f_repeat_interleave_self_int(heads / groups, 1, None)?;
        let bias = query_side.f_matmul(&key_side.f_transpose(2, 3)?)?; // [B, H, T or 1, S]
        kernel::materialised(
            step.query,
            &keys.f_narrow(3, 0, head_width)?,
            values,
            Some(&bias),
            step.valid,
            step.scale,
        )
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let named = |layer: usize, gate: &Gate| {
            [
                (
                    format!("rave.layers.{layer}.query"),
                    gate.query.shallow_clone(),
                ),
                (format!("rave.layers.{layer}.key"), gate.key.shallow_clone()),
            ]
        };
        self.gates
            .iter()
            .enumerate()
            .flat_map(|(layer, gate)| named(layer, gate))
            .collect()
    }
}
