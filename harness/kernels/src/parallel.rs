//! Tasks over the elements of tensors, on the threads and with the instructions that LibTorch's operators use.
//!
//! A pool of our own beside LibTorch's would fight with it for the cores, so work is handed to the same OpenMP threads, which are
//! awake already. What a task computes for one row must not depend on the other rows or on the number of threads.

// What is not inlined into a `Task` is compiled for the oldest processor.
#![allow(clippy::inline_always)]

use std::ffi::{c_uint, c_void};
use std::iter::zip;
use std::sync::{Mutex, OnceLock, PoisonError};

use half::bf16;
use tch::{Device, Kind, Tensor};

/// Elements up to which handing work to other threads costs more than it saves.
pub(crate) const MIN_PARALLEL: usize = 1 << 15;

/// OpenMP's function that runs another on every thread (libgomp's interface, which LLVM's library has as well).
type Fork = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// The threads on which LibTorch runs its operators, and the promise that the processor has the instructions of [`vectorised`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenMp {
    fork: Fork,
}

impl OpenMp {
    /// LibTorch's threads; `None` where it is built without OpenMP, or where the processor lacks the vector instructions that make
    /// kernels of ours worth it.
    pub(crate) fn get() -> Option<Self> {
        static OPEN_MP: OnceLock<Option<OpenMp>> = OnceLock::new();
        *OPEN_MP.get_or_init(|| {
            #[cfg(unix)]
            {
                let own = libloading::os::unix::Library::this();
                // SAFETY: the function has had this signature since libgomp's first release; LibTorch's library, which this
                // program is linked against, keeps it loaded.
                #[allow(unsafe_code)]
                let fork = unsafe { own.get::<Fork>(b"GOMP_parallel\0") }.ok()?;
                instructions_fit().then_some(Self { fork: *fork })
            }
            #[cfg(not(unix))]
            None
        })
    }

    /// Runs tasks that read so many elements in all, each on one of as many threads as LibTorch uses, or all on this one where that is
    /// little work.
    pub(crate) fn for_each<T: Task>(self, elements: usize, tasks: impl Iterator<Item = T> + Send) {
        if elements <= MIN_PARALLEL {
            tasks.for_each(|task| vectorised(self, task));
            return;
        }
        let tasks = Mutex::new(tasks);
        let next = || {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.next()
        };
        self.run(&|| {
            while let Some(task) = next() {
                vectorised(self, task);
            }
        });
    }

    /// Runs `work` once on each thread, and waits for all of them.
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

/// Whether the processor has what [`vectorised`] is compiled for.
fn instructions_fit() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        cfg!(target_arch = "aarch64")
    }
}

/// Work that is compiled for the instructions of which [`OpenMp::get`] has made sure. A type rather than a closure, because `run` and all
/// that it calls must be `#[inline(always)]`: what is not inlined is compiled for the oldest processor.
pub(crate) trait Task {
    /// Runs it.
    fn run(self);
}

/// Runs a task on this thread.
fn vectorised(_: OpenMp, task: impl Task) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn with_vectors(task: impl Task) {
            task.run();
        }
        // SAFETY: there is no `OpenMp` where the processor lacks them.
        #[allow(unsafe_code)]
        unsafe {
            with_vectors(task);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    task.run();
}

/// Whether kernels of ours read a tensor: on the CPU, f32 or bf16, and part of no gradient. Its layout is another question.
pub(crate) fn is_supported(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu
        && matches!(tensor.kind(), Kind::Float | Kind::BFloat16)
        && !tensor.requires_grad()
}

/// The elements of a tensor.
///
/// # Safety
/// It must be contiguous on the CPU and hold elements of this type, and nothing may write to it meanwhile.
#[allow(unsafe_code)]
pub(crate) unsafe fn as_slice<T: Element>(tensor: &Tensor) -> &[T] {
    debug_assert!(tensor.is_contiguous() && tensor.kind() == T::KIND);
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The elements of a tensor that was just made.
///
/// # Safety
/// As [`as_slice`], and nothing else may refer to it meanwhile.
#[allow(unsafe_code, clippy::mut_from_ref)]
pub(crate) unsafe fn as_mut_slice<T: Element>(tensor: &Tensor) -> &mut [T] {
    debug_assert!(tensor.is_contiguous() && tensor.kind() == T::KIND);
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// An element type that kernels of ours read; they compute in f32.
pub(crate) trait Element: Copy + Send + Sync {
    /// Its name in LibTorch.
    const KIND: Kind;

    /// As f32.
    fn widen(self) -> f32;
}

impl Element for f32 {
    const KIND: Kind = Kind::Float;

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Element for bf16 {
    const KIND: Kind = Kind::BFloat16;

    #[inline(always)]
    fn widen(self) -> f32 {
        // Not `to_f32`, whose treatment of NaN keeps it from becoming one shift of a vector; a NaN stays one here too.
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

/// Lanes of a vector register.
const LANES: usize = 8;
/// Sums that are made beside each other, so that none waits for the one before.
const SUMS: usize = 4;

/// `a . b` in f32. The compiler makes vector instructions of the loops over lanes.
#[inline(always)]
pub(crate) fn dot<T: Element, U: Element>(a: &[T], b: &[U]) -> f32 {
    let mut sums = [[0.0_f32; LANES]; SUMS];
    let (a_steps, a_rest) = a.as_chunks::<{ LANES * SUMS }>();
    let (b_steps, b_rest) = b.as_chunks::<{ LANES * SUMS }>();
    for (a, b) in zip(a_steps, b_steps) {
        for (number, sums) in sums.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let at = number * LANES + lane;
                *sum = a[at].widen().mul_add(b[at].widen(), *sum);
            }
        }
    }
    let mut rest = 0.0_f32;
    for (a, b) in zip(a_rest, b_rest) {
        rest = a.widen().mul_add(b.widen(), rest);
    }
    let [a, b, c, d] = sums;
    let mut lanes = [0.0; LANES];
    for (lane, sum) in lanes.iter_mut().enumerate() {
        *sum = (a[lane] + b[lane]) + (c[lane] + d[lane]);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest + (((a + e) + (b + f)) + ((c + g) + (d + h)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Count<'a>(&'a AtomicU64, u64);

    impl Task for Count<'_> {
        fn run(self) {
            self.0.fetch_add(self.1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_task_runs_once_however_much_work_it_is() {
        let Some(threads) = OpenMp::get() else {
            eprintln!("this processor or LibTorch has none of these threads; not tested");
            return;
        };
        for elements in [0, MIN_PARALLEL + 1] {
            for count in [0, 1, 7, 1_000] {
                let sum = AtomicU64::new(0);
                threads.for_each(elements, (1..=count).map(|item| Count(&sum, item)));
                assert_eq!(sum.into_inner(), count * (count + 1) / 2);
            }
        }
    }

    #[test]
    fn a_dot_product_counts_what_is_beside_whole_vectors() {
        for width in [0, 1, 31, 32, 33, 64, 130] {
            let a: Vec<f32> = (0..width).map(|at| at as f32 - 3.0).collect();
            let b: Vec<bf16> = (0..width)
                .map(|at| bf16::from_f32((at % 5) as f32))
                .collect();
            let expected: f32 = zip(&a, &b).map(|(a, b)| a * b.to_f32()).sum();
            assert!((dot(&a, &b) - expected).abs() < 0.5, "{width}");
        }
    }
}
