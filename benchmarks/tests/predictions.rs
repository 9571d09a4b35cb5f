//! Files of predictions against every published suite: perfect ones score 1, empty ones 0 with every sample scored.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod common;

use common::{images, lists, texts, write};
use polars::prelude::Column;
use proptest::prelude::*;
use rave_benchmarks::predictions::{Format, Missing, Prediction, Tally, match_with, read, score};
use rave_benchmarks::{Dataset, METRICS, suite, suites};
use serde_json::json;
use tempfile::TempDir;

/// Four questions in the columns of a suite.
fn columns(id: &str) -> Vec<Column> {
    let questions = texts("question", &["How many?", "Who?", "Where?", "Which one?"]);
    let ids = |name: &str| texts(name, &["7", "8", "9", "10"]);
    let answers: [&[&str]; 4] = [&["3"], &["Ann", "Ann Lee"], &["'s Graveland"], &["[1, 2]"]];
    let one: Vec<&str> = answers.iter().map(|answers| answers[0]).collect();
    let mut columns = match id {
        "docvqa" | "infovqa" => vec![questions, ids("questionId"), lists("answers", &answers)],
        "chartqa" => vec![
            questions,
            texts(
                "type",
                &["human_test", "human_test", "augmented_test", "human_test"],
            ),
            texts("answer", &one),
        ],
        "textvqa" => {
            let ten: Vec<[&str; 10]> = one.iter().map(|&answer| [answer; 10]).collect();
            let ten: Vec<&[&str]> = ten.iter().map(|ten| &ten[..]).collect();
            vec![
                questions,
                ids("question_id"),
                ids("image_id"),
                lists("answers", &ten),
            ]
        }
        "ocrbench" => vec![
            questions,
            texts("dataset", &["svt", "svt", "HME100k", "svt"]),
            texts(
                "question_type",
                &[
                    "Regular Text Recognition",
                    "Doc-oriented VQA",
                    "Handwritten Mathematical Expression Recognition",
                    "Doc-oriented VQA",
                ],
            ),
            lists("answer", &answers),
        ],
        "mtvqa" => {
            let pairs = one
                .iter()
                .map(|answer| format!("[{{'question': 'Wo?', 'answer': {answer:?}}}]"));
            let pairs: Vec<String> = pairs.collect();
            let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
            vec![
                ids("id"),
                texts("lang", &["DE", "DE", "FR", "DE"]),
                texts("qa_pairs", &pairs),
            ]
        }
        other => panic!("no columns for {other}"),
    };
    columns.push(images(4));
    columns
}

/// Every published suite on four questions.
fn datasets() -> Vec<(TempDir, Dataset)> {
    let published = suites().iter().filter(|suite| !suite.is_embedded());
    published
        .map(|suite| {
            let folder = tempfile::tempdir().unwrap();
            let name = format!("{}-00000-of-00001.parquet", suite.split);
            write(folder.path(), &name, columns(&suite.id));
            let dataset = suite.open(Some(folder.path())).unwrap();
            (folder, dataset)
        })
        .collect()
}

fn tally(dataset: &Dataset, format: Format, text: &str, missing: Missing) -> (Tally, usize) {
    let (matched, absent) = match_with(dataset, read(format, text).unwrap(), missing).unwrap();
    let suite = dataset.suite();
    (
        score(suite.metric, suite.average, &matched).unwrap(),
        absent,
    )
}

/// A file of ours that answers every sample.
fn lines(dataset: &Dataset, answer: impl Fn(&str) -> String) -> String {
    (0..dataset.len())
        .map(|index| {
            let label = dataset.label(index).unwrap();
            json!({"id": label.id, "prediction": answer(&label.answers[0])}).to_string() + "\n"
        })
        .collect()
}

#[test]
fn a_perfect_file_scores_one_and_an_empty_one_zero_in_every_suite() {
    let datasets = datasets();
    assert_eq!(datasets.len(), 6);
    for (_folder, dataset) in &datasets {
        let id = &dataset.suite().id;
        let (perfect, absent) = tally(
            dataset,
            Format::Jsonl,
            &lines(dataset, str::to_owned),
            Missing::Skip,
        );
        assert_eq!(
            (perfect.score, perfect.scores.len(), absent),
            (Some(1.0), 4, 0),
            "{id}"
        );
        let categories = usize::from(dataset.label(0).unwrap().category.is_some()) * 2;
        assert!(perfect.categories.len() >= categories, "{id}");
        assert!(perfect.categories.iter().all(|(_, mean, _)| *mean == 1.0));
        // Empty answers, and no lines at all: every sample is scored, as wrong.
        let empty = lines(dataset, |_| String::new());
        for (text, missing) in [(empty.as_str(), Missing::Skip), ("", Missing::Zero)] {
            let (tally, _) = tally(dataset, Format::Jsonl, text, missing);
            assert_eq!((tally.score, tally.scores.len()), (Some(0.0), 4), "{id}");
            assert!(
                tally
                    .scores
                    .iter()
                    .all(|scored| scored.score == 0.0 && scored.id.is_some())
            );
        }
        let (none, absent) = tally(dataset, Format::Jsonl, "", Missing::Skip);
        assert_eq!(
            (none.score, none.scores.len(), absent),
            (None, 0, 4),
            "{id}"
        );
    }
}

#[test]
fn other_harnesses_files_give_the_same_scores() {
    for (_folder, dataset) in &datasets() {
        let id = &dataset.suite().id;
        let labels: Vec<_> = (0..4).map(|index| dataset.label(index).unwrap()).collect();
        // One right, one wrong, one right, one absent.
        let said = ["right", "wrong", "right"];
        let said = |index: usize| match said[index] {
            "right" => labels[index].answers[0].clone(),
            _ => "nonsense".to_owned(),
        };
        let mut files = vec![(Format::Jsonl, String::new()); 2];
        files.extend([
            (Format::Csv, "id,prediction\n".to_owned()),
            (Format::Tsv, "prediction\tid\n".to_owned()),
        ]);
        let mut list = Vec::new();
        for (index, label) in labels.iter().enumerate().take(3) {
            let quoted = format!("\"{}\"", said(index));
            files[0].1 +=
                &(json!({"doc_id": index, "target": "answer", "filtered_resps": [said(index)]})
                    .to_string()
                    + "\n");
            files[1].1 +=
                &(json!({"doc_id": index, "target": "answer", "filtered_resps": said(index)})
                    .to_string()
                    + "\n");
            files[2].1 += &format!("{},{quoted}\n", label.id);
            files[3].1 += &format!("{quoted}\t{}\n", label.id);
            list.push(json!({"index": label.id, "prediction": said(index)}));
        }
        files.push((Format::Json, serde_json::to_string(&list).unwrap()));
        for (format, text) in files {
            let (tally, absent) = tally(dataset, format, &text, Missing::Skip);
            let scores: Vec<f64> = tally.scores.iter().map(|scored| scored.score).collect();
            assert_eq!(
                (scores, absent),
                (vec![1.0, 0.0, 1.0], 1),
                "{id} {format:?}"
            );
        }
    }
}

#[test]
fn a_suite_of_languages_takes_their_mean() {
    let datasets = datasets();
    let (_folder, dataset) = datasets
        .iter()
        .find(|(_, dataset)| dataset.suite().id == "mtvqa")
        .unwrap();
    // Right in French alone: one of one language, none of the other.
    let text = json!({"id": "9_0", "prediction": "in 's graveland"}).to_string();
    let (tally, _) = tally(dataset, Format::Jsonl, &text, Missing::Zero);
    assert_eq!(tally.score, Some(0.5));
    let parts: Vec<_> = tally
        .categories
        .iter()
        .map(|(name, mean, count)| (name.as_str(), *mean, *count))
        .collect();
    assert_eq!(parts, [("DE", 0.0, 3), ("FR", 1.0, 1)]);
}

#[test]
fn predictions_that_belong_nowhere_or_twice_are_refused() {
    let (_folder, dataset) = &datasets()[0];
    for (text, reason) in [
        (
            r#"{"prediction": "x"}"#,
            "line 1 of the predictions: it has no `id`",
        ),
        (r#"{"id": 99, "prediction": "x"}"#, "no sample `99`"),
        (r#"{"doc_id": 4, "filtered_resps": "x"}"#, "no sample `4`"),
        (
            "{\"id\": 7, \"prediction\": \"x\"}\n{\"doc_id\": 0, \"filtered_resps\": \"y\"}",
            "line 2 of the predictions: sample `0` has a prediction already, on line 1",
        ),
    ] {
        let read = read(Format::Jsonl, text).unwrap();
        let message = match_with(dataset, read, Missing::Skip)
            .unwrap_err()
            .with_hint();
        assert!(message.contains(reason), "{message}");
    }
    // Numbers without their leading zeros name rows too.
    let (_folder, chartqa) = &datasets()[2];
    let text = r#"{"id": 2, "prediction": "'S GRAVELAND"}"#;
    assert_eq!(
        tally(chartqa, Format::Jsonl, text, Missing::Skip).0.score,
        Some(1.0)
    );
}

#[test]
fn answers_that_a_log_does_not_hold_are_not_made_up() {
    let log = r#"{"doc_id": 0, "target": "answer", "filtered_resps": "answer"}"#;
    let read = read(Format::Jsonl, log).unwrap();
    let suite = suite("textvqa").unwrap();
    let message = score(suite.metric, suite.average, &read)
        .unwrap_err()
        .with_hint();
    assert!(
        message.contains("a vote of 10 answers") && message.contains("--data"),
        "{message}"
    );
    let bare = [Prediction::default()];
    let message = score(suite.metric, suite.average, &bare)
        .unwrap_err()
        .with_hint();
    assert!(message.contains("no `answers`"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever text a file holds, reading and scoring it ends in scores within bounds or in an error.
    #[test]
    fn no_text_makes_a_file_of_predictions_panic(text: String, cells in prop::collection::vec(any::<String>(), 1..6)) {
        let table = format!("id,prediction,answers\n{}", cells.join(","));
        let line = format!("{{\"prediction\": {0}, \"answers\": [{0}]}}", json!(text));
        let list = format!("prediction,answers\nx,\"['{}\"", text.replace('"', "'"));
        for format in [Format::Jsonl, Format::Json, Format::Csv, Format::Tsv] {
            for text in [&text, &table, &line, &list] {
                let Ok(read) = read(format, text) else { continue };
                for metric in METRICS.iter().copied() {
                    if let Ok(tally) = score(metric, rave_benchmarks::Average::Items, &read) {
                        prop_assert!(tally.scores.iter().all(|scored| (0.0..=1.0).contains(&scored.score)));
                    }
                }
            }
        }
    }
}
