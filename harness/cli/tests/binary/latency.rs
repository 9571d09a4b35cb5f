//! `rave latency` on nano-untrained with tiny budgets: what is recorded, what is reported from the records alone, bad input,
//! and that peak memory is linear in length.

use rave_results::latency::{
    AGAIN, BASELINE, LatencyRow, LatencyRun, LatencySummary, NUMBERS, Phase,
};
use rave_results::statistics::Resampling;

use super::*;

const TINY: [&str; 15] = [
    "latency",
    "--model",
    "nano-untrained",
    "--image-tokens",
    "64,128",
    "--text-tokens",
    "4",
    "--new-tokens",
    "3",
    "--seconds",
    "0.01",
    "--warmup",
    "0.01",
    "--check-noise",
    "--out",
];

#[test]
fn a_run_keeps_every_number_and_is_reported_from_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // The baseline is measured without being named; a preset from a file is measured in its own process as well.
    let preset = folder.path().join("mine.toml");
    fs::write(&preset, "method = \"rave\"\nrank = 4\n").unwrap();
    let variants = format!("rave,{}", text(&preset));
    let output = rave(&[&TINY[..], &[text(&out), "--variant", &variants, "--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let run = LatencyRun::open(&out).unwrap();
    assert!(run.record.finished.is_some());
    assert_eq!(run.record.tokens_per_tile, 64);
    assert_eq!(run.record.model.sha256.len(), 64);
    assert_eq!(run.record.configuration.threads, 1);
    let field = [BASELINE, AGAIN, "rave", "mine"];
    for image_tokens in [64, 128] {
        let of = |phase: Phase| {
            let own = move |row: &&LatencyRow| {
                row.phase == phase && row.image_tokens == image_tokens && row.text_tokens == 4
            };
            run.rows.iter().filter(own).collect::<Vec<_>>()
        };
        // The vision side runs once a size, for all variants and texts.
        let vision = run.rows.iter().filter(|row| row.phase == Phase::Vision);
        assert!(
            vision
                .filter(|row| row.image_tokens == image_tokens)
                .count()
                >= 3
        );
        for phase in [Phase::Prefill, Phase::Decode] {
            let rows = of(phase);
            let rounds = rows.iter().map(|row| row.round).max().unwrap() + 1;
            assert!(rounds >= 5);
            // Every arm once a round, forwards and backwards in turn.
            let order: Vec<&str> = rows.iter().map(|row| row.variant.as_str()).collect();
            for (round, names) in order.chunks(field.len()).enumerate() {
                let mut expected = field.to_vec();
                if round % 2 == 1 {
                    expected.reverse();
                }
                assert_eq!(names, expected);
            }
            assert!(rows.iter().all(|row| row.milliseconds.unwrap() > 0.0));
        }
        // RAVE's folded keys are wider, by its rank; one layer of nano holds 2 heads of 32 keys and 32 values.
        let cache = |variant: &str| {
            let rows = of(Phase::Cache);
            let row = rows.iter().find(|row| row.variant == variant).unwrap();
            row.bytes.unwrap()
        };
        let room = u64::from(image_tokens) + 4 + 3;
        assert_eq!(cache(BASELINE), room * 4 * 2 * (32 + 32) * 4);
        assert_eq!(cache("rave"), room * 4 * 2 * (32 + 8 + 32) * 4);
        assert_eq!(cache("mine"), room * 4 * 2 * (32 + 4 + 32) * 4);
        if cfg!(target_os = "linux") {
            let peaks = of(Phase::PeakMemory);
            assert_eq!(peaks.len(), 3);
            // Of the smaller prompt it is some pages, which the allocator may have at hand.
            for row in peaks.iter().filter(|row| row.image_tokens == 128) {
                assert!(row.bytes.unwrap() > cache(BASELINE) / 2, "{row:?}");
            }
        }
    }
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let summary = LatencySummary::of(&run, &Resampling::default());
    assert_eq!(shown["arms"].as_array().unwrap().len(), 8);
    let base = summary.arms_of((64, 4)).next().unwrap();
    let ratio = base.prefill.unwrap().ratio.unwrap();
    assert!((ratio.value - 1.0).abs() < f64::EPSILON && ratio.interval.half_width() < f64::EPSILON);
    assert!(summary.noise_of((128, 4)).unwrap().prefill.unwrap() >= 1.0);
    reported_from_records(folder.path(), &out);
}

/// Nothing but the stored records are needed, and of a run that was interrupted those that there are.
fn reported_from_records(folder: &Path, out: &Path) {
    let (copy, report) = (folder.join("copy"), folder.join("report"));
    fs::create_dir(&copy).unwrap();
    let record = fs::read_to_string(out.join("latency.json")).unwrap();
    let mut record: Value = serde_json::from_str(&record).unwrap();
    record["finished"] = Value::Null;
    fs::write(copy.join("latency.json"), record.to_string()).unwrap();
    fs::copy(out.join(NUMBERS), copy.join(NUMBERS)).unwrap();
    let formats = "txt,md,csv,tex,json,svg,png,html";
    let output = rave(&[
        "report",
        text(&copy),
        "--format",
        formats,
        "--out",
        text(&report),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    for phrase in [
        "interrupted",
        "standard again",
        "of standard",
        "smallest ratio",
    ] {
        assert!(
            stdout(&output).contains(phrase),
            "{phrase}: {}",
            stdout(&output)
        );
    }
    for name in [
        "report.txt",
        "report.md",
        "latency.csv",
        "summary.json",
        "latency-64-4.svg",
        "latency-128-4.png",
        "latency-length-4.svg",
        "report.tex",
        "report.html",
    ] {
        assert!(report.join(name).is_file(), "{name}");
    }
    let table = fs::read_to_string(report.join("latency.csv")).unwrap();
    // A vision line a size, and five quantities an arm and cell.
    assert_eq!(table.lines().count(), 1 + 2 + 2 * 4 * 5);

    // The folder is taken; two runs are not one report.
    let again = rave(&[&TINY[..], &[text(out)]].concat());
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("already holds a latency run"),
        "{}",
        stderr(&again)
    );
    let two = rave(&["report", text(out), text(&copy)]);
    assert_eq!(two.status.code(), Some(1));
    assert!(stderr(&two).contains("reported alone"), "{}", stderr(&two));
}

#[test]
fn impossible_sizes_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fs::write(folder.path().join("file"), "x").unwrap();
    let (file, eval) = (folder.path().join("file"), folder.path().join("eval"));
    fs::create_dir(&eval).unwrap();
    fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/runs/nano/run.json"),
        eval.join("run.json"),
    )
    .unwrap();
    let nano = ["latency", "--model", "nano-untrained", "--out"];
    let cases: Vec<(&Path, &[&str], &[&str])> = vec![
        (
            &out,
            &["--variant", "raev"],
            &["`raev`", "did you mean `rave`"],
        ),
        (&out, &["--variant", "rave,rave"], &["names `rave` twice"]),
        (
            &out,
            &["--image-tokens", "100"],
            &["--image-tokens 100", "multiple of 64", "64 or 128"],
        ),
        (
            &out,
            &["--image-tokens", "0"],
            &["--image-tokens 0", "64 or 128"],
        ),
        (
            &out,
            &["--image-tokens", "64,8192"],
            &["8192 image", "8192 positions", "max_position_embeddings"],
        ),
        (&out, &["--image-tokens", "64,64"], &["asked for twice"]),
        (
            &out,
            &["--text-tokens", "0"],
            &["--text-tokens 0", "1 or more"],
        ),
        (
            &out,
            &["--new-tokens", "1"],
            &["--new-tokens 1", "2 or more"],
        ),
        (&out, &["--seconds", "0"], &["--seconds 0", "above 0"]),
        (&out, &["--warmup", "nan"], &["--warmup"]),
        (&out, &["--dtype", "f64"], &["dtype `f64`", "bf16"]),
        (&out, &["--device", "cuda"], &["device `cuda`"]),
        (&file, &[], &["file", "not a folder"]),
        (&eval, &[], &["already holds a run of samples"]),
    ];
    for (out, more, phrases) in cases {
        let output = rave(&[&nano[..], &[text(out)], more].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {message}");
        for phrase in phrases {
            assert!(message.contains(phrase), "{more:?}: {message}");
        }
    }
    assert!(!out.exists());
}

/// What grows with the square of the length, at the longest of three lengths: the quadratic through three measured peaks, as a
/// share of one f32 tensor of tokens x tokens x heads, which is what a materialised attention needs at least.
#[cfg(target_os = "linux")]
fn quadratic_share(variant: &[&str]) -> f64 {
    use rave_engine::latency::memory::ENVIRONMENT;
    const LENGTHS: [usize; 3] = [512, 1024, 2048];
    let [a, b, c] = LENGTHS.map(|length| {
        let length = length.to_string();
        let output = program()
            .args(["measure-memory", "--model", "nano-untrained"])
            .args([
                "--image-tokens",
                &length,
                "--text-tokens",
                "8",
                "--new-tokens",
                "2",
            ])
            .arg("--variant")
            .args(variant)
            .env("OMP_NUM_THREADS", "1")
            .envs(ENVIRONMENT)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let peak: f64 = stdout(&output).trim().parse().unwrap();
        // The hidden states of one layer alone are as much.
        assert!(peak > 4.0 * 128.0 * length.parse::<f64>().unwrap());
        peak
    });
    let [x, y, z] = LENGTHS.map(|length| (length + 8) as f64);
    let curvature = ((c - b) / (z - y) - (b - a) / (y - x)) / (z - x);
    curvature * z * z / (4.0 * 4.0 * z * z)
}

#[cfg(target_os = "linux")]
#[test]
fn peak_memory_is_linear_in_length_where_nothing_is_materialised() {
    for variant in ["standard", "rave", "rave-gate", "vaf", "dape"] {
        let share = quadratic_share(&[variant]);
        assert!(share < 0.1, "{variant}: {share}");
    }
    // The control: a measurement that could not see tokens x tokens would pass everything above.
    let share = quadratic_share(&["rave", "--materialise"]);
    assert!(share > 0.8, "materialised: {share}");
}
