//! The store: nothing lost, nothing changed, and clear words when something is wrong.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use rave_results::store::{Opened, open, read_log};
use rave_results::{Error, Run, RunRecord, RunWriter, SampleRecord, Summary};

use proptest::prelude::*;

#[path = "../common/mod.rs"]
mod common;
mod resume;
use common::{record, sample};

fn awkward() -> Vec<SampleRecord> {
    let texts = [
        "",
        "None",
        "NaN",
        "null",
        " padded \n",
        "\u{0}\t\"quoted\" \\ ,;",
        "漢字 العربية 🙂",
        "nan",
        "-0",
    ];
    let mut samples: Vec<SampleRecord> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| SampleRecord {
            prediction: (*text).into(),
            prompt: (*text).into(),
            answers: vec![(*text).into(), String::new()],
            category: (*text).into(),
            error: Some((*text).into()),
            score: Some(1.0 / 3.0 + index as f64),
            seed: u64::MAX,
            ..sample("ocr", "standard", index, None)
        })
        .collect();
    let long = "long answer ".repeat(100_000);
    samples.push(SampleRecord {
        prediction: long.clone(),
        answers: vec![long],
        ..sample("ocr", "standard", 90, Some(0.1))
    });
    samples.push(SampleRecord {
        answers: Vec::new(),
        error: None,
        vision_ms: None,
        ..sample("ocr", "standard", 91, None)
    });
    samples
}

/// The record of a run that is to take so many samples.
fn due(samples: usize) -> RunRecord {
    let mut record = record("r", &["ocr"], &["standard"]);
    record.data.get_mut("ocr").unwrap().rows_used = samples;
    record
}

fn write(folder: &Path, samples: &[SampleRecord], finish: bool) {
    let mut writer = common::begin(folder, &due(samples.len())).unwrap();
    for sample in samples {
        writer.append(sample).unwrap();
    }
    if finish {
        let record = writer.finish(|_| ()).unwrap();
        assert_eq!(
            record.counts.scored + record.counts.failed,
            samples.len() as u64
        );
    }
}

#[test]
fn awkward_text_round_trips_through_log_and_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let samples = awkward();
    write(folder.path(), &samples, false);
    assert_eq!(read_log(folder.path()).unwrap().samples, samples);
    let interrupted = Run::open(folder.path()).unwrap();
    assert!(interrupted.interrupted);
    assert_eq!(interrupted.samples().unwrap(), samples);

    let finished = tempfile::tempdir().unwrap();
    write(finished.path(), &samples, true);
    let run = Run::open(finished.path()).unwrap();
    assert!(!run.interrupted);
    assert_eq!(
        (run.record.counts.scored, run.record.counts.failed),
        (10, 1)
    );
    assert_eq!(run.samples().unwrap(), samples);
    assert_eq!(run.scores.len(), samples.len());
    assert!(!finished.path().join("samples.log").exists());
    assert!(!finished.path().join("samples.parquet.tmp").exists());
}

#[test]
fn remarks_beside_a_run_are_read_and_noted_before_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let samples = vec![sample("ocr", "standard", 0, Some(0.5))];
    write(folder.path(), &samples, true);
    assert!(Run::open(folder.path()).unwrap().remarks.is_empty());
    fs::write(
        folder.path().join("remarks.txt"),
        "the gate did not learn\n\n  and more \n",
    )
    .unwrap();
    let run = Run::open(folder.path()).unwrap();
    assert_eq!(run.remarks, ["the gate did not learn", "and more"]);
    let notes = Summary::from_runs(&[run], "standard").unwrap().notes();
    assert_eq!(notes[..2], ["the gate did not learn", "and more"]);
}

#[test]
fn an_empty_run_finishes_and_opens() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[], true);
    let run = Run::open(folder.path()).unwrap();
    assert!(run.scores.is_empty() && run.samples().unwrap().is_empty());
}

#[test]
fn more_samples_than_one_row_group_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..20_050)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    write(folder.path(), &samples, true);
    assert_eq!(
        Run::open(folder.path()).unwrap().samples().unwrap(),
        samples
    );
}

#[test]
fn the_table_is_in_the_order_of_the_data_whatever_the_order_of_recording() {
    let variants = ["rave", "standard"];
    let mut record = record("r", &["ocr", "chart"], &variants);
    let mut samples = Vec::new();
    for suite in ["ocr", "chart"] {
        for index in 0..4 {
            samples.extend(variants.map(|variant| sample(suite, variant, index, Some(0.5))));
        }
    }
    record.data.values_mut().for_each(|data| data.rows_used = 4);
    let folder = tempfile::tempdir().unwrap();
    let mut writer = common::begin(folder.path(), &record).unwrap();
    for start in 0..5 {
        for sample in samples.iter().skip(start).step_by(5) {
            writer.append(sample).unwrap();
        }
    }
    writer.finish(|_| ()).unwrap();
    assert_eq!(
        Run::open(folder.path()).unwrap().samples().unwrap(),
        samples
    );
}

#[test]
fn a_folder_with_a_run_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[sample("ocr", "standard", 0, Some(1.0))],
        false,
    );
    let begin = due(1);
    let interrupted = common::begin(folder.path(), &begin).unwrap_err();
    assert!(
        common::told(&interrupted).contains("--resume"),
        "{interrupted}"
    );
    let (writer, _) = common::go_on(folder.path(), &begin).unwrap();
    writer.finish(|_| ()).unwrap();
    let finished = common::begin(folder.path(), &begin).unwrap_err();
    assert!(
        common::told(&finished).contains("choose another --out"),
        "{finished}"
    );
    assert!(matches!(finished, Error::FinishedRun { .. }));
    assert!(matches!(
        open(folder.path(), &begin, true),
        Ok(Opened::Finished(_))
    ));
    assert_eq!(Run::open(folder.path()).unwrap().scores.len(), 1);
}

#[test]
fn a_run_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let busy = |result: Result<RunWriter, Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        let message = common::told(&error);
        assert!(
            message.contains(folder.path().to_str().unwrap()) && message.contains("another --out"),
            "{message}"
        );
    };
    let resume = || common::go_on(folder.path(), &due(1)).map(|(writer, _)| writer);
    let mut first = common::begin(folder.path(), &due(1)).unwrap();
    busy(resume());
    // Two that begin at once: the other has the folder, and no record of its run yet.
    fs::remove_file(folder.path().join("run.json")).unwrap();
    busy(common::begin(folder.path(), &due(1)));
    first.update(|_| ()).unwrap();
    first
        .append(&sample("ocr", "standard", 0, Some(1.0)))
        .unwrap();
    busy(resume());
    // What a process leaves that died is no lock.
    drop(first);
    assert!(folder.path().join("run.lock").exists());
    resume().unwrap().finish(|_| ()).unwrap();
    assert!(!folder.path().join("run.lock").exists());
}

#[test]
fn a_run_ends_with_the_samples_that_are_due_and_no_others() {
    let samples: Vec<_> = (0..3)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    for (due_samples, remedy) in [(4, "--resume"), (2, "another --out")] {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = common::begin(folder.path(), &due(due_samples)).unwrap();
        for sample in &samples {
            writer.append(sample).unwrap();
        }
        let message = common::told(&writer.finish(|_| ()).unwrap_err());
        let counts = format!("3 samples where {due_samples} are due");
        for part in [counts.as_str(), "its log is kept", remedy] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        let run = Run::open(folder.path()).unwrap();
        assert!(run.interrupted);
        assert_eq!(run.samples().unwrap(), samples);
    }
}

#[test]
fn a_score_that_is_no_number_is_stored_as_unscored() {
    let folder = tempfile::tempdir().unwrap();
    let not_a_number = SampleRecord {
        error: None,
        ..sample("ocr", "standard", 0, Some(f64::NAN))
    };
    write(folder.path(), &[not_a_number], true);
    let run = Run::open(folder.path()).unwrap();
    assert_eq!((run.record.counts.scored, run.record.counts.failed), (0, 1));
    assert_eq!(run.samples().unwrap()[0].score, None);
}

#[test]
fn bad_folders_and_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Run::open(&folder.path().join("nothing"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("nothing") && missing.contains("run.json is missing"),
        "{missing}"
    );

    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let begin = record("r", &["ocr"], &["standard"]);
    let unwritable = common::begin(&file.join("run"), &begin).unwrap_err();
    assert!(
        matches!(unwritable, Error::Unwritable { .. }),
        "{unwritable}"
    );

    // A file in the folder's place, and a folder that the system does not let anybody make: neither is a failed read.
    let mut refused = vec![common::begin(&file, &begin).unwrap_err()];
    if cfg!(target_os = "linux") {
        refused.push(common::begin(Path::new("/proc/rave/run"), &begin).unwrap_err());
    }
    for error in refused {
        let message = common::told(&error);
        assert!(
            message.contains("cannot be written") && message.contains("choose another --out"),
            "{message}"
        );
    }
    assert_eq!(fs::read(&file).unwrap(), b"x");

    let run = folder.path().join("run");
    write(&run, &[sample("ocr", "standard", 0, Some(1.0))], true);
    let json = fs::read_to_string(run.join("run.json")).unwrap();
    fs::write(
        run.join("run.json"),
        json.replace("\"schema_version\": 1", "\"schema_version\": 99"),
    )
    .unwrap();
    let newer = common::told(&Run::open(&run).unwrap_err());
    assert!(
        newer.contains("run.json") && newer.contains("update rave"),
        "{newer}"
    );
    fs::write(run.join("run.json"), "{").unwrap();
    let broken = Run::open(&run).unwrap_err().to_string();
    assert!(broken.contains("not a run record"), "{broken}");
    fs::write(run.join("run.json"), json).unwrap();

    let parquet = fs::read(run.join("samples.parquet")).unwrap();
    for length in [0, 3, parquet.len() / 2, parquet.len() - 1] {
        fs::write(run.join("samples.parquet"), &parquet[..length]).unwrap();
        let message = Run::open(&run).unwrap_err().to_string();
        assert!(message.contains("samples.parquet"), "{message}");
    }
    fs::remove_file(run.join("samples.parquet")).unwrap();
    assert!(
        Run::open(&run)
            .unwrap_err()
            .to_string()
            .contains("samples.parquet")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_called_that() {
    // /dev/full takes nothing, as a full disk would.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("run.json.tmp")).unwrap();
    let error = common::begin(folder.path(), &record("r", &["ocr"], &["standard"])).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert!(error.to_string().contains("run.json"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a model says, and whatever number a metric gives: what is read is what was written.
    #[test]
    fn any_text_and_score_round_trips(
        predictions in prop::collection::vec(any::<String>(), 1..5),
        score in prop::option::of(-1e300..1e300_f64),
        time in prop::option::of(0.0..1e9_f64),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let samples: Vec<SampleRecord> = predictions
            .iter()
            .enumerate()
            .map(|(index, prediction)| SampleRecord {
                prediction: prediction.clone(),
                answers: predictions.clone(),
                decode_ms: time,
                ..sample("ocr", "standard", index, score)
            })
            .collect();
        write(folder.path(), &samples, false);
        prop_assert_eq!(&read_log(folder.path()).unwrap().samples, &samples);
        let (writer, _) = common::go_on(folder.path(), &due(samples.len())).unwrap();
        writer.finish(|_| ()).unwrap();
        prop_assert_eq!(&Run::open(folder.path()).unwrap().samples().unwrap(), &samples);
    }
}
