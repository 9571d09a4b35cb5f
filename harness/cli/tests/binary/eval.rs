//! `rave eval`: the main job, kills, failures, locks, limits.

use super::*;

#[test]
fn the_main_job_ends_with_records_tables_and_charts_and_repeats_itself() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let out = folder.path().join(name);
        let mut arguments = pair("embedded-ocr,embedded-chart", "3", &out);
        arguments.extend(["--batch", "1"]);
        let output = rave(&arguments);
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
        "nano-untrained",
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
        let words = pair("embedded-scene", "40", out).into_iter();
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let killed = folder.path().join("killed");
    let recorded = kill(&arguments(&killed), &killed, 10);
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
    let (fixture, data) = (fixture(), folder.path().join("data"));
    let eval = |policy: &str| {
        let out = folder.path().join(policy);
        let base = eval_chartqa(text(&fixture), "standard,rave", &data, &out);
        let output = rave(&[&base[..], &["--fail-on-error", policy]].concat());
        (answers(&out), output)
    };
    let (samples, output) = eval("any");
    assert_eq!(output.status.code(), Some(1));
    let failed: Vec<_> = samples
        .iter()
        .filter_map(|sample| Some(sample.error.as_ref()?.to_string()))
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
fn two_processes_on_one_folder_leave_one_whole_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let begin = || {
        program()
            .args(small("nano-untrained", "12", &out))
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
    let models = format!("nano-untrained,{}", text(&damaged));
    let output = rave(&small(&models, "1", &out));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("model_type"),
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
        program()
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = [
        begin("nano-untrained"),
        begin("nano-untrained"),
        begin("nano-untrained"),
        begin("nanp"),
    ];
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
fn an_item_that_cannot_be_read_keeps_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let whole = png(&image::RgbImage::new(40, 30));
    chartqa(&data, &[whole, Vec::new()]);
    let out = folder.path().join("run");
    let fixture = fixture();
    let output = rave(&eval_chartqa(text(&fixture), "standard,rave", &data, &out));
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
        let failure = sample.error.as_ref().unwrap();
        assert!(failure.detail.contains("empty (0 bytes)"), "{failure}");
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
    let limited = limited("-f 20")
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
fn all_suites_are_those_that_the_data_folder_must_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("run"));
    chartqa(&data, &[png(&image::RgbImage::new(2, 2))]);
    let output = rave(&[
        "eval",
        "--model",
        "nano-untrained",
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
