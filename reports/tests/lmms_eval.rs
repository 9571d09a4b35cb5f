//! Stored samples as lmms-eval's files: every task's own keys, several variants and seeds, failures.
#![allow(clippy::unwrap_used)]

use rave_reports::Artifact;
use rave_reports::lmms_eval::export;
use rave_results::SampleRecord;
use rave_results::schema::{Aggregate, RunRecord};
use serde_json::{Value, json};

#[allow(dead_code, reason = "this file makes its own samples")]
mod common;
use common::{Plan, run};

const SUITES: [&str; 6] = [
    "docvqa", "chartqa", "textvqa", "ocrbench", "mtvqa", "meters",
];

fn record(seeds: u64) -> RunRecord {
    let mut record = run(&Plan {
        suites: &SUITES,
        seeds,
        ..Plan::default()
    })
    .record;
    let suites = &mut record.configuration.suites;
    for named in [0, 2] {
        suites[named].split = "validation".into();
    }
    suites[4].aggregate = Aggregate::CategoryMean;
    record
}

fn sample(suite: &str, number: u64, category: &str, score: Option<f64>) -> SampleRecord {
    SampleRecord {
        model: "org/some/model".into(),
        variant: "rave".into(),
        suite: suite.into(),
        sample: format!("{number:06}"),
        number: Some(number),
        category: category.into(),
        prompt: "what?".into(),
        prediction: "it's \"this\"\n".into(),
        answers: vec!["this".into(), "that".into()],
        score,
        error: score.is_none().then(|| "image: broken".into()),
        ..SampleRecord::default()
    }
}

fn named<'a>(files: &'a [Artifact], end: &str) -> &'a Artifact {
    let mut found = files.iter().filter(|file| file.name.ends_with(end));
    let file = found.next().unwrap();
    assert!(found.next().is_none(), "{end} is there twice");
    file
}

fn lines(file: &Artifact) -> Vec<Value> {
    let text = std::str::from_utf8(&file.bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_task_has_its_own_keys() {
    let samples = [
        sample("docvqa", 3, "", Some(0.5)),
        sample("chartqa", 0, "human", Some(1.0)),
        sample("chartqa", 1, "augmented", Some(0.0)),
        sample("textvqa", 0, "", Some(0.9)),
        sample("ocrbench", 0, "Doc-oriented VQA", Some(1.0)),
        sample("mtvqa", 0, "DE", Some(1.0)),
        sample("mtvqa", 1, "DE", Some(1.0)),
        sample("mtvqa", 2, "FR", Some(0.0)),
        sample("meters", 0, "", Some(0.25)),
        sample("meters", 1, "", None),
    ];
    let export = export(&record(1), &samples).unwrap();
    assert_eq!((export.left_out, export.files.len()), (1, 7));
    let files = &export.files;
    for file in files {
        assert!(file.name.starts_with("some__model__rave/"), "{}", file.name);
    }
    let first = |task: &str| lines(named(files, &format!("_samples_{task}.jsonl"))).remove(0);
    let docvqa = first("docvqa_val");
    assert_eq!(
        (&docvqa["doc_id"], &docvqa["anls"]),
        (&json!(3), &json!(0.5))
    );
    assert_eq!(docvqa["filtered_resps"], json!(["it's \"this\"\n"]));
    assert_eq!(docvqa["resps"], json!([["it's \"this\"\n"]]));
    assert_eq!(docvqa["target"], "[\"this\",\"that\"]");
    assert_eq!(docvqa["doc_hash"].as_str().unwrap().len(), 64);
    assert_eq!(first("chartqa")["relaxed_human_split"], 1.0);
    assert_eq!(first("textvqa_val")["submission"]["question_id"], "000000");
    assert_eq!(
        first("ocrbench")["ocrbench_accuracy"]["question_type"],
        "Doc-oriented VQA"
    );
    assert_eq!(
        first("mtvqa")["mtvqa_score"],
        json!({"category": "DE", "score": 1.0})
    );
    assert_eq!(first("meters")["score"], 0.25);
    // Another split is no score of the task that people compare with.
    let mut trained = record(1);
    for suite in &mut trained.configuration.suites {
        suite.split = "train".into();
    }
    let other = rave_reports::lmms_eval::export(&trained, &samples).unwrap();
    named(&other.files, "_samples_docvqa_train.jsonl");
    named(&other.files, "_samples_chartqa_train.jsonl");

    let results: Value = serde_json::from_slice(&named(files, "_results.json").bytes).unwrap();
    let of = |task: &str, key: &str| results["results"][task][&format!("{key},none")].clone();
    assert_eq!(of("chartqa", "relaxed_overall"), 0.5);
    // Half a point from its mean on each side: the error of two values is a half.
    assert_eq!(of("chartqa", "relaxed_overall_stderr"), 0.5);
    assert_eq!(of("chartqa", "relaxed_augmented_split"), 0.0);
    assert_eq!(of("docvqa_val", "anls_stderr"), "N/A");
    // There: per cent over items. Here: the mean over languages.
    assert!((of("mtvqa", "mtvqa_score").as_f64().unwrap() - 200.0 / 3.0).abs() < 1e-9);
    assert_eq!(of("mtvqa", "rave_score"), 0.5);
    assert_eq!(
        results["n-samples"]["meters"],
        json!({"original": 40, "effective": 1})
    );
    assert_eq!(
        results["higher_is_better"]["ocrbench"],
        json!({"ocrbench_accuracy": true})
    );
}

#[test]
fn variants_and_seeds_are_models_of_their_own() {
    let mut record = record(2);
    let name = record.configuration.models[0].clone();
    record.models[0].seeds = vec![1, 2];
    let samples: Vec<SampleRecord> = ["standard", "rave"]
        .iter()
        .flat_map(|variant| [1, 2].map(|seed| (variant, seed)))
        .map(|(variant, seed)| SampleRecord {
            model: name.clone(),
            variant: (*variant).into(),
            seed,
            // As a record of before numbers were kept.
            number: None,
            ..sample("docvqa", 0, "", Some(1.0))
        })
        .collect();
    let export = export(&record, &samples).unwrap();
    let mut folders: Vec<&str> = export
        .files
        .iter()
        .map(|file| file.name.split('/').next().unwrap())
        .collect();
    folders.dedup();
    assert_eq!(
        folders,
        ["rave", "standard"]
            .iter()
            .flat_map(|variant| [1, 2].map(|seed| format!("{name}__{variant}__seed-{seed}")))
            .collect::<Vec<_>>()
    );
    let file = export
        .files
        .iter()
        .find(|file| file.name.contains("_samples_"));
    assert_eq!(lines(file.unwrap())[0]["doc_id"], 0);
}

#[test]
fn names_out_of_a_record_stay_in_the_folder() {
    let mut record = record(1);
    record.configuration.suites[5].id = "../../away".into();
    let samples =
        [("..", "..", "../../away"), ("../..", "/", "/etc/away")].map(|(model, variant, suite)| {
            SampleRecord {
                model: model.into(),
                variant: variant.into(),
                ..sample(suite, 0, "", Some(1.0))
            }
        });
    let export = export(&record, &samples).unwrap();
    assert_eq!(export.files.len(), 4);
    for file in &export.files {
        let parts: Vec<&str> = file.name.split('/').collect();
        assert_eq!(parts.len(), 2, "{}", file.name);
        assert!(
            !parts.contains(&"..") && !parts.contains(&""),
            "{}",
            file.name
        );
    }
}
