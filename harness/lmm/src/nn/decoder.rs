//! The Llama-style decoder that every family shares: RMS norms, grouped-query attention through the attention slot, rotary
//! embedding by rotating halves, gated feed-forward. What Qwen2 and Qwen3 add is in [`Style`] and in the rotary settings.
//!
//! Source: `transformers` 5.23 `models/llama/modeling_llama.py`, `models/qwen2_vl/modeling_qwen2_vl.py` (rotary sections) and
//! `models/qwen3_vl/modeling_qwen3_vl.py` (head norms, interleaved sections, features added to early layers). The
//! embedding and its rounding follow it: cosines and sines are computed in f32 from integer positions and then take the
//! compute type.

mod config;
mod layer;
mod pass;
mod rope;

use std::path::Path;
use std::rc::Rc;

use rave_hints::refusal;
use rave_methods::{Geometry, Tokens};
use tch::{Device, Kind, Tensor};

pub(crate) use self::config::{DecoderConfig, Style};
use self::layer::{Inputs, Layer, select_tokens};
pub use self::pass::Probe;
pub(crate) use self::pass::{Pass, Watch};
use self::rope::Rope;
use crate::nn::kv_cache::KvCache;
use crate::nn::layers::{Linear, RmsNorm, Rotation};
use crate::nn::stage::Stage;
use crate::nn::weights::Weights;
use crate::{Error, Part};

/// The decoder of a model: embeddings in, logits out.
#[derive(Debug)]
pub(crate) struct Decoder {
    geometry: Geometry,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
    rope: Rope,
    /// Its frequencies, `[D / 2]` f32, for as many tokens as the model was made for.
    frequencies: Tensor,
    /// Which axis each frequency turns with, `[D / 2]`; `None` for positions on one axis.
    axes: Option<Tensor>,
    max_positions: Option<i64>,
    /// Tokens that the layers with the narrowest view see; `None` where all see all.
    window: Option<i64>,
}

impl Decoder {
    /// Reads the decoder under `text` (layers, norm, embeddings) and its head, tied to the embeddings when `head` is `None`.
    pub(crate) fn load(
        config: &DecoderConfig,
        style: &Style,
        text: &Weights,
        head: Option<&Weights>,
    ) -> Result<Self, Error> {
        let geometry = config.geometry();
        let embedding = (text / "embed_tokens")
            .as_part(Part::Embedding)
            .tensor("weight", &[config.vocab_size, config.hidden_size])?;
        let head = match head {
            Some(head) => Linear::without_bias(head, config.hidden_size, config.vocab_size)?,
            None => Linear::tied(&embedding),
        };
        let layers = (0..geometry.layers)
            .map(|number| Layer::load(config, style, &(&(text / "layers") / number)))
            .collect::<Result<_, _>>()?;
        let rope = config
            .rotary(style.sections.is_some())
            .map_err(|reason| Error::malformed(Path::new("config.json"), reason))?;
        let axes = config
            .axes(style)
            .map(|axes| Tensor::f_from_slice(&axes)?.f_to_device(text.device()));
        Ok(Self {
            geometry,
            embedding,
            layers,
            norm: RmsNorm::new(&(text / "norm"), config.hidden_size, config.rms_norm_eps)?,
            head,
            rope,
            frequencies: rope.frequencies(geometry.head_dim, text.device())?,
            axes: axes.transpose()?,
            max_positions: config.positions(&rope),
            window: config.window(),
        })
    }

    /// The sizes that a variant needs.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Positions that the model can be used on.
    pub(crate) fn max_positions(&self) -> Option<i64> {
        self.max_positions
    }

    /// Element type and device of the activations.
    pub(crate) fn options(&self) -> (Kind, Device) {
        (self.embedding.kind(), self.embedding.device())
    }

    /// Token ids `[B, T]` to embeddings `[B, T, C]`.
    pub(crate) fn embed(&self, ids: &Tensor) -> Result<Tensor, Error> {
        Ok(Tensor::f_embedding(&self.embedding, ids, -1, false, false)?)
    }

    /// Runs T new tokens, given as embeddings `[B, T, C]`, through all layers after what `cache` holds (nothing without
    /// one): hidden states `[B, T, C]`, normalised for [`Self::logits`], or `[M, C]` of the tokens that are wanted. Those of tokens
    /// that the attention drops on the way are zero.
    ///
    /// # Errors
    /// [`Error::Deadline`] when that of the pass is over before a layer begins; LibTorch's own errors.
    ///
    /// # Panics
    /// Without tokens and without a cache that was filled.
    pub(crate) fn forward(
        &self,
        embeddings: &Tensor,
        mut cache: Option<&mut KvCache>,
        mut pass: Pass,
    ) -> Result<Tensor, Error> {
        let mut hidden = embeddings.shallow_clone();
        pass.show(Stage::Embeddings, &hidden)?;
        // What the layer before had stored, and what it has with this pass: most often the same for all layers.
        let mut before: Option<Rc<Tokens>> = None;
        let mut now: Option<(Rc<Tokens>, Rotation)> = None;
        let mut dropped: Option<Vec<i64>> = None;
        let mut deepstack: Vec<Tensor> = pass.deepstack.iter().map(Tensor::shallow_clone).collect();
        for (number, layer) in self.layers.iter().enumerate() {
            Error::check_deadline(pass.deadline)?;
            let stored = cache
                .as_ref()
                .and_then(|cache| cache.tokens(number))
                .cloned();
            let is_as_before = match (&stored, &before) {
                (Some(stored), Some(before)) => Rc::ptr_eq(stored, before),
                (None, _) => now.is_some(),
                (Some(_), None) => false,
            };
            if !is_as_before {
                let tokens = match (&pass.tokens, &stored) {
                    (Some(tokens), _) => Rc::clone(tokens),
                    (None, Some(stored)) => Rc::new(stored.then_text()),
                    (None, None) => panic!("a first pass says what its tokens are"),
                };
                now = Some((Rc::clone(&tokens), self.rotation(&tokens)?));
            }
            before = stored;
            let Some((tokens, rotation)) = &now else {
                continue;
            };
            let is_last = number + 1 == self.layers.len() && deepstack.len() <= number;
            let inputs = Inputs {
                number,
                geometry: &self.geometry,
                tokens,
                rotation,
                wanted: pass.wanted.filter(|_| is_last && dropped.is_none()),
            };
            let keep;
            (hidden, keep) = layer.forward(&hidden, &inputs, cache.as_deref_mut(), &mut pass)?;
            if let Some(more) = deepstack.get(number) {
                hidden = hidden.f_add(more)?;
            }
            pass.show(Stage::FeedForward(number), &hidden)?;
            if let Some(keep) = keep {
                let kept = tokens.retain(&keep);
                for states in deepstack.iter_mut().skip(number + 1).chain([&mut hidden]) {
                    *states = rows(states, &kept.index, kept.tokens.batch())?;
                }
                dropped = Some(match dropped {
                    Some(positions) => kept
                        .index
                        .iter()
                        .map(|&at| positions[at as usize])
                        .collect(),
                    None => kept.index,
                });
                let tokens = Rc::new(kept.tokens);
                let rotation = self.rotation(&tokens)?;
                now = Some((tokens, rotation));
            }
        }
        let hidden = self.norm.forward(&hidden)?;
        pass.show(Stage::Norm, &hidden)?;
        let hidden = match (dropped, &now) {
            (Some(positions), Some((tokens, _))) => {
                spread(&hidden, &positions, tokens, embeddings)?
            }
            _ => hidden,
        };
        match pass.wanted {
            // Not where the last layer has chosen them.
            Some(wanted) if hidden.dim() == 3 => select_tokens(&hidden, wanted),
            _ => Ok(hidden),
        }
    }

    /// Hidden states `[.., C]` to logits `[.., vocabulary]`.
    pub(crate) fn logits(&self, hidden: &Tensor) -> Result<Tensor, Error> {
        self.head.forward(hidden)
    }

    /// Cosines and sines of the new tokens' positions, in the compute type: `[T, D]` where all sequences have the same
    /// positions, else `[B, 1, T, D]`.
    ///
    /// # Errors
    /// A position from which on the decoder would have to do what it does not.
    fn rotation(&self, tokens: &Tokens) -> Result<Rotation, Error> {
        let (kind, device) = self.options();
        let (batch, new) = (tokens.batch(), tokens.new_tokens());
        let positions = tokens.new_positions();
        if let (Some(window), Some(last)) = (self.window, positions.iter().max())
            && *last >= window
        {
            return Err(Error::prompt(refusal(
                format!(
                    "{} tokens are more than sliding_window {window} in config.json: attention within a sliding window is not supported",
                    last + 1
                ),
                "shorten the question, use fewer or smaller pictures, or allow fewer new tokens",
            )));
        }
        let angles = match (tokens.new_rotary(), &self.axes) {
            (Some(rotary), Some(axes)) => {
                let by_axis = |positions: &[[i64; 3]], frequencies: &Tensor| {
                    let positions = floats(positions.as_flattened(), device)?.f_view([-1, 3])?;
                    Ok(positions.f_index_select(1, axes)?.f_mul(frequencies)?)
                };
                let length = |row: &[[i64; 3]]| row.as_flattened().iter().max().copied();
                self.angles(&rotary, new, length, by_axis)?
            }
            _ => self.angles(
                &positions,
                new,
                |row| row.iter().max().copied(),
                |positions, frequencies| Ok(floats(positions, device)?.f_outer(frequencies)?),
            )?,
        };
        let angles = Tensor::f_cat(&[&angles, &angles], -1)?; // [T or B T, D]
        let angles = if angles.size()[0] == new as i64 {
            angles
        } else {
            angles.f_view([batch as i64, 1, new as i64, -1])?
        };
        let factor = self.rope.attention_factor();
        let scaled = |waves: Tensor| -> Result<Tensor, Error> {
            let is_plain = (factor - 1.0).abs() < f64::EPSILON;
            let waves = if is_plain {
                waves
            } else {
                waves.f_mul_scalar(factor)?
            };
            Ok(waves.f_to_kind(kind)?)
        };
        Ok((scaled(angles.f_cos()?)?, scaled(angles.f_sin()?)?))
    }

    /// By which angles the new tokens are turned, `[T, D / 2]` where all sequences have the same positions, else `[B T, D / 2]`: `turn` of
    /// their positions, `[B, T]`, and the frequencies, which may depend on a sequence's last position.
    fn angles<T: PartialEq>(
        &self,
        positions: &[T],
        new: usize,
        last: impl Fn(&[T]) -> Option<i64>,
        turn: impl Fn(&[T], &Tensor) -> Result<Tensor, Error>,
    ) -> Result<Tensor, Error> {
        let positions = one_row(positions, new);
        let lengths: Vec<i64> = positions
            .chunks(new)
            .map(|row| last(row).map_or(0, |last| last + 1))
            .collect();
        if !lengths
            .iter()
            .any(|&length| self.rope.constant_up_to().is_some_and(|most| length > most))
        {
            return turn(positions, &self.frequencies);
        }
        let (width, device) = (self.geometry.head_dim, self.frequencies.device());
        let rows = positions
            .chunks(new)
            .zip(lengths)
            .map(|(row, length)| turn(row, &self.rope.frequencies_at(length, width, device)?));
        Ok(Tensor::f_cat(&rows.collect::<Result<Vec<_>, Error>>()?, 0)?)
    }

    /// Tokens of the longest prompt whose beginning is the same however long it is.
    pub(crate) fn longest_shared(&self) -> usize {
        self.rope
            .constant_up_to()
            .map_or(usize::MAX, |tokens| tokens as usize)
    }
}

/// Whole numbers as f32.
fn floats(numbers: &[i64], device: Device) -> Result<Tensor, Error> {
    Ok(Tensor::f_from_slice(numbers)?
        .f_to_device(device)?
        .f_to_kind(Kind::Float)?)
}

/// Rows of T, one a sequence: the first alone where all are the same.
fn one_row<T: PartialEq>(rows: &[T], length: usize) -> &[T] {
    let first = &rows[..length];
    if rows.chunks(length).all(|row| row == first) {
        first
    } else {
        rows
    }
}

/// Some of the B x T rows of `[B, T, C]`, as `[B, T', C]`.
fn rows(hidden: &Tensor, index: &[i64], batch: usize) -> Result<Tensor, Error> {
    let index = Tensor::f_from_slice(index)?.f_to_device(hidden.device())?;
    let width = hidden.size()[2];
    Ok(select_tokens(hidden, &index)?.f_view([batch as i64, -1, width])?)
}

/// Hidden states `[B, T', C]` back at their places in a tensor like `[B, T, C]`, with zeros elsewhere.
fn spread(
    hidden: &Tensor,
    positions: &[i64],
    tokens: &Tokens,
    like: &Tensor,
) -> Result<Tensor, Error> {
    let real = tokens.valid().iter().zip(positions).enumerate();
    let (from, to): (Vec<i64>, Vec<i64>) = real
        .filter(|(_, (valid, _))| **valid)
        .map(|(at, (_, place))| (at as i64, *place))
        .unzip();
    let index = |at: &[i64]| Tensor::f_from_slice(at)?.f_to_device(hidden.device());
    let hidden = select_tokens(hidden, &index(&from)?)?;
    Ok(like
        .f_zeros_like()?
        .f_flatten(0, 1)?
        .f_index_copy(0, &index(&to)?, &hidden)?
        .f_view_as(like)?)
}
