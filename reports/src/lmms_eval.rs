//! Stored samples in the shape of lmms-eval's logs, for the tools that read those.
//!
//! After lmms-eval at commit 75571cfe (`evaluator.py`, `loggers/evaluation_tracker.py`, read by `baselines/loader.py` and
//! `tui/server.py`): a folder a model, in it `<date>_results.json` and one `<date>_samples_<task>.jsonl` a task. A variant and
//! a seed make a model of their own. What differs on purpose:
//! - `resps`, `filtered_resps`, `arguments` and `doc` keep the form that they have in memory there (lists of lists), which
//!   readers of old and new files both take; saved files of that commit unwrap the first two and drop the others.
//! - `target` holds the accepted answers for every task; there it is the word `answer` for textvqa.
//! - Every line has `score`, by the official metric, and every task `rave_score,none`, the suite's score (of mtvqa the mean over
//!   languages). `ocrbench_accuracy,none` is the share of the samples taken and not of a thousand.
//! - A sample that failed has no answer there could be a line for: it is left out, and counted for the caller.

use std::collections::BTreeMap;

use rave_results::SampleRecord;
use rave_results::schema::{Aggregate, RunRecord, SuiteConfiguration, sha256_hex};
use serde_json::{Map, Value, json};

use crate::{Artifact, Error};

/// The filter of lmms-eval under which every score stands.
const FILTER: &str = "none";

/// The files, and the samples without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Files, named by their path with a folder a model.
    pub files: Vec<Artifact>,
    /// Samples that failed and have no line.
    pub left_out: usize,
}

/// A suite's task there: three name their split, the others have `test` alone.
fn task(run: &RunRecord, suite: &str) -> String {
    let configured = run.configuration.suites.iter().find(|own| own.id == suite);
    let names_split = ["docvqa", "infovqa", "textvqa"].contains(&suite);
    match configured.map(|own| own.split.as_str()) {
        Some("validation") if names_split => format!("{suite}_val"),
        Some("test") | None if !names_split => suite.to_owned(),
        Some(split) => format!("{suite}_{split}"),
        None => format!("{suite}_val"),
    }
}

/// The key of a suite's main score there.
fn key(suite: &str) -> &str {
    match suite {
        "docvqa" | "infovqa" => "anls",
        "chartqa" => "relaxed_overall",
        "textvqa" => "exact_match",
        "ocrbench" => "ocrbench_accuracy",
        "mtvqa" => "mtvqa_score",
        _ => "score",
    }
}

/// The logs of a run's samples.
///
/// # Errors
/// A value that cannot be written as JSON.
pub fn export(run: &RunRecord, samples: &[SampleRecord]) -> Result<Export, Error> {
    let mut models: BTreeMap<(&str, &str, u64), BTreeMap<&str, Vec<&SampleRecord>>> =
        BTreeMap::new();
    let mut left_out = 0;
    for sample in samples {
        if sample.score.is_none() {
            left_out += 1;
            continue;
        }
        let model = (sample.model.as_str(), sample.variant.as_str(), sample.seed);
        let tasks = models.entry(model).or_default();
        tasks.entry(&sample.suite).or_default().push(sample);
    }
    let date = run.created.strftime("%Y%m%d_%H%M%S").to_string();
    let mut files = Vec::new();
    for ((model, variant, seed), tasks) in models {
        let mut name = format!("{model}__{variant}");
        if run.seeds_of(model) > 1 {
            name += &format!("__seed-{seed}");
        }
        let folder = sanitised(&name);
        let mut tables = Tables::default();
        for (suite, mut samples) in tasks {
            samples.sort_by_key(|sample| (sample.number, &sample.sample));
            let task = sanitised(&task(run, suite));
            let mut text = String::new();
            for (place, sample) in samples.iter().enumerate() {
                let line = serde_json::to_string(&line(sample, place as u64));
                text += &line.map_err(|error| Error::Text(error.to_string()))?;
                text.push('\n');
            }
            files.push(Artifact::text(
                &format!("{folder}/{date}_samples_{task}.jsonl"),
                text,
            ));
            tables.add(run, suite, &samples);
        }
        let head = json!({
            "config": {
                "model": "rave",
                "model_args": format!("pretrained={model},variant={variant}"),
                "batch_size": run.configuration.batch,
                "device": run.configuration.device,
                "dtype": run.configuration.dtype,
                "random_seed": seed,
            },
            "git_hash": run.code.commit,
            "date": date,
            "model_source": "rave",
            "model_name": name,
            "model_name_sanitized": folder,
        });
        let text = serde_json::to_string_pretty(&tables.with(head))
            .map_err(|error| Error::Text(error.to_string()))?;
        files.push(Artifact::text(
            &format!("{folder}/{date}_results.json"),
            text + "\n",
        ));
    }
    Ok(Export { files, left_out })
}

/// A model's name as a folder: the last two parts of a path, without the characters that a file's name must not have.
fn sanitised(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    let last = parts[parts.len().saturating_sub(2)..].join("/");
    let mut clean = String::new();
    for character in last.chars() {
        if !r#""<>:/|\?*[]"#.contains(character) {
            clean.push(character);
        } else if !clean.ends_with("__") {
            clean += "__";
        }
    }
    clean
}

/// A line of the samples; `place` stands for the number of a sample that was recorded without one.
fn line(sample: &SampleRecord, place: u64) -> Value {
    let doc = json!({
        "id": sample.sample,
        "image_id": sample.image_id,
        "category": sample.category,
        "answers": sample.answers,
    });
    let target = match &sample.answers[..] {
        [only] => only.clone(),
        answers => json!(answers).to_string(),
    };
    let mut line = Map::new();
    let mut set = |key: &str, value: Value| line.insert(key.to_owned(), value);
    set("doc_id", sample.number.unwrap_or(place).into());
    set("doc_hash", sha256_hex(doc.to_string().as_bytes()).into());
    set("doc", doc);
    set("target", target.into());
    set("input", sample.prompt.clone().into());
    set("arguments", json!([sample.prompt]));
    set("resps", json!([[sample.prediction]]));
    set("filtered_resps", json!([sample.prediction]));
    set("score", json!(sample.score));
    for (key, value) in metrics(sample) {
        set(&key, value);
    }
    line.into()
}

/// What the suite's task there keeps of a sample.
fn metrics(sample: &SampleRecord) -> Vec<(String, Value)> {
    let score = json!(sample.score);
    let key = key(&sample.suite);
    let main = |value: Value| (key.to_owned(), value);
    match sample.suite.as_str() {
        "chartqa" => {
            let half = format!("relaxed_{}_split", sample.category);
            vec![main(score.clone()), (half, score)]
        }
        "ocrbench" => vec![main(json!({
            "question_type": sample.category,
            "score": score,
            "prediction": sample.prediction,
            "ground_truth": sample.answers,
        }))],
        "mtvqa" => vec![main(json!({"category": sample.category, "score": score}))],
        "textvqa" => vec![
            main(score),
            (
                "submission".to_owned(),
                json!({"question_id": sample.sample, "answer": sample.prediction}),
            ),
        ],
        _ if key == "score" => Vec::new(),
        _ => vec![main(score)],
    }
}

/// The tables of `results.json`, each keyed by task.
#[derive(Default)]
struct Tables {
    results: Map<String, Value>,
    group_subtasks: Map<String, Value>,
    configs: Map<String, Value>,
    versions: Map<String, Value>,
    shots: Map<String, Value>,
    higher_is_better: Map<String, Value>,
    samples: Map<String, Value>,
}

impl Tables {
    fn add(&mut self, run: &RunRecord, suite: &str, samples: &[&SampleRecord]) {
        let (task, key) = (task(run, suite), key(suite));
        let configured = run.configuration.suites.iter().find(|own| own.id == suite);
        let all: Vec<f64> = samples.iter().filter_map(|sample| sample.score).collect();
        let mut scores = Map::new();
        scores.insert("alias".to_owned(), task.clone().into());
        let mut put = |key: &str, values: &[f64], scale: f64| {
            let (mean, error) = mean_and_error(values);
            scores.insert(
                format!("{key},{FILTER}"),
                json!(mean.map(|mean| mean * scale)),
            );
            scores.insert(
                format!("{key}_stderr,{FILTER}"),
                error.map_or_else(|| "N/A".into(), |error| json!(error * scale)),
            );
        };
        // MTVQA is the one that is given in per cent there.
        put(key, &all, if suite == "mtvqa" { 100.0 } else { 1.0 });
        if suite == "chartqa" {
            for half in ["human", "augmented"] {
                let of_half = samples.iter().filter(|sample| sample.category == half);
                let values: Vec<f64> = of_half.filter_map(|sample| sample.score).collect();
                if !values.is_empty() {
                    put(&format!("relaxed_{half}_split"), &values, 1.0);
                }
            }
        }
        scores.insert(
            format!("rave_score,{FILTER}"),
            json!(suite_score(configured, samples)),
        );
        let total = run
            .data
            .get(suite)
            .map_or(samples.len(), |data| data.rows_total);
        let split = configured.map(|suite| suite.split.as_str());
        let version = configured.map(|suite| suite.version);
        let set = |table: &mut Map<String, Value>, value: Value| {
            table.insert(task.clone(), value);
        };
        set(&mut self.results, scores.into());
        set(&mut self.group_subtasks, json!([]));
        set(
            &mut self.configs,
            json!({"task": task, "test_split": split, "output_type": "generate_until", "num_fewshot": 0}),
        );
        set(&mut self.versions, json!(version));
        set(&mut self.shots, json!(0));
        set(&mut self.higher_is_better, json!({key: true}));
        set(
            &mut self.samples,
            json!({"original": total, "effective": samples.len()}),
        );
    }

    /// The whole document, with what is not by task.
    fn with(self, head: Value) -> Value {
        let mut document = json!({
            "results": self.results,
            "group_subtasks": self.group_subtasks,
            "configs": self.configs,
            "versions": self.versions,
            "n-shot": self.shots,
            "higher_is_better": self.higher_is_better,
            "n-samples": self.samples,
        });
        if let (Value::Object(document), Value::Object(head)) = (&mut document, head) {
            document.extend(head);
        }
        document
    }
}

/// The suite's own score, as a report has it.
fn suite_score(suite: Option<&SuiteConfiguration>, samples: &[&SampleRecord]) -> Option<f64> {
    let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let by_category = suite.is_some_and(|suite| suite.aggregate == Aggregate::CategoryMean);
    for sample in samples {
        let key = if by_category { &sample.category } else { "" };
        groups.entry(key).or_default().extend(sample.score);
    }
    let means: Vec<f64> = groups
        .values()
        .filter_map(|values| mean_and_error(values).0)
        .collect();
    mean_and_error(&means).0
}

/// The mean, and its standard error where there are two values or more.
fn mean_and_error(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let count = values.len() as f64;
    if values.is_empty() {
        return (None, None);
    }
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
    (Some(mean), error)
}
