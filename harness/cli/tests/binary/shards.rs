//! `rave eval --shard` and `rave merge`: parts of a run, and the run that they are parts of.

use super::*;

/// Arguments of a run of two suites under two variants, five samples each.
fn arguments(out: &Path, more: &[&str]) -> Vec<String> {
    let all = [&pair("embedded-ocr,embedded-chart", "5", out)[..], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn eval(out: &Path, more: &[&str]) -> Output {
    let output = program().args(arguments(out, more)).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

/// Runs all shards, each into a folder of its own.
fn shards(folder: &Path, count: usize, more: &[&str]) -> Vec<PathBuf> {
    let run = |number| {
        let out = folder.join(format!("{number}-of-{count}"));
        let shard = format!("{number}/{count}");
        eval(&out, &[more, &["--shard", &shard]].concat());
        out
    };
    (1..=count).map(run).collect()
}

fn merge(shards: &[PathBuf], out: &Path) -> Output {
    let mut arguments = vec!["merge"];
    // In any order.
    arguments.extend(shards.iter().rev().map(|shard| text(shard)));
    arguments.extend(["--out", text(out)]);
    rave(&arguments)
}

/// `run.json` without what names or times the run.
fn record(run: &Path) -> Value {
    let text = fs::read(run.join("run.json")).unwrap();
    let mut record: Value = serde_json::from_slice(&text).unwrap();
    for part in ["run", "created", "finished", "command_line", "merged_from"] {
        record.as_object_mut().unwrap().remove(part);
    }
    for time in ["seconds", "waited_seconds"] {
        record["work"]
            .as_object_mut()
            .unwrap()
            .remove(time)
            .unwrap();
    }
    record
}

fn table(path: &Path) -> DataFrame {
    let file = fs::File::open(path).unwrap();
    ParquetReader::new(file).finish().unwrap()
}

/// `samples.parquet` without its times.
fn samples(run: &Path) -> DataFrame {
    let table = table(&run.join("samples.parquet"));
    table.drop_many(["preprocess_ms", "vision_ms", "prefill_ms", "decode_ms"])
}

#[test]
fn merged_shards_are_the_whole_run_however_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    eval(&whole, &[]);
    assert_eq!(samples(&whole).shape(), (20, 17));
    for count in [1, 2, 3, 7] {
        let shards = shards(folder.path(), count, &[]);
        let merged = folder.path().join(format!("merged-{count}"));
        let output = merge(&shards, &merged);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let told = format!("({count} shards, 20 scored, 0 failed)");
        assert!(stderr(&output).contains(&told), "{}", stderr(&output));
        assert!(samples(&merged).equals_missing(&samples(&whole)));
        assert_eq!(record(&merged), record(&whole));
        let parts = Run::open(&merged).unwrap().record.merged_from;
        let names: Vec<String> = parts.iter().map(|part| part.run.clone()).collect();
        let expected: Vec<String> = (1..=count)
            .map(|number| format!("{number}-of-{count}"))
            .collect();
        assert_eq!(names, expected);
        let left: Vec<_> = fs::read_dir(&merged).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
    let merged = folder.path().join("merged-3");
    let report = folder.path().join("report");
    let report = |run| rave(&["report", text(run), "--out", text(&report)]);
    let (of_merged, of_whole) = (report(&merged), report(&whole));
    assert_eq!(of_merged.status.code(), Some(0), "{}", stderr(&of_merged));
    for part in ["embedded-chart", "5 of 200 samples"] {
        assert!(stdout(&of_merged).contains(part), "{}", stdout(&of_merged));
    }
    assert_eq!(of_whole.status.code(), Some(0));
}

#[test]
fn probes_and_drawn_samples_are_merged_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--attention", "--shuffle", "3"];
    let whole = folder.path().join("whole");
    eval(&whole, &more);
    let merged = folder.path().join("merged");
    let output = merge(&shards(folder.path(), 2, &more), &merged);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let probes = |run: &Path| table(&run.join("attention.parquet"));
    assert!(probes(&whole).height() > 20);
    assert!(probes(&merged).equals_missing(&probes(&whole)));
    assert!(samples(&merged).equals_missing(&samples(&whole)));
    assert_eq!(record(&merged), record(&whole));
}

#[test]
fn a_shard_without_samples_says_so_and_one_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("sixth");
    let output = eval(&out, &["--shard", "6/6"]);
    assert!(
        stderr(&output).contains("shard 6/6 has no samples"),
        "{}",
        stderr(&output)
    );
    assert!(answers(&out).is_empty());
    let merged = folder.path().join("merged");
    let refused = merge(&[out], &merged);
    assert_eq!(refused.status.code(), Some(1));
    for part in ["shards missing: 1/6, 2/6, 3/6, 4/6, 5/6\n", "--shard 1/6"] {
        assert!(stderr(&refused).contains(part), "{}", stderr(&refused));
    }
    assert!(!merged.exists());

    for bad in ["0/3", "4/3", "2"] {
        let refused = rave(&["eval", "--model", "nano-untrained", "--shard", bad]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            stderr(&refused).contains("I from 1 to N"),
            "{}",
            stderr(&refused)
        );
    }
}
