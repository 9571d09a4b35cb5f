//! Predictions as JSON objects: ours, VLMEvalKit's records, and lmms-eval's per-sample logs.
//!
//! lmms-eval (commit 75571cfe, `loggers/evaluation_tracker.py`) writes `doc_id`, `target` (the answers through `str`),
//! `filtered_resps`, one key a metric, and drops the document; older versions keep it as `doc`. What a metric's key holds
//! differs by task: `ocrbench_accuracy` has `question_type` and `ground_truth`, `mtvqa_score` has `category`, chartqa has a
//! key for the half that a question belongs to. textvqa writes the word `answer` for its target.

use super::{Prediction, answers_in, one_or_many, refused};
use crate::Error;
use crate::python_json;
use rave_hints::refusal;
use serde_json::{Map, Value};

/// What a line is, for messages.
const SHAPE: &str = "give an object {\"id\"?, \"dataset\"?, \"category\"?, \"prediction\", \"answers\"?} with text in \
                     `prediction`, or a line of lmms-eval's samples";

/// One object a line; a line of white space is none.
pub(super) fn lines(text: &str) -> Result<Vec<Prediction>, Error> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            let number = index + 1;
            let value = python_json::parse(line)
                .map_err(|error| refused(number, refusal(error.to_string(), SHAPE)))?;
            prediction(&value, number).map_err(|error| hinted(error, line))
        })
        .collect()
}

/// A list of objects.
pub(super) fn list(text: &str) -> Result<Vec<Prediction>, Error> {
    let values: Vec<Value> = python_json::parse(text).map_err(|error| {
        refused(
            error.line(),
            refusal(
                error.to_string(),
                "a .json file of predictions is one list of objects",
            ),
        )
    })?;
    let values = values.into_iter().enumerate();
    values
        .map(|(index, value)| prediction(&value, index + 1).map_err(|error| hinted(error, text)))
        .collect()
}

/// Says what became of Python's words for what is not a number, where there are any.
fn hinted(error: Error, text: &str) -> Error {
    match error {
        Error::Prediction { line, reason } if python_json::has_words(text) => {
            refused(line, reason.also(python_json::HINT))
        }
        other => other,
    }
}

fn prediction(value: &Value, line: usize) -> Result<Prediction, Error> {
    let Value::Object(object) = value else {
        return Err(refused(line, refusal("it is no object", SHAPE)));
    };
    if object.contains_key("doc_id")
        && let Some(said) = object.get("filtered_resps").or(object.get("resps"))
    {
        return logged(object, said, line);
    }
    plain(object, line).map_err(|reason| refused(line, refusal(reason, SHAPE)))
}

/// A line of ours, or a record of VLMEvalKit's. Other keys are ignored, so that any log of predictions will do; of two names
/// for one thing the first counts, as in a table.
fn plain(object: &Map<String, Value>, line: usize) -> Result<Prediction, String> {
    let find = |keys: &[&str]| {
        let mut values = keys.iter().filter_map(|&key| object.get(key));
        values.find(|value| !value.is_null())
    };
    let text = |keys: &[&str]| match find(keys) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("`{}` is no text: {other}", keys[0])),
    };
    let answers = match find(&["answers", "answer"]) {
        None => Vec::new(),
        // A spreadsheet's list, or an answer.
        Some(Value::String(text)) => answers_in(text),
        Some(other) => one_or_many(other.clone()).map_err(|error| error.to_string())?,
    };
    Ok(Prediction {
        line,
        id: find(&["id", "index"]).cloned(),
        dataset: text(&["dataset"])?,
        category: text(&["category", "split"])?,
        prediction: text(&["prediction"])?.ok_or("`prediction` is missing")?,
        answers,
        ..Prediction::default()
    })
}

/// A line of lmms-eval's samples.
fn logged(object: &Map<String, Value>, said: &Value, line: usize) -> Result<Prediction, Error> {
    let number = object.get("doc_id").and_then(Value::as_u64);
    let number = number.ok_or_else(|| refused(line, "`doc_id` is no whole number"))?;
    // A text, a list of one, or a list of lists: by version and task.
    let mut said = said;
    while let Value::Array(list) = said {
        said = list
            .first()
            .ok_or_else(|| refused(line, "`filtered_resps` is an empty list"))?;
    }
    let Value::String(said) = said else {
        return Err(refused(line, "`filtered_resps` holds no text"));
    };
    // The document where it was kept, or what a task's own score says of it.
    let parts: Vec<&Map<String, Value>> = object.values().filter_map(Value::as_object).collect();
    let find = |keys: &[&str]| {
        let found = parts
            .iter()
            .find_map(|part| keys.iter().find_map(|&key| part.get(key)));
        found.cloned()
    };
    let text = |keys: &[&str]| find(keys).and_then(|value| value.as_str().map(str::to_owned));
    let half = ["human", "augmented"]
        .into_iter()
        .find(|half| object.contains_key(&format!("relaxed_{half}_split")));
    let category = text(&["question_type", "category", "lang"]).or(half.map(str::to_owned));
    let dataset = text(&["dataset"]);
    let known =
        find(&["answers", "answer", "ground_truth"]).and_then(|value| one_or_many(value).ok());
    let answers_are_doubtful = known.is_none();
    let answers = match (known, object.get("target")) {
        (Some(answers), _) => answers,
        (None, Some(Value::String(target))) => answers_in(target),
        (None, Some(target)) => one_or_many(target.clone()).unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    Ok(Prediction {
        line,
        number: Some(number as usize),
        dataset,
        category,
        prediction: said.clone(),
        answers,
        answers_are_doubtful,
        ..Prediction::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Prediction {
        lines(line).unwrap().remove(0)
    }

    #[test]
    fn ours_and_any_log_with_the_same_keys() {
        let read = lines("{\"id\": \"a\", \"prediction\": \"5 \", \"answers\": [\"5.1\"], \"model\": \"x\"}\n \n{\"id\": 3, \"prediction\": \"\", \"answer\": \"yes\"}").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].line, read[1].line), (1, 3));
        assert_eq!(read[0].id, Some("a".into()));
        assert_eq!(read[1].id, Some(3.into()));
        assert_eq!(read[1].answers, ["yes"]);
    }

    #[test]
    fn a_spreadsheet_as_records_has_its_lists_as_text_and_its_names_twice() {
        let record = r#"[{"index": 3, "id": "a", "answer": "['Blue', \"it's\"]", "prediction": "blue", "split": "human", "category": null}]"#;
        let read = list(record).unwrap().remove(0);
        assert_eq!(read.answers, ["Blue", "it's"]);
        assert_eq!(
            (read.id, read.category.as_deref()),
            (Some("a".into()), Some("human"))
        );
        let refused = list(r#"[{"prediction": 3}]"#).unwrap_err().with_hint();
        assert!(refused.contains("`prediction` is no text: 3"), "{refused}");
    }

    #[test]
    fn samples_of_lmms_eval_old_and_new() {
        let new = one(
            r#"{"doc_id": 4, "target": "['Blue', \"it's\"]", "filtered_resps": "blue", "doc_hash": "x", "anls": 1.0, "input": "?"}"#,
        );
        assert_eq!((new.number, new.prediction.as_str()), (Some(4), "blue"));
        assert_eq!(new.answers, ["Blue", "it's"]);
        assert!(new.answers_are_doubtful);
        let old = one(
            r#"{"doc_id": 0, "doc": {"answer": "3", "type": "human_test"}, "target": "3", "resps": [["4"]], "filtered_resps": ["4"], "relaxed_overall": 0.0, "relaxed_human_split": 0.0}"#,
        );
        assert_eq!(old.answers, ["3"]);
        assert_eq!(old.category.as_deref(), Some("human"));
        assert!(!old.answers_are_doubtful);
        let formula = one(
            r#"{"doc_id": 9, "target": "['x']", "filtered_resps": ["x"], "ocrbench_accuracy": {"question_type": "Handwritten Mathematical Expression Recognition", "score": 1, "prediction": "x", "ground_truth": ["x", "y"]}}"#,
        );
        assert_eq!(formula.answers, ["x", "y"]);
    }

    #[test]
    fn what_python_writes_for_no_number_is_null() {
        let line =
            r#"{"id": 1, "prediction": "a", "answers": ["NaN"], "score": NaN, "category": NaN}"#;
        let read = one(line);
        assert_eq!(
            (read.answers, read.category),
            (vec!["NaN".to_owned()], None)
        );
        let logged =
            one(r#"{"doc_id": 1, "filtered_resps": "a", "target": "b", "anls": -Infinity}"#);
        assert_eq!(logged.answers, ["b"]);
        assert_eq!(list(&format!("[{line}]")).unwrap().len(), 1);
        let message = lines("{\"prediction\": NaN}").unwrap_err().with_hint();
        assert!(
            message.contains("`prediction` is missing") && message.contains("NaN and Infinity"),
            "{message}"
        );
    }

    #[test]
    fn refuses_with_the_line_and_the_reason() {
        for (text, reason) in [
            ("{", "EOF"),
            ("[]", "no object"),
            (r#"{"answers": ["a"]}"#, "`prediction` is missing"),
            (
                r#"{"prediction": null, "answers": ["a"]}"#,
                "`prediction` is missing",
            ),
            (
                r#"{"prediction": "a", "answers": [1]}"#,
                "`answers` must be",
            ),
            (r#"{"doc_id": "a", "filtered_resps": ["a"]}"#, "`doc_id`"),
            (r#"{"doc_id": 1, "filtered_resps": [[]]}"#, "empty list"),
            (r#"{"doc_id": 1, "filtered_resps": [null]}"#, "no text"),
        ] {
            let message = lines(&format!("\n{text}")).unwrap_err().with_hint();
            assert!(
                message.starts_with("line 2 of the predictions: ") && message.contains(reason),
                "{message}"
            );
        }
        assert!(list("{}").unwrap_err().with_hint().contains("one list"));
        let message = list(r#"[{"prediction": "a"}, {"answer": "b"}]"#).unwrap_err();
        assert!(message.to_string().starts_with("line 2 "), "{message}");
    }
}
