//! Runs side by side: who is compared with whom, and who may not be.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use rave_results::schema::ModelRecord;
use rave_results::statistics::{Resampling, holm};
use rave_results::summary::Options;
use rave_results::{Error, Run, SampleRecord, Summary, compare};

mod common;
use common::{record, sample};

fn options(baseline: &str) -> Options {
    Options {
        baseline: baseline.into(),
        resampling: Resampling {
            resamples: 500,
            ..Resampling::default()
        },
        force: false,
    }
}

/// Twenty answers; `standard` has every other one right, `rave` so many more.
fn run(name: &str, gained: usize) -> Run {
    let mut samples: Vec<SampleRecord> = Vec::new();
    for index in 0..20 {
        let right = index % 2 == 0;
        samples.push(sample(
            "ocr",
            "standard",
            index,
            Some(f64::from(u8::from(right))),
        ));
        let right = right || index < 2 * gained;
        samples.push(sample(
            "ocr",
            "rave",
            index,
            Some(f64::from(u8::from(right))),
        ));
    }
    Run::from_samples(record(name, &["ocr"], &["standard", "rave"]), &samples)
}

fn gain(summary: &Summary, variant: &str) -> Option<f64> {
    let cell = summary.cell("nano", "ocr", variant).unwrap();
    cell.difference
        .map(|difference| (difference.value * 1e9).round() / 1e9)
}

#[test]
fn overlapping_runs_stand_side_by_side_each_with_its_own_baseline() {
    let runs = [run("a", 2), run("b", 5)];
    let summary = compare(&runs, &options("standard")).unwrap();
    let ids: Vec<&str> = summary.variants.iter().map(|own| own.id.as_str()).collect();
    assert_eq!(ids, ["a:standard", "a:rave", "b:standard", "b:rave"]);
    assert_eq!(summary.baseline, "standard of the same run");
    assert_eq!(gain(&summary, "a:rave"), Some(0.1));
    assert_eq!(gain(&summary, "b:rave"), Some(0.25));
    assert_eq!(
        (gain(&summary, "a:standard"), gain(&summary, "b:standard")),
        (None, None)
    );
    // Each difference is that of its own run's summary; only the correction is over both runs.
    let difference = |name: &str| {
        summary
            .cell("nano", "ocr", name)
            .unwrap()
            .difference
            .unwrap()
    };
    let (a, b) = (difference("a:rave"), difference("b:rave"));
    for (run, own) in runs.iter().zip([a, b]) {
        let alone = Summary::with_options(std::slice::from_ref(run), &options("standard")).unwrap();
        let alone = alone
            .cell("nano", "ocr", "rave")
            .unwrap()
            .difference
            .unwrap();
        assert_eq!(
            (alone.value, alone.interval, alone.p),
            (own.value, own.interval, own.p)
        );
    }
    let corrected = holm(&[a.p, b.p]);
    assert!((a.holm_p - corrected[0]).abs() < 1e-12 && (b.holm_p - corrected[1]).abs() < 1e-12);
    assert!(b.holm_p > b.p);
    assert!(summary.remarks.is_empty());
}

#[test]
fn a_run_as_the_baseline_holds_every_variant_against_its_own() {
    let runs = [run("a", 2), run("b", 5)];
    let summary = compare(&runs, &options("a")).unwrap();
    assert_eq!(summary.baseline, "the same variant of a");
    assert_eq!(gain(&summary, "b:rave"), Some(0.15));
    assert_eq!(gain(&summary, "b:standard"), Some(0.0));
    assert_eq!(
        (gain(&summary, "a:rave"), gain(&summary, "a:standard")),
        (None, None)
    );
}

/// A run's answers under these models, of which the first so many are right.
fn of_models(name: &str, models: &[(&str, usize)]) -> Run {
    let mut record = record(name, &["ocr"], &["standard"]);
    record.configuration.models = models.iter().map(|(id, _)| (*id).to_owned()).collect();
    let first = record.models[0].clone();
    record.models.clear();
    let mut samples: Vec<SampleRecord> = Vec::new();
    for (model, right) in models {
        record.models.push(ModelRecord {
            name: (*model).to_owned(),
            ..first.clone()
        });
        samples.extend((0..20).map(|index| SampleRecord {
            model: (*model).to_owned(),
            ..sample(
                "ocr",
                "standard",
                index,
                Some(f64::from(u8::from(index < *right))),
            )
        }));
    }
    Run::from_samples(record, &samples)
}

#[test]
fn a_run_as_the_baseline_pairs_each_model_with_itself() {
    let gains = |runs: &[Run]| {
        let summary = compare(runs, &options("a")).unwrap();
        let own = summary.cells.iter().filter_map(|cell| {
            let value = cell.difference?.value;
            Some((cell.variant.clone(), (value * 20.0).round() as i64))
        });
        (own.collect::<Vec<_>>(), summary.remarks.clone())
    };
    let before = of_models("a", &[("small", 2), ("large", 10)]);
    let after = of_models("b", &[("small", 5), ("large", 11)]);
    let (found, remarks) = gains(&[before.clone(), after]);
    assert_eq!(
        found,
        [
            ("b:small:standard".to_owned(), 3),
            ("b:large:standard".to_owned(), 1)
        ]
    );
    assert!(remarks.is_empty(), "{remarks:?}");
    // A model that the baseline does not hold is compared with its first, and told.
    let (found, remarks) = gains(&[before, of_models("b", &[("other", 5)])]);
    assert_eq!(found, [("b:standard".to_owned(), 3)]);
    assert!(
        remarks
            .iter()
            .any(|note| note
                .contains("b:standard (other) is compared with a:small:standard (small)")),
        "{remarks:?}"
    );
}

#[test]
fn what_has_no_pair_is_told() {
    let samples: Vec<SampleRecord> = (0..20)
        .map(|index| SampleRecord {
            seed: 7,
            ..sample("ocr", "rave", index, Some(1.0))
        })
        .collect();
    let apart = Run::from_samples(record("b", &["ocr"], &["rave"]), &samples);
    let summary = compare(&[run("a", 2), run("c", 3), apart], &options("a")).unwrap();
    assert_eq!(gain(&summary, "b:rave"), None);
    assert!(
        summary
            .remarks
            .iter()
            .any(|note| note.contains("b:rave and a:rave have no answer to the same sample")),
        "{:?}",
        summary.remarks
    );
}

#[test]
fn one_variant_of_one_run_can_be_everyones_baseline() {
    let runs = [run("a", 2), run("b", 5)];
    let summary = compare(&runs, &options("b:rave")).unwrap();
    assert_eq!(summary.baseline, "b:rave");
    assert_eq!(gain(&summary, "a:rave"), Some(-0.15));
    assert_eq!(gain(&summary, "a:standard"), Some(-0.25));
    assert_eq!(gain(&summary, "b:rave"), None);
    assert_eq!(compare(&runs, &options("b:rave")).unwrap(), summary);
}

#[test]
fn runs_that_complement_each_other_make_one_summary() {
    let whole = run("a", 2);
    let part = |name: &str, variant: &str| {
        let samples: Vec<SampleRecord> = (0..20)
            .map(|index| sample("ocr", variant, index, Some(f64::from(u8::from(index < 7)))))
            .collect();
        Run::from_samples(record(name, &["ocr"], &[variant]), &samples)
    };
    let parts = [part("a", "standard"), part("b", "rave")];
    let together = compare(&parts, &options("standard")).unwrap();
    assert_eq!(
        together,
        Summary::with_options(&parts, &options("standard")).unwrap()
    );
    assert_eq!(together.variants[1].id, "rave");
    let alone = std::slice::from_ref(&whole);
    assert_eq!(
        compare(alone, &options("rave")).unwrap(),
        Summary::with_options(alone, &options("rave")).unwrap()
    );
}

#[test]
fn other_weights_are_compared_and_told_and_other_data_are_refused() {
    let first = run("a", 2);
    let mut second = run("b", 5);
    second.record.models[0].sha256 = "cd".into();
    let summary = compare(&[first.clone(), second.clone()], &options("a:standard")).unwrap();
    assert_eq!(gain(&summary, "b:rave"), Some(0.25));
    let notes = summary.notes().join("\n");
    assert!(
        notes.contains("nano has other weights in b than in a"),
        "{notes}"
    );
    second.record.data.get_mut("ocr").unwrap().fingerprint = "g".into();
    let runs = [first, second];
    let refused = compare(&runs, &options("a:standard")).unwrap_err();
    assert!(matches!(refused, Error::Incomparable { .. }));
    assert!(refused.to_string().contains("another data"), "{refused}");
    let forced = Options {
        force: true,
        ..options("a:standard")
    };
    let notes = compare(&runs, &forced).unwrap().notes().join("\n");
    assert!(
        notes.contains("forced comparison of unequal runs: a and b"),
        "{notes}"
    );
}

/// A grid's hash is of the checkpoints that a run took: with other variants another hash, and the same weights.
#[test]
fn parts_of_a_grid_are_the_same_weights() {
    let part = |name: &str, variant: &str, sha256: &str, checkpoint: &str| {
        let samples: Vec<SampleRecord> = (0..20)
            .map(|index| sample("ocr", variant, index, Some(f64::from(index as u8) / 20.0)))
            .collect();
        let mut record = record(name, &["ocr"], &[variant]);
        record.models[0].sha256 = sha256.into();
        let checkpoints = &mut record.models[0].checkpoints;
        checkpoints.insert("seed 1, standard".into(), checkpoint.into());
        checkpoints.insert(format!("seed 1, {variant}"), checkpoint.into());
        Run::from_samples(record, &samples)
    };
    let first = part("a", "standard", "one", "x");
    let together = compare(
        &[first.clone(), part("b", "rave", "two", "x")],
        &options("standard"),
    );
    assert_eq!(gain(&together.unwrap(), "rave"), Some(0.0));
    let apart = [first, part("b", "rave", "two", "y")];
    let refused = Summary::with_options(&apart, &options("standard")).unwrap_err();
    assert!(
        refused.to_string().contains("different weights"),
        "{refused}"
    );
    let notes = compare(&apart, &options("a:standard"))
        .unwrap()
        .notes()
        .join("\n");
    assert!(
        notes.contains("nano has other weights in b than in a"),
        "{notes}"
    );
}

#[test]
fn runs_of_other_lengths_say_so() {
    let whole = run("a", 2);
    let mut part = run("b", 2);
    part.scores.clone_from(
        &Run::from_samples(
            record("b", &["ocr"], &["standard"]),
            &(0..5)
                .map(|index| sample("ocr", "standard", index, Some(1.0)))
                .collect::<Vec<_>>(),
        )
        .scores,
    );
    part.record.data.get_mut("ocr").unwrap().rows_used = 2;
    let notes = compare(&[whole, part], &options("a:standard"))
        .unwrap()
        .notes()
        .join("\n");
    assert!(notes.contains("ocr: b took 2 rows and a took 4"), "{notes}");
}

#[test]
fn models_of_other_names_are_compared_when_a_run_is_named() {
    let small = run("small", 2);
    let samples: Vec<SampleRecord> = (0..20)
        .map(|index| SampleRecord {
            model: "large".into(),
            ..sample("ocr", "standard", index, Some(1.0))
        })
        .collect();
    let mut record = record("large", &["ocr"], &["standard"]);
    record.configuration.models = vec!["large".into()];
    record.models[0].name = "large".into();
    let runs = [small, Run::from_samples(record, &samples)];
    let summary = compare(&runs, &options("small")).unwrap();
    assert_eq!(summary.models[0].name, "nano + large");
    let cell = summary
        .cell("nano + large", "ocr", "large:standard")
        .unwrap();
    assert!((cell.difference.unwrap().value - 0.5).abs() < 1e-12);
}

#[test]
fn wrong_baselines_and_the_same_run_twice_are_refused() {
    let runs = [run("a", 2), run("b", 5)];
    for wrong in ["pai", "a:pai"] {
        let error = common::told(&compare(&runs, &options(wrong)).unwrap_err());
        assert!(
            error.contains("a:standard") && error.contains("--baseline"),
            "{error}"
        );
    }
    let twice = [run("a", 2), run("a", 2)];
    let error = compare(&twice, &options("standard"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("given twice"), "{error}");
    // The same id in another folder is another run, by the folder's name or the whole of it.
    for (folder, name) in [("elsewhere/b", "b"), ("elsewhere/a", "elsewhere/a")] {
        let mut copies = twice.clone();
        copies[1].folder = PathBuf::from(folder);
        let summary = compare(&copies, &options(name)).unwrap();
        assert_eq!(gain(&summary, "a:rave"), Some(0.0));
    }
}
