//! The LibTorch this program runs on: devices, and loading its CUDA library.
//!
//! No symbol of ours refers to `libtorch_cuda`, so the linker drops it and LibTorch would say that there is no CUDA. It is
//! therefore loaded by name before the first CUDA question, from the folder that the program was linked against or from
//! the loader's own path.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use rave_hints::{Refusal, refusal};
use tch::{Cuda, Device, Kind, Tensor};

use crate::Error;

/// The LibTorch version that `tch` 0.24 is made for; its build script refuses any other.
pub const VERSION: &str = "2.11.0";

/// Name of LibTorch's CUDA library on this system.
const CUDA_LIBRARY: &str = if cfg!(windows) {
    "torch_cuda.dll"
} else {
    "libtorch_cuda.so"
};

/// The folder of the LibTorch that this program was linked against.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("RAVE_LIBTORCH_LIB"))
}

/// Loads LibTorch's CUDA library once; what went wrong is kept for [`device`] and `rave doctor`.
///
/// # Errors
/// The loader's message: no such library in a CPU-only LibTorch, or one of its own libraries is missing.
pub fn load_cuda() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            let beside = folder().join(CUDA_LIBRARY);
            let candidates = [beside, PathBuf::from(CUDA_LIBRARY)];
            let mut message = String::new();
            for candidate in candidates {
                // SAFETY: this runs the library's initialisers, as linking against it would have; it is LibTorch's own
                // library of the same build, and the handle is leaked, so its code is never unmapped.
                #[allow(unsafe_code)]
                match unsafe { libloading::Library::new(&candidate) } {
                    Ok(library) => {
                        std::mem::forget(library);
                        return Ok(());
                    }
                    Err(error) => message = error.to_string(),
                }
            }
            Err(message)
        })
        .clone()
}

/// Parses `cpu`, `cuda` or `cuda:N` and checks that the device is there.
///
/// # Errors
/// [`Error::Device`] with the remedy.
pub fn device(name: &str) -> Result<Device, Error> {
    let fail = |reason: Refusal| {
        Err(Error::Device {
            device: name.to_owned(),
            reason,
        })
    };
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index = match name.split_once(':') {
        None if name == "cuda" => Some(0),
        Some(("cuda", index)) => index.parse::<usize>().ok(),
        _ => None,
    };
    let Some(index) = index else {
        return fail(refusal("not a device", "use cpu, cuda or cuda:N"));
    };
    if let Err(message) = load_cuda() {
        return fail(refusal(
            format!("this LibTorch has no CUDA ({message})"),
            "set LIBTORCH to a CUDA build of LibTorch (or LIBTORCH_USE_PYTORCH=1), \
             run `./just setup` and build again, or use --device cpu",
        ));
    }
    match Cuda::device_count() {
        0 => fail(refusal(
            "no CUDA device is visible",
            "check the driver with nvidia-smi, or use --device cpu",
        )),
        count if index as i64 >= count => fail(refusal(
            format!("there are {count} CUDA devices"),
            format!("use cuda:0 to cuda:{}", count - 1),
        )),
        _ => Ok(Device::Cuda(index)),
    }
}

/// What matrix products reach here, in floating-point operations a second: the best of five products of square matrices
/// with that many rows, after one untimed. The peak that a share of it refers to.
///
/// # Errors
/// When LibTorch refuses the product, for example for lack of memory.
pub fn matrix_rate(side: i64, kind: Kind, device: Device) -> Result<f64, Error> {
    let matrix = Tensor::f_ones([side, side], (kind, device))?;
    let once = || -> Result<f64, Error> {
        let start = Instant::now();
        let product = matrix.f_matmul(&matrix)?;
        // Reading a value waits for a device that runs beside the program.
        let _ = product.f_double_value(&[0, 0])?;
        Ok(start.elapsed().as_secs_f64())
    };
    once()?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        best = best.min(once()?);
    }
    Ok(2.0 * (side as f64).powi(3) / best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_parsed_and_nonsense_is_refused() {
        assert_eq!(device("cpu").expect("always there"), Device::Cpu);
        for name in ["gpu", "cuda:", "cuda:x", "CPU", ""] {
            let hint = device(name).expect_err("no such device").hint();
            assert_eq!(hint.as_deref(), Some("use cpu, cuda or cuda:N"), "{name}");
        }
    }
}
