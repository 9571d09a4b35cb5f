//! `rave train`, and what `rave eval` makes of a grid of its checkpoints.

use rave_results::training::{Row, read_rows};

#[cfg(unix)]
use super::crash::{fractions, killed_after};
use super::*;

/// A short training run: dense and answers, all weights.
fn arguments(out: &Path) -> Vec<String> {
    let words = "train --model nano --init-seed 4 --suite ocr,page --extra-questions 1 --batch 2 --steps 40 --aux-loss 1 --lr 1e-3 --warmup 2 \
                 --save-every 3 --validate-every 20 --validation-items 1 --out";
    let words = words.split_whitespace().map(str::to_owned);
    words.chain([text(out).to_owned()]).collect()
}

fn train(arguments: &[String]) -> Output {
    rave(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Starts a run and waits until its state was saved at least once.
fn started(arguments: &[String], out: &Path) -> Child {
    let child = start(arguments);
    let begin = Instant::now();
    while !out.join("state.safetensors").is_file() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn weights(out: &Path) -> Vec<u8> {
    fs::read(out.join("checkpoint/model.safetensors")).unwrap()
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_or_asked_to_stop_ends_at_the_weights_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let output = train(&arguments(&whole));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("validation page"),
        "{}",
        stderr(&output)
    );
    for file in [
        "training.parquet",
        "training.svg",
        "training.png",
        "checkpoint/rave.json",
    ] {
        assert!(whole.join(file).is_file(), "{file}");
    }
    for (signal, code) in [("-KILL", None), ("-INT", Some(130)), ("-TERM", Some(143))] {
        let out = folder.path().join(signal);
        let mut child = started(&arguments(&out), &out);
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        let status = child.wait().unwrap();
        assert!(
            !out.join("checkpoint").exists(),
            "it had ended before {signal}"
        );
        assert_eq!(status.code(), code, "{signal}: {status:?}");
        let mut resumed = arguments(&out);
        resumed.push("--resume".into());
        let output = train(&resumed);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(
            weights(&whole) == weights(&out),
            "other weights after {signal}"
        );
    }
}

/// What a run says of its steps, but for their times.
fn steps(out: &Path) -> Vec<Row> {
    let mut rows = read_rows(&out.join("training.parquet")).unwrap();
    for row in &mut rows {
        row.seconds = 0.0;
    }
    rows
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_a_run_ends_at_the_bytes_of_one_that_was_not() {
    const KILLS: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let gates = |out: &Path| {
        let mut words = arguments(out);
        words.extend(["--variant", "rave", "--resume"].map(str::to_owned));
        words
    };
    let whole = folder.path().join("whole");
    let start = Instant::now();
    let output = train(&gates(&whole));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let length = start.elapsed();
    let assert_whole = |out: &Path| {
        assert_eq!(steps(out), steps(&whole));
        // The adapter says which checkpoint it belongs to, and the checkpoint where it began: the folders have other names.
        for file in [
            "state.safetensors",
            "checkpoint/model.safetensors",
            "checkpoint/rave.adapter.safetensors",
        ] {
            let bytes = |out: &Path| fs::read(out.join(file)).unwrap();
            assert!(bytes(out) == bytes(&whole), "{file}");
        }
    };
    let mut fraction = fractions(11);
    let (mut kills, mut between, mut number) = (0, 0, 0);
    let mut out = folder.path().join("run 0");
    while kills < KILLS {
        let status = killed_after(&gates(&out), length.mul_f64(fraction()));
        let has_state = out.join("state.safetensors").is_file();
        between += usize::from(has_state && !out.join("checkpoint").exists());
        match status.code() {
            None => kills += 1,
            code => {
                assert_eq!(code, Some(0), "kill {kills}");
                assert_whole(&out);
                number += 1;
                out = folder.path().join(format!("run {number}"));
            }
        }
    }
    assert!(between > 0, "no kill came while steps were made");
    let output = train(&gates(&out));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_whole(&out);
    let again = train(&gates(&out));
    assert!(
        stderr(&again).contains("the run has finished already"),
        "{}",
        stderr(&again)
    );
}

#[test]
fn a_refused_run_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("runs/a");
    for (more, code, part) in [
        (&["--vision", "nowhere"][..], 1, "nowhere"),
        (&["--dtype", "f8"], 1, "f8"),
        (&["--gate-lr", "1"], 1, "hint: leave it out"),
        (&["--device", "cuda:77"], 1, "cuda:77"),
    ] {
        let mut words = arguments(&out);
        words.extend(more.iter().map(ToString::to_string));
        let refused = train(&words);
        assert_eq!(refused.status.code(), Some(code), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(part), "{}", stderr(&refused));
        assert!(!folder.path().join("runs").exists(), "{part}");
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_leaves_the_last_state() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // The state of nano takes several megabytes; the checkpoint that it starts from is written before the limit.
    let whole = arguments(&out);
    let mut child = started(&whole, &out);
    child.kill().unwrap();
    child.wait().unwrap();
    let state = fs::read(out.join("state.safetensors")).unwrap();
    let limited = limited("-f 2000")
        .args(&whole)
        .arg("--resume")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = stderr(&limited);
    assert_eq!(
        limited.status.code(),
        Some(1),
        "{:?}: {message}",
        limited.status
    );
    assert!(
        message.contains("state.") && message.contains("free space"),
        "{message}"
    );
    assert!(fs::read(out.join("state.safetensors")).unwrap() == state);
}

/// Two seeds of two variants; the weights are drawn, not trained.
fn grid(folder: &Path) {
    for seed in [3, 5] {
        let output = train(&{
            let mut words = arguments(&folder.join(format!("base-{seed}")));
            let steps = words.iter().position(|word| word == "40").unwrap();
            words[steps] = "1".into();
            words.extend(["--seed".to_owned(), seed.to_string()]);
            words
        });
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        for variant in ["standard", "rave"] {
            let place = folder.join(format!("grid/seed-{seed}/{variant}"));
            fs::create_dir_all(&place).unwrap();
            for entry in fs::read_dir(folder.join(format!("base-{seed}/checkpoint"))).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), place.join(entry.file_name())).unwrap();
            }
        }
    }
    let contents =
        json!({ "summary": "two seeds", "seeds": [3, 5], "variants": ["standard", "rave"] });
    fs::write(folder.join("grid/grid.json"), contents.to_string()).unwrap();
}

#[test]
fn a_grid_of_checkpoints_is_evaluated_seed_by_seed() {
    let folder = tempfile::tempdir().unwrap();
    grid(folder.path());
    let model = folder.path().join("grid");
    let eval = |out: &Path, more: &[&str]| {
        let base = [
            "eval",
            "--model",
            text(&model),
            "--variant",
            "standard,rave,rave-key-only",
            "--suite",
            "embedded-ocr",
            "--limit",
            "2",
            "--out",
            text(out),
        ];
        rave(&[&base[..], more].concat())
    };
    let out = folder.path().join("run");
    let output = eval(&out, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seeds: Vec<u64> = answers(&out).iter().map(|sample| sample.seed).collect();
    assert_eq!(
        (seeds.len(), seeds.iter().filter(|&&seed| seed == 5).count()),
        (12, 6)
    );
    assert!(
        stdout(&output).contains("each training seed"),
        "{}",
        stdout(&output)
    );
    let run = Run::open(&out).unwrap();
    let record = &run.record.models[0];
    assert_eq!(
        (record.seeds.as_slice(), record.checkpoints.len()),
        (&[3, 5][..], 6)
    );
    let checkpoint = |place: &str| &record.checkpoints[place];
    assert_eq!(
        checkpoint("seed 3, standard"),
        checkpoint("seed 3, rave-key-only")
    );
    assert_ne!(
        checkpoint("seed 3, standard"),
        checkpoint("seed 5, standard")
    );
    assert_eq!(run.record.due(), Some(12));
    // One seed alone, and one that there is not.
    let one = folder.path().join("one");
    assert_eq!(eval(&one, &["--seed", "5"]).status.code(), Some(0));
    assert_eq!(answers(&one).len(), 6);
    let none = eval(&folder.path().join("none"), &["--seed", "4"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("seed 4"), "{}", stderr(&none));
}

/// Forty pictures, each with its question, in the train split of a folder.
fn train_split(folder: &Path) {
    let pictures: Vec<_> = (0..40)
        .map(|shade| {
            png(&image::RgbImage::from_pixel(
                40,
                30,
                image::Rgb([6 * shade, 90, 9]),
            ))
        })
        .collect();
    chartqa(folder, &pictures);
    let file = |split: &str| folder.join(format!("{split}-00000-of-00001.parquet"));
    fs::rename(file("test"), file("train")).unwrap();
}

#[test]
fn the_train_split_of_a_suite_on_disk_is_trained_on_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (data, test, out) = (
        folder.path().join("data"),
        folder.path().join("test"),
        folder.path().join("run"),
    );
    train_split(&data);
    chartqa(&test, &[png(&image::RgbImage::new(4, 4))]);
    let run = |suite: &str, data: &Path, more: &[&str]| {
        let base = "train --variant rave --batch 2 --steps 3 --validate-every 3";
        let paths = [
            "--model",
            "nano-untrained",
            "--suite",
            suite,
            "--data",
            text(data),
            "--out",
            text(&out),
        ];
        rave(&[&base.split(' ').collect::<Vec<_>>()[..], &paths, more].concat())
    };
    for (suite, data, more, part) in [
        ("chartqa", &test, &[][..], "split `train`"),
        (
            "chartq",
            &data,
            &[],
            "nothing to train on is called `chartq`",
        ),
        (
            "chartqa",
            &data,
            &["--aux-loss", "1"],
            "embedded suites alone",
        ),
    ] {
        let refused = run(suite, data, more);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(part), "{}", stderr(&refused));
        assert!(!out.exists(), "{part}");
    }
    let output = run("ocr,chartqa", &data, &["--freeze", "backbone"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("validation chartqa"),
        "{}",
        stderr(&output)
    );
    let plan: Value = serde_json::from_slice(&fs::read(out.join("train.json")).unwrap()).unwrap();
    assert_eq!(plan["data_sha256"]["chartqa"].as_str().unwrap().len(), 64);
    assert!(out.join("rave.adapter.safetensors").is_file());
    // A data set that has changed since is not what the run began with.
    fs::remove_file(data.join("train-00000-of-00001.parquet")).unwrap();
    chartqa(
        &data,
        &[
            png(&image::RgbImage::new(9, 9)),
            png(&image::RgbImage::new(9, 8)),
        ],
    );
    fs::rename(
        data.join("test-00000-of-00001.parquet"),
        data.join("train-00000-of-00001.parquet"),
    )
    .unwrap();
    let changed = run("ocr,chartqa", &data, &["--freeze", "backbone", "--resume"]);
    assert!(
        stderr(&changed).contains("data_sha256"),
        "{}",
        stderr(&changed)
    );
}

/// What is shipped: every seed of every trained variant is there, and together they read.
#[test]
fn the_shipped_nano_reads() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let variants = "standard,rave,rave-post-rope,rave-key-only,rave-query-only";
    let words = [
        "eval",
        "--model",
        "nano",
        "--variant",
        variants,
        "--suite",
        "embedded-scene",
        "--limit",
        "12",
        "--out",
    ];
    let output = rave(&[&words[..], &[text(&out)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        !stdout(&output).contains("untrained"),
        "{}",
        stdout(&output)
    );
    let samples = answers(&out);
    assert_eq!(samples.len(), 12 * 5 * 3);
    let right = samples
        .iter()
        .filter(|sample| sample.score == Some(1.0))
        .count();
    // Chance is a word of thousands.
    assert!(right * 10 > samples.len(), "{right} of {}", samples.len());
    let run = Run::open(&out).unwrap();
    let record = &run.record.models[0];
    assert_eq!((record.seeds.len(), record.checkpoints.len()), (3, 15));
    assert!(record.adapters.keys().eq([
        "rave",
        "rave-key-only",
        "rave-post-rope",
        "rave-query-only"
    ]));
    let generated = rave(&[
        "generate",
        "--model",
        "nano",
        "--variant",
        "rave",
        "--seed",
        "2",
        "--prompt",
        "?",
        "--max-new-tokens",
        "1",
    ]);
    assert_eq!(stderr(&generated), "");
    assert_eq!(generated.status.code(), Some(0));
}
