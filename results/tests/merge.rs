//! Merging shards: the rows of one run in its order, and every way in which shards cannot be one run, told by name.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use rave_results::schema::{AttentionRecord, HeadRecord, SelectionRecord, Shard};
use rave_results::{Error, Run, RunRecord, SampleRecord, Summary, merge};

mod common;
use common::{record, sample};

const SUITES: [&str; 2] = ["ocr", "chart"];
const VARIANTS: [&str; 2] = ["standard", "rave"];

/// The samples of a run over so many items a suite: suite by suite, item by item, variant by variant.
fn samples(items: usize) -> Vec<SampleRecord> {
    let mut samples = Vec::new();
    for suite in SUITES {
        for index in 0..items {
            // The third item fails.
            let score = (index != 2).then_some(index as f64);
            samples.extend(VARIANTS.map(|variant| sample(suite, variant, index, score)));
        }
    }
    samples
}

fn belongs(sample: &SampleRecord, shard: Shard) -> bool {
    sample.number.unwrap() as usize % shard.count() + 1 == shard.number()
}

/// The record of a shard of that run.
fn shard_record(items: usize, shard: Shard) -> RunRecord {
    let mut record = record(&format!("run {shard}"), &SUITES, &VARIANTS);
    record.configuration.shard = Some(shard);
    for data in record.data.values_mut() {
        let own = (0..items).filter(|index| index % shard.count() + 1 == shard.number());
        data.rows_used = own.count();
        let ids = (0..items).map(|index| format!("{index:04}"));
        data.selection = Some(SelectionRecord::of(ids));
    }
    record
}

fn probe(sample: &SampleRecord) -> AttentionRecord {
    let head = |head| HeadRecord {
        layer: 0,
        head,
        visual_tokens: 4,
        visual_share: Some(f64::from(head) + sample.number.unwrap() as f64),
        ..HeadRecord::default()
    };
    common::probe(sample, (0..3).map(head).collect())
}

/// Writes the samples of a shard, those of each suite from the last to the first: the order of recording is free.
fn write(folder: &Path, record: &RunRecord, own: &[SampleRecord], finish: bool) -> PathBuf {
    let out = folder.join(record.run.replace('/', " of "));
    let mut writer = common::begin(&out, record).unwrap();
    for sample in own.iter().rev() {
        if sample.score.is_some() {
            writer.append_attention(&probe(sample)).unwrap();
        }
        writer.append(sample).unwrap();
    }
    if finish {
        writer.finish(|_| ()).unwrap();
    }
    out
}

/// Writes all shards of that run, each changed.
fn shards(
    folder: &Path,
    items: usize,
    count: usize,
    change: impl Fn(Shard, &mut RunRecord),
) -> Vec<PathBuf> {
    let write = |shard: Shard| {
        let mut record = shard_record(items, shard);
        change(shard, &mut record);
        let all = samples(items).into_iter();
        let own: Vec<_> = all.filter(|sample| belongs(sample, shard)).collect();
        write(folder, &record, &own, true)
    };
    Shard::all(count).map(write).collect()
}

fn joined(shards: &[PathBuf], out: &Path) -> Result<RunRecord, Error> {
    merge(shards, out, "whole".into(), vec!["rave".into()])
}

/// The message of a merge that is refused and leaves nothing.
fn refused(shards: &[PathBuf], parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let message = common::told(&joined(shards, &out).unwrap_err());
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(!out.exists(), "a refused merge left its folder");
}

#[test]
fn the_rows_are_those_of_one_run_in_its_order() {
    for (items, count) in [(5, 1), (5, 2), (11, 3), (3, 7), (0, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let probed = |_, record: &mut RunRecord| record.configuration.attention = true;
        let mut shards = shards(folder.path(), items, count, probed);
        shards.reverse();
        let out = folder.path().join("out");
        let record = joined(&shards, &out).unwrap();
        let run = Run::open(&out).unwrap();
        assert_eq!(run.record, record);
        assert_eq!(run.samples().unwrap(), samples(items), "{items} of {count}");
        assert_eq!(run.record.due(), Some(samples(items).len() as u64));
        assert_eq!(
            (record.counts.scored + record.counts.failed) as usize,
            samples(items).len()
        );
        assert_eq!(record.configuration.shard, None);
        assert_eq!(record.config_hash, record.configuration.hash());
        let used: Vec<usize> = record.data.values().map(|data| data.rows_used).collect();
        assert_eq!(used, [items; 2]);
        let from: Vec<Shard> = record.merged_from.iter().map(|part| part.shard).collect();
        assert_eq!(from, Shard::all(count).collect::<Vec<_>>());

        // The same from one run, probes and all.
        let mut whole = shard_record(items, "1/1".parse().unwrap());
        whole.run = "one".into();
        whole.configuration.attention = true;
        whole.configuration.shard = None;
        let whole = write(folder.path(), &whole, &samples(items), true);
        for table in ["samples.parquet", "attention.parquet"] {
            let bytes = |run: &Path| fs::read(run.join(table)).unwrap();
            assert!(bytes(&whole) == bytes(&out), "{table}: {items} of {count}");
        }
    }
}

#[test]
fn a_missing_shard_is_named_and_one_that_is_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), 5, 4, |_, _| ());
    refused(&shards[1..], &["shards missing: 1/4\n", "--shard 1/4"]);
    refused(&shards[..2], &["shards missing: 3/4, 4/4\n"]);
    let twice = [&shards[..], &shards[2..3]].concat();
    refused(
        &twice,
        &["both are shard 3/4", "run 3 of 4", "each shard once"],
    );
    refused(&[], &["no run given"]);
    let folder = tempfile::tempdir().unwrap();
    let record = shard_record(5, "12/14".parse().unwrap());
    let one = write(folder.path(), &record, &[], true);
    refused(
        &[one],
        &["shards missing: 1/14, 2/14,", "10/14 and 3 more\n"],
    );
}

#[test]
fn a_shard_that_has_not_finished_is_named_and_so_is_a_whole_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut shards = shards(folder.path(), 5, 2, |_, _| ());
    let mut record = shard_record(5, "2/2".parse().unwrap());
    record.run = "interrupted".into();
    let interrupted = write(folder.path(), &record, &samples(5)[..3], false);
    let whole = std::mem::replace(&mut shards[1], interrupted);
    refused(
        &shards,
        &["interrupted", "shard 2/2 has not finished", "--resume"],
    );
    record.run = "unsharded".into();
    record.configuration.shard = None;
    let own: Vec<_> = Run::open(&whole).unwrap().samples().unwrap();
    shards[1] = write(folder.path(), &record, &own, true);
    refused(&shards, &["'unsharded' is a whole run", "--shard I/N"]);
}

#[test]
fn shards_of_other_runs_are_refused_with_what_differs() {
    type Change = fn(&mut RunRecord);
    let changes: [(Change, &str); 9] = [
        (
            |record| record.configuration.suites[0].limit = Some(6),
            "limit of suite ocr: none in the first, 6 in the second",
        ),
        (
            |record| record.configuration.variants[1].version = 2,
            "version of variant rave: 1 in the first, 2 in the second",
        ),
        (
            |record| record.configuration.dtype = "bf16".into(),
            "dtype: f32 in the first, bf16 in the second",
        ),
        (
            |record| record.code.commit = Some("0123456789abcdef".into()),
            "code: 0.1.0 in the first, 0.1.0 at 0123456789ab in the second",
        ),
        (
            |record| record.libraries.libtorch = Some("2.11.0".into()),
            "libtorch of libraries: none in the first, 2.11.0 in the second",
        ),
        (
            |record| record.models[0].sha256 = "cd".into(),
            "checkpoint of nano: ab in the first, cd in the second",
        ),
        (
            |record| record.data.get_mut("ocr").unwrap().fingerprint = "g".into(),
            "fingerprint of the data of ocr: f in the first, g in the second",
        ),
        (
            |record| {
                let data = record.data.get_mut("chart").unwrap();
                data.selection = Some(SelectionRecord::of(["0000"; 5]));
            },
            "sha256 of selection of the data of chart",
        ),
        (
            |record| record.configuration.shard = Some("2/3".parse().unwrap()),
            "number of shards: 2 in the first, 3 in the second",
        ),
    ];
    for (change, told) in changes {
        let folder = tempfile::tempdir().unwrap();
        let shards = shards(folder.path(), 5, 2, |shard, record| {
            if shard.number() == 2 {
                change(record);
            }
        });
        refused(&shards, &[told, "are not of one run", "shard 1/2 ("]);
    }
}

#[test]
fn where_the_data_lay_and_where_a_shard_ran_is_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), 5, 2, |shard, record| {
        record.machine.cpu = format!("machine {shard}");
        record.data.get_mut("ocr").unwrap().source = format!("folder {shard}");
    });
    let record = joined(&shards, &folder.path().join("out")).unwrap();
    let machines = record.merged_from.iter().map(|part| &part.machine.cpu);
    assert_eq!(machines.collect::<Vec<_>>(), ["machine 1/2", "machine 2/2"]);
    let run = Run::open(&folder.path().join("out")).unwrap();
    let summary = Summary::from_runs(&[run], "standard").unwrap();
    let told = &summary.runs[0].machine;
    assert!(
        told.contains("machine 1/2") && told.contains("; machine 2/2"),
        "{told}"
    );
}

#[test]
fn samples_that_are_not_those_that_were_dealt_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), 4, 2, |_, _| ());
    // Both shards have as many samples: one has those of the other.
    let table = |shard: &Path| shard.join("samples.parquet");
    fs::copy(table(&shards[0]), table(&shards[1])).unwrap();
    let first = fs::read_to_string(shards[0].join("run.json")).unwrap();
    let counts = first.split("\"counts\"").nth(1).unwrap();
    let second = fs::read_to_string(shards[1].join("run.json")).unwrap();
    let (head, old) = second.split_once("\"counts\"").unwrap();
    refused(
        &shards,
        &["run 2 of 2", "samples.parquet", "where run.json counts"],
    );
    assert_ne!(old, counts);
    fs::write(
        shards[1].join("run.json"),
        format!("{head}\"counts\"{counts}"),
    )
    .unwrap();
    refused(
        &shards,
        &["are not the 4 that were dealt out", "run the shards again"],
    );
}

#[test]
fn a_folder_that_holds_a_run_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), 5, 2, |_, _| ());
    let out = folder.path().join("out");
    joined(&shards, &out).unwrap();
    let message = common::told(&joined(&shards, &out).unwrap_err());
    assert!(message.contains("choose another --out"), "{message}");
    let into_a_shard = common::told(&joined(&shards, &shards[0]).unwrap_err());
    assert!(
        into_a_shard.contains("choose another --out"),
        "{into_a_shard}"
    );
    assert_eq!(Run::open(&out).unwrap().scores.len(), 20);
}

#[test]
fn shards_of_many_row_groups_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let shards = shards(folder.path(), 6_000, 2, |_, _| ());
    let out = folder.path().join("out");
    joined(&shards, &out).unwrap();
    let run = Run::open(&out).unwrap();
    assert!(run.samples().unwrap() == samples(6_000));
}
