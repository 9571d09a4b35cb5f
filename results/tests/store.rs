//! The store: nothing lost, nothing changed, and clear words when something is wrong.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use rave_results::{Error, Run, RunRecord, RunWriter, SampleRecord, store::read_log};

use proptest::prelude::*;

mod common;
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
    let mut writer = RunWriter::create(folder, &due(samples.len())).unwrap();
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
fn a_log_cut_anywhere_loses_the_last_record_alone() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..3)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    write(folder.path(), &samples, false);
    let log = folder.path().join("samples.log");
    let whole = fs::read(&log).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for length in last..whole.len() {
        fs::write(&log, &whole[..length]).unwrap();
        let contents = read_log(folder.path()).unwrap();
        assert_eq!(contents.samples, samples[..2], "cut at {length}");
        assert_eq!(contents.truncated_bytes, (length - last) as u64);
        assert!(contents.damaged_lines.is_empty());
    }
}

#[test]
fn a_flipped_bit_costs_its_line_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..3)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    write(folder.path(), &samples, false);
    let log = folder.path().join("samples.log");
    let mut bytes = fs::read(&log).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 40;
    bytes[second] ^= 1;
    fs::write(&log, bytes).unwrap();
    let run = Run::open(folder.path()).unwrap();
    assert_eq!(run.damaged_lines, [2]);
    assert_eq!(
        run.samples().unwrap(),
        [samples[0].clone(), samples[2].clone()]
    );
}

#[test]
fn resume_cuts_the_torn_tail_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..4)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    let mut writer = RunWriter::create(folder.path(), &due(4)).unwrap();
    for sample in &samples[..2] {
        writer.append(sample).unwrap();
    }
    drop(writer);
    let mut log = OpenOptions::new()
        .append(true)
        .open(folder.path().join("samples.log"))
        .unwrap();
    log.write_all(b"0123456789abcdef {\"model\":\"na").unwrap();
    let begin = RunRecord {
        run: "another id".into(),
        ..due(4)
    };
    let (mut writer, done) = RunWriter::resume(folder.path(), &begin).unwrap();
    assert_eq!(done.samples, samples[..2]);
    assert!(done.truncated_bytes > 0);
    for sample in &samples[2..] {
        writer.append(sample).unwrap();
    }
    assert_eq!(writer.finish(|_| ()).unwrap().run, "r");
    assert_eq!(
        Run::open(folder.path()).unwrap().samples().unwrap(),
        samples
    );
}

#[test]
fn resume_refuses_a_changed_run_and_says_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[], false);
    let mut other = record("r", &["ocr"], &["standard", "rave"]);
    other.data = due(0).data;
    other.configuration.seed = Some(9);
    other.models[0].sha256 = "cd".into();
    let message = RunWriter::resume(folder.path(), &other)
        .unwrap_err()
        .to_string();
    let told = "in: seed: 1 before, 9 now; variants: standard before, standard,rave now; checkpoint of nano: ab before, cd now;";
    assert!(message.contains(told), "{message}");
}

#[test]
fn what_changed_is_told_with_both_values_where_they_are_short() {
    type Change = fn(&mut RunRecord);
    let changes: [(Change, &str); 8] = [
        (
            |run| run.configuration.suites[0].limit = Some(6),
            "in: limit of suite ocr: none before, 6 now;",
        ),
        (
            |run| run.configuration.suites[0].metric_version = 2,
            "in: metric_version of suite ocr: 1 before, 2 now;",
        ),
        (
            |run| run.configuration.variants[0].version = 2,
            "in: version of variant standard: 1 before, 2 now;",
        ),
        (
            |run| run.configuration.threads = 4,
            "in: threads (the last bits of sums depend on how many there are): 2 before, 4 now;",
        ),
        (
            |run| run.configuration.shard = Some("2/3".parse().unwrap()),
            "in: shard: none before, 2/3 now;",
        ),
        (
            |run| run.code.commit = Some("0123456789abcdef".into()),
            "in: code: 0.1.0 before, 0.1.0 at 0123456789ab now;",
        ),
        (
            |run| run.data.get_mut("ocr").unwrap().fingerprint = "ab".repeat(32),
            "in: fingerprint of the data of ocr: f before, abababababab.. now;",
        ),
        (
            |run| run.models[0].sha256 = "cd".repeat(32),
            "in: checkpoint of nano: ab before, cdcdcdcdcdcd.. now;",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[], false);
    for (change, told) in changes {
        let mut other = due(0);
        change(&mut other);
        let error = RunWriter::resume(folder.path(), &other).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
    // A model is known only once it is loaded.
    let (mut writer, _) = RunWriter::resume(folder.path(), &due(0)).unwrap();
    let mut other = due(0).models.remove(0);
    other.sha256 = "cd".into();
    let message = writer.model(other).unwrap_err().to_string();
    assert!(
        message.contains("in: checkpoint of nano: ab before, cd now;"),
        "{message}"
    );
}

#[test]
fn a_run_goes_on_after_a_log_cut_at_any_byte() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..3)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    write(folder.path(), &samples, false);
    let log = folder.path().join("samples.log");
    let whole = fs::read(&log).unwrap();
    let end = |part: &[u8]| part.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let last = end(&whole[..whole.len() - 1]);
    for length in last..whole.len() {
        fs::write(&log, &whole[..length]).unwrap();
        let (mut writer, done) = RunWriter::resume(folder.path(), &due(3)).unwrap();
        assert_eq!(done.samples, samples[..2], "cut at {length}");
        writer.append(&samples[2]).unwrap();
        drop(writer);
        assert!(fs::read(&log).unwrap() == whole, "cut at {length}");
    }
    let (writer, _) = RunWriter::resume(folder.path(), &due(3)).unwrap();
    writer.finish(|_| ()).unwrap();
    assert_eq!(
        Run::open(folder.path()).unwrap().samples().unwrap(),
        samples
    );
}

#[test]
fn a_crash_between_any_two_steps_of_the_end_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..3)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    write(folder.path(), &samples, false);
    let at = |name: &str| folder.path().join(name);
    let (log, begun) = (
        fs::read(at("samples.log")).unwrap(),
        fs::read(at("run.json")).unwrap(),
    );
    let end = || {
        RunWriter::resume(folder.path(), &due(3))
            .unwrap()
            .0
            .finish(|_| ())
    };
    end().unwrap();
    let (table, finished) = (
        fs::read(at("samples.parquet")).unwrap(),
        fs::read(at("run.json")).unwrap(),
    );

    // The table half written, in place, or in place beside a half-written record; the log and the first record are there.
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let steps = [
        ("samples.parquet.tmp", half(&table)),
        ("samples.parquet", table.clone()),
        ("run.json.tmp", half(&finished)),
    ];
    for (name, content) in steps {
        fs::write(at("samples.log"), &log).unwrap();
        fs::write(at("run.json"), &begun).unwrap();
        fs::write(at(name), content).unwrap();
        let run = Run::open(folder.path()).unwrap();
        assert!(
            run.interrupted && run.samples().unwrap() == samples,
            "{name}"
        );
        end().unwrap();
        assert!(fs::read(at("samples.parquet")).unwrap() == table, "{name}");
        assert!(!at(name).exists() || name == "samples.parquet", "{name}");
    }
    // The record says that it has finished, and the log is not removed yet.
    fs::write(at("samples.log"), &log).unwrap();
    let run = Run::open(folder.path()).unwrap();
    assert!(!run.interrupted && run.samples().unwrap() == samples);
    assert!(RunWriter::has_ended(folder.path()).unwrap());
    let mut other = due(3);
    other.models[0].sha256 = "cd".into();
    let error = RunWriter::ended(folder.path(), &other).unwrap_err();
    assert!(matches!(error, Error::ChangedRun { .. }), "{error}");
    assert_eq!(
        RunWriter::ended(folder.path(), &due(3)).unwrap(),
        run.record
    );
    assert!(!at("samples.log").exists());
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
    let mut writer = RunWriter::create(folder.path(), &record).unwrap();
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
    let interrupted = RunWriter::create(folder.path(), &begin).unwrap_err();
    assert!(
        interrupted.to_string().contains("--resume"),
        "{interrupted}"
    );
    let (writer, _) = RunWriter::resume(folder.path(), &begin).unwrap();
    writer.finish(|_| ()).unwrap();
    let finished = RunWriter::create(folder.path(), &begin).unwrap_err();
    assert!(
        finished.to_string().contains("choose another --out"),
        "{finished}"
    );
    assert!(matches!(
        RunWriter::resume(folder.path(), &begin),
        Err(Error::FinishedRun { .. })
    ));
    assert_eq!(Run::open(folder.path()).unwrap().scores.len(), 1);
}

#[test]
fn a_run_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let busy = |result: Result<RunWriter, Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(folder.path().to_str().unwrap()) && message.contains("another --out"),
            "{message}"
        );
    };
    let resume = || RunWriter::resume(folder.path(), &due(1)).map(|(writer, _)| writer);
    let mut first = RunWriter::create(folder.path(), &due(1)).unwrap();
    busy(resume());
    // Two that begin at once: the other has the folder, and no record of its run yet.
    fs::remove_file(folder.path().join("run.json")).unwrap();
    busy(RunWriter::create(folder.path(), &due(1)));
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
        let mut writer = RunWriter::create(folder.path(), &due(due_samples)).unwrap();
        for sample in &samples {
            writer.append(sample).unwrap();
        }
        let message = writer.finish(|_| ()).unwrap_err().to_string();
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
    let unwritable = RunWriter::create(&file.join("run"), &begin).unwrap_err();
    assert!(
        matches!(unwritable, Error::Unwritable { .. }),
        "{unwritable}"
    );

    // A file in the folder's place, and a folder that the system does not let anybody make: neither is a failed read.
    let mut refused = vec![RunWriter::create(&file, &begin).unwrap_err()];
    if cfg!(target_os = "linux") {
        refused.push(RunWriter::create(Path::new("/proc/rave/run"), &begin).unwrap_err());
    }
    for error in refused {
        let message = error.to_string();
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
    let newer = Run::open(&run).unwrap_err().to_string();
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
    let error =
        RunWriter::create(folder.path(), &record("r", &["ocr"], &["standard"])).unwrap_err();
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
        let (writer, _) = RunWriter::resume(folder.path(), &due(samples.len())).unwrap();
        writer.finish(|_| ()).unwrap();
        prop_assert_eq!(&Run::open(folder.path()).unwrap().samples().unwrap(), &samples);
    }
}
