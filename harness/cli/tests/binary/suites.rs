//! Suites, samples and predictions through the binary: whose data, which samples, in which words, in whose files.

use rave_benchmarks::{Suite, suite};
use rave_results::RunRecord;

use super::*;

/// A folder with a suite of two pictures and three questions, and its `suite.toml`.
fn meters(folder: &Path) -> PathBuf {
    let own = folder.join("meters");
    fs::create_dir_all(&own).unwrap();
    for (name, shade) in [("1.png", 40), ("2.png", 200)] {
        let picture = image::RgbImage::from_pixel(40, 30, image::Rgb([shade; 3]));
        fs::write(own.join(name), png(&picture)).unwrap();
    }
    let toml = "id = \"meters\"\nlayout = \"jsonl\"\nmetric = \"anls\"\nmax_new_tokens = 4\nprompt_suffix = \" Be brief.\"\n";
    fs::write(own.join("suite.toml"), toml).unwrap();
    let lines = [
        ("a", "1.png", "anls"),
        ("b", "2.png", "anls"),
        ("c", "2.png", "ocrbench"),
    ];
    let lines = lines.map(|(id, image, metric)| {
        json!({"id": id, "image": image, "question": "What is it?", "answers": ["x"], "metric": metric}).to_string() + "\n"
    });
    fs::write(own.join("test.jsonl"), lines.concat()).unwrap();
    own
}

/// `rave eval` of the fixture under one variant, with more arguments.
fn eval(suite: &str, out: &Path, more: &[&str]) -> Output {
    let fixture = fixture();
    let base = [
        "eval",
        "--model",
        text(&fixture),
        "--variant",
        "standard",
        "--suite",
        suite,
        "--out",
        text(out),
    ];
    rave(&[&base[..], more].concat())
}

fn ids(run: &Path) -> Vec<String> {
    answers(run)
        .into_iter()
        .map(|sample| sample.sample)
        .collect()
}

fn run_record(run: &Path) -> RunRecord {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_suite_in_a_file_is_evaluated_and_kept_apart_by_its_definition() {
    let folder = tempfile::tempdir().unwrap();
    let (own, out) = (meters(folder.path()), folder.path().join("run"));
    let output = eval(text(&own), &out, &["--samples", "a,c"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(ids(&out), ["a", "c"]);
    let samples = answers(&out);
    assert!(
        samples[0].prompt.contains("What is it? Be brief."),
        "{}",
        samples[0].prompt
    );
    assert_eq!((samples[0].number, samples[1].number), (Some(0), Some(2)));
    let configured = &run_record(&out).configuration.suites[0];
    assert_eq!(configured.samples, ["a", "c"]);
    assert_eq!(
        configured.definition,
        Suite::load(&own).unwrap().file.map(|file| file.sha256)
    );
    // Another definition is another configuration, whatever its version says.
    let toml = fs::read_to_string(own.join("suite.toml")).unwrap();
    fs::write(own.join("suite.toml"), toml.replace("Be brief", "Briefly")).unwrap();
    let again = folder.path().join("again");
    let output = eval(text(&own), &again, &["--samples", "a,c"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_ne!(&run_record(&again).configuration.suites[0], configured);
}

#[test]
fn the_folder_that_one_stands_in_is_a_suite_by_a_dot() {
    let folder = tempfile::tempdir().unwrap();
    let own = meters(folder.path());
    let inside = own.join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(
        own.join("said.jsonl"),
        "{\"prediction\": \"x\", \"answers\": [\"x\"]}\n",
    )
    .unwrap();
    let score = |place: &Path, suite: &str| {
        let said = own.join("said.jsonl");
        let arguments = ["score", "--suite", suite, "--predictions", text(&said)];
        let output = program().current_dir(place).args(arguments).output();
        stderr(&output.unwrap())
    };
    for (place, suite) in [
        (&own, "."),
        (&own, "./"),
        (&inside, ".."),
        (&own, "../meters"),
    ] {
        let said = score(place, suite);
        assert!(said.starts_with("anls: 1.0000 over 1"), "{suite}: {said}");
    }
    for (place, suite, reason) in [
        (inside.as_path(), ".", "the folder . holds no suite.toml"),
        (
            own.as_path(),
            "inside/",
            "the folder inside/ holds no suite.toml",
        ),
        (folder.path(), "meters", "there is no suite `meters`"),
        (folder.path(), "meters", "give ./meters"),
    ] {
        let said = score(place, suite);
        assert!(said.contains(reason), "{suite}: {said}");
    }
}

#[test]
fn a_missing_picture_fails_its_samples_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (own, out) = (meters(folder.path()), folder.path().join("run"));
    fs::remove_file(own.join("2.png")).unwrap();
    let output = eval(text(&own.join("suite.toml")), &out, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("2.png"), "{}", stderr(&output));
    let failed: Vec<_> = answers(&out)
        .into_iter()
        .map(|sample| sample.error.is_some())
        .collect();
    assert_eq!(failed, [false, true, true]);
}

#[test]
fn a_subset_is_drawn_by_its_seed_and_a_run_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let output = eval("embedded-ocr", &out, &["--limit", "4", "--shuffle", seed]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        out
    };
    let (first, again, other) = (run("first", "7"), run("again", "7"), run("other", "8"));
    assert_eq!(ids(&first), ids(&again));
    assert_ne!(ids(&first), ids(&other));
    assert_ne!(
        ids(&first),
        ["ocr-000000", "ocr-000001", "ocr-000002", "ocr-000003"]
    );
    assert_eq!(run_record(&first).configuration.suites[0].shuffle, Some(7));
}

#[test]
fn a_run_goes_on_with_the_samples_that_it_began_with_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = |more: &[&str]| -> Vec<String> {
        let base = small("nano-untrained", "60", &out);
        let all = base.into_iter().chain(more.iter().copied());
        all.map(str::to_owned).collect()
    };
    let recorded = kill(&arguments(&["--shuffle", "7"]), &out, 3);
    assert!((3..60).contains(&recorded), "{recorded}");
    let resume = |more: &[&str]| {
        let arguments = arguments(&[more, &["--resume"]].concat());
        rave(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for (other, now) in [(&["--shuffle", "8"][..], "8"), (&[], "none")] {
        let refused = resume(other);
        assert_eq!(refused.status.code(), Some(1));
        let told = format!("in: shuffle of suite embedded-ocr: 7 before, {now} now\n");
        assert!(stderr(&refused).contains(&told), "{}", stderr(&refused));
    }
    let output = resume(&["--shuffle", "7"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(answers(&out).len(), 60);
}

#[test]
fn a_family_is_asked_in_its_authors_words_unless_all_are_asked_alike() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    chartqa(&data, &[png(&image::RgbImage::new(40, 30))]);
    for (prompts, expected, alike) in [
        ("family", "numerical value", false),
        (
            "suite",
            "How many?\nAnswer the question with a single word.",
            true,
        ),
    ] {
        let out = folder.path().join(prompts);
        let output = eval(
            "chartqa",
            &out,
            &["--data", text(&data), "--prompts", prompts],
        );
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let prompt = answers(&out).remove(0).prompt;
        assert!(prompt.contains(expected), "{prompt}");
        assert_eq!(run_record(&out).configuration.suites[0].asked_alike, alike);
    }
}

/// The file of that ending in the one model's folder of an export.
fn exported(folder: &Path, end: &str) -> PathBuf {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let models = entries(folder);
    assert_eq!(models.len(), 1, "{models:?}");
    let mut files = entries(&models[0]).into_iter();
    files.find(|path| text(path).ends_with(end)).unwrap()
}

#[test]
fn what_was_exported_is_what_lmms_eval_writes_and_scores_the_same_here() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("run"));
    let whole = png(&image::RgbImage::new(40, 30));
    chartqa(&data, &[whole.clone(), b"no picture".to_vec(), whole]);
    let output = eval(
        "chartqa",
        &out,
        &[
            "--data",
            text(&data),
            "--export",
            "lmms-eval",
            "--fail-on-error",
            "never",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("1 failed samples have no answer"),
        "{}",
        stderr(&output)
    );
    let file = |end: &str| exported(&out.join("lmms-eval"), end);
    let results: Value = serde_json::from_slice(&fs::read(file("_results.json")).unwrap()).unwrap();
    assert_eq!(
        results["n-samples"]["chartqa"],
        json!({"original": 3, "effective": 2})
    );
    assert!(results["results"]["chartqa"]["relaxed_overall,none"].is_number());
    let samples = file("_samples_chartqa.jsonl");
    let lines = fs::read_to_string(&samples).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines.iter().map(|line| &line["doc_id"]).collect::<Vec<_>>(),
        [0, 2]
    );
    for key in [
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "doc_hash",
        "input",
        "relaxed_human_split",
    ] {
        assert!(!lines[0][key].is_null(), "{key}");
    }
    // The other way round, by the numbers of the samples.
    let score = [
        "score",
        "--suite",
        "chartqa",
        "--predictions",
        text(&samples),
    ];
    let alone = rave(&score);
    let with_data = rave(&[&score[..], &["--data", text(&data)]].concat());
    for (output, id) in [(&alone, false), (&with_data, true)] {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
        let scores: Vec<Value> = stdout(output)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let expected: Vec<&Value> = lines.iter().map(|line| &line["score"]).collect();
        assert_eq!(
            scores.iter().map(|line| &line["score"]).collect::<Vec<_>>(),
            expected
        );
        assert_eq!(scores[1]["id"] == "000002", id);
    }
    assert!(
        stderr(&with_data).contains("1 of the data's 3 samples have no prediction"),
        "{}",
        stderr(&with_data)
    );

    // The same files from the stored run, elsewhere.
    let again = folder.path().join("again");
    let export = rave(&[
        "export",
        text(&out),
        "--format",
        "lmms-eval",
        "--out",
        text(&again),
    ]);
    assert_eq!(export.status.code(), Some(0), "{}", stderr(&export));
    let name = samples.strip_prefix(out.join("lmms-eval")).unwrap();
    assert_eq!(
        fs::read(again.join(name)).unwrap(),
        fs::read(&samples).unwrap()
    );
}

/// Real items, where `../shared/data` is there: perfect and empty files of every suite that it holds.
#[test]
fn perfect_and_empty_predictions_of_real_items() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.exists() {
        println!("skipped: ../shared/data is not here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("predictions.jsonl");
    for (id, whole) in [("chartqa", 2500), ("docvqa", 5349), ("ocrbench", 1000)] {
        let dataset = suite(id).unwrap().open(Some(&data)).unwrap();
        let labels: Vec<_> = (0..dataset.len())
            .map(|index| dataset.label(index).unwrap())
            .collect();
        for (is_perfect, mean) in [(true, "1.0000"), (false, "0.0000")] {
            let lines = labels.iter().map(|label| {
                let said = if is_perfect {
                    label.answers[0].as_str()
                } else {
                    ""
                };
                json!({"id": label.id, "prediction": said}).to_string() + "\n"
            });
            fs::write(&file, lines.collect::<String>()).unwrap();
            let output = rave(&[
                "score",
                "--suite",
                id,
                "--data",
                text(&data),
                "--predictions",
                text(&file),
            ]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert_eq!(stdout(&output).lines().count(), dataset.len());
            let message = stderr(&output);
            assert!(
                message.contains(&format!(": {mean} over {} predictions", dataset.len())),
                "{message}"
            );
            assert!(
                message.contains(&format!(
                    "{} of {whole} items: not a score of the whole",
                    dataset.len()
                )),
                "{message}"
            );
        }
    }
}

/// Every family on real items, where `../shared` is there.
#[test]
fn every_family_answers_real_items() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let (data, checkpoints) = (shared.join("data"), shared.join("goldens/parity"));
    if !data.exists() || !checkpoints.exists() {
        println!("skipped: ../shared is not here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(checkpoints).unwrap() {
        let checkpoint = entry.unwrap().path();
        // There are goldens of families that are not supported yet.
        let yet = ["gemma3", "internvl", "llava_next", "qwen3_5"];
        if yet.iter().any(|name| checkpoint.ends_with(name)) {
            continue;
        }
        let out = folder.path().join(checkpoint.file_name().unwrap());
        let output = rave(&[
            "eval",
            "--model",
            text(&checkpoint),
            "--variant",
            "standard,rave",
            "--suite",
            "chartqa,docvqa,ocrbench",
            "--data",
            text(&data),
            "--limit",
            "1",
            "--out",
            text(&out),
        ]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{message}");
        assert!(message.contains("(6 scored, 0 failed)"), "{message}");
        seen += 1;
    }
    assert_eq!(seen, 7);
}
