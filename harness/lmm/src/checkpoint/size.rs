//! How large a model is, told from its files' headers before anything is loaded.

use tch::Device;

use super::resolve::open_headers;
use crate::Error;

/// Parameters up to which an operator of a model is too little work for several threads: they wait for each other longer than they
/// compute.
const SMALL: u64 = 20_000_000;
/// Samples a batch of a small model: beyond it, nothing is gained (`nano`).
const SMALL_BATCH: usize = 16;

/// Whether a model of so many parameters is answered fastest by one thread a copy.
pub fn is_small(parameters: u64, device: Device) -> bool {
    device == Device::Cpu && parameters <= SMALL
}

/// Samples a batch for some models where none is asked for: several for small ones on the CPU, whose operators cost more by their
/// number than by their size, else 1.
///
/// # Errors
/// A model that is not there, or whose files are damaged.
pub fn automatic_batch<'a>(
    models: impl IntoIterator<Item = &'a str>,
    device: Device,
) -> Result<usize, Error> {
    for model in models {
        if !is_small(open_headers(model)?.parameters()?, device) {
            return Ok(1);
        }
    }
    Ok(SMALL_BATCH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn small_models_are_answered_in_batches_on_the_cpu() {
        let batch = |models: &[&str], device| automatic_batch(models.iter().copied(), device);
        assert_eq!(batch(&["nano"], Device::Cpu).unwrap(), SMALL_BATCH);
        assert_eq!(batch(&["nano"], Device::Cuda(0)).unwrap(), 1);
        assert!(is_small(SMALL, Device::Cpu) && !is_small(SMALL + 1, Device::Cpu));
        assert!(batch(&["/no/such/model"], Device::Cpu).is_err());
    }
}
