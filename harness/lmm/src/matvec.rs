//! Products of weights with few rows, as decoding makes them: `x W^T` for up to [`MOST_ROWS`] rows of x.
//!
//! Such a product is as fast as the weights stream from memory. LibTorch hands it to MKL's `gemv`, which runs on one thread on
//! processors that are not Intel's (measured: 15 of 33 GB/s in f32, 18 in bf16), and with 2 to 8 rows to a `gemm` that is
//! slower still. Here the rows of W are dealt out in blocks to the threads on which LibTorch's own operators run: a pool
//! beside it would fight with it for the cores.
//!
//! Sums are f32 whatever the element type, and none depends on the number of threads or on the other rows of x: a sequence gets the
//! same bits alone and in a batch.

use std::ffi::{c_uint, c_void};
use std::iter::zip;
use std::sync::{Mutex, OnceLock, PoisonError};

use half::bf16;
use tch::{Device, Kind, Tensor};

use crate::Error;

/// More rows than these are left to LibTorch: computing, and no longer reading the weights, would take the time.
const MOST_ROWS: i64 = 8;
/// Rows of a weight that a thread takes at a time.
const BLOCK: usize = 32;

/// `x W_i^T` of several weights `[N_i, K]` with one x `[.., K]`: `[.., N_i]` each, in x's element type. `None` where LibTorch
/// has to do it: a gradient is wanted, there are too many rows, or the device, the element type or the processor is another.
///
/// # Errors
/// When LibTorch cannot allocate the outputs.
pub(crate) fn products<const N: usize>(
    x: &Tensor,
    weights: [&Tensor; N],
) -> Result<Option<[Tensor; N]>, Error> {
    let (kind, size) = (x.kind(), x.size());
    let Some((&width, others)) = size.split_last() else {
        return Ok(None);
    };
    let rows: i64 = others.iter().product();
    let fits = |weight: &Tensor| {
        weight.kind() == kind
            && weight.device() == Device::Cpu
            && weight.is_contiguous()
            && weight.size().last() == Some(&width)
            && !weight.requires_grad()
    };
    let is_ours = (1..=MOST_ROWS).contains(&rows)
        && width > 0
        && x.device() == Device::Cpu
        && !x.requires_grad()
        && matches!(kind, Kind::Float | Kind::BFloat16)
        && instructions_fit()
        && weights.into_iter().all(fits);
    let (true, Some(team)) = (is_ours, team()) else {
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
        let x = values(&x);
        let outputs: Vec<_> = outputs
            .iter()
            .map(|output| values_mut::<f32>(output))
            .collect();
        match kind {
            Kind::Float => {
                let weights = weights.map(|weight| values::<f32>(weight));
                fill(team, x, rows as usize, zip(weights, outputs));
            }
            _ => {
                let weights = weights.map(|weight| values::<bf16>(weight));
                fill(team, x, rows as usize, zip(weights, outputs));
            }
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

/// The elements of a tensor.
///
/// # Safety
/// It must be contiguous on the CPU and hold elements of this type, and nothing may write to it meanwhile.
#[allow(unsafe_code)]
unsafe fn values<T>(tensor: &Tensor) -> &[T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The elements of a tensor that nothing else refers to.
///
/// # Safety
/// As [`values`], and nothing may read it meanwhile.
#[allow(unsafe_code, clippy::mut_from_ref)]
unsafe fn values_mut<T>(tensor: &Tensor) -> &mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// Fills outputs `[N_i, rows]` with the products of x `[rows, K]` and weights `[N_i, K]`.
fn fill<'a, T: Element + 'a>(
    team: Team,
    x: &[f32],
    rows: usize,
    parts: impl Iterator<Item = (&'a [T], &'a mut [f32])> + Send,
) {
    let width = x.len() / rows;
    let blocks = parts.flat_map(|(weight, output)| {
        zip(
            weight.chunks(BLOCK * width),
            output.chunks_mut(BLOCK * rows),
        )
    });
    let blocks = Mutex::new(blocks);
    let next = || {
        let mut blocks = blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.next()
    };
    team.run(&|| {
        while let Some((weight, output)) = next() {
            block(weight, x, rows, output);
        }
    });
}

/// Whether the processor has what [`block`] is compiled for.
#[cfg(target_arch = "x86_64")]
fn instructions_fit() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Whether the processor has what [`block`] is compiled for.
#[cfg(not(target_arch = "x86_64"))]
fn instructions_fit() -> bool {
    cfg!(target_arch = "aarch64")
}

/// Products of a block's rows.
#[cfg(target_arch = "x86_64")]
fn block<T: Element>(weight: &[T], x: &[f32], rows: usize, output: &mut [f32]) {
    #[target_feature(enable = "avx2,fma")]
    fn with_vectors<T: Element>(weight: &[T], x: &[f32], rows: usize, output: &mut [f32]) {
        dots(weight, x, rows, output);
    }
    // SAFETY: `products` has asked `instructions_fit`.
    #[allow(unsafe_code)]
    unsafe {
        with_vectors(weight, x, rows, output);
    }
}

/// Products of a block's rows.
#[cfg(not(target_arch = "x86_64"))]
fn block<T: Element>(weight: &[T], x: &[f32], rows: usize, output: &mut [f32]) {
    dots(weight, x, rows, output);
}

#[inline(always)]
fn dots<T: Element>(weight: &[T], x: &[f32], rows: usize, output: &mut [f32]) {
    let width = x.len() / rows;
    for (weight, output) in zip(weight.chunks_exact(width), output.chunks_exact_mut(rows)) {
        for (x, output) in zip(x.chunks_exact(width), output) {
            *output = dot(weight, x);
        }
    }
}

/// Eight lanes of a vector register.
const LANES: usize = 8;
/// Sums that are made beside each other, so that none waits for the one before.
const SUMS: usize = 4;

/// The compiler makes vector instructions of the loops over lanes.
#[inline(always)]
fn dot<T: Element>(weight: &[T], x: &[f32]) -> f32 {
    let mut sums = [[0.0_f32; LANES]; SUMS];
    let (weight_steps, weight_rest) = weight.as_chunks::<{ LANES * SUMS }>();
    let (x_steps, x_rest) = x.as_chunks::<{ LANES * SUMS }>();
    for (weight, x) in zip(weight_steps, x_steps) {
        for (number, sums) in sums.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let at = number * LANES + lane;
                *sum = weight[at].widened().mul_add(x[at], *sum);
            }
        }
    }
    let mut rest = 0.0_f32;
    for (weight, x) in zip(weight_rest, x_rest) {
        rest = weight.widened().mul_add(*x, rest);
    }
    let [a, b, c, d] = sums;
    let mut lanes = [0.0; LANES];
    for (lane, sum) in lanes.iter_mut().enumerate() {
        *sum = (a[lane] + b[lane]) + (c[lane] + d[lane]);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest + (((a + e) + (b + f)) + ((c + g) + (d + h)))
}

/// An element type of weights.
trait Element: Copy + Send + Sync {
    /// As f32.
    fn widened(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn widened(self) -> f32 {
        self
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn widened(self) -> f32 {
        // Not `to_f32`, whose treatment of NaN keeps it from becoming one shift of a vector; a NaN stays one here too.
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

/// OpenMP's way to run a function on every thread of a team (libgomp's interface, which LLVM's library has as well).
type Fork = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// The threads on which LibTorch runs its operators.
#[derive(Debug, Clone, Copy)]
struct Team {
    fork: Fork,
}

/// LibTorch's threads; `None` where it is built without OpenMP.
fn team() -> Option<Team> {
    static FORK: OnceLock<Option<Team>> = OnceLock::new();
    *FORK.get_or_init(|| {
        #[cfg(unix)]
        {
            let own = libloading::os::unix::Library::this();
            // SAFETY: the function has had this signature since libgomp's first release; LibTorch's library, which this
            // program is linked against, keeps it loaded.
            #[allow(unsafe_code)]
            let fork = unsafe { own.get::<Fork>(b"GOMP_parallel\0") }.ok()?;
            Some(Team { fork: *fork })
        }
        #[cfg(not(unix))]
        None
    })
}

impl Team {
    /// Runs `work` once on each of as many threads as LibTorch uses, and waits for all of them.
    fn run(self, work: &(dyn Fn() + Sync)) {
        extern "C" fn one(work: *mut c_void) {
            // SAFETY: `run` hands over a pointer to this type, and waits for every thread before what it points to ends. A panic
            // ends the program, as it cannot leave a function with this calling convention.
            #[allow(unsafe_code)]
            let work = unsafe { *work.cast::<&(dyn Fn() + Sync)>() };
            work();
        }
        let threads = tch::get_num_threads().max(1) as c_uint;
        let mut work = work;
        // SAFETY: `one` takes what it is given here, and may run on several threads, since `work` is `Sync`.
        #[allow(unsafe_code)]
        unsafe {
            (self.fork)(one, (&raw mut work).cast(), threads, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn drawn(shape: &[i64], kind: Kind) -> Tensor {
        rave_methods::noise::Noise::new(3)
            .normal(shape.len() as u64, shape)
            .to_kind(kind)
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
