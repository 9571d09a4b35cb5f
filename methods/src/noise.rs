//! Seeded normal numbers for initial values: the same on every machine, device and element type.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use crate::{Attention, Error};

/// A source of standard normal numbers: one independent stream a number.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    seed: u64,
}

impl Noise {
    /// The source with this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The first `count` numbers of a stream.
    pub fn values(&self, stream: u64, count: usize) -> impl Iterator<Item = f32> + use<> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        StandardNormal.sample_iter(random).take(count)
    }

    /// A tensor of this shape filled from a stream, f32 on the CPU.
    pub fn normal(&self, stream: u64, shape: &[i64]) -> Tensor {
        let values: Vec<f32> = self
            .values(stream, shape.iter().product::<i64>() as usize)
            .collect();
        Tensor::from_slice(&values).view(shape)
    }
}

/// Adds a tenth of seeded normal numbers to every parameter of a variant, so that none is at its identity: for measuring what
/// an untrained variant costs, where a zero might be a shortcut.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn disturb(attention: &dyn Attention, seed: u64) -> Result<(), Error> {
    let noise = Noise::new(seed);
    for (stream, (_, mut parameter)) in attention.parameters().into_iter().enumerate() {
        let values = noise.normal(stream as u64, &parameter.size()) * 0.1;
        let values = values
            .f_to_kind(parameter.kind())?
            .f_to_device(parameter.device())?;
        let _ = parameter.f_add_(&values)?;
    }
    Ok(())
}
