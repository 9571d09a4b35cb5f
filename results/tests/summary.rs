//! The summary: the right numbers, no trace of the order, and plain words for what is missing.
#![allow(clippy::unwrap_used)]

use rave_results::schema::{Aggregate, RunRecord};
use rave_results::summary::{Options, Test};
use rave_results::{Error, Run, SampleRecord, Summary};

mod common;
use common::{record, sample};

fn run(record: RunRecord, samples: &[SampleRecord]) -> Run {
    Run::from_samples(record, samples)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn the_contrast_is_the_gain_on_reading_minus_that_on_the_rest() {
    let (mut record, samples) = two_by_two();
    let contrast = |record: &RunRecord| {
        let summary = Summary::from_runs(&[run(record.clone(), &samples)], "standard").unwrap();
        let standard = summary.macro_cell("nano", "standard").unwrap();
        assert_eq!(standard.reading_contrast, None);
        let rave = summary.macro_cell("nano", "rave").unwrap().reading_contrast;
        (
            rave,
            summary.cell("nano", "ocr", "rave").unwrap().difference,
        )
    };
    assert_eq!(contrast(&record).0, None, "nothing to hold reading against");
    let chart = &mut record.configuration.suites[1];
    assert_eq!(chart.id, "chart");
    chart.reading = false;
    let (found, read) = contrast(&record);
    let (found, read) = (found.unwrap(), read.unwrap());
    assert!(
        close(found.between.value, 0.1 - 0.05),
        "{}",
        found.between.value
    );
    // Every difference of `chart` is 0.05, so what spreads is `ocr` alone.
    assert!((found.between.interval.low - (read.interval.low - 0.05)).abs() < 1e-9);
    assert!((found.between.interval.high - (read.interval.high - 0.05)).abs() < 1e-9);
}

/// Two suites, two variants; rave gains one of ten on `ocr` and is graded on `chart`.
fn two_by_two() -> (RunRecord, Vec<SampleRecord>) {
    let mut samples = Vec::new();
    for index in 0..10 {
        let right = f64::from(u8::from(index < 6));
        samples.push(sample("ocr", "standard", index, Some(right)));
        samples.push(sample(
            "ocr",
            "rave",
            index,
            Some(if index == 8 { 1.0 } else { right }),
        ));
        samples.push(sample("chart", "standard", index, Some(0.1 * index as f64)));
        samples.push(sample(
            "chart",
            "rave",
            index,
            Some(0.1 * index as f64 + 0.05),
        ));
    }
    (
        record("r", &["ocr", "chart"], &["rave", "standard"]),
        samples,
    )
}

#[test]
fn cells_hold_the_right_numbers() {
    let (record, samples) = two_by_two();
    let summary = Summary::from_runs(&[run(record, &samples)], "standard").unwrap();
    let order: Vec<&str> = summary
        .variants
        .iter()
        .map(|variant| variant.id.as_str())
        .collect();
    assert_eq!(order, ["standard", "rave"]);
    let standard = summary.cell("nano", "ocr", "standard").unwrap();
    assert!(close(standard.score.unwrap().value, 0.6));
    assert_eq!(standard.difference, None);
    assert_eq!(standard.cost.prefill_ms, Some(24.5));
    assert_eq!(standard.cost.total_ms, Some(64.5));
    let rave = summary
        .cell("nano", "ocr", "rave")
        .unwrap()
        .difference
        .unwrap();
    assert!(close(rave.value, 0.1));
    assert_eq!((rave.pairs, rave.test), (10, Test::McNemar));
    assert!(close(rave.p, 1.0));
    let graded = summary
        .cell("nano", "chart", "rave")
        .unwrap()
        .difference
        .unwrap();
    assert_eq!(graded.test, Test::SignFlip);
    // All ten differences are +0.05: two of the 1,024 flips are as extreme.
    assert!(close(graded.p, 2.0 / 1024.0), "{}", graded.p);
    assert!(
        (graded.interval.low - 0.05).abs() < 1e-9 && (graded.interval.high - 0.05).abs() < 1e-9
    );
    let average = summary.macro_cell("nano", "rave").unwrap();
    assert!(close(average.score.unwrap().value, f64::midpoint(0.7, 0.5)));
    assert!(close(average.difference.unwrap().value, 0.075));
    assert!(average.difference.unwrap().p < 0.01);
}

#[test]
fn the_order_of_the_records_leaves_no_trace() {
    let (record, mut samples) = two_by_two();
    let first = Summary::from_runs(&[run(record.clone(), &samples)], "standard").unwrap();
    samples.reverse();
    samples.rotate_left(7);
    let second = Summary::from_runs(&[run(record, &samples)], "standard").unwrap();
    assert_eq!(first, second);
}

#[test]
fn failed_samples_are_left_out_counted_and_told() {
    let mut samples = Vec::new();
    for index in 0..6 {
        samples.push(sample(
            "ocr",
            "standard",
            index,
            (index != 0).then_some(1.0),
        ));
        samples.push(sample("ocr", "rave", index, None));
        samples.push(sample("ocr", "pai", index, (index != 1).then_some(0.5)));
    }
    let record = record("r", &["ocr"], &["standard", "rave", "pai"]);
    let summary = Summary::from_runs(&[run(record, &samples)], "standard").unwrap();
    let standard = summary.cell("nano", "ocr", "standard").unwrap();
    assert!(close(standard.score.unwrap().value, 1.0));
    assert_eq!(
        (
            standard.scored,
            standard.failed,
            standard.failures["out of memory"]
        ),
        (5, 1, 1)
    );
    let rave = summary.cell("nano", "ocr", "rave").unwrap();
    assert_eq!((rave.score, rave.difference, rave.failed), (None, None, 6));
    let pai = summary
        .cell("nano", "ocr", "pai")
        .unwrap()
        .difference
        .unwrap();
    assert_eq!(pai.pairs, 4);
    assert!(close(pai.value, -0.5) && close(pai.interval.low, -0.5));
    assert_eq!(summary.macro_cell("nano", "rave").unwrap().score, None);
    let notes = summary.notes().join("\n");
    assert!(
        notes.contains("6 of 6 samples of ocr under rave (nano) have no score (6 out of memory)"),
        "{notes}"
    );
}

#[test]
fn each_failure_is_named_with_its_whole_reason_and_its_variants() {
    let mut samples = Vec::new();
    for index in 0..4 {
        for variant in ["rave", "standard"] {
            samples.push(SampleRecord {
                error: (index == 2).then(|| "image: 2.png is cut".into()),
                ..sample("ocr", variant, index, (index != 2).then_some(1.0))
            });
        }
    }
    samples[0].score = None;
    samples[0].error = Some("torch: the rest\nof the story".into());
    let record = record("r", &["ocr"], &["rave", "standard"]);
    let failures = |samples: &[SampleRecord]| {
        Summary::from_runs(&[run(record.clone(), samples)], "standard")
            .unwrap()
            .failures
    };
    let found = failures(&samples);
    let told: Vec<_> = found
        .iter()
        .map(|failure| {
            (
                failure.sample.as_str(),
                failure.variants.join(" "),
                failure.error.to_string(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "0000",
                "rave".to_owned(),
                "torch: the rest\nof the story".to_owned()
            ),
            (
                "0002",
                "standard rave".to_owned(),
                "image: 2.png is cut".to_owned()
            ),
        ]
    );
    samples.reverse();
    assert_eq!(failures(&samples), found);
}

#[test]
fn a_cell_that_lacks_samples_or_has_too_many_says_so() {
    let notes = |count: usize| {
        let samples: Vec<_> = (0..count)
            .map(|index| sample("ocr", "standard", index, Some(1.0)))
            .collect();
        let summary = Summary::from_runs(
            &[run(record("r", &["ocr"], &["standard"]), &samples)],
            "standard",
        )
        .unwrap();
        assert_eq!(summary.cells[0].due, 4);
        summary.notes().join("\n")
    };
    assert!(notes(3).contains("ocr under standard (nano) holds 3 of 4 samples"));
    assert!(notes(5).contains("holds 5 of 4 samples"));
    assert!(!notes(4).contains("incomplete"));
}

#[test]
fn category_means_weigh_categories_alike() {
    let mut record = record("r", &["mtvqa"], &["standard", "rave"]);
    record.configuration.suites[0].aggregate = Aggregate::CategoryMean;
    let mut samples = Vec::new();
    for index in 0..12 {
        // Ten of one language, two of the other.
        let (category, base) = if index < 10 { ("de", 1.0) } else { ("ja", 0.0) };
        for (variant, gain) in [
            ("standard", 0.0),
            ("rave", if category == "ja" { 1.0 } else { 0.0 }),
        ] {
            let one = sample("mtvqa", variant, index, Some(base + gain));
            samples.push(SampleRecord {
                category: category.into(),
                ..one
            });
        }
    }
    let summary = Summary::from_runs(&[run(record, &samples)], "standard").unwrap();
    let standard = summary.cell("nano", "mtvqa", "standard").unwrap();
    assert!(close(standard.score.unwrap().value, 0.5));
    assert_eq!(standard.category_mean(), Some(0.5));
    let rave = summary
        .cell("nano", "mtvqa", "rave")
        .unwrap()
        .difference
        .unwrap();
    assert!(close(rave.value, 0.5));
    assert_eq!(rave.test, Test::McNemar);
}

#[test]
fn questions_of_one_image_are_not_taken_as_independent() {
    let mut samples = Vec::new();
    for index in 0..60 {
        // Six images of ten questions; rave wins every question of five images: tiny p by question, not by image.
        let image = index / 10;
        for (variant, score) in [("standard", 0.0), ("rave", f64::from(u8::from(image < 5)))] {
            let one = sample("ocr", variant, index, Some(score));
            samples.push(SampleRecord {
                image_id: format!("image {image}"),
                ..one
            });
        }
    }
    let record = record("r", &["ocr"], &["standard", "rave"]);
    let summary = Summary::from_runs(&[run(record, &samples)], "standard").unwrap();
    let difference = summary
        .cell("nano", "ocr", "rave")
        .unwrap()
        .difference
        .unwrap();
    assert!(difference.p < 1e-10);
    assert_eq!(difference.p_by_image, Some(2.0 / 32.0));
    assert!(
        summary
            .notes()
            .iter()
            .any(|note| note.contains("trust the latter"))
    );
}

#[test]
fn holm_is_over_the_variants_of_a_suite() {
    let mut samples = Vec::new();
    for index in 0..40 {
        for (variant, score) in [
            ("standard", index % 2),
            ("rave", 1),
            ("pai", i32::from(index % 2 == 1 || index < 8)),
        ] {
            samples.push(sample(
                "ocr",
                variant,
                index as usize,
                Some(f64::from(score)),
            ));
        }
    }
    let record = record("r", &["ocr"], &["standard", "rave", "pai"]);
    let summary = Summary::from_runs(&[run(record, &samples)], "standard").unwrap();
    let rave = summary
        .cell("nano", "ocr", "rave")
        .unwrap()
        .difference
        .unwrap();
    let pai = summary
        .cell("nano", "ocr", "pai")
        .unwrap()
        .difference
        .unwrap();
    assert!(close(rave.holm_p, 2.0 * rave.p));
    assert!(close(pai.holm_p, pai.p));
}

#[test]
fn several_runs_stand_side_by_side() {
    let (whole, samples) = two_by_two();
    let of = |variant: &str| -> Vec<SampleRecord> {
        samples
            .iter()
            .filter(|sample| sample.variant == variant)
            .cloned()
            .collect()
    };
    let standard = run(
        record("a", &["ocr", "chart"], &["standard"]),
        &of("standard"),
    );
    let rave = run(record("b", &["ocr", "chart"], &["rave"]), &of("rave"));
    let apart = Summary::from_runs(&[standard, rave], "standard").unwrap();
    let together = Summary::from_runs(&[run(whole, &samples)], "standard").unwrap();
    assert_eq!(apart.cells, together.cells);
    assert_eq!(apart.macros, together.macros);
}

#[test]
fn runs_of_other_data_prompts_or_metrics_are_refused_unless_forced() {
    let (first, samples) = two_by_two();
    let others = |change: fn(&mut RunRecord, &mut Vec<SampleRecord>)| {
        let mut second = record("b", &["ocr"], &["pai"]);
        let mut own = vec![sample("ocr", "pai", 0, Some(1.0))];
        change(&mut second, &mut own);
        [run(first.clone(), &samples), run(second, &own)]
    };
    let refused = |runs: &[Run], what: &str| {
        let error = Summary::from_runs(runs, "standard").unwrap_err();
        assert!(matches!(error, Error::Incomparable { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(
        &others(|record, _| record.data.get_mut("ocr").unwrap().fingerprint = "g".into()),
        "another data",
    );
    refused(
        &others(|record, _| record.configuration.suites[0].metric_version = 2),
        "another metric",
    );
    refused(
        &others(|record, _| record.models[0].sha256 = "cd".into()),
        "different weights",
    );
    let prompts = others(|_, samples| samples[0].prompt_sha256 = "other".into());
    refused(&prompts, "another prompt for sample '0000'");
    // Under another seed it is the same sample all the same.
    let apart = others(|_, samples| {
        samples[0].seed = 7;
        samples[0].prompt_sha256 = "other".into();
    });
    refused(&apart, "another prompt for sample '0000'");
    refused(
        &others(|record, _| record.configuration.suites[0].definition = Some("d".into())),
        "another definition",
    );
    refused(
        &others(|record, _| record.configuration.suites[0].asked_alike = true),
        "another way of asking",
    );
    let resampling = rave_results::statistics::Resampling::default();
    let forced = Options {
        baseline: "standard".into(),
        resampling,
        force: true,
    };
    let summary = Summary::with_options(&prompts, &forced).unwrap();
    assert!(
        summary.notes()[0].starts_with("forced comparison of unequal runs: r and b:"),
        "{:?}",
        summary.notes()
    );
}

#[test]
fn wrong_requests_are_refused_with_a_remedy() {
    let (record, samples) = two_by_two();
    let run = run(record, &samples);
    assert!(matches!(
        Summary::from_runs(&[], "standard"),
        Err(Error::NoRuns)
    ));
    let unknown = Summary::from_runs(std::slice::from_ref(&run), "nothing").unwrap_err();
    let unknown = common::told(&unknown);
    assert!(
        unknown.contains("(rave, standard)") && unknown.contains("--baseline"),
        "{unknown}"
    );
    let twice = Summary::from_runs(&[run.clone(), run], "standard")
        .unwrap_err()
        .to_string();
    assert!(
        twice.contains("nano/ocr/standard/0000/seed 1") || twice.contains("recorded twice"),
        "{twice}"
    );
}

#[test]
fn an_empty_run_and_an_untrained_model_say_so() {
    let mut record = record("r", &["ocr"], &["standard"]);
    record.models[0].untrained = true;
    let summary = Summary::from_runs(&[run(record, &[])], "standard").unwrap();
    let notes = summary.notes().join("\n");
    assert!(
        notes.contains("untrained: nano has seeded random weights"),
        "{notes}"
    );
    assert!(
        notes.contains("interrupted: run r has no end") && notes.contains("no samples"),
        "{notes}"
    );
}
