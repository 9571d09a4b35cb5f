//! The other commands: generate, score, the listings, reports.

use super::*;

/// It starts the program that is linked with LibTorch, but for what needs none.
#[test]
fn the_launcher_tells_the_version_alone_and_names_the_program_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("rave");
    fs::copy(env!("CARGO_BIN_EXE_rave"), &alone).unwrap();
    let run = |word: &str| Command::new(&alone).arg(word).output().unwrap();
    let version = run("--version");
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(stdout(&version), stdout(&rave(&["--version"])));
    let suites = run("suites");
    assert_eq!(suites.status.code(), Some(2));
    let (error, hint) = (
        stderr(&suites),
        "hint: keep the programs rave and rave-torch in one folder",
    );
    assert!(
        error.contains("rave-torch") && error.contains(hint),
        "{error}"
    );
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
fn generate_takes_several_pictures_in_order() {
    let fixture = fixture().with_file_name("qwen2_vl");
    let case: Value =
        serde_json::from_slice(&fs::read(fixture.join("case.json")).unwrap()).unwrap();
    let (first, second) = (fixture.join("image.png"), fixture.join("image_2.png"));
    let output = rave(&[
        "generate",
        "--model",
        text(&fixture),
        "--image",
        text(&first),
        "--image",
        text(&second),
        "--prompt",
        case["prompt"].as_str().unwrap(),
        "--max-new-tokens",
        "10",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["input_ids"], case["input_ids"]);
    assert_eq!(answer["generated_ids"], case["generated_ids"]);
}

#[test]
fn score_reads_lines_and_writes_lines() {
    let mut child = program()
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
    assert_eq!(
        stderr(&output),
        "anls: 0.5000 over 2 predictions\n2 of 5349 items: not a score of the whole DocVQA\n"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn listings_name_everything_in_words_and_as_json() {
    for (command, expected) in [
        ("models", "nano-untrained"),
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

#[test]
fn a_closed_stdout_takes_neither_the_report_nor_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    chartqa(&folder.path().join("data"), &[b"no picture".to_vec()]);
    let out = folder.path().join("run");
    let run = |arguments: &[&str], stdout: Stdio| {
        program()
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
    let fixture = fixture();
    let eval = eval_chartqa(text(&fixture), "standard,rave", &data, &out);
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
            let output = rave(&eval_chartqa(text(&fixture), variant, &data, &out));
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
        "txt,md,csv,tex,json,svg,html",
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
        ("report.tex", "A forced comparison"),
        ("accuracy.svg", "Forced comparison"),
        ("report.html", "forced comparison of unequal runs"),
    ] {
        let file = fs::read_to_string(out.join(name)).unwrap();
        assert!(file.contains(mark), "`{mark}` is not in {name}");
    }
}
