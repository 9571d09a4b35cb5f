//! The binary end to end, as a user meets it: the main job on nano, the contracts of each command, bad input, a kill.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use polars::prelude::*;
use rave_results::{Run, SampleRecord};
use serde_json::{Value, json};

fn rave(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rave"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A tiny checkpoint that `transformers` wrote, with what it computed.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lmm/tests/fixtures/smolvlm_new")
}

/// What a run says of its samples, timings apart, in a stable order.
fn answers(run: &Path) -> Vec<SampleRecord> {
    let mut samples = Run::open(run).unwrap().samples().unwrap();
    for sample in &mut samples {
        (
            sample.preprocess_ms,
            sample.vision_ms,
            sample.prefill_ms,
            sample.decode_ms,
        ) = (None, None, None, None);
    }
    samples.sort_by_key(SampleRecord::key);
    samples
}

#[test]
fn the_main_job_ends_with_records_tables_and_charts_and_repeats_itself() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let out = folder.path().join(name);
        let output = rave(&[
            "eval",
            "--model",
            "nano",
            "--variant",
            "standard,rave",
            "--suite",
            "embedded-ocr,embedded-chart",
            "--limit",
            "3",
            "--out",
            text(&out),
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (out, output)
    };
    let (out, output) = run("first");
    let table = stdout(&output);
    for part in [
        "untrained",
        "embedded-ocr",
        "embedded-chart",
        "standard",
        "rave",
        "3 of 200 samples",
    ] {
        assert!(table.contains(part), "`{part}` is not in:\n{table}");
    }
    assert!(
        !stderr(&output).contains('\u{1b}'),
        "a progress bar was drawn where there is no terminal"
    );

    let record: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let libraries = &record["libraries"];
    assert!(libraries["rustc"].as_str().unwrap().starts_with("rustc 1."));
    assert!(libraries["tch"].is_string() && libraries["libtorch"].is_string());
    assert_eq!(record["counts"], json!({ "scored": 12, "failed": 0 }));
    assert_eq!(record["models"][0]["untrained"], true);
    assert_eq!(record["models"][0]["sha256"].as_str().unwrap().len(), 64);
    let samples = Run::open(&out).unwrap().samples().unwrap();
    assert_eq!(samples.len(), 12);
    for sample in &samples {
        assert!(sample.score.is_some() && sample.error.is_none() && !sample.answers.is_empty());
        assert!(
            sample.prompt.contains("<image>") && sample.prompt.contains("Answer briefly"),
            "{}",
            sample.prompt
        );
        assert_eq!((sample.visual_tokens, sample.prompt_sha256.len()), (64, 64));
        assert!(sample.prompt_tokens > 64 && sample.new_tokens > 0);
        for time in [
            sample.preprocess_ms,
            sample.vision_ms,
            sample.prefill_ms,
            sample.decode_ms,
        ] {
            assert!(time.unwrap() > 0.0);
        }
    }
    let starts = |name: &str| fs::read(out.join("report").join(name)).unwrap()[..4].to_vec();
    assert_eq!(starts("accuracy.png"), b"\x89PNG");
    assert_eq!(starts("accuracy.svg"), b"<svg");
    assert!(starts("summary.csv").starts_with(b"mod") && starts("report.md").starts_with(b"#"));

    let (again, _) = run("second");
    assert_eq!(answers(&again), answers(&out));
    let report = rave(&[
        "report",
        text(&out),
        "--json",
        "--format",
        "csv",
        "--out",
        text(&folder.path().join("report")),
    ]);
    assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
    serde_json::from_slice::<Value>(&report.stdout).unwrap();

    let refused = rave(&[
        "eval",
        "--model",
        "nano",
        "--suite",
        "embedded-ocr",
        "--limit",
        "1",
        "--out",
        text(&out),
    ]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("first"), "{}", stderr(&refused));
    assert_eq!(answers(&out).len(), 12);
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = |out: &Path| {
        let base = [
            "eval",
            "--model",
            "nano",
            "--variant",
            "standard,rave",
            "--suite",
            "embedded-scene",
            "--limit",
            "40",
            "--out",
        ];
        base.iter()
            .map(ToString::to_string)
            .chain([text(out).to_owned()])
            .collect::<Vec<_>>()
    };
    let killed = folder.path().join("killed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_rave"))
        .args(arguments(&killed))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let log = killed.join("samples.log");
    let lines = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    let start = Instant::now();
    while lines() < 10 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let recorded = lines();
    assert!(
        (10..80).contains(&recorded),
        "{recorded} samples when it was killed"
    );

    let whole = folder.path().join("whole");
    let whole_arguments = arguments(&whole);
    let output = rave(
        &whole_arguments
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut resumed = arguments(&killed);
    resumed.push("--resume".into());
    let output = rave(&resumed.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(answers(&killed), answers(&whole));
}

/// A PNG header that claims a size, with no data behind it.
fn claimed_png(side: u32) -> Vec<u8> {
    let mut file = png(&image::RgbImage::new(1, 1));
    file[16..20].copy_from_slice(&side.to_be_bytes());
    file[20..24].copy_from_slice(&side.to_be_bytes());
    let crc = !file[12..29].iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    });
    file[29..33].copy_from_slice(&crc.to_be_bytes());
    file
}

fn png(picture: &image::RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// Writes a ChartQA parquet file with these pictures.
fn chartqa(folder: &Path, pictures: &[Vec<u8>]) {
    let count = pictures.len();
    let bytes = Series::new(
        "bytes".into(),
        pictures.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    );
    let path = Series::new(
        "path".into(),
        (0..count)
            .map(|number| format!("{number}.png"))
            .collect::<Vec<_>>(),
    );
    let image = StructChunked::from_series("image".into(), count, [bytes, path].iter())
        .unwrap()
        .into_series();
    let column = |name: &str, value: &str| Column::new(name.into(), vec![value; count]);
    let columns = vec![
        column("type", "human_test"),
        column("question", "How many?"),
        column("answer", "4"),
        image.into_column(),
    ];
    let mut frame = DataFrame::new(count, columns).unwrap();
    fs::create_dir_all(folder).unwrap();
    ParquetWriter::new(fs::File::create(folder.join("test-00000-of-00001.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
}

#[test]
fn samples_that_fail_are_counted_with_their_reason_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = png(&image::RgbImage::from_pixel(
        40,
        30,
        image::Rgb([200, 30, 30]),
    ));
    let cut = whole[..whole.len() / 2].to_vec();
    let one_pixel = png(&image::RgbImage::new(1, 1));
    chartqa(
        &folder.path().join("data"),
        &[
            whole,
            cut,
            claimed_png(20_000),
            b"no picture".to_vec(),
            one_pixel,
        ],
    );
    let eval = |policy: &str| {
        let out = folder.path().join(policy);
        let output = rave(&[
            "eval",
            "--model",
            text(&fixture()),
            "--variant",
            "standard,rave",
            "--suite",
            "chartqa",
            "--data",
            text(&folder.path().join("data")),
            "--fail-on-error",
            policy,
            "--out",
            text(&out),
        ]);
        (answers(&out), output)
    };
    let (samples, output) = eval("any");
    assert_eq!(output.status.code(), Some(1));
    let failed: Vec<_> = samples
        .iter()
        .filter_map(|sample| sample.error.as_deref())
        .collect();
    assert_eq!((samples.len(), failed.len()), (10, 6), "{failed:?}");
    assert!(
        failed.iter().all(|reason| reason.starts_with("image: ")),
        "{failed:?}"
    );
    assert!(
        failed.iter().any(|reason| reason.contains("20000 x 20000")),
        "{failed:?}"
    );
    assert!(
        samples
            .iter()
            .all(|sample| sample.error.is_some() == sample.score.is_none())
    );
    assert!(
        stdout(&output).contains("3 image"),
        "the table counts no failures:\n{}",
        stdout(&output)
    );
    assert_eq!(eval("never").1.status.code(), Some(0));
    assert_eq!(eval("0.7").1.status.code(), Some(0));
    assert_eq!(eval("0.5").1.status.code(), Some(1));
}

#[test]
fn generate_answers_as_transformers_did() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = fixture();
    let case: Value =
        serde_json::from_slice(&fs::read(fixture.join("case.json")).unwrap()).unwrap();
    let logits = folder.path().join("logits.safetensors");
    let picture = fixture.join("image.png");
    let base = [
        "generate",
        "--model",
        text(&fixture),
        "--image",
        text(&picture),
        "--prompt",
        case["prompt"].as_str().unwrap(),
    ];
    let output = rave(
        &[
            &base[..],
            &[
                "--max-new-tokens",
                "10",
                "--json",
                "--logits",
                text(&logits),
            ],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["input_ids"], case["input_ids"]);
    assert_eq!(answer["generated_ids"], case["generated_ids"]);
    assert!(answer["text"].is_string() && answer["timings"]["prefill_ms"].as_f64().unwrap() > 0.0);
    let bytes = fs::read(&logits).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("logits").unwrap();
    assert_eq!(view.dtype(), safetensors::Dtype::F32);
    assert_eq!(view.shape()[0], case["input_ids"].as_array().unwrap().len());

    let plain = rave(&[&base[..], &["--variant", "rave", "--max-new-tokens", "10"]].concat());
    assert_eq!(
        stdout(&plain),
        format!("{}\n", answer["text"].as_str().unwrap())
    );
    assert!(
        stderr(&plain).contains("no trained weights"),
        "{}",
        stderr(&plain)
    );
    let blind = rave(&[
        "generate",
        "--model",
        text(&fixture),
        "--prompt",
        "Hello",
        "--max-new-tokens",
        "3",
        "--json",
    ]);
    assert_eq!(blind.status.code(), Some(0), "{}", stderr(&blind));
}

#[test]
fn score_reads_lines_and_writes_lines() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rave"))
        .args(["score", "--suite", "docvqa", "--predictions", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "{\"id\": \"a\", \"prediction\": \"Blue \", \"answers\": [\"blue\"]}\n\n{\"prediction\": \"\", \"answers\": [\"red\"]}\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        stdout(&output),
        "{\"id\":\"a\",\"score\":1.0}\n{\"score\":0.0}\n"
    );
    assert_eq!(stderr(&output), "anls: 0.5000 over 2 predictions\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn listings_name_everything_in_words_and_as_json() {
    for (command, expected) in [
        ("models", "nano"),
        ("variants", "rave-query-only"),
        ("suites", "embedded-scene"),
        ("doctor", "2.11.0"),
    ] {
        let words = rave(&[command]);
        assert_eq!(words.status.code(), Some(0), "{}", stderr(&words));
        assert!(stdout(&words).contains(expected), "{}", stdout(&words));
        let json = rave(&[command, "--json"]);
        assert!(
            serde_json::from_slice::<Value>(&json.stdout)
                .unwrap()
                .to_string()
                .contains(expected)
        );
    }
}

#[test]
fn contact_sheets_show_the_embedded_suites() {
    let folder = tempfile::tempdir().unwrap();
    let sheets = folder.path().join("new/sheets");
    let render = ["suites", "--render", text(&sheets)];
    let draw = |more: &[&str]| {
        let output = rave(&[&render[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let paths = stdout(&output)
            .lines()
            .map(PathBuf::from)
            .collect::<Vec<_>>();
        let pictures = paths
            .iter()
            .map(|path| image::open(path).unwrap().into_rgb8());
        (pictures.collect::<Vec<_>>(), paths)
    };
    let (all, paths) = draw(&["--count", "2"]);
    let names = paths.iter().map(|path| path.strip_prefix(&sheets).unwrap());
    assert_eq!(
        names.map(text).collect::<Vec<_>>(),
        [
            "embedded-ocr-test.png",
            "embedded-chart-test.png",
            "embedded-document-test.png",
            "embedded-scene-test.png",
            "embedded-general-test.png",
        ]
    );
    for sheet in &all {
        // Boxes of answers are green, those of distractors orange.
        for colour in [[0, 158, 115], [213, 94, 0]] {
            assert!(sheet.pixels().any(|pixel| pixel.0 == colour));
        }
    }
    let (two, paths) = draw(&[
        "--suite",
        "embedded-general,embedded-ocr",
        "--split",
        "train",
        "--count",
        "7",
    ]);
    assert!(paths[0].ends_with("embedded-general-train.png") && paths.len() == 2);
    assert!(two[0].height() > all[4].height() && two[1] != all[0]);
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[test]
fn bad_input_is_one_clear_error_and_exit_code_one() {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    fs::write(here("file"), "x").unwrap();
    fs::write(here("bad.jsonl"), "{\"prediction\": 1}\n").unwrap();
    chartqa(&here("data"), &[png(&image::RgbImage::new(2, 2))]);
    fs::create_dir(here("empty")).unwrap();
    let (data, empty, file) = (here("data"), here("empty"), here("file"));
    let (under_file, jsonl) = (file.join("run"), here("bad.jsonl"));
    let out = here("out");
    // A folder stands where the picture is to go.
    let taken = here("taken");
    fs::create_dir_all(taken.join("embedded-ocr-test.png")).unwrap();
    let sheets = ["suites", "--render", text(&out)];
    let nano = [
        "eval",
        "--model",
        "nano",
        "--limit",
        "1",
        "--out",
        text(&out),
    ];
    let with = |more: &[&'static str]| [&nano[..], more].concat();
    let image = ["generate", "--model", "nano", "--prompt", "?", "--image"];
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (
            with(&["--variant", "raev"]),
            &["unknown variant `raev`", "did you mean `rave`"],
        ),
        (with(&["--suite", "chartqs"]), &["chartqs", "chartqa"]),
        (with(&["--variant", "rave,rave"]), &["names `rave` twice"]),
        (with(&["--variant", "all,rave"]), &["names `rave` twice"]),
        (
            with(&["--variant", "standard,"]),
            &["--variant standard, has an empty entry"],
        ),
        (with(&["--suite", ""]), &["--suite", "empty entry"]),
        (
            with(&["--suite", "all"]),
            &["--suite all needs --data DIR", "embedded"],
        ),
        (
            with(&["--variant", "rave", "--adapter", "absent.safetensors"]),
            &["absent.safetensors", "no such file"],
        ),
        (with(&["--dtype", "f64"]), &["dtype `f64`", "bf16"]),
        (with(&["--device", "tpu"]), &["device `tpu`", "cuda:N"]),
        (with(&["--device", "cuda"]), &["device `cuda`"]),
        (with(&["--suite", "chartqa"]), &["chartqa", "--data"]),
        (
            with(&["--fail-on-error", "maybe"]),
            &["never, any, or a fraction"],
        ),
        (with(&["--colour"]), &["--colour"]),
        (
            vec!["eval", "--model", "nano", "--limit", "0"],
            &["--limit 0"],
        ),
        (
            vec!["eval", "--model", "nanp", "--out", text(&out)],
            &["no model `nanp`", "nano"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--suite",
                "chartqa",
                "--data",
                text(&empty),
                "--out",
                text(&out),
            ],
            &["empty", "parquet"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--suite",
                "docvqa",
                "--data",
                text(&data),
                "--out",
                text(&out),
            ],
            &["docvqa"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--limit",
                "1",
                "--out",
                text(&under_file),
            ],
            &["run", "file", "choose another --out"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--limit",
                "1",
                "--out",
                text(&file),
            ],
            &["file", "cannot be written", "choose another --out"],
        ),
        (
            vec!["score", "--metric", "anls", "--predictions", "nope"],
            &["cannot read nope", "- for stdin"],
        ),
        (vec!["report", text(&empty)], &["empty", "run.json"]),
        (
            vec!["report", text(&empty), "--format", "docx"],
            &["docx", "csv"],
        ),
        (
            vec!["score", "--metric", "anls", "--predictions", text(&jsonl)],
            &["bad.jsonl", "line 1"],
        ),
        (
            vec!["score", "--metric", "bleu", "--predictions", text(&jsonl)],
            &["bleu", "anls"],
        ),
        (vec!["score", "--predictions", text(&jsonl)], &["--suite"]),
        (
            [&sheets[..], &["--suite", "embedded-ocr,chartqa"]].concat(),
            &["`chartqa`", "not drawn", "embedded-general"],
        ),
        (
            [&sheets[..], &["--suite", "embedded-scenes"]].concat(),
            &["did you mean `embedded-scene`"],
        ),
        (
            [&sheets[..], &["--split", "validation"]].concat(),
            &["`validation`", "train and test"],
        ),
        (
            [&sheets[..], &["--count", "0"]].concat(),
            &["--count", "1..=400"],
        ),
        ([&sheets[..], &["--json"]].concat(), &["--json"]),
        (vec!["suites", "--suite", "embedded-ocr"], &["--render"]),
        (
            vec!["suites", "--render", text(&under_file)],
            &["--render", "cannot make this folder"],
        ),
        (
            vec![
                "suites",
                "--render",
                text(&taken),
                "--suite",
                "embedded-ocr",
            ],
            &["cannot write", "embedded-ocr-test.png"],
        ),
        ([&image[..], &[text(&file)]].concat(), &["file", "PNG"]),
        ([&image[..], &["absent.png"]].concat(), &["absent.png"]),
    ];
    for (arguments, parts) in cases {
        let output = rave(&arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(
            message.contains("error:") && output.stdout.is_empty(),
            "{arguments:?}: {message}"
        );
        for part in parts {
            assert!(
                message.contains(part),
                "{arguments:?}: `{part}` is not in: {message}"
            );
        }
    }
    // Nothing that is wrong with a request costs the folder that it names.
    assert!(!out.exists());
}

/// Arguments of a small run into a folder.
fn small<'a>(model: &'a str, limit: &'a str, out: &'a Path) -> Vec<&'a str> {
    vec![
        "eval",
        "--model",
        model,
        "--variant",
        "standard",
        "--suite",
        "embedded-ocr",
        "--limit",
        limit,
        "--out",
        text(out),
    ]
}

#[test]
fn two_processes_on_one_folder_leave_one_whole_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let begin = || {
        Command::new(env!("CARGO_BIN_EXE_rave"))
            .args(small("nano", "12", &out))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = [begin(), begin(), begin()];
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let clean = |output: &&Output| output.status.code() == Some(0);
    assert_eq!(outputs.iter().filter(clean).count(), 1);
    for output in outputs.iter().filter(|output| !clean(output)) {
        let message = stderr(output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("choose another --out"), "{message}");
    }
    assert_eq!(answers(&out).len(), 12);
}

#[test]
fn a_damaged_second_model_costs_no_folder_either() {
    let folder = tempfile::tempdir().unwrap();
    let (out, damaged) = (folder.path().join("run"), folder.path().join("damaged"));
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("config.json"), "{}").unwrap();
    fs::write(damaged.join("model.safetensors"), "none").unwrap();
    let models = format!("nano,{}", text(&damaged));
    let output = rave(&small(&models, "1", &out));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("safetensors"),
        "{}",
        stderr(&output)
    );
    assert!(!out.exists());
}

#[test]
fn runs_that_begin_in_one_second_have_a_folder_each() {
    let folder = tempfile::tempdir().unwrap();
    let begin = |model: &str| {
        let mut arguments = small(model, "1", folder.path());
        arguments.truncate(arguments.len() - 2);
        Command::new(env!("CARGO_BIN_EXE_rave"))
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = [begin("nano"), begin("nano"), begin("nano"), begin("nanp")];
    let codes = children.map(|child| child.wait_with_output().unwrap().status.code());
    assert_eq!(codes, [Some(0), Some(0), Some(0), Some(1)]);
    let runs: Vec<_> = fs::read_dir(folder.path().join("results/runs/local"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(runs.len(), 3, "{runs:?}");
    assert!(runs.iter().all(|run| answers(run).len() == 1));
}

#[test]
fn a_closed_stdout_takes_neither_the_report_nor_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    chartqa(&folder.path().join("data"), &[b"no picture".to_vec()]);
    let out = folder.path().join("run");
    let run = |arguments: &[&str], stdout: Stdio| {
        Command::new(env!("CARGO_BIN_EXE_rave"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap()
    };
    // A pipe whose reader has gone.
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let data = folder.path().join("data");
    let eval = [
        "eval",
        "--model",
        text(&fixture()),
        "--variant",
        "standard,rave",
        "--suite",
        "chartqa",
        "--data",
        text(&data),
        "--out",
        text(&out),
    ]
    .map(str::to_owned);
    let eval: Vec<&str> = eval.iter().map(String::as_str).collect();
    let output = run(&eval, closed());
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let told = "failed: chartqa 000000 (";
    assert!(
        message.contains(told)
            && message.contains("standard, rave): image: ")
            && message.contains("0.png in"),
        "{message}"
    );
    for name in [
        "report.md",
        "summary.csv",
        "failures.csv",
        "accuracy.svg",
        "accuracy.png",
    ] {
        assert!(out.join("report").join(name).exists(), "{name}");
    }
    let page = fs::read_to_string(out.join("report/report.md")).unwrap();
    assert!(
        page.contains("| chartqa | 000000 | standard, rave | image: "),
        "{page}"
    );

    let again = folder.path().join("again");
    let report = ["report", text(&out), "--out", text(&again)];
    let output = run(&report, closed());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(again.join("report.md").exists());
    if cfg!(target_os = "linux") {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = run(&report, full.into());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("stdout"), "{}", stderr(&output));
    }
}

#[test]
fn an_item_that_cannot_be_read_keeps_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let whole = png(&image::RgbImage::new(40, 30));
    chartqa(&data, &[whole, Vec::new()]);
    let out = folder.path().join("run");
    let fixture = fixture();
    let output = rave(&[
        "eval",
        "--model",
        text(&fixture),
        "--suite",
        "chartqa",
        "--data",
        text(&data),
        "--out",
        text(&out),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let samples = answers(&out);
    let failed: Vec<_> = samples
        .iter()
        .filter(|sample| sample.error.is_some())
        .collect();
    assert_eq!((samples.len(), failed.len()), (4, 2));
    for sample in failed {
        assert_eq!(
            (sample.sample.as_str(), sample.category.as_str()),
            ("000001", "human")
        );
        assert_eq!(sample.answers, ["4"]);
        assert!(sample.error.as_ref().unwrap().contains("empty (0 bytes)"));
    }
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_told_and_the_run_goes_on_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let model = fixture();
    let arguments = small(text(&model), "60", &out);
    // In blocks of 512 or 1,024 bytes; the log of 60 samples takes more than either.
    let limited = Command::new("sh")
        .args(["-c", "ulimit -f 20; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_rave"))
        .args(&arguments)
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
    for part in ["no space left", "ulimit -f", "--resume", "samples.log"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    let recorded = answers(&out).len();
    assert!((1..60).contains(&recorded), "{recorded}");
    let output = rave(&[&arguments[..], &["--resume"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(answers(&out).len(), 60);
}

#[test]
fn a_forced_comparison_is_marked_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let runs: Vec<PathBuf> = [("standard", 200), ("rave", 60)]
        .into_iter()
        .map(|(variant, shade)| {
            let (data, out) = (
                folder.path().join(format!("{variant}-data")),
                folder.path().join(variant),
            );
            chartqa(
                &data,
                &[png(&image::RgbImage::from_pixel(
                    40,
                    30,
                    image::Rgb([shade; 3]),
                ))],
            );
            let fixture = fixture();
            let output = rave(&[
                "eval",
                "--model",
                text(&fixture),
                "--variant",
                variant,
                "--suite",
                "chartqa",
                "--data",
                text(&data),
                "--out",
                text(&out),
            ]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            out
        })
        .collect();
    let out = folder.path().join("both");
    let report = [
        "report",
        text(&runs[0]),
        text(&runs[1]),
        "--format",
        "txt,md,csv,json,svg",
        "--out",
        text(&out),
    ];
    let refused = rave(&report);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    assert!(!out.exists());
    let forced = rave(&[&report[..], &["--force"]].concat());
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
    assert!(stdout(&forced).contains("forced comparison of unequal runs"));
    for (name, mark) in [
        ("report.txt", "forced comparison"),
        ("report.md", "forced comparison"),
        ("summary.csv", ",true\n"),
        ("categories.csv", ",true\n"),
        ("summary.json", "another data"),
        ("accuracy.svg", "Forced comparison"),
    ] {
        let file = fs::read_to_string(out.join(name)).unwrap();
        assert!(file.contains(mark), "`{mark}` is not in {name}");
    }
}

#[test]
fn all_suites_are_those_that_the_data_folder_must_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("run"));
    chartqa(&data, &[png(&image::RgbImage::new(2, 2))]);
    let output = rave(&[
        "eval",
        "--model",
        "nano",
        "--suite",
        "all",
        "--data",
        text(&data),
        "--out",
        text(&out),
    ]);
    assert_eq!(output.status.code(), Some(1));
    // The first published suite of the listing, which this folder is not.
    assert!(stderr(&output).contains("docvqa"), "{}", stderr(&output));
}
