//! Going on after an interruption: torn and damaged logs, runs that are others now, crashes at the end.

use super::*;

/// Three samples that a run has recorded.
fn recorded(folder: &Path) -> Vec<SampleRecord> {
    let samples: Vec<_> = (0..3)
        .map(|index| sample("ocr", "standard", index, Some(0.5)))
        .collect();
    write(folder, &samples, false);
    samples
}

#[test]
fn a_flipped_bit_costs_its_line_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let samples = recorded(folder.path());
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
    let mut writer = common::begin(folder.path(), &due(4)).unwrap();
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
    let (mut writer, done) = common::go_on(folder.path(), &begin).unwrap();
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
    let message = common::go_on(folder.path(), &other)
        .unwrap_err()
        .to_string();
    let told = "in: seed: 1 before, 9 now; variants: standard before, standard,rave now; checkpoint of nano: ab before, cd now";
    assert!(message.contains(told), "{message}");
}

#[test]
fn what_changed_is_told_with_both_values_where_they_are_short() {
    type Change = fn(&mut RunRecord);
    let changes: [(Change, &str); 8] = [
        (
            |run| run.configuration.suites[0].limit = Some(6),
            "in: limit of suite ocr: none before, 6 now",
        ),
        (
            |run| run.configuration.suites[0].metric_version = 2,
            "in: metric_version of suite ocr: 1 before, 2 now",
        ),
        (
            |run| run.configuration.variants[0].version = 2,
            "in: version of variant standard: 1 before, 2 now",
        ),
        (
            |run| run.configuration.threads = 4,
            "in: threads (the last bits of sums depend on how many there are): 2 before, 4 now",
        ),
        (
            |run| run.configuration.shard = Some("2/3".parse().unwrap()),
            "in: shard: none before, 2/3 now",
        ),
        (
            |run| run.code.commit = Some("0123456789abcdef".into()),
            "in: code: 0.1.0 before, 0.1.0 at 0123456789ab now",
        ),
        (
            |run| run.data.get_mut("ocr").unwrap().fingerprint = "ab".repeat(32),
            "in: fingerprint of the data of ocr: f before, abababababab.. now",
        ),
        (
            |run| run.models[0].sha256 = "cd".repeat(32),
            "in: checkpoint of nano: ab before, cdcdcdcdcdcd.. now",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[], false);
    for (change, told) in changes {
        let mut other = due(0);
        change(&mut other);
        let error = common::go_on(folder.path(), &other).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
    // A model is known only once it is loaded.
    let (mut writer, _) = common::go_on(folder.path(), &due(0)).unwrap();
    let mut other = due(0).models.remove(0);
    other.sha256 = "cd".into();
    let message = writer.model(other).unwrap_err().to_string();
    assert!(
        message.contains("in: checkpoint of nano: ab before, cd now"),
        "{message}"
    );
}

#[test]
fn a_log_cut_at_any_byte_loses_the_last_record_alone_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let samples = recorded(folder.path());
    let log = folder.path().join("samples.log");
    let whole = fs::read(&log).unwrap();
    let end = |part: &[u8]| part.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let last = end(&whole[..whole.len() - 1]);
    for length in last..whole.len() {
        fs::write(&log, &whole[..length]).unwrap();
        let contents = read_log(folder.path()).unwrap();
        assert_eq!(contents.samples, samples[..2], "cut at {length}");
        assert_eq!(contents.truncated_bytes, (length - last) as u64);
        assert!(contents.damaged_lines.is_empty());
        let (mut writer, done) = common::go_on(folder.path(), &due(3)).unwrap();
        assert_eq!(done.samples, samples[..2], "cut at {length}");
        writer.append(&samples[2]).unwrap();
        drop(writer);
        assert!(fs::read(&log).unwrap() == whole, "cut at {length}");
    }
    let (writer, _) = common::go_on(folder.path(), &due(3)).unwrap();
    writer.finish(|_| ()).unwrap();
    assert_eq!(
        Run::open(folder.path()).unwrap().samples().unwrap(),
        samples
    );
}

#[test]
fn a_crash_between_any_two_steps_of_the_end_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let samples = recorded(folder.path());
    let at = |name: &str| folder.path().join(name);
    let (log, begun) = (
        fs::read(at("samples.log")).unwrap(),
        fs::read(at("run.json")).unwrap(),
    );
    let end = || {
        common::go_on(folder.path(), &due(3))
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
    let mut other = due(3);
    other.models[0].sha256 = "cd".into();
    let error = open(folder.path(), &other, true).unwrap_err();
    assert!(matches!(error, Error::ChangedRun { .. }), "{error}");
    let Opened::Finished(ended) = open(folder.path(), &due(3), true).unwrap() else {
        panic!("it has finished");
    };
    assert_eq!(ended, run.record);
    assert!(!at("samples.log").exists());
}
