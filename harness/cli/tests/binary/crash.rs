//! A run that is killed at any moment ends with the records of one that was not; what its log holds stays what it was.

use std::process::ExitStatus;

use rave_results::store::read_log;

use super::*;

/// Kills of the test, however many runs they fall on.
const KILLS: usize = 25;

/// The run of these tests: two suites under two variants, probes and all.
fn arguments(out: &Path) -> Vec<String> {
    let base = pair("embedded-ocr,embedded-chart", "12", out);
    let all = [&base[..], &["--attention", "--resume"]].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn eval(out: &Path) -> Output {
    let output = program().args(arguments(out)).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

/// Lets the run go on for a while and kills it, unless it ends before that.
pub fn killed_after(arguments: &[String], delay: Duration) -> ExitStatus {
    let mut child = start(arguments);
    let begin = Instant::now();
    while begin.elapsed() < delay && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    // Whether it has ended by itself shows in its status.
    let _ = child.kill();
    child.wait().unwrap()
}

/// Fractions that look random and are the same each time (the generator is that of Knuth's MMIX).
pub fn fractions(mut seed: u64) -> impl FnMut() -> f64 {
    move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What is recorded in a run's folder, also where it was killed before there was a run.
fn recorded(run: &Path) -> (Vec<SampleRecord>, bool) {
    if !run.join("run.json").exists() {
        return (Vec::new(), false);
    }
    let run = Run::open(run).unwrap();
    (run.samples().unwrap(), !run.interrupted)
}

/// The probes of a finished run.
fn probes(run: &Path) -> DataFrame {
    let table = fs::File::open(run.join("attention.parquet")).unwrap();
    ParquetReader::new(table).finish().unwrap()
}

/// Holds a finished run against the whole one: every sample once, in its order.
fn assert_whole(run: &Path, whole: &Path) {
    assert_eq!(records(run), records(whole));
    assert!(probes(run).equals_missing(&probes(whole)));
}

#[test]
fn killed_at_25_moments_a_run_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let start = Instant::now();
    eval(&whole);
    let length = start.elapsed();
    assert_eq!(records(&whole).len(), 48);

    let (mut kills, mut runs, mut in_between) = (0, 0, 0);
    let mut fraction = fractions(7);
    let mut before: Vec<SampleRecord> = Vec::new();
    let mut run = folder.path().join("run 0");
    while kills < KILLS {
        let status = killed_after(&arguments(&run), length.mul_f64(fraction()));
        let (now, finished) = recorded(&run);
        // Nothing that was recorded is missing, changed or double, its times included: in the log it stands where it stood, in
        // the table where the order of the data puts it.
        if finished {
            let kept = before.iter().all(|sample| now.contains(sample));
            assert!(
                kept,
                "kill {kills}: a sample of the log is not in the table"
            );
        } else {
            assert_eq!(now[..before.len()], before, "kill {kills}");
        }
        match status.code() {
            None => kills += 1,
            code => assert_eq!((code, finished), (Some(0), true), "kill {kills}"),
        }
        in_between += usize::from(!finished && now.len() > before.len());
        before = now;
        if finished {
            assert_whole(&run, &whole);
            runs += 1;
            run = folder.path().join(format!("run {runs}"));
            before.clear();
        }
    }
    assert!(in_between > 0, "no kill came while samples were recorded");
    eval(&run);
    assert_whole(&run, &whole);
    // And once more, as a script would do that was stopped while the report was written.
    let again = eval(&run);
    assert!(
        stderr(&again).contains("the run has finished already"),
        "{}",
        stderr(&again)
    );
    assert_whole(&run, &whole);
}

#[test]
fn what_a_damaged_log_lost_is_told_and_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let output = eval(&whole);
    let begun = format!("no run in {} yet, it begins now", text(&whole));
    assert!(stderr(&output).contains(&begun), "{}", stderr(&output));
    let arguments = arguments(&run);
    let recorded = kill(&arguments, &run, 8);
    assert!((8..48).contains(&recorded), "{recorded}");

    // A bit flips in the third line, and the power goes in the middle of the last.
    let log = run.join("samples.log");
    let mut bytes = fs::read(&log).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').collect();
    bytes.truncate(ends[recorded - 2] + 1 + 70);
    bytes[ends[1] + 60] ^= 1;
    fs::write(&log, bytes).unwrap();
    assert_eq!(read_log(&run).unwrap().samples.len(), recorded - 2);

    let output = eval(&run);
    for told in [
        "70 bytes dropped, the sample is asked again".to_owned(),
        "samples.log: 1 damaged (line 3); the samples are asked again".to_owned(),
        format!("{} samples are recorded already", recorded - 2),
    ] {
        assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    }
    assert_whole(&run, &whole);
}
