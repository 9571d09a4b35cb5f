//! Every layout on parquet files written here, and every way in which such a file can be wrong.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod common;

use common::{bytes, image_column, images, items, lists, texts, write};
use polars::prelude::{Column, NamedFrom, Series};
use rave_benchmarks::{Dataset, Error, Item, Picture, suite, suites};
use std::collections::HashSet;
use std::path::Path;
use tempfile::TempDir;

fn open(id: &str, folder: &TempDir) -> Result<Dataset, Error> {
    suite(id).unwrap().open(Some(folder.path()))
}

fn refused(id: &str, folder: &TempDir) -> String {
    open(id, folder).unwrap_err().with_hint()
}

fn docvqa_columns(rows: usize) -> Vec<Column> {
    let numbers: Vec<i64> = (0..rows as i64).map(|row| 49_150 + row).collect();
    let documents: Vec<i32> = (0..rows as i32).map(|row| 7 + row / 2).collect();
    let questions: Vec<String> = (0..rows).map(|row| format!("What is {row}?")).collect();
    let answers: Vec<Series> = (0..rows)
        .map(|row| Series::new("item".into(), [format!("{row}"), "else".to_owned()]))
        .collect();
    vec![
        Series::new("questionId".into(), numbers).into(),
        Series::new("question".into(), questions).into(),
        images(rows),
        Series::new("docId".into(), documents).into(),
        Series::new("answers".into(), answers).into(),
    ]
}

#[test]
fn docvqa_over_two_files_and_many_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("DocVQA");
    write(
        &data,
        "validation-00000-of-00002.parquet",
        docvqa_columns(100),
    );
    let second: Vec<Column> = docvqa_columns(110)
        .into_iter()
        .map(|column| column.slice(100, 10))
        .collect();
    write(&data, "validation-00001-of-00002.parquet", second);
    let dataset = open("docvqa", &folder).unwrap();
    let items = items(&dataset);
    assert_eq!(items.len(), 110);
    for (row, item) in items.iter().enumerate() {
        assert_eq!(item.id, (49_150 + row).to_string());
        assert_eq!(item.image_id, (7 + row / 2).to_string());
        assert_eq!(bytes(item), format!("picture {row}"));
        assert_eq!(item.answers, [row.to_string(), "else".to_owned()]);
        assert_eq!(
            item.prompt,
            format!("What is {row}?\nAnswer the question using a single word or phrase.")
        );
    }
    let Picture::Encoded { name, .. } = &items[101].picture else {
        panic!()
    };
    assert_eq!(name, "101.png in validation-00001-of-00002.parquet");
    assert_eq!(dataset.size_hint_full(), Some(5349));
}

#[test]
fn the_fingerprint_is_of_the_bytes_in_order() {
    use sha2::{Digest as _, Sha256};
    let folder = tempfile::tempdir().unwrap();
    let first = write(
        folder.path(),
        "validation-00000-of-00002.parquet",
        docvqa_columns(4),
    );
    let second: Vec<Column> = docvqa_columns(6)
        .into_iter()
        .map(|column| column.slice(4, 2))
        .collect();
    let second = write(folder.path(), "validation-00001-of-00002.parquet", second);
    let mut hasher = Sha256::new();
    hasher.update(std::fs::read(first).unwrap());
    hasher.update(std::fs::read(second).unwrap());
    let expected = format!("{:x}", hasher.finalize());
    assert_eq!(open("docvqa", &folder).unwrap().fingerprint(), expected);
}

#[test]
fn chartqa_with_text_or_lists_for_answers() {
    for answers in [
        texts("answer", &["3", "Yes"]),
        lists("answer", &[&["3"], &["Yes"]]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let columns = vec![
            texts("type", &["human_test", "augmented"]),
            texts("question", &["How many?", "Is it?"]),
            answers,
            images(2),
        ];
        write(folder.path(), "test-00000-of-00001.parquet", columns);
        let items = items(&open("chartqa", &folder).unwrap());
        assert_eq!(items[0].category.as_deref(), Some("human"));
        assert_eq!(items[1].category.as_deref(), Some("augmented"));
        assert_eq!(
            (items[0].answers.as_slice(), items[1].id.as_str()),
            (&["3".to_owned()][..], "000001")
        );
        // The first 16 digits of the SHA-256 of `picture 0`.
        assert_eq!(items[0].image_id.len(), 16);
        assert_ne!(items[0].image_id, items[1].image_id);
    }
}

#[test]
fn textvqa_needs_ten_answers() {
    let ten: &[&str] = &["stop"; 10];
    let columns = |answers: &[&[&str]]| {
        vec![
            Series::new("question_id".into(), [34_602_i32, 34_603]).into(),
            texts("question", &["what does it say?", "and this?"]),
            texts("image_id", &["003a8ae2ef43b901", "003a8ae2ef43b901"]),
            lists("answers", answers),
            images(2),
        ]
    };
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "validation-00000-of-00001.parquet",
        columns(&[ten, ten]),
    );
    let items = items(&open("textvqa", &folder).unwrap());
    assert_eq!(
        (items[1].id.as_str(), items[1].image_id.as_str()),
        ("34603", "003a8ae2ef43b901")
    );
    write(
        folder.path(),
        "validation-00000-of-00001.parquet",
        columns(&[ten, &ten[..9]]),
    );
    let message = refused("textvqa", &folder);
    assert!(message.contains("row 1: it has 9 answers"), "{message}");
}

#[test]
fn ocrbench_keeps_data_set_and_type() {
    let folder = tempfile::tempdir().unwrap();
    let columns = vec![
        texts("dataset", &["HME100k", "svt"]),
        texts("question", &["Write the formula.", "what is written?"]),
        texts(
            "question_type",
            &[
                "Handwritten Mathematical Expression Recognition",
                "Regular Text Recognition",
            ],
        ),
        lists("answer", &[&["x ^ { 2 }"], &["STOP", "HALT"]]),
        images(2),
    ];
    write(folder.path(), "test-00000-of-00001.parquet", columns);
    let dataset = open("ocrbench", &folder).unwrap();
    let items = items(&dataset);
    assert_eq!(items[0].dataset.as_deref(), Some("HME100k"));
    assert_eq!(
        items[1].category.as_deref(),
        Some("Regular Text Recognition")
    );
    assert_eq!(items[0].prompt, "Write the formula.");
    let metric = dataset.suite().metric;
    assert_eq!(
        metric.score("x^{2}", &items[0].answers, items[0].dataset.as_deref()),
        1.0
    );
    assert_eq!(
        dataset.size_hint_full(),
        None,
        "some other set of two items"
    );
}

#[test]
fn mtvqa_turns_a_row_into_its_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [
        r#"[{'question': 'Was steht da?', 'answer': "Müller's"}, {'question': ' ', 'answer': 'x'}, {'question': 'Wo?', 'answer': 'M\xfcnchen'}]"#,
        "[{'question': '何?', 'answer': '東京'}]",
    ];
    let columns = |pairs: &[&str]| {
        vec![
            texts("id", &["DE_1", "JA_1"]),
            texts("lang", &["DE", "JA"]),
            images(2),
            texts("qa_pairs", pairs),
        ]
    };
    write(
        folder.path(),
        "test-00000-of-00001.parquet",
        columns(&pairs),
    );
    let dataset = open("mtvqa", &folder).unwrap();
    let items = items(&dataset);
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["DE_1_0", "DE_1_2", "JA_1_0"]);
    assert_eq!(items[1].answers, ["München"]);
    assert_eq!(
        (items[1].image_id.as_str(), bytes(&items[1]).as_str()),
        ("DE_1", "picture 0")
    );
    assert_eq!(
        (items[2].category.as_deref(), bytes(&items[2]).as_str()),
        (Some("JA"), "picture 1")
    );
    assert!(
        dataset
            .source()
            .ends_with("1 question(s) without text or answer left out"),
        "{}",
        dataset.source()
    );
    write(
        folder.path(),
        "test-00000-of-00001.parquet",
        columns(&[pairs[1], "[{'question': }]"]),
    );
    let message = refused("mtvqa", &folder);
    assert!(
        message
            .contains("row 1: `qa_pairs` is no Python literal: expected a value at character 14"),
        "{message}"
    );
}

#[test]
fn a_missing_column_is_named_with_those_there() {
    for missing in ["questionId", "question", "answers", "image"] {
        let folder = tempfile::tempdir().unwrap();
        let columns = docvqa_columns(2)
            .into_iter()
            .filter(|column| column.name() != missing)
            .collect();
        write(folder.path(), "validation-00000-of-00001.parquet", columns);
        let message = refused("docvqa", &folder);
        assert!(
            message.contains("validation-00000-of-00001.parquet"),
            "{message}"
        );
        assert!(
            message.contains(&format!("no column `{missing}`"))
                && message.contains("its columns are: "),
            "{message}"
        );
    }
    // `docId` alone may be missing: then the bytes name the picture.
    let folder = tempfile::tempdir().unwrap();
    let columns = docvqa_columns(2)
        .into_iter()
        .filter(|column| column.name() != "docId")
        .collect();
    write(folder.path(), "validation-00000-of-00001.parquet", columns);
    assert_eq!(
        open("docvqa", &folder)
            .unwrap()
            .item(0)
            .unwrap()
            .image_id
            .len(),
        16
    );
}

#[test]
fn columns_of_another_type_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let with = |column: Column| -> Vec<Column> {
        docvqa_columns(2)
            .into_iter()
            .map(|old| {
                if old.name() == column.name() {
                    column.clone()
                } else {
                    old
                }
            })
            .collect()
    };
    write(
        folder.path(),
        "validation-0.parquet",
        with(Series::new("question".into(), [1.5, 2.5]).into()),
    );
    let message = refused("docvqa", &folder);
    assert!(
        message.contains("column `question` has type f64") && message.contains("text"),
        "{message}"
    );
    write(
        folder.path(),
        "validation-0.parquet",
        with(texts("image", &["a.png", "b.png"])),
    );
    let message = refused("docvqa", &folder);
    assert!(
        message.contains("column `image` has type str") && message.contains("struct"),
        "{message}"
    );
    let paths = Series::new("path".into(), ["a.png", "b.png"]);
    for bytes in [
        Series::new("bytes".into(), ["text", "text"]),
        Series::new("other".into(), [b"png".as_slice(), b"png"]),
    ] {
        write(
            folder.path(),
            "validation-0.parquet",
            with(image_column(&bytes, &paths)),
        );
        let message = refused("docvqa", &folder);
        assert!(
            message.contains("column `image` has type struct"),
            "{message}"
        );
    }
    // Some copies keep the bytes alone.
    write(
        folder.path(),
        "validation-0.parquet",
        with(Series::new("image".into(), [b"png".as_slice(), b"png"]).into()),
    );
    assert!(open("docvqa", &folder).unwrap().item(0).is_ok());
}

#[test]
fn pictures_without_bytes_fail_one_item_with_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let some: [Option<&[u8]>; 2] = [Some(b"png"), None];
    let none: [Option<&[u8]>; 2] = [None, None];
    let paths = Series::new("path".into(), ["a.png", "b.png"]);
    for (bytes, first_is_there) in [(some, true), (none, false)] {
        let mut columns = docvqa_columns(2);
        columns[2] = image_column(&Series::new("bytes".into(), bytes), &paths);
        write(folder.path(), "validation-0.parquet", columns);
        let dataset = open("docvqa", &folder).unwrap();
        assert_eq!(dataset.item(0).is_ok(), first_is_there);
        let message = dataset.item(1).unwrap_err().with_hint();
        assert!(
            message.contains("row 1: column `image` holds no bytes, only a path"),
            "{message}"
        );
    }
}

#[test]
fn an_empty_picture_is_called_that_and_keeps_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: [&[u8]; 2] = [b"png", b""];
    let mut columns = docvqa_columns(2);
    columns[2] = image_column(
        &Series::new("bytes".into(), bytes),
        &Series::new("path".into(), ["a.png", "b.png"]),
    );
    write(folder.path(), "validation-0.parquet", columns);
    let dataset = open("docvqa", &folder).unwrap();
    let message = dataset.item(1).unwrap_err().with_hint();
    assert!(
        message.contains("row 1: ") && message.contains("is empty (0 bytes)"),
        "{message}"
    );
    let (item, label) = (dataset.item(0).unwrap(), dataset.label(0).unwrap());
    assert_eq!(
        (
            label.id,
            label.image_id,
            label.prompt,
            label.answers,
            label.category
        ),
        (
            item.id,
            Some(item.image_id),
            item.prompt,
            item.answers,
            item.category
        )
    );
    assert_eq!(dataset.label(1).unwrap().id, "49151");
    assert_eq!(dataset.label(2), None);
    let drawn = suite("embedded-ocr").unwrap().open(None).unwrap();
    assert_eq!(drawn.label(5).unwrap().id, drawn.item(5).unwrap().id);
}

#[test]
fn questions_without_text_or_answer_are_left_out_in_every_layout() {
    let questions = ["a?", " ", "c?", "d?", "e?"];
    let answers: [&[&str]; 5] = [&["1"], &["1"], &[""], &[], &[" ", "2"]];
    let ten: Vec<Vec<&str>> = answers
        .iter()
        .map(|list| {
            list.iter()
                .copied()
                .cycle()
                .take(10 * list.len().min(1))
                .collect()
        })
        .collect();
    let ten: Vec<&[&str]> = ten.iter().map(Vec::as_slice).collect();
    let numbers = || -> Vec<i64> { (0..5).collect() };
    let same = |name: &str| texts(name, &["human"; 5]);
    let cases = [
        (
            "docvqa",
            "validation",
            vec![
                Series::new("questionId".into(), numbers()).into(),
                lists("answers", &answers),
            ],
        ),
        (
            "chartqa",
            "test",
            vec![same("type"), lists("answer", &answers)],
        ),
        (
            "textvqa",
            "validation",
            vec![
                Series::new("question_id".into(), numbers()).into(),
                same("image_id"),
                lists("answers", &ten),
            ],
        ),
        (
            "ocrbench",
            "test",
            vec![
                same("dataset"),
                texts("question_type", &["Regular Text Recognition"; 5]),
                lists("answer", &answers),
            ],
        ),
    ];
    for (id, split, mut columns) in cases {
        let folder = tempfile::tempdir().unwrap();
        columns.extend([texts("question", &questions), images(5)]);
        write(
            folder.path(),
            &format!("{split}-00000-of-00001.parquet"),
            columns.clone(),
        );
        let dataset = open(id, &folder).unwrap();
        let found: Vec<(usize, String)> = items(&dataset)
            .iter()
            .map(|item| (item.id.parse().unwrap(), bytes(item)))
            .collect();
        // A row keeps its number, whatever is left out before it.
        assert_eq!(
            found,
            [(0, "picture 0".to_owned()), (4, "picture 4".to_owned())],
            "{id}"
        );
        assert!(
            dataset
                .source()
                .ends_with("3 question(s) without text or answer left out"),
            "{id}: {}",
            dataset.source()
        );
        let none = columns.iter().map(|column| column.slice(1, 3)).collect();
        write(
            folder.path(),
            &format!("{split}-00000-of-00001.parquet"),
            none,
        );
        let message = refused(id, &folder);
        assert!(
            message.contains("none of the split's 3 question(s)") && message.contains("--data"),
            "{id}: {message}"
        );
    }
}

#[test]
fn empty_and_repeated_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut columns = docvqa_columns(3);
    columns[0] = Series::new("questionId".into(), [5_i64, 6, 5]).into();
    write(folder.path(), "validation-0.parquet", columns);
    let message = refused("docvqa", &folder);
    assert!(
        message.contains("the id `5` occurs twice (rows 0 and 2"),
        "{message}"
    );

    let columns = docvqa_columns(2)
        .into_iter()
        .map(|column| column.slice(0, 0))
        .collect();
    write(folder.path(), "validation-0.parquet", columns);
    let message = refused("docvqa", &folder);
    assert!(message.contains("the split has no rows"), "{message}");
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(
        folder.path(),
        "validation-00000-of-00001.parquet",
        docvqa_columns(40),
    );
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 1, 4, 8, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = refused("docvqa", &folder);
        assert!(
            message.contains("is not a readable parquet file")
                && message.contains("download it again"),
            "{message}"
        );
    }
    std::fs::write(
        &path,
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    )
    .unwrap();
    assert!(refused("docvqa", &folder).contains("is not a readable parquet file"));
    // Damage in the middle: an error, or (where it hits a picture's bytes) nothing that can be seen here.
    let mut errors = 0;
    for at in (4..whole.len() - 8).step_by(whole.len() / 60) {
        let mut damaged = whole.clone();
        damaged[at..at + 4].fill(0xff);
        std::fs::write(&path, damaged).unwrap();
        errors += usize::from(match open("docvqa", &folder) {
            Err(_) => true,
            Ok(dataset) => (0..dataset.len()).any(|index| dataset.item(index).is_err()),
        });
    }
    assert!(errors > 5, "{errors}");
}

#[test]
fn published_suites_say_what_they_need() {
    let message = suite("chartqa")
        .unwrap()
        .open(None)
        .unwrap_err()
        .with_hint();
    assert!(
        message.contains("--data DIR") && message.contains("lmms-lab/ChartQA"),
        "{message}"
    );
}

#[test]
fn embedded_suites_draw_their_items() {
    for suite in suites().iter().filter(|suite| suite.is_embedded()) {
        let dataset = suite.open(Some(Path::new("/no/such/folder"))).unwrap();
        assert_eq!((dataset.len(), dataset.size_hint_full()), (200, Some(200)));
        let items: Vec<Item> = (0..200)
            .step_by(9)
            .map(|index| dataset.item(index).unwrap())
            .collect();
        let ids: HashSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids.len(), items.len());
        for item in &items {
            let Picture::Rendered(picture) = &item.picture else {
                panic!("{} is not drawn", item.id)
            };
            assert!(!item.answer_boxes.is_empty(), "{}", item.id);
            for inside in item.answer_boxes.iter().chain(&item.distractor_boxes) {
                assert!(
                    inside.left >= 0.0
                        && inside.right <= picture.width() as f32
                        && inside.width() > 0.0,
                    "{inside:?}"
                );
                assert!(
                    inside.top >= 0.0
                        && inside.bottom <= picture.height() as f32
                        && inside.height() > 0.0,
                    "{inside:?}"
                );
            }
            assert!(
                item.difficulty
                    .is_some_and(|difficulty| (0.0..=1.0).contains(&difficulty))
            );
            // The built-in model answers in bytes, and needs one more token to end.
            let longest = item.answers.iter().map(String::len).max();
            assert!(longest < Some(suite.max_new_tokens as usize), "{longest:?}");
            let score = |prediction: &str| suite.metric.score(prediction, &item.answers, None);
            assert_eq!(
                (score(&item.answers[0]), score("")),
                (1.0, 0.0),
                "{}: {:?}",
                item.id,
                item.answers
            );
            assert_eq!(
                item.prompt,
                format!("{}{}", item.question, suite.prompt_suffix)
            );
        }
        assert_eq!(
            dataset.item(5).unwrap().question,
            suite.open(None).unwrap().item(5).unwrap().question
        );
    }
    let fingerprints: HashSet<String> = suites()
        .iter()
        .filter(|suite| suite.is_embedded())
        .map(|suite| suite.open(None).unwrap().fingerprint().to_owned())
        .collect();
    assert_eq!(fingerprints.len(), 5);
}
