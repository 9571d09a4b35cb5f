//! Models and data sets by their names on the hub: a hub on loopback, its cache, and no network at all.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::server::{COMMIT, Server, sha256};
use crate::{answers, chartqa, fixture, png, program, stderr, stdout, text};
use serde_json::Value;

pub const MODEL: &str = "org/tiny";
/// What no model is loaded from.
const OTHERS: [&str; 4] = [
    "README.md",
    "pytorch_model.bin",
    "onnx/model.onnx",
    "training_args.json",
];

/// A hub that has a checkpoint, and ChartQA under its newer name.
fn hub() -> Server {
    let server = Server::start();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        server.put("models/org/tiny", name, &fs::read(&path).unwrap());
    }
    for name in OTHERS {
        server.put("models/org/tiny", name, b"not wanted");
    }
    let folder = tempfile::tempdir().unwrap();
    let pictures = [
        png(&image::RgbImage::new(9, 7)),
        png(&image::RgbImage::new(5, 8)),
    ];
    chartqa(folder.path(), &pictures);
    let shard = fs::read(folder.path().join("test-00000-of-00001.parquet")).unwrap();
    let repository = "datasets/lmms-lab-encoder/ChartQA";
    server.put(repository, "data/test-00000-of-00001.parquet", &shard);
    server.put(repository, "data/train-00000-of-00001.parquet", &[0; 1000]);
    server
}

/// The binary that asks this hub, with its own cache.
pub fn asking(server: &Server, cache: &Path) -> Command {
    let mut program = program();
    program
        .env("HF_ENDPOINT", server.endpoint())
        .env("HF_HUB_CACHE", cache)
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN")
        .stdin(Stdio::null());
    program
}

pub fn generate(program: &mut Command, model: &str, more: &[&str]) -> Output {
    let picture = fixture().join("image.png");
    let question = [
        "--image",
        text(&picture),
        "--prompt",
        "What?",
        "--max-new-tokens",
        "3",
    ];
    program
        .args(["generate", "--json", "--model", model])
        .args(question)
        .args(more)
        .output()
        .unwrap()
}

fn ids(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    let document: Value = serde_json::from_str(&stdout(output)).unwrap();
    document["generated_ids"].clone()
}

#[test]
fn a_model_of_the_hub_answers_as_its_files_do_and_offline_too() {
    let server = hub();
    let cache = tempfile::tempdir().unwrap();
    let expected = ids(&generate(&mut program(), text(&fixture()), &[]));
    let fetched = generate(
        &mut asking(&server, cache.path()),
        &format!("{MODEL}@v1"),
        &[],
    );
    assert_eq!(ids(&fetched), expected);
    assert!(
        stderr(&fetched).contains("model.safetensors"),
        "{}",
        stderr(&fetched)
    );
    for name in OTHERS {
        assert!(
            server.asked(&format!("/{name}")).is_empty(),
            "{name} was fetched"
        );
    }
    let asked = server.asked("/resolve/").len();
    let again = generate(
        &mut asking(&server, cache.path()),
        &format!("{MODEL}@v1"),
        &[],
    );
    assert_eq!(ids(&again), expected);
    assert_eq!(server.asked("/resolve/").len(), asked);
    let connections = server.state().connections;
    let offline = generate(
        &mut asking(&server, cache.path()),
        &format!("{MODEL}@v1"),
        &["--offline"],
    );
    assert_eq!(ids(&offline), expected);
    let mut by_variable = asking(&server, cache.path());
    let pinned = format!("{MODEL}@{COMMIT}");
    let offline = generate(by_variable.env("HF_HUB_OFFLINE", "1"), &pinned, &[]);
    assert_eq!(ids(&offline), expected);
    assert_eq!(server.state().connections, connections);
}

#[test]
fn a_run_keeps_repository_commit_and_hashes_of_model_and_data() {
    let server = hub();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let run = |out: &Path, more: &[&str]| {
        let output = asking(&server, &cache)
            .args([
                "eval",
                "--model",
                MODEL,
                "--variant",
                "standard",
                "--suite",
                "chartqa",
            ])
            .args(["--out", text(out)])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&fs::read(out.join("run.json")).unwrap()).unwrap()
    };
    let first = folder.path().join("first");
    let record = run(&first, &[]);
    let model = &record["models"][0];
    assert_eq!(model["repository"], MODEL);
    assert_eq!(model["revision"], COMMIT);
    assert_eq!(model["source"], format!("{MODEL}@{COMMIT}"));
    for name in [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
    ] {
        let hash = sha256(&fs::read(fixture().join(name)).unwrap());
        assert_eq!(model["files"][name], hash, "{name}");
    }
    assert_eq!(model["sha256"], model["files"]["model.safetensors"]);
    // The older name is asked for first.
    assert_eq!(server.asked("/api/datasets/lmms-lab/ChartQA").len(), 1);
    let data = &record["data"]["chartqa"];
    assert_eq!(data["repository"], "lmms-lab-encoder/ChartQA");
    assert_eq!(data["revision"], COMMIT);
    let shard = &data["files"]["data/test-00000-of-00001.parquet"];
    assert!(shard.is_string() && *shard == data["fingerprint"], "{data}");
    assert!(server.asked("train-00000").is_empty());
    let source = data["source"].as_str().unwrap();
    assert!(!source.contains(text(folder.path())), "{source}");

    let connections = server.state().connections;
    let second = folder.path().join("second");
    let offline = run(&second, &["--offline"]);
    assert_eq!(server.state().connections, connections);
    assert_eq!(answers(&first), answers(&second));
    assert_eq!(
        (&offline["models"], &offline["data"]),
        (&record["models"], &record["data"])
    );
    // The same by the repository's own name, pinned.
    let pinned = format!("lmms-lab-encoder/ChartQA@{COMMIT}");
    let third = run(
        &folder.path().join("third"),
        &["--offline", "--data", &pinned],
    );
    assert_eq!(third["data"], record["data"]);
}

#[test]
fn what_the_hub_refuses_is_one_line_with_a_hint_and_exit_code_1() {
    let server = hub();
    server.put("models/org/pickled", "config.json", b"{}");
    server.put("models/org/pickled", "pytorch_model.bin", b"PK");
    server.put("models/org/empty", "README.md", b"");
    let cache = tempfile::tempdir().unwrap();
    for (model, more, parts) in [
        (
            "org/nothing",
            &[][..],
            [
                "org/nothing: the hub has no such repository",
                "check the name",
            ],
        ),
        (
            "org/tiny@v7",
            &[],
            ["org/tiny@v7: the hub has no such revision", "after @"],
        ),
        (
            "org/tiny",
            &["--offline"],
            ["org/tiny is not in the hub's cache", "--offline"],
        ),
        (
            "org/pickled",
            &[],
            ["org/pickled/pytorch_model.bin", "convert it to safetensors"],
        ),
        (
            "org/empty",
            &[],
            ["org/empty: config.json is missing", "whole checkpoint"],
        ),
    ] {
        let output = generate(&mut asking(&server, cache.path()), model, more);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines.len(), 2, "{message}");
        for (line, (name, part)) in lines
            .iter()
            .zip(["error: ", "hint: "].into_iter().zip(parts))
        {
            assert!(
                line.starts_with(name) && line.contains(part),
                "`{part}` is not in: {message}"
            );
        }
    }
    // Nothing of the pickles was fetched to find out.
    assert!(server.asked("/org/pickled/resolve/").is_empty());
    let output = asking(&server, cache.path())
        .args([
            "eval",
            "--model",
            "nano",
            "--suite",
            "ocrbench",
            "--out",
            text(&cache.path().join("run")),
        ])
        .output()
        .unwrap();
    let message = stderr(&output);
    assert!(
        message.contains("suite `ocrbench` reads echo840/OCRBench"),
        "{message}"
    );
    assert!(message.contains("or pass --data DIR"), "{message}");
}
