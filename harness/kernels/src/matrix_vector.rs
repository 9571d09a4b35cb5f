//! Products of weights with few rows, as decoding makes them: `x W^T` for up to [`MAX_ROWS`] rows of x.
//!
//! Such a product is as fast as the weights stream from memory. LibTorch hands it to MKL's `gemv`, which runs on one thread on
//! processors that are not Intel's (measured: 15 of 33 GB/s in f32, 18 in bf16), and with 2 to 8 rows to a `gemm` that is
//! slower still. Here the rows of W are dealt out in blocks to LibTorch's threads.
//!
//! Sums are f32 whatever the element type, and none depends on the number of threads or on the other rows of x: a sequence gets the
//! same bits alone and in a batch.

// What is not inlined into a `Task` is compiled for the oldest processor.
#![allow(clippy::inline_always)]

use std::iter::zip;

use half::bf16;
use tch::{Device, Kind, TchError, Tensor};

use crate::parallel::{Element, OpenMp, Task, as_mut_slice, as_slice, dot, is_supported};

/// More rows than these are left to LibTorch: computing, and no longer reading the weights, would take the time.
const MAX_ROWS: i64 = 8;
/// Rows of a weight that a thread takes at a time.
const BLOCK: usize = 32;

/// `x W_i^T` of several weights `[N_i, K]` with one x `[.., K]`: `[.., N_i]` each, in x's element type. `None` where LibTorch
/// has to do it: a gradient is wanted, there are too many rows, or the device, the element type or the processor is another.
///
/// # Errors
/// When LibTorch cannot allocate the outputs.
pub fn products<const N: usize>(
    x: &Tensor,
    weights: [&Tensor; N],
) -> Result<Option<[Tensor; N]>, TchError> {
    let (kind, size) = (x.kind(), x.size());
    let Some((&width, others)) = size.split_last() else {
        return Ok(None);
    };
    let rows: i64 = others.iter().product();
    let fits = |weight: &Tensor| {
        is_supported(weight)
            && weight.kind() == kind
            && weight.is_contiguous()
            && weight.size().last() == Some(&width)
    };
    let is_ours = (1..=MAX_ROWS).contains(&rows)
        && width > 0
        && is_supported(x)
        && weights.into_iter().all(fits);
    let (true, Some(threads)) = (is_ours, OpenMp::get()) else {
        return Ok(None);
    };
    let x = x.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut outputs = Vec::with_capacity(N);
    for weight in weights {
        outputs.push(Tensor::f_empty(
            [weight.size()[0], rows],
            (Kind::Float, Device::Cpu),
        )?);
    }
    // SAFETY: all are contiguous on the CPU and of these element types, as was made sure above; nothing else refers to the outputs,
    // and the inputs are only read while they are borrowed.
    #[allow(unsafe_code)]
    unsafe {
        let x = as_slice(&x);
        let outputs = outputs.iter().map(|output| as_mut_slice::<f32>(output));
        if kind == Kind::Float {
            let weights = weights.map(|weight| as_slice::<f32>(weight));
            fill(threads, x, rows as usize, zip(weights, outputs).collect());
        } else {
            let weights = weights.map(|weight| as_slice::<bf16>(weight));
            fill(threads, x, rows as usize, zip(weights, outputs).collect());
        }
    }
    let mut shape = size;
    let mut shaped = Vec::with_capacity(N);
    for output in outputs {
        if let Some(last) = shape.last_mut() {
            *last = output.size()[0];
        }
        let output = output.f_to_kind(kind)?;
        shaped.push(if rows == 1 {
            output.f_view(&shape[..])?
        } else {
            output.f_tr()?.f_reshape(&shape[..])?
        });
    }
    Ok(shaped.try_into().ok())
}

/// Fills outputs `[N_i, rows]` with the products of x `[rows, K]` and weights `[N_i, K]`.
fn fill<T: Element>(threads: OpenMp, x: &[f32], rows: usize, parts: Vec<(&[T], &mut [f32])>) {
    let width = x.len() / rows;
    let elements = parts.iter().map(|(weight, _)| weight.len()).sum();
    let blocks = parts.into_iter().flat_map(|(weight, output)| {
        zip(
            weight.chunks(BLOCK * width),
            output.chunks_mut(BLOCK * rows),
        )
    });
    let blocks = blocks.map(|(weight, output)| Block {
        weight,
        x,
        rows,
        output,
    });
    threads.for_each(elements, blocks);
}

/// Some rows of a weight, `[N, K]`, with x `[rows, K]`: `[N, rows]`.
struct Block<'a, T> {
    weight: &'a [T],
    x: &'a [f32],
    rows: usize,
    output: &'a mut [f32],
}

impl<T: Element> Task for Block<'_, T> {
    #[inline(always)]
    fn run(self) {
        let width = self.x.len() / self.rows;
        let outputs = self.output.chunks_exact_mut(self.rows);
        for (weight, output) in zip(self.weight.chunks_exact(width), outputs) {
            for (x, output) in zip(self.x.chunks_exact(width), output) {
                *output = dot(weight, x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn drawn(shape: &[i64], kind: Kind) -> Tensor {
        crate::tests::drawn(shape.len() as f64, shape).to_kind(kind)
    }

    /// Products as LibTorch makes them in f64.
    fn expected(x: &Tensor, weight: &Tensor) -> Tensor {
        x.to_kind(Kind::Double)
            .matmul(&weight.to_kind(Kind::Double).tr())
    }

    #[test]
    fn products_are_those_of_libtorch_at_every_size() {
        for kind in [Kind::Float, Kind::BFloat16] {
            // A width with and without a rest beside whole vectors; rows that do not fill a block.
            for (width, rows, outputs) in [(64, 1, 96), (37, 1, 5), (576, 3, 33), (31, 8, 65)] {
                let x = drawn(&[rows, 1, width], kind);
                let weights = [drawn(&[outputs, width], kind), drawn(&[1, width], kind)];
                let Some(products) = products(&x, [&weights[0], &weights[1]]).unwrap() else {
                    eprintln!("this processor or LibTorch has no product of ours; not tested");
                    return;
                };
                for (product, weight) in products.iter().zip(&weights) {
                    let expected = expected(&x, weight);
                    assert_eq!(product.size(), expected.size());
                    assert_eq!(product.kind(), kind);
                    let tolerance = if kind == Kind::Float { 1e-5 } else { 1e-2 };
                    let scale = expected.abs().max().double_value(&[]);
                    let worst = (product.to_kind(Kind::Double) - expected).abs().max();
                    assert!(
                        worst.double_value(&[]) < tolerance * scale,
                        "{kind:?} {width}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_a_batch() {
        let (x, weight) = (
            drawn(&[5, 130], Kind::Float),
            drawn(&[70, 130], Kind::Float),
        );
        let Some([together]) = products(&x, [&weight]).unwrap() else {
            eprintln!("this processor or LibTorch has no product of ours; not tested");
            return;
        };
        for row in 0..5 {
            let [alone] = products(&x.narrow(0, row, 1), [&weight]).unwrap().unwrap();
            assert!(alone.equal(&together.narrow(0, row, 1)), "row {row}");
        }
    }

    #[test]
    fn what_is_not_ours_is_left_to_libtorch() {
        let weight = drawn(&[8, 16], Kind::Float);
        let is_left = |x: &Tensor, weight: &Tensor| products(x, [weight]).unwrap().is_none();
        assert!(is_left(&drawn(&[9, 16], Kind::Float), &weight), "many rows");
        let x = drawn(&[1, 16], Kind::Float);
        assert!(is_left(&x.to_kind(Kind::Half), &weight.to_kind(Kind::Half)));
        assert!(is_left(&x, &drawn(&[16, 8], Kind::Float).tr()), "turned");
        assert!(is_left(&x, &weight.set_requires_grad(true)), "trained");
    }
}
