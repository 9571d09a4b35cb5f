//! McNemar's exact test and Holm's correction.

/// McNemar's exact two-sided p: `gained` pairs only the variant got right, `lost` pairs only the baseline did.
///
/// Twice the smaller tail of a fair coin thrown `gained + lost` times, at most 1 (McNemar 1947; as statsmodels'
/// `mcnemar(exact=True)` and `SciPy`'s `binomtest`).
pub fn mcnemar_exact(gained: u64, lost: u64) -> f64 {
    let (thrown, smaller) = (gained + lost, gained.min(lost));
    if gained == lost {
        return 1.0;
    }
    // Terms C(n, k) / 2^n for k = smaller, smaller - 1, ..., 0: the first in logarithms, each next by its ratio.
    let ln_choose: f64 = (1..=smaller)
        .map(|k| ((thrown - smaller + k) as f64 / k as f64).ln())
        .sum();
    let mut term = (ln_choose - thrown as f64 * std::f64::consts::LN_2).exp();
    let mut tail = 0.0;
    for k in (0..=smaller).rev() {
        tail += term;
        term *= k as f64 / (thrown - k + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

/// Holm's step-down correction of a family of p-values, in the order given (Holm 1979).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[index]).min(1.0);
        corrected[index] = largest;
    }
    corrected
}
