//! The loop that bootstrap and sign flips share: many weighted sums of few vectors.
//!
//! A resample has a weight for each cluster (how often it was drawn, or its sign), and a statistic is a sum of
//! weight times value. All variants of a suite share the clusters, so the weights are drawn once and serve every
//! variant; ten thousand resamples of ten suites, twenty variants and five thousand samples then take seconds.
//! Eight resamples run side by side, each sum in a fixed order: this vectorises, and gives the same bits on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rayon::prelude::*;

/// Resamples that run side by side.
pub(super) const LANES: usize = 8;
/// Clusters whose weights stay in the first-level cache: 256 * 8 lanes * 8 bytes = 16 KiB.
const TILE: usize = 256;

/// For each vector (all of `clusters` values) and each resample the sum of weight times value: `[vectors][resamples]`.
///
/// `draw` fills the weights of the resample whose number it is given: that of cluster `c` is at `c * LANES`. All are 0 before.
pub(super) fn weighted_sums(
    vectors: &[&[f64]],
    clusters: usize,
    resamples: usize,
    seed: u64,
    draw: impl Fn(usize, &mut ChaCha8Rng, &mut [f64]) + Sync,
) -> Vec<Vec<f64>> {
    let blocks: Vec<Vec<[f64; LANES]>> = (0..resamples.div_ceil(LANES))
        .into_par_iter()
        .map_init(
            || vec![0.0; clusters * LANES],
            |weights, block| {
                weights.fill(0.0);
                // The last block may draw lanes that are not used, which saves special cases in the loops.
                for lane in 0..LANES {
                    let resample = block * LANES + lane;
                    if clusters > 0 {
                        draw(
                            resample,
                            &mut generator(seed, resample),
                            &mut weights[lane..],
                        );
                    }
                }
                sums_of_block(vectors, weights)
            },
        )
        .collect();
    (0..vectors.len())
        .map(|vector| {
            blocks
                .iter()
                .flat_map(|block| block[vector])
                .take(resamples)
                .collect()
        })
        .collect()
}

/// The random numbers of one resample.
pub(super) fn generator(seed: u64, resample: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(resample as u64);
    random
}

fn sums_of_block(vectors: &[&[f64]], weights: &[f64]) -> Vec<[f64; LANES]> {
    let mut sums = vec![[0.0; LANES]; vectors.len()];
    for (tile, tile_weights) in weights.chunks(TILE * LANES).enumerate() {
        for (vector, sum) in vectors.iter().zip(&mut sums) {
            let values = &vector[tile * TILE..];
            let mut local = *sum;
            for (value, weight) in values.iter().zip(tile_weights.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    local[lane] += value * weight[lane];
                }
            }
            *sum = local;
        }
    }
    sums
}
