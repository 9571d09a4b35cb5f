//! Attention of one query a sequence, as decoding asks for it, in one pass over the cache.
//!
//! As LibTorch's operators it is a `gemm` over keys for as many rows as share them, of which MKL packs the keys first, a softmax and
//! another `gemm`: at SmolVLM-256M's sizes a sixth of the time of a token.

// What is not inlined into a `Task` is compiled for the oldest processor.
#![allow(clippy::inline_always)]

use half::bf16;
use tch::{Device, Kind, TchError, Tensor};

use crate::parallel::{Element, OpenMp, Task, as_mut_slice, as_slice, dot, is_supported};

/// The stored rows of one sequence and key head: S rows of W elements, `stride` elements from one to the next.
#[derive(Clone, Copy)]
struct StoredRows<'a, T> {
    elements: &'a [T],
    stride: usize,
    width: usize,
}

impl<'a, T: Element> StoredRows<'a, T> {
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
    keys: StoredRows<'a, T>,
    values: StoredRows<'a, T>,
    /// Which of the stored tokens are real.
    valid: &'a [bool],
    scale: f32,
    output: &'a mut [f32],
}

impl<T: Element> Task for Head<'_, T> {
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
        for weight in &mut weights {
            *weight = exponential(*weight - largest);
        }
        self.output.fill(0.0);
        let mut sum = 0.0;
        // Four at a time, so that the output is read and written a quarter as often.
        let (fours, rest) = weights.as_chunks::<4>();
        for (number, &[a, b, c, d]) in fours.iter().enumerate() {
            sum += (a + b) + (c + d);
            let [p, q, r, s] = [0, 1, 2, 3].map(|at| self.values.row(4 * number + at));
            let rows = p.iter().zip(q).zip(r.iter().zip(s));
            for (output, ((p, q), (r, s))) in self.output.iter_mut().zip(rows) {
                let two = a.mul_add(p.widen(), b * q.widen());
                let more = c.mul_add(r.widen(), d.mul_add(s.widen(), *output));
                *output = two + more;
            }
        }
        for (at, weight) in rest.iter().enumerate() {
            sum += weight;
            let values = self.values.row(4 * fours.len() + at);
            for (output, value) in self.output.iter_mut().zip(values) {
                *output = weight.mul_add(value.widen(), *output);
            }
        }
        for output in self.output {
            *output /= sum;
        }
    }
}

/// The exponential of what is at most zero, within 2e-7 of itself, as arithmetic that the compiler makes vector instructions of: as Cephes
/// has it (S. Moshier, `expf.c`), `2^n e^r` with `|r| <= ln(2) / 2`. What f32 holds with less than its full precision becomes zero.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    /// Added to a number of less than 2^22, leaves its nearest integer in the low bits.
    const SHIFT: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    let mut series = 1.987_569_1e-4_f32;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        series = series.mul_add(r, coefficient);
    }
    let power = shifted
        .to_bits()
        .wrapping_sub(SHIFT.to_bits())
        .wrapping_add(127)
        << 23;
    let value = series.mul_add(r * r, r + 1.0) * f32::from_bits(power);
    if x < -87.0 { 0.0 } else { value }
}

/// Attention of queries `[B, H, 1, K]` over keys `[B, G, S, K]` and values `[B, G, S, D]`, of which those that `valid` `[B, S]` names
/// are real: `[B, H, 1, D]`; `None` where LibTorch has to do it.
///
/// # Errors
/// When LibTorch cannot allocate the output.
///
/// # Panics
/// When `valid` has fewer than B x S flags.
pub fn single_query(
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    valid: &[bool],
    scale: f64,
) -> Result<Option<Tensor>, TchError> {
    let kind = query.kind();
    let readable = |tensor: &Tensor| {
        is_supported(tensor) && tensor.kind() == kind && tensor.stride().last() == Some(&1)
    };
    let is_ours = [query, keys, values].into_iter().all(readable) && keys.size()[2] > 0;
    let (true, Some(threads)) = (is_ours, OpenMp::get()) else {
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
            Kind::Float => for_heads::<f32>(
                threads,
                &query,
                keys,
                values,
                (valid, scale as f32),
                &output,
            ),
            _ => for_heads::<bf16>(
                threads,
                &query,
                keys,
                values,
                (valid, scale as f32),
                &output,
            ),
        }
    }
    Ok(Some(output.f_to_kind(kind)?))
}

/// Deals the heads out to the threads.
///
/// # Safety
/// As [`StoredRows::of`] for `keys` and `stored_values`; `query` and `output` are contiguous, nothing else refers to `output`.
#[allow(unsafe_code)]
unsafe fn for_heads<T: Element>(
    threads: OpenMp,
    query: &Tensor,
    keys: &Tensor,
    stored_values: &Tensor,
    (valid, scale): (&[bool], f32),
    output: &Tensor,
) {
    let (width, value_width) = (query.size()[3] as usize, stored_values.size()[3] as usize);
    let (heads, kv_heads) = (query.size()[1] as usize, keys.size()[1] as usize);
    let stored = keys.size()[2] as usize;
    // SAFETY: the caller's promise.
    let (queries, outputs) = unsafe { (as_slice::<T>(query), as_mut_slice::<f32>(output)) };
    let parts = queries.chunks(width).zip(outputs.chunks_mut(value_width));
    let items: Vec<_> = parts
        .enumerate()
        .map(|(number, (query, output))| {
            let (b, g) = (number / heads, number % heads / (heads / kv_heads));
            // SAFETY: the caller's promise.
            let (keys, values) = unsafe {
                (
                    StoredRows::of(keys, b, g),
                    StoredRows::of(stored_values, b, g),
                )
            };
            Head {
                query,
                keys,
                values,
                valid: &valid[b * stored..(b + 1) * stored],
                scale,
                output,
            }
        })
        .collect();
    threads.for_each(
        items.len() * stored * (width + value_width),
        items.into_iter(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_f64_rounded() {
        let mut worst: f64 = 0.0;
        for step in 0..870_000 {
            let x = -(step as f32) * 1e-4;
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exponential(x)) / expected - 1.0).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        assert_eq!(exponential(0.0).to_bits(), 1.0_f32.to_bits());
        for least in [-87.1, -1e30, f32::NEG_INFINITY] {
            assert_eq!(exponential(least).to_bits(), 0, "{least}");
        }
        assert!(exponential(f32::NAN).is_nan());
    }
}
