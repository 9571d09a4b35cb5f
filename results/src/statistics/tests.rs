//! Against `SciPy` and statsmodels, and calibration by simulation.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Goldens {
    mcnemar: Vec<McNemarCase>,
    holm: Vec<HolmCase>,
    sign_flip: Vec<SignFlipCase>,
    bootstrap: Vec<BootstrapCase>,
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

/// Pairs in clusters: the images differ in ease, their questions share it.
fn simulated(random: &mut ChaCha8Rng, images: usize, questions: usize, gain: f64) -> [Vec<f64>; 2] {
    let (mut values, mut baseline) = (Vec::new(), Vec::new());
    for _ in 0..images {
        let ease: f64 = random.random_range(0.2..0.8);
        // A shift of the image as a whole, of either sign, makes questions of an image go together under the null.
        let shift: f64 = random.random_range(-0.2..0.2);
        for _ in 0..questions {
            values.push(f64::from(
                random.random_bool((ease + shift + gain).clamp(0.0, 1.0)),
            ));
            baseline.push(f64::from(random.random_bool(ease)));
        }
    }
    [values, baseline]
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_claim() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (images, questions, runs) = (150, 4, 400);
    let clusters: Vec<usize> = (0..images * questions)
        .map(|sample| sample / questions)
        .collect();
    let options = Resampling {
        resamples: 1_000,
        ..Resampling::default()
    };
    let covered = (0..runs)
        .filter(|_| {
            let [values, baseline] = simulated(&mut random, images, questions, 0.0);
            let interval =
                paired_difference_interval(&values, &baseline, &clusters, &options).unwrap();
            interval.low <= 0.0 && 0.0 <= interval.high
        })
        .count();
    let share = covered as f64 / f64::from(runs);
    // Three standard errors of 400 tries at 0.95 are 0.033.
    assert!((share - 0.95).abs() < 0.033, "covered {share}");
}

#[test]
fn under_the_null_one_p_in_twenty_is_below_five_per_cent() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let (images, runs) = (120, 1_000);
    let options = Resampling {
        resamples: 999,
        ..Resampling::default()
    };
    let (mut flips_below, mut mcnemar_below) = (0, 0);
    for _ in 0..runs {
        let [values, baseline] = simulated(&mut random, images, 3, 0.0);
        let by_image: Vec<f64> = values
            .chunks(3)
            .zip(baseline.chunks(3))
            .map(|(a, b)| a.iter().sum::<f64>() - b.iter().sum::<f64>())
            .collect();
        let p = sign_flip(&by_image, &sign_flip_sums(&[&by_image], &options)[0]);
        flips_below += u32::from(p < 0.05);
        let [values, baseline] = simulated(&mut random, images, 1, 0.0);
        let gained = values.iter().zip(&baseline).filter(|(a, b)| a > b).count();
        let lost = values.iter().zip(&baseline).filter(|(a, b)| a < b).count();
        mcnemar_below += u32::from(mcnemar_exact(gained as u64, lost as u64) < 0.05);
    }
    let (flips, mcnemar) = (
        f64::from(flips_below) / f64::from(runs),
        f64::from(mcnemar_below) / f64::from(runs),
    );
    // Three standard errors of 1,000 tries at 0.05 are 0.021; McNemar's exact test is discrete, so it stays below.
    assert!((flips - 0.05).abs() < 0.021, "sign flips {flips}");
    assert!(mcnemar < 0.071 && mcnemar > 0.01, "McNemar {mcnemar}");
}

/// A skewed distribution, as times are: exponential with the median ln 2.
#[test]
fn intervals_of_a_median_cover_it_as_often_as_they_claim() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let options = Resampling {
        resamples: 800,
        ..Resampling::default()
    };
    let runs = 400;
    let covered = (0..runs)
        .filter(|_| {
            let values: Vec<f64> = (0..40)
                .map(|_| -random.random_range(f64::MIN_POSITIVE..1.0).ln())
                .collect();
            let interval = median_interval(&values, &options).unwrap();
            interval.low <= std::f64::consts::LN_2 && std::f64::consts::LN_2 <= interval.high
        })
        .count();
    let share = covered as f64 / f64::from(runs);
    assert!((share - 0.95).abs() < 0.033, "covered {share}");
    assert_eq!(median_interval(&[], &options), None);
    let one = median_interval(&[2.0], &options).unwrap();
    assert!((one.low - 2.0).abs() < f64::EPSILON && (one.high - 2.0).abs() < f64::EPSILON);
}

#[test]
fn a_real_gain_is_found() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let [values, baseline] = simulated(&mut random, 400, 1, 0.15);
    let clusters: Vec<usize> = (0..400).collect();
    let interval =
        paired_difference_interval(&values, &baseline, &clusters, &Resampling::default()).unwrap();
    assert!(interval.low > 0.0, "{interval:?}");
}

/// What an interval over images alone gets wrong: the seeds' own spread. With many seeds the crossed one covers as it claims.
#[test]
fn crossed_intervals_cover_a_truth_that_seeds_move() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let (images, seeds, runs) = (60, 12, 300);
    let options = Resampling {
        resamples: 600,
        ..Resampling::default()
    };
    let (mut crossed, mut by_image) = (0, 0);
    for _ in 0..runs {
        let centred = |random: &mut ChaCha8Rng| random.random_range(-1.0..1.0);
        let of_image: Vec<f64> = (0..images).map(|_| centred(&mut random)).collect();
        let of_seed: Vec<f64> = (0..seeds).map(|_| centred(&mut random)).collect();
        let mut whole = Ratio::new(images * seeds);
        let mut merged = Ratio::new(images);
        for (image, a) in of_image.iter().enumerate() {
            for (seed, b) in of_seed.iter().enumerate() {
                let value = a + b + centred(&mut random);
                whole.add(image * seeds + seed, value);
                merged.add(image, value);
            }
        }
        let covers = |ratio: Ratio, seeds| {
            let interval = interval_of(&bootstrap(&[ratio], seeds, &options)[0], 0.95).unwrap();
            u32::from(interval.low <= 0.0 && 0.0 <= interval.high)
        };
        crossed += covers(whole, seeds);
        by_image += covers(merged, 1);
    }
    let share = |covered: u32| f64::from(covered) / f64::from(runs);
    // Twelve seeds are few for a percentile interval, which is then a little short.
    assert!(
        (0.88..=0.99).contains(&share(crossed)),
        "crossed {}",
        share(crossed)
    );
    assert!(share(by_image) < 0.8, "by image {}", share(by_image));
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
