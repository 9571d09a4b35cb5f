//! Choosing samples for a reader, and counting what variants won and lost.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rave_results::excerpt::Excerpt;
use rave_results::{Run, Summary};

mod common;
use common::{record, sample};

/// A stored run over two suites of `samples` samples, in which `rave` differs from `standard` on every tenth.
fn stored(folder: &Path, samples: usize, reversed: bool) -> Run {
    let record = {
        let mut record = record("run", &["ocr", "chart"], &["standard", "rave"]);
        for data in record.data.values_mut() {
            data.rows_used = samples;
        }
        record
    };
    let mut writer = common::begin(folder, &record).unwrap();
    let mut rows = Vec::new();
    for suite in ["ocr", "chart"] {
        for index in 0..samples {
            for variant in ["standard", "rave"] {
                let right = index % 2 == 0;
                let differs = variant == "rave" && index % 10 == 0;
                let mut row = sample(
                    suite,
                    variant,
                    index,
                    Some(f64::from(u8::from(right != differs))),
                );
                row.prediction = format!("{suite} {index} {variant}");
                rows.push(row);
            }
        }
    }
    if reversed {
        rows.reverse();
    }
    for row in &rows {
        writer.append(row).unwrap();
    }
    writer.finish(|_| ()).unwrap();
    Run::open(folder).unwrap()
}

fn excerpt(run: Run, most: usize) -> Excerpt {
    let summary = Summary::from_runs(std::slice::from_ref(&run), "standard").unwrap();
    Excerpt::of(&[run], &summary, most).unwrap()
}

#[test]
fn a_small_run_is_shown_whole_with_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    let all = excerpt(stored(folder.path(), 20, false), 40);
    assert_eq!((all.total, all.samples.len()), (40, 40));
    for sample in &all.samples {
        let suite = ["ocr", "chart"][sample.suite];
        for (answers, variant) in sample.answers.iter().zip(["standard", "rave"]) {
            let said = &answers[0].as_ref().unwrap().prediction;
            assert!(said.starts_with(suite) && said.ends_with(variant), "{said}");
        }
    }
    // Two of twenty differ in each suite, both right under standard.
    assert_eq!((all.tallies[0].won, all.tallies[0].lost), (0, 4));
    assert_eq!(all.tallies.len(), 1);
}

#[test]
fn a_choice_has_every_suite_and_what_tells_variants_apart_in_any_order_of_recording() {
    // More rows than a row group, so that texts are read from several.
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let some = excerpt(stored(folder.path(), 6_000, false), 100);
    assert_eq!((some.total, some.samples.len()), (12_000, 100));
    for suite in 0..2 {
        let own = some.samples.iter().filter(|sample| sample.suite == suite);
        let differ = |answers: &[Vec<Option<rave_results::excerpt::Answer>>]| {
            answers[0][0].as_ref().unwrap().score != answers[1][0].as_ref().unwrap().score
        };
        let telling = own.clone().filter(|sample| differ(&sample.answers)).count();
        assert_eq!((own.count(), telling), (50, 25));
    }
    assert_eq!((some.tallies[0].won, some.tallies[0].lost), (0, 1_200));
    assert_eq!(some, excerpt(stored(other.path(), 6_000, true), 100));
}
