//! `softmax-off-by-one` and `learned-sink`: a softmax that may give weight to nothing.
//!
//! Sources: softmax1, "Attention Is Off By One" (E. Miller, 2023): `exp(z) / (1 + sum exp z)`; gpt-oss (2025): one
//! learned logit a head joins the softmax and is dropped after it, `exp(z) / (exp(s_h) + sum exp z)`. The first is the second
//! with `s_h = 0`; here it may be any fixed mass m, `s_h = log m`.
//!
//! **The fold.** A token put before all others, with a zero value, whose key answers every query with the score `s_h`, is such a
//! sink: one more row and channel, and the causal flag of the fused kernel stays right. It is added in every pass and never
//! stored. What is cached is k itself.
//!
//! Both want a model that was trained with them. Grafted on a trained model, softmax-off-by-one at once changes every row a
//! little; a learned sink starts at a logit of -5, near the identity but not at it: at minus infinity it would have no gradient.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::explicit::{self, Block, Edit};
use crate::registry::Facts;
use crate::{Attention, Build, Error, Geometry, Step, kernel};

/// Channels that the sink's score takes: one would do, a multiple of 8 keeps rows aligned.
const CHANNELS: i64 = 8;

/// Options of `softmax-off-by-one`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixedOptions {
    /// What is added to the softmax's denominator, at least 0; 0 is the identity.
    pub mass: f64,
}

impl FixedOptions {
    /// The source's 1.
    pub const DEFAULT: Self = Self { mass: 1.0 };
}

impl Default for FixedOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Options of `learned-sink`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedOptions {
    /// The logit that every head starts with; the identity is minus infinity, reached in f32 from -100 on.
    pub initial: f64,
}

impl LearnedOptions {
    /// Near the identity.
    pub const DEFAULT: Self = Self { initial: -5.0 };
}

impl Default for LearnedOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A sink in every head of one model.
#[derive(Debug)]
pub struct Sink {
    geometry: Geometry,
    /// The sink's logit in every layer, `[H]`; `None` where the sink has no mass.
    logits: Vec<Option<Tensor>>,
    learned: bool,
}

impl Sink {
    /// A sink of fixed mass.
    ///
    /// # Errors
    /// [`Error::Options`] for a mass below 0.
    pub fn fixed(variant: &str, options: &FixedOptions, build: &Build) -> Result<Self, Error> {
        let mass = options.mass;
        if !(mass.is_finite() && mass >= 0.0) {
            return Err(Error::options(
                variant,
                format!("mass {mass} is not possible; allowed is 0 or above"),
            ));
        }
        let logit = (mass > 0.0).then(|| mass.ln());
        Self::new(logit, false, build)
    }

    /// A sink whose logits are learned.
    ///
    /// # Errors
    /// [`Error::Options`] for an initial logit that is not finite.
    pub fn learned(variant: &str, options: &LearnedOptions, build: &Build) -> Result<Self, Error> {
        if !options.initial.is_finite() {
            return Err(Error::options(
                variant,
                format!(
                    "initial {} is not possible; allowed is a finite number",
                    options.initial
                ),
            ));
        }
        Self::new(Some(options.initial), true, build)
    }

    fn new(logit: Option<f64>, learned: bool, build: &Build) -> Result<Self, Error> {
        let heads = build.geometry.heads;
        let of_layer = |_| -> Result<_, Error> {
            let logits =
                logit.map(|value| Tensor::f_full([heads], value, (build.kind, build.device)));
            Ok(logits.transpose()?)
        };
        Ok(Self {
            geometry: build.geometry,
            logits: (0..build.geometry.layers)
                .map(of_layer)
                .collect::<Result<_, _>>()?,
            learned,
        })
    }

    /// What `rave variants` says of the fixed one.
    pub fn fixed_facts() -> Facts {
        Facts {
            trained: false,
            queries: "all",
            keys: "all, and none",
            folds: true,
            caches: "k".into(),
            identity: "mass = 0",
            source: "Miller 2023 (softmax1)",
        }
    }

    /// What `rave variants` says of the learned one.
    pub fn learned_facts() -> Facts {
        Facts {
            trained: true,
            identity: "logit = -100 or below",
            source: "OpenAI gpt-oss",
            ..Self::fixed_facts()
        }
    }

    /// The pass with the sink in front, through the fused kernel.
    fn folded(
        &self,
        logit: &Tensor,
        step: &Step,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, Error> {
        let [batch, heads, tokens, _] = [0, 1, 2, 3].map(|axis| step.query.size()[axis]);
        let options = (step.query.kind(), step.query.device());
        let groups = self.geometry.groups;
        // Channel 0 of the new ones: the logit in every query, 1 in the sink's key, 0 in all others.
        let score = logit
            .f_to_kind(step.query.kind())?
            .f_div_scalar(step.scale)?
            .f_view([1, heads, 1, 1])?
            .f_expand([batch, heads, tokens, 1], false)?;
        let query =
            Tensor::f_cat(&[step.query, &score], 3)?.f_constant_pad_nd([0, CHANNELS - 1, 1, 0])?;
        let key = Tensor::f_cat(
            &[
                &Tensor::f_zeros([batch, groups, 1, self.geometry.head_width], options)?,
                &Tensor::f_ones([batch, groups, 1, 1], options)?,
            ],
            3,
        )?;
        let keys = Tensor::f_cat(&[&key, &keys.f_constant_pad_nd([0, 1])?], 2)?
            .f_constant_pad_nd([0, CHANNELS - 1])?;
        let values = values.f_constant_pad_nd([0, CHANNELS, 1, 0])?;
        let output = Tensor::f_scaled_dot_product_attention(
            &query,
            &keys,
            &values,
            None::<Tensor>,
            0.0,
            true,
            step.scale,
            true,
        )?;
        Ok(output
            .f_narrow(2, 1, tokens)?
            .f_narrow(3, 0, self.geometry.head_width)?)
    }
}

/// A softmax over the scores and the sink's, of which the sink's part is dropped.
struct WithSink<'a>(&'a Tensor);

impl Edit for WithSink<'_> {
    fn weights(&self, _block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        let [batch, heads, rows, seen] = [0, 1, 2, 3].map(|axis| scores.size()[axis]);
        let sink = self
            .0
            .f_to_kind(Kind::Float)?
            .f_view([1, heads, 1, 1])?
            .f_expand([batch, heads, rows, 1], false)?;
        let weights = Tensor::f_cat(&[&scores, &sink], 3)?.f_softmax(-1, Kind::Float)?;
        Ok(weights.f_narrow(3, 0, seen)?)
    }
}

impl Attention for Sink {
    fn key_width(&self, _layer: usize) -> i64 {
        self.geometry.head_width
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(step.key.shallow_clone())
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        let Some(logit) = &self.logits[step.layer] else {
            return kernel::fused(step.query, keys, values, step);
        };
        if kernel::is_square(step) && step.tokens.new_tokens() > 1 {
            return self.folded(logit, step, keys, values);
        }
        let rows: Vec<i64> = (0..step.query.size()[2]).collect();
        explicit::attend(&WithSink(logit), step, step.query, keys, values, &rows)
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        match &self.logits[step.layer] {
            Some(logit) => explicit::weights(&WithSink(logit), step, step.query, keys, rows),
            None => explicit::weights(&explicit::Plain, step, step.query, keys, rows),
        }
    }

    fn reuses_prefix(&self) -> bool {
        true
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let named = self.logits.iter().enumerate().filter(|_| self.learned);
        named
            .filter_map(|(layer, logit)| {
                Some((
                    format!("sink.layers.{layer}.logit"),
                    logit.as_ref()?.shallow_clone(),
                ))
            })
            .collect()
    }
}
