//! Sign-flip permutation test of paired differences, flipping whole clusters.
//!
//! Under the null hypothesis variant and baseline are exchangeable within an image, so each image's sum of differences
//! is as likely negative as positive. If there are no more flips than resamples, all are tried; otherwise random ones are, with
//! the observed one counted among them (Phipson and Smyth 2010), so p is never 0.

use rand::RngCore as _;

use super::Resampling;
use super::resampling::{LANES, weighted_sums};

/// Sums under random sign flips of the clusters, `[columns][resamples]`; each column holds one value for each cluster.
///
/// The columns see the same flips.
pub fn sign_flip_sums(columns: &[&[f64]], options: &Resampling) -> Vec<Vec<f64>> {
    let clusters = columns.first().map_or(0, |column| column.len());
    // Not the bootstrap's seed: the two must not share their draws.
    let seed = options.seed ^ 0x5167_6e66_6c69_7021;
    weighted_sums(
        columns,
        clusters,
        options.resamples,
        seed,
        |_, random, weights| {
            let mut bits = 0;
            for cluster in 0..clusters {
                if cluster % 32 == 0 {
                    bits = random.next_u32();
                }
                weights[cluster * LANES] = if bits & 1 == 0 { 1.0 } else { -1.0 };
                bits >>= 1;
            }
        },
    )
}

/// Two-sided p of the observed sum among `flipped` ones.
pub fn p_of(observed: f64, flipped: &[f64]) -> f64 {
    let bound = tied(observed);
    let extreme = flipped.iter().filter(|sum| sum.abs() >= bound).count();
    (extreme + 1) as f64 / (flipped.len() + 1) as f64
}

/// Two-sided sign-flip p of `column`, which holds one value for each cluster: exact where all flips can be tried, else from `flipped`,
/// that column's [`sign_flip_sums`].
pub fn sign_flip(column: &[f64], flipped: &[f64]) -> f64 {
    let effective: Vec<f64> = column
        .iter()
        .copied()
        .filter(|value| *value != 0.0)
        .collect();
    if effective.is_empty() {
        return 1.0;
    }
    let observed: f64 = effective.iter().sum();
    let all = u32::try_from(effective.len())
        .ok()
        .and_then(|length| 1usize.checked_shl(length));
    match all {
        Some(all) if all <= flipped.len() => {
            let bound = tied(observed);
            let extreme = (0..all)
                .filter(|flips| {
                    let sum: f64 = effective
                        .iter()
                        .enumerate()
                        .map(|(index, value)| {
                            if flips >> index & 1 == 0 {
                                *value
                            } else {
                                -value
                            }
                        })
                        .sum();
                    sum.abs() >= bound
                })
                .count();
            extreme as f64 / all as f64
        }
        _ => p_of(observed, flipped),
    }
}

/// The smallest size that counts as "as extreme": sums in another order differ in their last bits.
fn tied(observed: f64) -> f64 {
    observed.abs() * (1.0 - 1e-9) - 1e-12
}
