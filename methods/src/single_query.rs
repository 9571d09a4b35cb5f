//! Attention of one query a sequence, as decoding asks for it, in one pass over the cache.
//!
//! As LibTorch's operators it is a `gemm` over keys for as many rows as share them, of which MKL packs the keys first, a softmax and
//! another `gemm`: at SmolVLM-256M's sizes a sixth of the time of a token.

// What is not inlined into a `Loop` is compiled for the oldest processor.
#![allow(clippy::inline_always)]

use half::bf16;
use tch::{Device, Kind, Tensor};

use crate::team::{Element, Loop, Team, dot, is_readable, values, values_mut};
use crate::{Error, Step};

/// The stored rows of one sequence and key head: S rows of W elements, `stride` elements from one to the next.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    elements: &'a [T],
    stride: usize,
    width: usize,
}

impl<'a, T: Element> Rows<'a, T> {
    #[inline(always)]
    fn row(self, at: usize) -> &'a [T] {
        &self.elements[at * self.stride..][..self.width]
    }

    /// Those of sequence `b` and key head `g` of `[B, G, S, W]`.
    ///
    /// # Safety
    /// The tensor is on the CPU, holds elements of this type, has its last axis together, and nothing writes to it meanwhile.
    #[allow(unsafe_code)]
    unsafe fn of(tensor: &'a Tensor, b: usize, g: usize) -> Self {
        let (size, strides) = (tensor.size(), tensor.stride());
        let (stored, width) = (size[2] as usize, size[3] as usize);
        let stride = strides[2] as usize;
        let start = b * strides[0] as usize + g * strides[1] as usize;
        // SAFETY: the elements up to the last row's last one belong to the tensor.
        let elements = unsafe {
            let first = tensor.data_ptr().cast::<T>().add(start);
            std::slice::from_raw_parts(first, (stored - 1) * stride + width)
        };
        Self {
            elements,
            stride,
            width,
        }
    }
}

/// One query's attention.
struct Head<'a, T> {
    query: &'a [T],
    keys: Rows<'a, T>,
    values: Rows<'a, T>,
    /// Which of the stored tokens are real.
    valid: &'a [bool],
    scale: f32,
    output: &'a mut [f32],
}

impl<T: Element> Loop for Head<'_, T> {
    #[inline(always)]
    fn run(self) {
        let stored = self.valid.len();
        let mut weights = vec![f32::NEG_INFINITY; stored];
        let mut largest = f32::NEG_INFINITY;
        for (at, weight) in weights.iter_mut().enumerate() {
            // The query sees its own token even where that is padding, so that nothing becomes NaN.
            if self.valid[at] || at + 1 == stored {
                *weight = self.scale * dot(self.query, self.keys.row(at));
                largest = largest.max(*weight);
            }
        }
        let mut sum = 0.0;
        for weight in &mut weights {
            *weight = (*weight - largest).exp();
            sum += *weight;
        }
        self.output.fill(0.0);
        for (at, weight) in weights.iter().enumerate() {
            let weight = weight / sum;
            for (output, value) in self.output.iter_mut().zip(self.values.row(at)) {
                *output = weight.mul_add(value.widened(), *output);
            }
        }
    }
}

/// Attention of queries `[B, H, 1, K]` over keys `[B, G, S, K]` and values `[B, G, S, D]`, `[B, H, 1, D]`; `None` where LibTorch has to do it.
///
/// # Errors
/// When LibTorch cannot allocate the output.
pub(crate) fn attend(
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    step: &Step,
) -> Result<Option<Tensor>, Error> {
    let kind = query.kind();
    let readable = |tensor: &Tensor| {
        is_readable(tensor) && tensor.kind() == kind && tensor.stride().last() == Some(&1)
    };
    let is_ours = [query, keys, values].into_iter().all(readable) && keys.size()[2] > 0;
    let (true, Some(team)) = (is_ours, Team::get()) else {
        return Ok(None);
    };
    let query = query.f_contiguous()?;
    let [batch, heads] = [query.size()[0], query.size()[1]];
    let output = Tensor::f_empty(
        [batch, heads, 1, values.size()[3]],
        (Kind::Float, Device::Cpu),
    )?;
    // SAFETY: `is_ours` has made sure of the layout and of the element type, the output was made here.
    #[allow(unsafe_code)]
    unsafe {
        match kind {
            Kind::Float => share::<f32>(team, &query, keys, values, step, &output),
            _ => share::<bf16>(team, &query, keys, values, step, &output),
        }
    }
    Ok(Some(output.f_to_kind(kind)?))
}

/// Deals the heads out to the threads.
///
/// # Safety
/// As [`Rows::of`] for `keys` and `stored_values`; `query` and `output` are contiguous, nothing else refers to `output`.
#[allow(unsafe_code)]
unsafe fn share<T: Element>(
    team: Team,
    query: &Tensor,
    keys: &Tensor,
    stored_values: &Tensor,
    step: &Step,
    output: &Tensor,
) {
    let (width, value_width) = (query.size()[3] as usize, stored_values.size()[3] as usize);
    let (heads, groups) = (query.size()[1] as usize, keys.size()[1] as usize);
    let stored = keys.size()[2] as usize;
    // SAFETY: the caller's promise.
    let (queries, outputs) = unsafe { (values::<T>(query), values_mut::<f32>(output)) };
    let parts = queries.chunks(width).zip(outputs.chunks_mut(value_width));
    let items: Vec<_> = parts
        .enumerate()
        .map(|(number, (query, output))| {
            let (b, g) = (number / heads, number % heads / (heads / groups));
            // SAFETY: the caller's promise.
            let (keys, values) = unsafe { (Rows::of(keys, b, g), Rows::of(stored_values, b, g)) };
            Head {
                query,
                keys,
                values,
                valid: &step.tokens.valid()[b * stored..(b + 1) * stored],
                scale: step.scale as f32,
                output,
            }
        })
        .collect();
    team.share(
        items.len() * stored * (width + value_width),
        items.into_iter(),
    );
}
