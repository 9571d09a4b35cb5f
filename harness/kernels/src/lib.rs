//! CPU kernels for work that LibTorch does badly when there are few tokens, as in decoding: products that it runs on one thread, chains
//! of operators whose calls cost more than their arithmetic. Every function says `None` where LibTorch has to do the work: on another
//! device, for another element type or layout, or where a gradient is wanted.
//!
//! This crate is the only home of kernel `unsafe`. Axes as in `rave-methods`: `B` batch, `H` query heads, `G` key-value heads, `T` new
//! tokens, `S` stored tokens, `D` head dimension, `K` width of a stored key, `C` model width.

mod attention;
mod matrix_vector;
mod parallel;
mod pointwise;

pub use attention::single_query;
pub use matrix_vector::products;
pub use pointwise::{rms_norm, rotate};

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    /// Numbers in [-2, 2] without a pattern that a kernel could profit from.
    pub(crate) fn drawn(seed: f64, shape: &[i64]) -> Tensor {
        let count: i64 = shape.iter().product();
        let steps = Tensor::arange(count, (Kind::Double, tch::Device::Cpu));
        let values = ((steps * 12.9898 + seed).sin() * 43_758.5).sin() * 2.0;
        values.to_kind(Kind::Float).view(shape)
    }
}
