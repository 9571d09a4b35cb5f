//! Attention probes on the disk and in the summary.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::Path;

use rave_results::schema::{HeadRecord, RunRecord, SampleRecord};
use rave_results::summary::AttentionCell;
use rave_results::{AttentionRecord, Run, Summary};

mod common;
use common::{record, sample};

const VARIANTS: [&str; 2] = ["standard", "rave"];

fn probing(variants: &[&str]) -> RunRecord {
    let mut record = record("run", &["ocr"], variants);
    record.configuration.attention = true;
    record
}

/// Two layers of two heads, whose visual shares average to `share`.
fn probe(sample: &SampleRecord, share: f64) -> AttentionRecord {
    let head = |(layer, head, shift): (u32, u32, f64)| HeadRecord {
        layer,
        head,
        visual_tokens: 64,
        visual_share: Some(share + shift),
        entropy: Some(1.0),
        effective: Some(std::f64::consts::E),
        box_share: (layer == 1).then_some(0.2),
        box_uniform: (layer == 1).then_some(0.1),
        pointing: Some(f64::NAN),
        ..HeadRecord::default()
    };
    let heads = [(0, 0, -0.02), (0, 1, 0.02), (1, 0, 0.1), (1, 1, -0.1)].map(head);
    common::probe(sample, heads.to_vec())
}

fn samples() -> Vec<SampleRecord> {
    let all = (0..4).flat_map(|index| VARIANTS.map(|variant| (index, variant)));
    all.map(|(index, variant)| sample("ocr", variant, index, Some(1.0)))
        .collect()
}

/// The share of a sample: rave looks 0.05 more at the picture.
fn share(sample: &SampleRecord) -> f64 {
    let index: f64 = sample.sample.parse().unwrap();
    0.3 + 0.01 * index + if sample.variant == "rave" { 0.05 } else { 0.0 }
}

fn cell<'a>(summary: &'a Summary, variant: &str) -> &'a AttentionCell {
    let mut cells = summary.attention.cells.iter();
    cells.find(|cell| cell.variant == variant).unwrap()
}

fn check(folder: &Path) {
    let run = Run::open(folder).unwrap();
    assert_eq!((run.scores.len(), run.attention.len()), (8, 8));
    let summary = Summary::from_runs(&[run], "standard").unwrap();
    assert_eq!(summary.attention.cells.len(), 2, "one suite has no average");
    let rave = cell(&summary, "rave");
    let visual = rave.visual_share.as_ref().unwrap();
    assert_eq!(rave.probed, 4);
    assert!((visual.mean.value - 0.365).abs() < 1e-9);
    let gap = visual.difference.unwrap();
    assert_eq!(gap.pairs, 4);
    // The same difference on every sample: its interval is a point, those of the levels are not.
    for end in [gap.value, gap.interval.low, gap.interval.high] {
        assert!((end - 0.05).abs() < 1e-9);
    }
    assert!(visual.mean.interval.low < 0.364 && visual.mean.interval.high > 0.366);
    let standard = cell(&summary, "standard").visual_share.as_ref().unwrap();
    assert!((standard.mean.value - 0.315).abs() < 1e-9 && standard.difference.is_none());
    assert!((rave.box_share.as_ref().unwrap().mean.value - 0.2).abs() < 1e-9);
    assert!((rave.box_uniform.unwrap() - 0.1).abs() < 1e-9);
    assert!(rave.pointing.is_none(), "a NaN is no value");
    let layers: Vec<_> = summary
        .attention
        .layers
        .iter()
        .filter(|layer| layer.variant == "rave")
        .collect();
    assert_eq!(layers.len(), 2);
    assert!(layers[0].box_share.is_none() && layers[1].box_share.is_some());
}

#[test]
fn probes_come_back_from_the_log_and_from_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = common::begin(folder.path(), &probing(&VARIANTS)).unwrap();
    for sample in samples() {
        writer
            .append_attention(&probe(&sample, share(&sample)))
            .unwrap();
        writer.append(&sample).unwrap();
    }
    check(folder.path());
    writer.finish(|_| {}).unwrap();
    assert!(folder.path().join("attention.parquet").is_file());
    assert!(!folder.path().join("attention.log").exists());
    check(folder.path());
}

#[test]
fn a_crash_between_a_probe_and_its_sample_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = common::begin(folder.path(), &probing(&VARIANTS)).unwrap();
    let all = samples();
    for sample in &all[..3] {
        writer
            .append_attention(&probe(sample, share(sample)))
            .unwrap();
        writer.append(sample).unwrap();
    }
    // The probe is out, its sample is not; and half a line of the next.
    writer
        .append_attention(&probe(&all[3], share(&all[3])))
        .unwrap();
    drop(writer);
    let log = folder.path().join("attention.log");
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(b"0123456789abcdef {\"model\":").unwrap();
    drop(file);
    let mut plain = probing(&VARIANTS);
    plain.configuration.attention = false;
    let refused = common::go_on(folder.path(), &plain)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("attention"), "{refused}");
    let (mut writer, contents) = common::go_on(folder.path(), &probing(&VARIANTS)).unwrap();
    assert_eq!(contents.samples.len(), 3);
    for sample in &all[3..] {
        writer
            .append_attention(&probe(sample, share(sample)))
            .unwrap();
        writer.append(sample).unwrap();
    }
    check(folder.path());
    writer.finish(|_| {}).unwrap();
    check(folder.path());
}

#[test]
fn an_answer_without_a_probe_is_counted_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = common::begin(folder.path(), &probing(&VARIANTS)).unwrap();
    for sample in samples() {
        let mut probe = probe(&sample, share(&sample));
        if sample.sample == "0002" {
            probe.error = Some("out of memory: 3 GiB asked".into());
            probe.heads.clear();
        }
        writer.append_attention(&probe).unwrap();
        writer.append(&sample).unwrap();
    }
    writer.finish(|_| {}).unwrap();
    let run = Run::open(folder.path()).unwrap();
    let summary = Summary::from_runs(&[run], "standard").unwrap();
    let cell = cell(&summary, "rave");
    assert_eq!((cell.probed, cell.failures["out of memory"]), (3, 1));
    assert_eq!(summary.cells[0].scored, 4, "the answers are not touched");
    assert!(
        summary
            .notes()
            .iter()
            .any(|note| note.starts_with("no probe: "))
    );
}

#[test]
fn a_run_without_probes_says_nothing_of_them() {
    let record = record("run", &["ocr"], &VARIANTS);
    let text = serde_json::to_string(&record).unwrap();
    assert!(
        !text.contains("attention"),
        "configurations from before keep their hash"
    );
    let run = Run::from_samples(record, &samples());
    let summary = Summary::from_runs(&[run], "standard").unwrap();
    assert!(summary.attention.is_empty());
    assert!(
        !serde_json::to_string(&summary)
            .unwrap()
            .contains("attention")
    );
}

#[test]
fn training_seeds_are_drawn_and_shown() {
    let mut records = Vec::new();
    let mut all = Vec::new();
    for seed in [1, 2, 3] {
        for mut sample in samples() {
            sample.seed = seed;
            let share =
                share(&sample) + 0.01 * seed as f64 * f64::from(u8::from(sample.variant == "rave"));
            records.push(probe(&sample, share));
            all.push(sample);
        }
    }
    let run = Run::from_samples(probing(&VARIANTS), &all).with_attention(&records);
    let summary = Summary::from_runs(&[run], "standard").unwrap();
    let visual = cell(&summary, "rave").visual_share.as_ref().unwrap();
    let differences: Vec<f64> = visual
        .by_seed
        .iter()
        .map(|seed| seed.difference.unwrap())
        .collect();
    for (found, expected) in differences.iter().zip([0.06, 0.07, 0.08]) {
        assert!((found - expected).abs() < 1e-9, "{differences:?}");
    }
    let interval = visual.difference.unwrap().interval;
    assert!(
        interval.low < 0.065 && interval.high > 0.075,
        "the seeds differ: {interval:?}"
    );
}

#[test]
fn a_layer_that_follows_none_is_refused_before_it_takes_memory() {
    let folder = tempfile::tempdir().unwrap();
    let one = &samples()[0];
    let mut record = probe(one, 0.3);
    record.heads[3].layer = u32::MAX;
    let mut writer = common::begin(folder.path(), &probing(&VARIANTS)).unwrap();
    writer.append_attention(&record).unwrap();
    writer.append(one).unwrap();
    drop(writer);
    let message = Run::open(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("attention.log") && message.contains("layer 4294967295 follows 2"),
        "{message}"
    );
}
