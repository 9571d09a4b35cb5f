//! Against `SciPy` and statsmodels, the odd cases, and by simulation (`calibration`).

use serde::Deserialize;
use statrs::distribution::ContinuousCDF as _;

use super::*;

mod calibration;

#[derive(Deserialize)]
struct Goldens {
    mcnemar: Vec<McNemarCase>,
    holm: Vec<HolmCase>,
    sign_flip: Vec<SignFlipCase>,
    bootstrap: Vec<BootstrapCase>,
    crossed: Vec<CrossedCase>,
    student: Vec<StudentCase>,
    equivalence: Vec<EquivalenceCase>,
    power: Vec<PowerCase>,
}

#[derive(Deserialize)]
struct McNemarCase {
    gained: u64,
    lost: u64,
    p: f64,
}

#[derive(Deserialize)]
struct HolmCase {
    p: Vec<f64>,
    corrected: Vec<f64>,
}

#[derive(Deserialize)]
struct SignFlipCase {
    differences: Vec<f64>,
    p: f64,
    exact: bool,
}

#[derive(Deserialize)]
struct BootstrapCase {
    clusters: Vec<usize>,
    values: Vec<f64>,
    baseline: Vec<f64>,
    mean: Interval,
    difference: Interval,
}

/// `[images][seeds]`
#[derive(Deserialize)]
struct CrossedCase {
    values: Vec<Vec<f64>>,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct StudentCase {
    degrees: usize,
    t: f64,
    below: f64,
    quantile: f64,
}

#[derive(Deserialize)]
struct EquivalenceCase {
    ratios: Vec<f64>,
    p: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct PowerCase {
    samples: usize,
    deviation: f64,
    difference: f64,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("../../goldens/statistics.json")).unwrap()
}

#[test]
fn mcnemar_equals_statsmodels() {
    let cases = goldens().mcnemar;
    assert!(cases.len() >= 10);
    for case in cases {
        let p = mcnemar_exact(case.gained, case.lost);
        assert!(
            (p / case.p - 1.0).abs() < 1e-9,
            "{} {}: {p} for {}",
            case.gained,
            case.lost,
            case.p
        );
    }
}

#[test]
fn holm_equals_statsmodels() {
    for case in goldens().holm {
        for (ours, theirs) in holm(&case.p).iter().zip(&case.corrected) {
            assert!((ours - theirs).abs() < 1e-12, "{:?}", case.p);
        }
    }
}

#[test]
fn sign_flip_equals_scipy() {
    let options = Resampling {
        resamples: 100_000,
        ..Resampling::default()
    };
    for case in goldens().sign_flip {
        let flipped = sign_flip_sums(&[&case.differences], &options);
        let p = sign_flip(&case.differences, &flipped[0]);
        // Two random estimates of the same p, from 100,000 and 200,000 flips: four standard errors.
        let random = 4.0 * (case.p * (1.0 - case.p) * 1.5e-5).sqrt();
        let tolerance = if case.exact { 1e-12 } else { random };
        assert!(
            (p - case.p).abs() <= tolerance,
            "{} differences: {p} for {}",
            case.differences.len(),
            case.p
        );
    }
}

#[test]
fn intervals_equal_scipy() {
    let options = Resampling {
        resamples: 200_000,
        ..Resampling::default()
    };
    for case in goldens().bootstrap {
        let mean = mean_interval(&case.values, &case.clusters, &options).unwrap();
        let difference =
            paired_difference_interval(&case.values, &case.baseline, &case.clusters, &options)
                .unwrap();
        for (ours, theirs) in [(mean, case.mean), (difference, case.difference)] {
            let tolerance = 0.015 * (theirs.high - theirs.low);
            assert!(
                (ours.low - theirs.low).abs() < tolerance,
                "{ours:?} for {theirs:?}"
            );
            assert!(
                (ours.high - theirs.high).abs() < tolerance,
                "{ours:?} for {theirs:?}"
            );
        }
    }
}

/// The bootstrap over images and seeds, which neither library has, against one that NumPy spells out.
#[test]
fn crossed_intervals_equal_numpy() {
    let options = Resampling {
        resamples: 200_000,
        ..Resampling::default()
    };
    let cases = goldens().crossed;
    assert_eq!(cases.len(), 2);
    for case in cases {
        let seeds = case.values[0].len();
        let ratio = Ratio {
            counts: vec![1.0; case.values.len() * seeds],
            sums: case.values.concat(),
        };
        let ours = interval_of(&bootstrap(&[ratio], seeds, &options)[0], 0.95).unwrap();
        let tolerance = 0.015 * (case.high - case.low);
        assert!(
            (ours.low - case.low).abs() < tolerance && (ours.high - case.high).abs() < tolerance,
            "{ours:?} for {} {}",
            case.low,
            case.high
        );
    }
}

#[test]
fn student_equals_scipy() {
    let cases = goldens().student;
    assert!(cases.len() >= 50);
    for case in cases {
        let below = student::student(case.degrees).cdf(case.t);
        assert!(
            (below - case.below).abs() < 1e-12,
            "{} at {}: {below} for {}",
            case.t,
            case.degrees,
            case.below
        );
        let quantile = student::student(case.degrees).inverse_cdf(0.95);
        assert!(
            (quantile / case.quantile - 1.0).abs() < 1e-9,
            "{}: {quantile} for {}",
            case.degrees,
            case.quantile
        );
    }
}

#[test]
fn the_p_of_a_mean_is_that_of_its_t() {
    // t is the mean over its standard error: with 2 degrees of freedom 0.95 lies below 2.919986, 0.975 below 4.302653.
    for (t, p) in [(2.919_986, 0.1), (4.302_653, 0.05)] {
        // 1 apart on either side: a spread of 1, and a standard error of sqrt(1/3).
        let mean = t / 3.0_f64.sqrt();
        for sign in [1.0, -1.0] {
            let ours = mean_p(&[sign * mean - 1.0, sign * mean, sign * mean + 1.0]).unwrap();
            assert!((ours - p).abs() < 1e-6, "{ours} for {p}");
        }
    }
    assert_eq!(mean_p(&[1.0]), None);
    assert_eq!(mean_p(&[0.0, 0.0, 0.0]), Some(1.0));
    assert_eq!(mean_p(&[0.25, 0.25]), Some(0.0));
}

#[test]
fn equivalence_equals_statsmodels() {
    let cases = goldens().equivalence;
    assert!(cases.len() >= 8);
    let (mut shown, mut open) = (0, 0);
    for case in cases {
        let ours = Equivalence::of(&case.ratios, 0.05).unwrap();
        assert!((ours.p - case.p).abs() < 1e-9, "{} for {}", ours.p, case.p);
        assert!((ours.interval.low / case.low - 1.0).abs() < 1e-9);
        assert!((ours.interval.high / case.high - 1.0).abs() < 1e-9);
        // The interval and the p say the same.
        let inside = ours.interval.low > 1.0 / 1.05 && ours.interval.high < 1.05;
        assert_eq!(inside, ours.p < 0.05);
        assert_eq!(inside, ours.sameness() == Sameness::Equivalent);
        assert_eq!(inside, ours.smallest_margin() < 0.05);
        shown += u32::from(inside);
        open += u32::from(ours.sameness() == Sameness::Undecided);
    }
    assert!(shown > 0 && open > 0);
}

#[test]
fn equivalence_of_odd_ratios_has_an_answer() {
    assert_eq!(Equivalence::of(&[], 0.05), None);
    assert_eq!(Equivalence::of(&[1.0], 0.05), None);
    assert_eq!(Equivalence::of(&[1.0, 0.0], 0.05), None);
    assert_eq!(Equivalence::of(&[1.0, f64::INFINITY], 0.05), None);
    let word = |ratios: &[f64]| Equivalence::of(ratios, 0.05).unwrap().sameness();
    assert_eq!(word(&[1.0, 1.0]), Sameness::Equivalent);
    assert_eq!(word(&[1.2, 1.2]), Sameness::Above);
    assert_eq!(word(&[0.8, 0.8]), Sameness::Below);
    assert_eq!(word(&[0.9, 1.1]), Sameness::Undecided);
}

#[test]
fn the_smallest_detectable_difference_equals_statsmodels() {
    let cases = goldens().power;
    assert!(cases.len() >= 3);
    for case in cases {
        // A bootstrap distribution of which nothing but its spread counts.
        let error = case.deviation / (case.samples as f64).sqrt();
        let drawn: Vec<f64> = (0..100_000)
            .map(|resample| if resample % 2 == 0 { error } else { -error })
            .collect();
        let moved = vec![1e-9; case.samples];
        let movement = Movement::of(&moved, case.samples);
        let ours = smallest_detectable(&drawn, &movement, 1).unwrap();
        assert!(
            (ours / case.difference - 1.0).abs() < 1e-4,
            "{ours} for {}",
            case.difference
        );
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let ratio = Ratio {
        sums: (0..50).map(f64::from).map(f64::sqrt).collect(),
        counts: vec![2.0; 50],
    };
    let options = Resampling {
        resamples: 333,
        ..Resampling::default()
    };
    let here = bootstrap(std::slice::from_ref(&ratio), 1, &options);
    let alone = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap()
        .install(|| bootstrap(std::slice::from_ref(&ratio), 1, &options));
    assert_eq!(here, alone);
    assert_eq!(here[0].len(), 333);
}

#[test]
fn degenerate_inputs_have_an_answer() {
    let options = Resampling {
        resamples: 100,
        ..Resampling::default()
    };
    assert_eq!(mean_interval(&[], &[], &options), None);
    assert_eq!(
        mean_interval(&[0.5], &[3], &options),
        Some(Interval {
            low: 0.5,
            high: 0.5
        })
    );
    assert!((sign_flip(&[0.0, 0.0], &[0.0; 10]) - 1.0).abs() < f64::EPSILON);
    assert_eq!(median(&mut []), None);
    assert_eq!(median(&mut [3.0, 1.0, 2.0, 10.0]), Some(2.5));
    assert!(holm(&[]).is_empty());
    assert!((mcnemar_exact(0, 0) - 1.0).abs() < f64::EPSILON);
}
