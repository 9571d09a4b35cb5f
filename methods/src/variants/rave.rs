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
//! (`scalar` has one number a head instead, from 0 on.)
//!
//! **The fold.** The bias is itself a dot product: with `q' = [q ; (s / scale) A_h^T q~]` and `k' = [k ; 1_V B_g^T k~]`,
//! `scale q'.k' = z + b`. So RAVE runs inside the unchanged fused kernel at head width `D + R`, nothing of size T x S is
//! made, and the key cache holds `k'`: decoding needs no other state and never computes a key feature again.
//! The forms `gate` and `tanh` are not linear in the product and take explicit scores, block by block.

mod options;

use tch::{Kind, Tensor};

pub use options::{FeatureSource, Form, Heads, Options, Pair, Side};

use crate::explicit::{self, Block, Edit, Plain};
use crate::noise::Noise;
use crate::{Attention, Build, Error, Geometry, Method, Step, VariantInfo, kernel};

impl Method for Options {
    const NAME: &'static str = "rave";

    fn info(&self) -> VariantInfo {
        let side = |side: Side| match side {
            Side::Visual => "visual",
            Side::All => "all",
            Side::Text => "text",
        };
        VariantInfo {
            trained: true,
            queries: side(self.queries),
            keys: side(self.keys),
            folds: self.folds(),
            caches: "k and its gate features".into(),
            identity: "its initial values (key side zero)",
            source: "arXiv 2605.18359 (reconstruction)",
        }
    }

    fn identity(&self) -> Self {
        self.clone()
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(Rave::new(variant, self, build)?))
    }
}

/// One layer's gate. A side that does not look at its token holds one learned vector `[heads, 1, R]` instead of `[heads, D, R]`.
#[derive(Debug)]
struct Gate {
    /// `A` of the gated heads (or one for all), `[H, D, R]`; `a` `[H, 1, R]` for key-only; `b` `[H, 1, 1]` for a scalar.
    query: Tensor,
    /// `B` (or one for all groups), `[G, D, R]`; `c` `[G, 1, R]` for query-only; `None` for a scalar.
    key: Option<Tensor>,
}

/// RAVE for one model: a gate in each selected layer.
#[derive(Debug)]
pub struct Rave {
    options: Options,
    geometry: Geometry,
    gates: Vec<Option<Gate>>,
    /// The heads that have a gate; `None` for all.
    gated: Option<Vec<i64>>,
    /// Whether scores are folded into the fused kernel (the default) or the bias is materialised (the reference).
    folded: bool,
}

impl Rave {
    /// A freshly initialised gate, at its identity: equal to `standard` until trained.
    ///
    /// # Errors
    /// [`Error::Options`] for options that the model does not allow; LibTorch's own for lack of memory.
    pub fn new(variant: &str, options: &Options, build: &Build) -> Result<Self, Error> {
        let Geometry {
            layers,
            heads,
            kv_heads,
            head_dim,
            ..
        } = build.geometry;
        options.check(variant, heads / kv_heads)?;
        let selected = options.layers.of(variant, layers)?;
        let gated = options.gated_heads(heads, kv_heads);
        let (query_heads, key_heads) = if options.shared {
            (1, 1)
        } else {
            (
                gated.as_ref().map_or(heads, |gated| gated.len() as i64),
                kv_heads,
            )
        };
        let rows = |looks: bool| if looks { head_dim } else { 1 };
        let query_rows = rows(matches!(options.pair, Pair::Pair | Pair::QueryOnly));
        let key_rows = rows(matches!(options.pair, Pair::Pair | Pair::KeyOnly));
        let zeros = |shape: [i64; 3]| Tensor::f_zeros(shape, (build.kind, build.device));
        // Drawn on the CPU in f32, so that a seed gives the same gate on every device and in every element type.
        let noise = Noise::new(build.seed);
        let gate = |layer: usize| -> Result<Gate, Error> {
            if options.pair == Pair::Scalar {
                let query = zeros([query_heads, 1, 1])?;
                return Ok(Gate { query, key: None });
            }
            let query = noise.normal(layer as u64, &[query_heads, query_rows, options.rank])
                / (query_rows as f64).sqrt();
            Ok(Gate {
                query: query.f_to_device(build.device)?.f_to_kind(build.kind)?,
                key: Some(zeros([key_heads, key_rows, options.rank])?),
            })
        };
        let gates = selected
            .iter()
            .enumerate()
            .map(|(layer, &selected)| selected.then(|| gate(layer)).transpose())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            options: options.clone(),
            geometry: build.geometry,
            gates,
            gated,
            folded: options.folds(),
        })
    }

    /// The same gate with an explicit bias `[B, H, T, S]`: slower, and the reference that the fold is tested against.
    #[must_use]
    pub fn materialised(mut self) -> Self {
        self.folded = false;
        self
    }

    /// `s A_h^T q~` for the new tokens, `[B or 1, H, T or 1, W]`; zero for heads without a gate and for queries left alone.
    fn query_side(&self, gate: &Gate, step: &Step) -> Result<Tensor, Error> {
        let heads = self.geometry.heads;
        let weight = match &self.gated {
            None => gate.query.shallow_clone(),
            Some(gated) => {
                let size = gate.query.size();
                let all = Tensor::f_zeros(
                    [heads, size[1], size[2]],
                    (gate.query.kind(), gate.query.device()),
                )?;
                let index = Tensor::f_from_slice(gated)?.f_to_device(gate.query.device())?;
                let own = gate
                    .query
                    .f_expand([gated.len() as i64, size[1], size[2]], false)?;
                all.f_index_copy(0, &index, &own)?
            }
        };
        let side = match (self.options.pair, self.options.features) {
            (Pair::KeyOnly | Pair::Scalar, _) => {
                weight.f_unsqueeze(0)?.f_expand([1, heads, -1, -1], false)?
            }
            (_, FeatureSource::PreRope) => step.query_pre_rope.f_matmul(&weight)?,
            (_, FeatureSource::PostRope) => step.query.f_matmul(&weight)?,
        };
        let side = if self.options.pair == Pair::Scalar {
            side
        } else {
            side.f_mul_scalar(1.0 / (self.options.rank as f64).sqrt())?
        };
        match step.tokens.visual_queries()? {
            Some(visual) if self.options.queries == Side::Text => {
                let text = visual.f_logical_not()?.f_to_kind(side.kind())?;
                Ok(side.f_mul(&text.f_unsqueeze(1)?.f_unsqueeze(-1)?)?)
            }
            _ => Ok(side),
        }
    }

    /// `B_g^T k~` for the new tokens, zero for keys left alone, `[B, G, T, W]`.
    fn key_side(&self, gate: &Gate, step: &Step) -> Result<Tensor, Error> {
        let size = step.key.size();
        let shape = [size[0], size[1], size[2], self.options.width()];
        let visual = step.tokens.visual_queries()?;
        if self.options.keys == Side::Visual && visual.is_none() {
            return Ok(Tensor::f_zeros(
                shape,
                (step.key.kind(), step.key.device()),
            )?);
        }
        let side = match (&gate.key, self.options.pair, self.options.features) {
            (None, ..) => Tensor::f_ones([1], (step.key.kind(), step.key.device()))?,
            (Some(key), Pair::QueryOnly, _) => key.f_unsqueeze(0)?,
            (Some(key), _, FeatureSource::PreRope) => step.key_pre_rope.f_matmul(key)?,
            (Some(key), _, FeatureSource::PostRope) => step.key.f_matmul(key)?,
        };
        let side = side.f_expand(shape, false)?;
        let touched = match (self.options.keys, visual) {
            (Side::All, _) | (_, None) => return Ok(side),
            (Side::Visual, Some(visual)) => visual.shallow_clone(),
            (Side::Text, Some(visual)) => visual.f_logical_not()?,
        };
        let touched = touched.f_to_kind(side.kind())?;
        Ok(side.f_mul(&touched.f_unsqueeze(1)?.f_unsqueeze(-1)?)?)
    }

    /// `[q ; (s / scale) A_h^T q~]`, `[B, H, T, D + W]`.
    fn folded_query(&self, gate: &Gate, step: &Step) -> Result<Tensor, Error> {
        let [batch, heads, tokens, _] = [0, 1, 2, 3].map(|axis| step.query.size()[axis]);
        let side = self
            .query_side(gate, step)?
            .f_div_scalar(step.scale)?
            .f_expand([batch, heads, tokens, self.options.width()], false)?;
        Ok(Tensor::f_cat(&[step.query, &side], 3)?)
    }

    /// The stored keys without the gate's channels.
    fn plain(&self, keys: &Tensor) -> Result<Tensor, Error> {
        Ok(keys.f_narrow(3, 0, self.geometry.head_dim)?)
    }

    /// The bias `[B, H, t, S]` of query sides `[B or 1, H, t or 1, W]` on stored keys.
    fn bias(&self, query_side: &Tensor, keys: &Tensor) -> Result<Tensor, Error> {
        let width = self.options.width();
        let [batch, kv_heads, stored] = [keys.size()[0], keys.size()[1], keys.size()[2]];
        let size = query_side.size();
        let (heads, rows) = (size[1], size[2]);
        let key_side = keys.f_narrow(3, self.geometry.head_dim, width)?;
        let product = query_side
            .f_expand([batch, heads, rows, width], false)?
            .f_reshape([batch, kv_heads, heads / kv_heads * rows, width])?
            .f_matmul(&key_side.f_transpose(2, 3)?)?
            .f_view([batch, heads, rows, stored])?;
        if self.options.folds() {
            return Ok(product);
        }
        // In bf16 the two parts of a gate's logarithm would not cancel where the product is 0.
        let product = product.f_to_kind(Kind::Float)?;
        Ok(match self.options.form {
            Form::Bilinear => product,
            Form::Gate => product
                .f_log_sigmoid()?
                .f_add_scalar(std::f64::consts::LN_2)?,
            Form::Tanh => product
                .f_div_scalar(self.options.bound)?
                .f_tanh()?
                .f_mul_scalar(self.options.bound)?,
        })
    }
}

/// The bias added to explicit scores.
struct Bias<'a> {
    rave: &'a Rave,
    query_side: Tensor,
}

impl Edit for Bias<'_> {
    fn scores(&self, block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let side = block.over_rows(&self.query_side, 2)?;
        Ok(scores.f_add(&self.rave.bias(&side, &block.keys)?)?)
    }

    fn copies(&self) -> i64 {
        2
    }
}

impl Attention for Rave {
    fn key_width(&self, layer: usize) -> i64 {
        let gate = self.gates[layer].as_ref();
        self.geometry.head_dim + gate.map_or(0, |_| self.options.width())
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(match &self.gates[step.layer] {
            Some(gate) => Tensor::f_cat(&[step.key, &self.key_side(gate, step)?], 3)?,
            None => step.key.shallow_clone(),
        })
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        let Some(gate) = &self.gates[step.layer] else {
            return kernel::fused(step.query, keys, values, step);
        };
        if self.folded {
            return kernel::fused(&self.folded_query(gate, step)?, keys, values, step);
        }
        let query_side = self.query_side(gate, step)?;
        if self.options.folds() {
            let bias = self.bias(&query_side, keys)?;
            return kernel::materialised(step.query, &self.plain(keys)?, values, &bias, step);
        }
        let edit = Bias {
            rave: self,
            query_side,
        };
        let rows: Vec<i64> = (0..step.query.size()[2]).collect();
        explicit::attend(&edit, step, step.query, keys, values, &rows)
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        let Some(gate) = &self.gates[step.layer] else {
            return explicit::weights(&Plain, step, step.query, keys, rows);
        };
        if self.options.folds() {
            let query = self.folded_query(gate, step)?;
            return explicit::weights(&Plain, step, &query, keys, rows);
        }
        let edit = Bias {
            rave: self,
            query_side: self.query_side(gate, step)?,
        };
        explicit::weights(&edit, step, step.query, keys, rows)
    }

    fn reuses_prefix(&self) -> bool {
        true
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut parameters = Vec::new();
        for (layer, gate) in self.gates.iter().enumerate() {
            let Some(gate) = gate else { continue };
            parameters.push((
                format!("rave.layers.{layer}.query"),
                gate.query.shallow_clone(),
            ));
            if let Some(key) = &gate.key {
                parameters.push((format!("rave.layers.{layer}.key"), key.shallow_clone()));
            }
        }
        parameters
    }
}
