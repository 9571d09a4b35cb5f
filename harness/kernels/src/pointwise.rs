//! What a decoder does to one token at a time, in one pass each over f32: as chains of LibTorch's operators the RMS norm and the rotary
//! embedding are six and eight, each of which reads and writes everything, and whose calls are what they cost in decoding.

// What is not inlined into a `Task` is compiled for the oldest processor.
#![allow(clippy::inline_always)]

use std::iter::zip;

use tch::{Kind, TchError, Tensor};

use crate::parallel::{MIN_PARALLEL, OpenMp, Task, as_mut_slice, as_slice, dot, is_supported};

/// `x / rms(x) w` over the last axis of `[.., C]`, same shape; `None` where LibTorch has to do it.
///
/// # Errors
/// When LibTorch cannot allocate the output.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Option<Tensor>, TchError> {
    let width = weight.numel();
    let is_ours = [x, weight].into_iter().all(is_plain) && width > 0;
    let (true, Some(threads)) = (is_ours, OpenMp::get()) else {
        return Ok(None);
    };
    let output = x.f_empty_like()?;
    // SAFETY: both are contiguous f32 on the CPU, and nothing else refers to the output.
    #[allow(unsafe_code)]
    let (x, weight, filled) = unsafe {
        (
            as_slice::<f32>(x),
            as_slice::<f32>(weight),
            as_mut_slice(&output),
        )
    };
    let epsilon = epsilon as f32;
    let size = block(x.len(), width);
    let blocks = zip(x.chunks(size), filled.chunks_mut(size)).map(|(x, output)| RmsNorm {
        x,
        weight,
        epsilon,
        output,
    });
    threads.for_each(x.len(), blocks);
    Ok(Some(output))
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    output: &'a mut [f32],
}

impl Task for RmsNorm<'_> {
    #[inline(always)]
    fn run(self) {
        let width = self.weight.len();
        let outputs = self.output.chunks_exact_mut(width);
        for (x, output) in zip(self.x.chunks_exact(width), outputs) {
            let scale = 1.0 / (dot(x, x) / width as f32 + self.epsilon).sqrt();
            for ((x, weight), output) in zip(zip(x, self.weight), output) {
                *output = x * scale * weight;
            }
        }
    }
}

/// Rotary embedding by rotating halves of `[B, H, T, D]`, same shape, with cosines and sines `[T, D]` or `[B, 1, T, D]`: the same bits as
/// LibTorch's operators. `None` where those have to do it, as where the tokens do not lie one after the other, heads within them.
///
/// # Errors
/// When LibTorch cannot allocate the output.
pub fn rotate(x: &Tensor, cosine: &Tensor, sine: &Tensor) -> Result<Option<Tensor>, TchError> {
    if x.dim() != 4 {
        return Ok(None);
    }
    let by_token = x.f_transpose(1, 2)?; // [B, T, H, D]
    let is_ours = [&by_token, cosine, sine].into_iter().all(is_plain) && x.numel() > 0;
    let (true, Some(threads)) = (is_ours, OpenMp::get()) else {
        return Ok(None);
    };
    let (token, width) = ((x.size()[1] * x.size()[3]) as usize, x.size()[3] as usize);
    let output = by_token.f_empty_like()?;
    // SAFETY: all are contiguous f32 on the CPU, and nothing else refers to the output.
    #[allow(unsafe_code)]
    let (x, cosine, sine, filled) = unsafe {
        let (cosine, sine) = (as_slice::<f32>(cosine), as_slice::<f32>(sine));
        (
            as_slice::<f32>(&by_token),
            cosine,
            sine,
            as_mut_slice(&output),
        )
    };
    let size = block(x.len(), token);
    let parts = zip(x.chunks(size), filled.chunks_mut(size)).enumerate();
    let blocks = parts.map(|(number, (x, output))| Rotate {
        x,
        cosine,
        sine,
        first: number * size / token,
        token,
        width,
        output,
    });
    threads.for_each(x.len(), blocks);
    Ok(Some(output.f_transpose(1, 2)?))
}

struct Rotate<'a> {
    x: &'a [f32],
    cosine: &'a [f32],
    sine: &'a [f32],
    /// Which of the B x T tokens comes first here.
    first: usize,
    /// Elements of a token.
    token: usize,
    /// Elements of a head.
    width: usize,
    output: &'a mut [f32],
}

impl Task for Rotate<'_> {
    #[inline(always)]
    fn run(self) {
        let (width, half) = (self.width, self.width / 2);
        let outputs = self.output.chunks_exact_mut(self.token);
        for (number, (x, output)) in zip(self.x.chunks_exact(self.token), outputs).enumerate() {
            // Of cosines for one sequence those are for all.
            let at = (self.first + number) * width % self.cosine.len();
            let (cosine, sine) = (&self.cosine[at..at + width], &self.sine[at..at + width]);
            for (x, output) in zip(x.chunks_exact(width), output.chunks_exact_mut(width)) {
                let ((x1, x2), (low, high)) = (x.split_at(half), output.split_at_mut(half));
                let ((cosine1, cosine2), (sine1, sine2)) =
                    (cosine.split_at(half), sine.split_at(half));
                for lane in 0..half {
                    low[lane] = x1[lane] * cosine1[lane] - x2[lane] * sine1[lane];
                    high[lane] = x2[lane] * cosine2[lane] + x1[lane] * sine2[lane];
                }
            }
        }
    }
}

fn is_plain(tensor: &Tensor) -> bool {
    is_supported(tensor) && tensor.kind() == Kind::Float && tensor.is_contiguous()
}

/// Elements of a block: whole rows, and several blocks a thread where there are many.
fn block(elements: usize, row: usize) -> usize {
    let rows = elements / row;
    row * rows.div_ceil(elements.div_ceil(MIN_PARALLEL)).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tch::Device;

    use super::*;
    use crate::tests::drawn;

    #[test]
    fn norms_and_rotations_are_those_of_libtorchs_operators() {
        // Few and many tokens, a width without whole vectors, cosines of one sequence and of each.
        for (batch, tokens, heads, width, apart) in [
            (1, 1, 9, 64, false),
            (2, 3, 2, 10, true),
            (2, 700, 9, 64, false),
            (2, 700, 3, 64, true),
        ] {
            let x = drawn(0.0, &[batch, tokens, heads, width]).transpose(1, 2);
            let angles = if apart {
                drawn(1.0, &[batch, 1, tokens, width])
            } else {
                drawn(1.0, &[tokens, width])
            };
            let (cosine, sine) = (angles.cos(), angles.sin());
            let Some(rotated) = rotate(&x, &cosine, &sine).unwrap() else {
                eprintln!("this processor or LibTorch has none of these threads; not tested");
                return;
            };
            let halves = x.chunk(2, -1);
            let turned = Tensor::cat(&[&halves[1].neg(), &halves[0]], -1);
            let expected = &x * &cosine + turned * &sine;
            assert!(rotated.equal(&expected), "{batch} {tokens} {heads} {width}");

            let flat = x.transpose(1, 2).flatten(2, 3); // [B, T, H D]
            let weight = drawn(2.0, &[heads * width]);
            let normed = rms_norm(&flat, &weight, 1e-5).unwrap().unwrap();
            let wide = flat.to_kind(Kind::Double);
            let mean = wide.square().mean_dim([-1].as_slice(), true, Kind::Double);
            let expected = &wide * (mean + 1e-5).rsqrt() * &weight;
            assert_eq!(normed.size(), expected.size());
            let worst = (normed.to_kind(Kind::Double) - expected).abs().max();
            assert!(worst.double_value(&[]) < 1e-5, "{worst:?}");
        }
    }

    #[test]
    fn what_wants_a_gradient_is_left_to_libtorch() {
        let x = Tensor::ones([1, 2, 1, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let row = Tensor::ones([1, 4], (Kind::Float, Device::Cpu));
        assert!(rotate(&x, &row, &row).unwrap().is_none());
        assert!(rms_norm(&x, &row.flatten(0, 1), 0.0).unwrap().is_none());
    }
}
