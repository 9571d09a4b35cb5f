//! Metrics against cases scored by the official formulas in Python, and properties that hold for any text.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

use proptest::prelude::*;
use rave_benchmarks::metrics::Definition;
use rave_benchmarks::predictions::{Format, read, score};
use rave_benchmarks::{Average, METRICS, Metric};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The metric of this id.
fn metric(id: &str) -> Metric {
    id.parse().unwrap()
}

/// Scores every case of a golden file; gives the number of cases by metric.
fn check(path: &Path) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut counts = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        let case: Value = serde_json::from_str(line).unwrap();
        let metric: Metric = case["metric"].as_str().unwrap().parse().unwrap();
        let answers: Vec<String> = serde_json::from_value(case["answers"].clone()).unwrap();
        let official = case["official"].as_f64().unwrap();
        let ours = metric.score(
            case["prediction"].as_str().unwrap(),
            &answers,
            case["dataset"].as_str(),
        );
        if (ours - official).abs() > 1e-12 {
            wrong.push(format!("{ours} for {line}"));
        }
        *counts.entry(metric.to_string()).or_default() += 1;
    }
    assert!(
        wrong.is_empty(),
        "{} cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    counts
}

#[test]
fn equal_to_our_golden_cases() {
    let counts = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/metrics.jsonl"));
    for metric in METRICS.iter().copied() {
        assert!(
            counts[metric.id()] >= 60,
            "{metric} has too few cases: {counts:?}"
        );
    }
}

#[test]
fn equal_to_the_cases_scored_by_the_official_scripts() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/goldens/metrics.jsonl");
    if !path.exists() {
        println!("skipped: ../shared/goldens/metrics.jsonl is not here");
        return;
    }
    let counts = check(&path);
    assert_eq!(counts.values().sum::<usize>(), 600, "{counts:?}");
}

/// As another crate would write it.
const LENGTH: Metric = Metric::new(&Definition {
    id: "length",
    version: 1,
    description: "1 if the prediction is as long as an answer, else 0",
    annotators: None,
    score: |prediction, answers, _| {
        let same = |answer: &String| answer.chars().count() == prediction.chars().count();
        f64::from(u8::from(answers.iter().any(same)))
    },
});

#[test]
fn a_metric_from_outside_scores_predictions() {
    let lines = "{\"prediction\": \"four\", \"answers\": [\"1\", \"five\"]}\n{\"prediction\": \"x\", \"answers\": [\"no\"]}\n";
    let predictions = read(Format::Jsonl, lines).unwrap();
    let tally = score(LENGTH, Average::Items, &predictions).unwrap();
    assert_eq!(tally.score, Some(0.5));
    // It is not registered, so nothing that is read names it.
    assert!("length".parse::<Metric>().is_err());
}

/// Text of every kind: any characters, and the fragments that the metrics treat in a special way.
fn text() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        " ", "\t", "\u{1c}", "\u{3000}", "%", ".", ",", "'s", "5", "٥", "1_0", "inf", "nan", "İ",
        "ΟΣ", "ß", "-", "a", "ten", "e",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(fragment, 0..12).prop_map(|parts| parts.concat())
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn scores_are_between_zero_and_one(prediction in text(), answers in prop::collection::vec(text(), 0..12), formula: bool) {
        for metric in METRICS.iter().copied() {
            let score = metric.score(&prediction, &answers, formula.then_some("HME100k"));
            prop_assert!((0.0..=1.0).contains(&score), "{metric}: {score}");
        }
    }

    /// Saying the answer exactly scores 1, but for the exceptions that the official scripts make.
    #[test]
    fn the_answer_itself_is_right(answer in text(), other in text()) {
        let answers = [other, answer.clone()];
        prop_assert_eq!(metric("ocrbench").score(&answer, &answers, None), 1.0);
        prop_assert_eq!(metric("ocrbench").score(&answer, &answers, Some("HME100k")), 1.0);
        prop_assert_eq!(metric("anls").score(&answer, &answers, None), 1.0);
        prop_assert_eq!(metric("vqa_accuracy").score(&answer, &vec![answer.clone(); 10], None), 1.0);
        if !answer.contains('.') {
            prop_assert_eq!(metric("mtvqa").score(&answer, &answers, None), 1.0);
        }
        let lower = answer.to_lowercase();
        if !lower.contains("inf") && !lower.contains("nan") {
            prop_assert_eq!(metric("relaxed_accuracy").score(&answer, &answers, None), 1.0);
        }
    }

    /// Where prediction and answer weigh the same, they can change places: the distance of two texts, and equal normal forms.
    #[test]
    fn prediction_and_answer_change_places(left in text(), right in text()) {
        let one = |answer: &str| [answer.to_owned()];
        let ten = |answer: &str| vec![answer.to_owned(); 10];
        prop_assert_eq!(metric("anls").score(&left, &one(&right), None), metric("anls").score(&right, &one(&left), None));
        prop_assert_eq!(metric("vqa_accuracy").score(&left, &ten(&right), None), metric("vqa_accuracy").score(&right, &ten(&left), None));
    }

    /// One more answer never lowers the score of a metric that takes the best.
    #[test]
    fn more_answers_never_hurt(prediction in text(), answers in prop::collection::vec(text(), 1..5), more in text()) {
        let extended: Vec<String> = answers.iter().cloned().chain([more]).collect();
        for metric in [metric("anls"), metric("relaxed_accuracy"), metric("ocrbench"), metric("mtvqa")] {
            let before = metric.score(&prediction, &answers, None);
            let after = metric.score(&prediction, &extended, None);
            prop_assert!(after >= before, "{metric}: {before} then {after}");
        }
    }

    /// The order in which annotators are listed does not matter, up to the rounding of the sum.
    #[test]
    fn the_vote_has_no_order(prediction in text(), answers in prop::collection::vec(text(), 10)) {
        let backwards: Vec<String> = answers.iter().rev().cloned().collect();
        let forth = metric("vqa_accuracy").score(&prediction, &answers, None);
        let back = metric("vqa_accuracy").score(&prediction, &backwards, None);
        prop_assert!((forth - back).abs() < 1e-12);
    }
}
