//! The numbers come back as they were written, and what is made of them is right on cases that are known.

use std::fs;

use super::*;
use crate::Error;
use crate::schema::FailureKind;
use crate::statistics::Resampling;
use crate::store::{Opened, open};

fn record() -> LatencyRecord {
    let configuration = LatencyConfiguration {
        model: "nano".into(),
        variants: Vec::new(),
        image_tokens: vec![64],
        text_tokens: vec![8],
        new_tokens: 5,
        seconds: 1.0,
        warmup_seconds: 0.5,
        check_noise: true,
        dtype: "f32".into(),
        device: "cpu".into(),
        threads: 2,
    };
    LatencyRecord {
        tokens_per_tile: 64,
        notes: vec!["a note".into()],
        load_average: [Some(0.5), None],
        ..LatencyRecord::new(
            "run".into(),
            vec!["rave".into()],
            configuration,
            CodeVersion::default(),
            Libraries::default(),
        )
    }
}

fn row(variant: &str, round: u32, phase: Phase, milliseconds: f64) -> LatencyRow {
    LatencyRow {
        model: "nano".into(),
        variant: variant.into(),
        image_tokens: 64,
        text_tokens: 8,
        new_tokens: 5,
        round,
        turn: 0,
        phase,
        milliseconds: Some(milliseconds),
        bytes: None,
        error: None,
    }
}

fn memory(variant: &str, phase: Phase, bytes: Option<u64>) -> LatencyRow {
    LatencyRow {
        milliseconds: None,
        bytes,
        error: bytes.is_none().then(|| "peak memory: no /proc here".into()),
        ..row(variant, 0, phase, 0.0)
    }
}

/// A machine that slows down tenfold within the run: `rave` takes 1.2 times as long throughout.
fn drifting() -> Vec<LatencyRow> {
    let mut rows = vec![
        row("", 0, Phase::Vision, 50.0),
        row("", 1, Phase::Vision, 70.0),
    ];
    for round in 0..20 {
        let pace = 1.0 + 0.5 * f64::from(round);
        rows.push(row(BASELINE, round, Phase::Prefill, 10.0 * pace));
        rows.push(row(BASELINE, round, Phase::Decode, 8.0 * pace));
        let wobble = if round % 2 == 0 { 1.03 } else { 0.98 };
        rows.push(row(AGAIN, round, Phase::Prefill, 10.0 * pace * wobble));
        rows.push(row(AGAIN, round, Phase::Decode, 8.0 * pace));
        rows.push(row("rave", round, Phase::Prefill, 12.0 * pace));
        rows.push(row("rave", round, Phase::Decode, 4.0 * pace));
    }
    rows.push(memory("rave", Phase::Cache, Some(1_000)));
    rows.push(memory("rave", Phase::PeakMemory, None));
    rows
}

fn summary() -> LatencySummary {
    let run = LatencyRun {
        record: record(),
        rows: drifting(),
    };
    LatencySummary::of(&run, &Resampling::default())
}

fn begin(out: &Path) -> Result<LatencyWriter, Error> {
    match open(out, &record(), false)? {
        Opened::New(folder) => Ok(LatencyWriter::new(folder)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_comes_back_and_its_folder_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let writer = begin(&out).unwrap();
    // Interrupted before the first cell, then after it.
    assert!(LatencyRun::open(&out).unwrap().rows.is_empty());
    writer.rows(&drifting()).unwrap();
    let interrupted = LatencyRun::open(&out).unwrap();
    assert_eq!(interrupted.rows, drifting());
    assert_eq!(interrupted.record, record_at(&interrupted.record));
    let ended = writer.finish(Some(1.5)).unwrap();
    let read = LatencyRun::open(&out).unwrap();
    assert_eq!((read.record, read.rows), (ended, drifting()));
    let taken = begin(&out).unwrap_err().to_string();
    assert!(taken.contains("already holds a latency run"), "{taken}");
}

/// The record with the time of another: the only part that differs from call to call.
fn record_at(other: &LatencyRecord) -> LatencyRecord {
    LatencyRecord {
        created: other.created,
        ..record()
    }
}

#[test]
fn a_published_run_is_read_by_its_older_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs/latency-smolvlm-256m");
    let text = fs::read_to_string(folder.join(RECORD)).unwrap();
    assert!(text.contains("\"warm_up_seconds\": 10.0"));
    let run = LatencyRun::open(&folder).unwrap();
    assert!((run.record.configuration.warmup_seconds - 10.0).abs() < 1e-12);
}

#[test]
fn reasons_are_stored_as_the_text_that_older_tables_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NUMBERS);
    let older = "peak memory: its process ended with exit status: 1: no memory";
    let failed = LatencyRow {
        error: Some(older.into()),
        ..memory("rave", Phase::PeakMemory, None)
    };
    let foreign = LatencyRow {
        error: Some("The size of tensor a (3) must match: b".into()),
        ..row("rave", 0, Phase::Prefill, 1.0)
    };
    write_rows(&path, &[failed, foreign]).unwrap();
    let table = Table::read(&path, None).unwrap();
    assert_eq!(table.text("error").unwrap().get(0), Some(older));
    let read = read_rows(&path).unwrap();
    let reason = |row: usize| read[row].error.clone().unwrap();
    assert_eq!(reason(0).kind, FailureKind::PeakMemory);
    assert_eq!(
        reason(1).to_string(),
        "The size of tensor a (3) must match: b"
    );
}

#[test]
fn damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let writer = begin(folder.path()).unwrap();
    writer.rows(&drifting()).unwrap();
    writer.finish(None).unwrap();
    fs::write(folder.path().join(NUMBERS), "x").unwrap();
    let message = LatencyRun::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains(NUMBERS), "{message}");
    fs::write(folder.path().join(RECORD), "{\"latency_version\": 9}").unwrap();
    let message = LatencyRun::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("latency_version"), "{message}");
}

#[test]
fn ratios_are_within_rounds_and_drift_cancels() {
    let summary = summary();
    let find = |variant: &str| {
        let mut arms = summary.arms_of((64, 8));
        arms.find(|arm| arm.variant == variant).unwrap()
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} for {b}");
    let ratio = |time: Option<Time>| time.unwrap().ratio.unwrap();
    let rave = find("rave");
    assert_eq!(rave.rounds, 20);
    // The medians drift with the machine, the ratio does not; medians of 10 x 1, 1.5, .. 10.5.
    near(find(BASELINE).prefill.unwrap().median_ms, 57.5);
    near(ratio(rave.prefill).value, 1.2);
    near(ratio(rave.prefill).interval.low, 1.2);
    near(ratio(rave.prefill).interval.high, 1.2);
    // A decoding of five tokens makes four passes.
    near(find(BASELINE).decode.unwrap().median_ms, 11.5);
    near(ratio(rave.decode).value, 0.5);
    near(ratio(find(BASELINE).decode).value, 1.0);
    // 60 ms of vision are in both sums.
    near(rave.first_token.unwrap().median_ms, 60.0 + 1.2 * 57.5);
    assert!(ratio(rave.first_token).value < 1.2);
    assert_eq!((rave.cache_bytes, rave.peak_bytes), (Some(1_000), None));
    let failure = Failure::new(FailureKind::PeakMemory, "no /proc here");
    assert_eq!(rave.errors, [failure]);
}

#[test]
fn what_the_machine_resolves_is_the_far_end_of_its_own_interval() {
    let summary = summary();
    let noise = summary.noise_of((64, 8)).unwrap();
    // Half of the rounds at 1.03 and half at 0.98: the interval of the median reaches both.
    assert!((noise.prefill.unwrap() - 1.03).abs() < 1e-9, "{noise:?}");
    assert!((noise.decode.unwrap() - 1.0).abs() < 1e-9, "{noise:?}");
}
