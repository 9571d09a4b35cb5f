//! What the words promise, by simulation: intervals that cover, five of a hundred under the null, four of five at the smallest
//! detectable difference.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::*;
use crate::summary::{Difference, Test};

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

/// The difference over 60 images and three seeds, whose spread is so many times that of an answer, about a true gain.
fn of_three_seeds(random: &mut ChaCha8Rng, spread: f64, gain: f64) -> Difference {
    let (images, seeds) = (60, 3);
    let options = Resampling {
        resamples: 399,
        ..Resampling::default()
    };
    let of_seed: Vec<f64> = (0..seeds).map(|_| gain + spread * normal(random)).collect();
    let mut ratio = Ratio::new(images * seeds);
    let mut contributions = vec![0.0; images];
    let mut by_seed = vec![0.0; seeds];
    for (image, contribution) in contributions.iter_mut().enumerate() {
        for (seed, centre) in of_seed.iter().enumerate() {
            let value = centre + normal(random);
            ratio.add(image * seeds + seed, value);
            *contribution += value / (images * seeds) as f64;
            by_seed[seed] += value / images as f64;
        }
    }
    let value = ratio.mean().unwrap();
    let drawn = bootstrap(&[ratio], seeds, &options);
    let p = sign_flip(
        &contributions,
        &sign_flip_sums(&[&contributions], &options)[0],
    );
    Difference {
        pairs: images * seeds,
        value,
        interval: interval_of(&drawn[0], 0.95).unwrap(),
        test: Test::SignFlip,
        p,
        holm_p: p,
        p_by_image: None,
        p_by_seed: mean_p(&by_seed),
        smallest_detectable: None,
    }
}

/// Verdicts of three seeds: one in twenty errs where seeds move everything, which one in four does by interval and images alone.
#[test]
fn verdicts_of_three_seeds_err_no_more_often_than_they_say() {
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let runs = 1_500;
    let mut shares = Vec::new();
    for spread in [0.0, 0.2, 2.0] {
        let (mut decided, mut without_seeds) = (0, 0);
        for _ in 0..runs {
            let difference = of_three_seeds(&mut random, spread, 0.0);
            decided += u32::from(difference.decided_alone(0.05).is_ne());
            let images_alone = Difference {
                p_by_seed: None,
                ..difference
            };
            without_seeds += u32::from(images_alone.decided_alone(0.05).is_ne());
        }
        shares.push([decided, without_seeds].map(|count| f64::from(count) / f64::from(runs)));
    }
    // Three standard errors of 1,500 tries at 0.05 are 0.017.
    assert!(shares.iter().all(|[own, _]| *own < 0.067), "{shares:?}");
    assert!(shares[2][0] > 0.02, "the rule can decide: {shares:?}");
    assert!(shares[2][1] > 0.2, "what the rule is for: {shares:?}");
    // A gain that dwarfs the seeds is found.
    let found = (0..200)
        .filter(|_| {
            of_three_seeds(&mut random, 0.2, 3.0)
                .decided_alone(0.05)
                .is_gt()
        })
        .count();
    assert!(found > 190, "{found}");
}

#[test]
fn three_seeds_find_what_is_called_detectable_four_times_in_five() {
    // The bootstrap of three seeds of spread 1 sees sqrt(2/3) of the standard error of their mean.
    let error = (1.0_f64 / 3.0).sqrt() * (2.0_f64 / 3.0).sqrt();
    let drawn: Vec<f64> = (0..100_000)
        .map(|resample| if resample % 2 == 0 { error } else { -error })
        .collect();
    let gain = smallest_detectable(&drawn, &Movement::of(&[1e-9; 100], 100), 3).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(18);
    let runs = 4_000;
    let found = (0..runs)
        .filter(|_| {
            let seeds: Vec<f64> = (0..3).map(|_| gain + normal(&mut random)).collect();
            mean_p(&seeds).unwrap() < 0.05
        })
        .count();
    let share = found as f64 / f64::from(runs);
    // t in z's place is an approximation of the noncentral one: 0.03 beside three standard errors of 0.02.
    assert!((share - 0.8).abs() < 0.05, "{gain}: {share}");
}

/// A standard normal number, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * random.random_range(f64::MIN_POSITIVE..1.0).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random_range(0.0..1.0)).cos()
}

/// Ratios of times whose true ratio is `ratio`: the machine drifts over the run, and now and then another program runs.
fn ratios(random: &mut ChaCha8Rng, rounds: usize, ratio: f64) -> Vec<f64> {
    (0..rounds)
        .map(|round| {
            let drift = 1.0 + round as f64 / rounds as f64;
            let mut time = |centre: f64| {
                let other = if random.random_bool(0.03) { 0.1 } else { 0.0 };
                drift * centre * (0.02 * normal(random) + other).exp()
            };
            let base = time(10.0);
            time(10.0 * ratio) / base
        })
        .collect()
}

fn share_equivalent(seed: u64, ratio: f64) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let runs = 2_000;
    let shown = (0..runs)
        .filter(|_| {
            let ratios = ratios(&mut random, 25, ratio);
            Equivalence::of(&ratios, 0.05).unwrap().sameness() == Sameness::Equivalent
        })
        .count();
    shown as f64 / f64::from(runs)
}

#[test]
fn at_the_margin_one_in_twenty_is_called_equivalent() {
    // Three standard errors of 2,000 tries at 0.05 are 0.015.
    for (seed, ratio) in [(11, 1.05), (12, 1.0 / 1.05)] {
        let share = share_equivalent(seed, ratio);
        assert!((share - 0.05).abs() < 0.015, "{ratio}: {share}");
    }
    assert!(share_equivalent(13, 1.12) < 0.002);
    let same = share_equivalent(14, 1.0);
    assert!(same > 0.95, "{same}");
}

#[test]
fn under_the_null_holm_errs_anywhere_in_one_family_of_twenty() {
    let mut random = ChaCha8Rng::seed_from_u64(15);
    let (images, variants, runs) = (80, 6, 1_000);
    let options = Resampling {
        resamples: 999,
        ..Resampling::default()
    };
    let mut erred = 0;
    for _ in 0..runs {
        // All variants are held against one baseline, so their differences go together.
        let baseline: Vec<f64> = (0..images).map(|_| normal(&mut random)).collect();
        let columns: Vec<Vec<f64>> = (0..variants)
            .map(|_| {
                baseline
                    .iter()
                    .map(|base| normal(&mut random) - base)
                    .collect()
            })
            .collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let flips = sign_flip_sums(&slices, &options);
        let p: Vec<f64> = columns
            .iter()
            .zip(&flips)
            .map(|(column, flips)| sign_flip(column, flips))
            .collect();
        erred += u32::from(holm(&p).iter().any(|p| *p < 0.05));
    }
    let share = f64::from(erred) / f64::from(runs);
    // At most one in twenty and three standard errors (0.021); less, since Holm does not know that they go together.
    assert!((0.01..0.071).contains(&share), "{share}");
}

/// The share of simulated runs that find a gain, by interval and by sign flips.
fn share_found(random: &mut ChaCha8Rng, gain: f64, runs: u32) -> [f64; 2] {
    let options = Resampling {
        resamples: 999,
        ..Resampling::default()
    };
    let clusters: Vec<usize> = (0..900).map(|sample| sample / 3).collect();
    let (mut by_interval, mut by_flips) = (0, 0);
    for _ in 0..runs {
        let [values, baseline] = simulated(random, 300, 3, gain);
        let interval = paired_difference_interval(&values, &baseline, &clusters, &options).unwrap();
        by_interval += u32::from(interval.low > 0.0 || interval.high < 0.0);
        let by_image: Vec<f64> = values
            .chunks(3)
            .zip(baseline.chunks(3))
            .map(|(a, b)| a.iter().sum::<f64>() - b.iter().sum::<f64>())
            .collect();
        let p = sign_flip(&by_image, &sign_flip_sums(&[&by_image], &options)[0]);
        by_flips += u32::from(p < 0.05);
    }
    [by_interval, by_flips].map(|found| f64::from(found) / f64::from(runs))
}

#[test]
fn the_smallest_detectable_gain_is_found_four_times_in_five() {
    let mut random = ChaCha8Rng::seed_from_u64(16);
    let [values, baseline] = simulated(&mut random, 300, 3, 0.0);
    let mut differences = Ratio::new(300);
    for (sample, (value, base)) in values.iter().zip(&baseline).enumerate() {
        differences.add(sample / 3, value - base);
    }
    let contributions: Vec<f64> = differences.sums.iter().map(|sum| sum / 900.0).collect();
    let moved = Movement::of(&contributions, 900);
    let drawn = bootstrap(&[differences], 1, &Resampling::default());
    let gain = smallest_detectable(&drawn[0], &moved, 1).unwrap();
    let shares = share_found(&mut random, gain, 400);
    // Three standard errors of 400 tries at 0.8 are 0.06; the standard error itself is known to some 4 %, which is 0.03.
    for share in shares {
        assert!((share - 0.8).abs() < 0.09, "{gain}: {shares:?}");
    }
}

#[test]
fn what_cannot_be_significant_is_not_called_detectable() {
    // One answer of ten moved: the bootstrap alone would promise to find two tenths.
    let mut contributions = vec![0.0; 10];
    contributions[3] = 0.1;
    let ratio = Ratio {
        sums: contributions.iter().map(|own| own * 10.0).collect(),
        counts: vec![1.0; 10],
    };
    let drawn = bootstrap(&[ratio], 1, &Resampling::default());
    let smallest = |contributions: &[f64], drawn: &[f64]| {
        smallest_detectable(drawn, &Movement::of(contributions, 10), 1).unwrap()
    };
    assert!((smallest(&contributions, &drawn[0]) - 0.6).abs() < 1e-12);
    // None moved: six answers are what it takes.
    assert!((smallest(&[0.0; 10], &[0.0; 50]) - 0.6).abs() < 1e-12);
    // All of them by the same small step: six such steps.
    assert!((smallest(&[0.005; 10], &[0.05; 50]) - 0.03).abs() < 1e-12);
    let none = Movement::of(&[], 0);
    assert_eq!(smallest_detectable(&[0.0; 50], &none, 1), None);
    assert_eq!(
        smallest_detectable(&[0.1], &Movement::of(&[0.1], 1), 1),
        None
    );
}
