//! In what two runs differ that should be one: what `--resume` and `rave merge` refuse, told with both values where they are
//! short.
//!
//! Configurations are compared as JSON, so that whatever a configuration comes to hold is compared without being named here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::schema::{DataRecord, ModelRecord, RunRecord, Shard};

/// Characters of a value that is told in full, and of the beginning of a longer one.
const SHORT: usize = 40;
const BEGINNING: usize = 12;

/// One thing in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What it is.
    what: String,
    /// Its values in the first and in the second; `None` where they are too long to be told.
    values: Option<(String, String)>,
}

impl Difference {
    fn of(what: &str, first: &Value, second: &Value) -> Self {
        let values = (short(first), short(second));
        let what = what.to_owned();
        Self {
            // Values that differ only in what is left out say nothing.
            values: (values.0 != values.1).then_some(values),
            what,
        }
    }

    /// `what: A before, B now`, with these words for the two runs.
    pub(crate) fn told(&self, [first, second]: [&str; 2]) -> String {
        let what = &self.what;
        match &self.values {
            Some((a, b)) => format!("{what}: {a} {first}, {b} {second}"),
            None => what.clone(),
        }
    }
}

/// Differences of what two runs were asked for, in words.
pub(crate) fn json_differences(stored: &impl Serialize, now: &impl Serialize) -> Vec<String> {
    let mut found = Vec::new();
    compare("", &json(stored), &json(now), &mut found);
    let told = found.iter();
    told.map(|one| one.told(["before", "now"])).collect()
}

/// Differences of configuration, code, checkpoints and data of a stored run and of the same run begun again.
pub(crate) fn differences(stored: &RunRecord, now: &RunRecord) -> Vec<Difference> {
    let mut found = configuration(stored, now);
    found.extend(code(stored, now));
    found.extend(models(stored, now));
    found.extend(data(&stored.data, &now.data));
    found
}

/// Differences of two shards of one run: as [`differences`], but for which shard each is and what follows from that, and for
/// the place where the data lay; and the libraries, which on one machine follow from the code.
pub(crate) fn shard_differences(first: &RunRecord, second: &RunRecord) -> Vec<Difference> {
    let whole = |run: &RunRecord| {
        let mut run = run.clone();
        run.configuration.shard = None;
        run
    };
    let mut found = Vec::new();
    let count = |run: &RunRecord| json(&run.configuration.shard.map(Shard::count));
    compare(
        "number of shards",
        &count(first),
        &count(second),
        &mut found,
    );
    found.extend(configuration(&whole(first), &whole(second)));
    found.extend(code(first, second));
    compare(
        "libraries",
        &json(&first.libraries),
        &json(&second.libraries),
        &mut found,
    );
    found.extend(models(first, second));
    let same = |run: &RunRecord| -> BTreeMap<String, DataRecord> {
        let data = run.data.iter();
        data.map(|(suite, data)| {
            let same = DataRecord {
                rows_used: 0,
                source: String::new(),
                ..data.clone()
            };
            (suite.clone(), same)
        })
        .collect()
    };
    found.extend(data(&same(first), &same(second)));
    found
}

fn data(
    first: &BTreeMap<String, DataRecord>,
    second: &BTreeMap<String, DataRecord>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let suites: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    for suite in suites {
        let (a, b) = (json(&first.get(suite)), json(&second.get(suite)));
        compare(&format!("the data of {suite}"), &a, &b, &mut found);
    }
    found
}

fn configuration(first: &RunRecord, second: &RunRecord) -> Vec<Difference> {
    let mut found = Vec::new();
    let both = (json(&first.configuration), json(&second.configuration));
    compare("", &both.0, &both.1, &mut found);
    for difference in &mut found {
        if difference.what == "threads" {
            difference.what += " (the last bits of sums depend on how many there are)";
        }
    }
    found
}

fn code(first: &RunRecord, second: &RunRecord) -> Option<Difference> {
    let name = |run: &RunRecord| match &run.code.commit {
        Some(commit) => json(&format!("{} at {}", run.code.version, beginning(commit))),
        None => json(&run.code.version),
    };
    (first.code != second.code).then(|| Difference::of("code", &name(first), &name(second)))
}

/// Models are known only once they are loaded, so a record may lack some.
fn models(first: &RunRecord, second: &RunRecord) -> Vec<Difference> {
    let shared = |model: &ModelRecord| first.model(&model.name).cloned();
    let pairs = second
        .models
        .iter()
        .filter_map(|now| Some((shared(now)?, now)));
    pairs
        .flat_map(|(before, now)| weights(&before, now))
        .collect()
}

/// Differences of the weights, and of what else was loaded, under one model's name. Older records tell less.
pub(crate) fn weights(first: &ModelRecord, second: &ModelRecord) -> Vec<Difference> {
    let mut found = Vec::new();
    let name = &second.name;
    let mut add = |what: &str, first: Value, second: Value| {
        compare(&format!("{what} of {name}"), &first, &second, &mut found);
    };
    add("checkpoint", json(&first.sha256), json(&second.sha256));
    add("adapters", json(&first.adapters), json(&second.adapters));
    if !first.files.is_empty() && !second.files.is_empty() {
        add("files", json(&first.files), json(&second.files));
    }
    if let (Some(first), Some(second)) = (&first.generation, &second.generation) {
        add("generation config", json(first), json(second));
    }
    found
}

/// Compares two values, part by part where both have parts.
fn compare(what: &str, first: &Value, second: &Value, found: &mut Vec<Difference>) {
    match (first, second) {
        _ if first == second => {}
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let part =
                    |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
                let what = match what {
                    "" => name.clone(),
                    _ => format!("{name} of {what}"),
                };
                compare(&what, &part(a), &part(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if ids(a).is_some() && ids(a) == ids(b) => {
            for (a, b) in a.iter().zip(b) {
                let id = a["id"].as_str().unwrap_or_default();
                compare(&format!("{} {id}", singular(what)), a, b, found);
            }
        }
        _ => found.push(Difference::of(what, first, second)),
    }
}

/// The ids of a list of things that have one.
fn ids(list: &[Value]) -> Option<Vec<&str>> {
    list.iter().map(|value| value["id"].as_str()).collect()
}

fn singular(what: &str) -> &str {
    what.strip_suffix('s').unwrap_or(what)
}

/// A value in few words: lists of things by their ids, hashes and long texts by their beginning.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => match ids(list) {
            Some(ids) => ids.join(","),
            None => list.iter().map(short).collect::<Vec<_>>().join(","),
        },
        other => other.to_string(),
    };
    if text.chars().count() > SHORT {
        format!("{}..", beginning(&text))
    } else {
        text
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(BEGINNING).collect()
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("records are strings, numbers, lists and maps of them")
}
