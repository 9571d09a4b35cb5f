//! Parquet columns of every type that pyarrow writes: read as `datasets` reads them, or refused by column and type.
//! `fixtures/make_columns.py` makes the files.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rave_benchmarks::{Picture, suite};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    /// The answers of each question that has any.
    Read(Vec<Vec<String>>),
    /// The type by which the column is refused.
    Refused(String),
}

#[test]
fn answers_of_every_type_are_read_as_datasets_reads_them_or_refused_by_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/columns");
    let expected = fs::read(folder.join("answers.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_slice(&expected).unwrap();
    assert!(expected.len() >= 29, "{}", expected.len());
    for (name, expected) in expected {
        let opened = suite("chartqa").unwrap().open(Some(&folder.join(&name)));
        match expected {
            Expected::Read(answers) => {
                let dataset = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
                let items = (0..dataset.len()).map(|index| dataset.item(index).unwrap());
                let mut found = Vec::new();
                for item in items {
                    let Picture::Encoded { bytes, .. } = item.picture else {
                        panic!("{name} is drawn");
                    };
                    let row: usize = item.id.parse().unwrap();
                    assert_eq!(bytes, format!("picture {row}").into_bytes(), "{name}");
                    found.push(item.answers);
                }
                assert_eq!(found, answers, "{name}");
            }
            Expected::Refused(kind) => {
                let message = opened.unwrap_err().with_hint();
                assert!(
                    message.contains(&format!("column `answer` has type {kind}"))
                        && message.contains("test.parquet"),
                    "{name}: {message}"
                );
            }
        }
    }
}
