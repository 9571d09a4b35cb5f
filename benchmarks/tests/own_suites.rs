//! Suites of a user's own: the JSONL layout, other splits, and every way in which their files can be wrong.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod common;

use common::{images, items, lists, texts, write};
use rave_benchmarks::{Choice, Dataset, Error, Suite, suite};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const TOML: &str = "id = \"mine\"\nlayout = \"jsonl\"\nmetric = \"anls\"\nmax_new_tokens = 8\n";

/// A folder with a suite, its lines and two pictures (the bytes are not looked at here).
fn folder(toml: &str, lines: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("pictures")).unwrap();
    put("suite.toml", toml);
    put("test.jsonl", lines);
    put("pictures/1.png", "first");
    put("pictures/2.png", "second");
    folder
}

fn open(folder: &TempDir) -> Result<Dataset, Error> {
    Suite::load(folder.path())?.open(None)
}

fn refused(toml: &str, lines: &str) -> String {
    open(&folder(toml, lines)).unwrap_err().with_hint()
}

/// The blocks of that language in the page for users.
fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let fence = format!("```{language}\n");
    page.split(&fence)
        .skip(1)
        .map(|text| text.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_example_of_the_page_is_a_suite() {
    let folder = folder(&blocks("toml")[0], &blocks("jsonl")[0]);
    let dataset = open(&folder).unwrap();
    assert_eq!(dataset.suite().id, "meters");
    let items = items(&dataset);
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["000000", "cellar", "000002"]);
    assert_eq!(
        items[0].prompt,
        "What does the meter show?\nAnswer with the number alone."
    );
    assert_eq!(items[2].metric, "anls".parse().ok());
    assert_eq!(items[2].answers, ["Elster", "Elster GmbH"]);
    assert_eq!(
        (items[1].image_id.as_str(), &items[1].image_id),
        ("pictures/2.png", &items[2].image_id)
    );
    assert_eq!(common::bytes(&items[1]), "second");
    assert_eq!(items[0].category.as_deref(), Some("gas"));
    assert_eq!(dataset.label(1).unwrap().number, 1);
}

#[test]
fn the_fingerprint_moves_with_a_line_and_with_a_picture() {
    let line = "{\"image\": \"pictures/1.png\", \"question\": \"Who?\", \"answers\": \"me\"}\n";
    let folder = folder(TOML, line);
    let before = open(&folder).unwrap().fingerprint().to_owned();
    fs::write(folder.path().join("pictures/2.png"), "nobody's").unwrap();
    assert_eq!(open(&folder).unwrap().fingerprint(), before);
    fs::write(folder.path().join("pictures/1.png"), "another").unwrap();
    let after = open(&folder).unwrap().fingerprint().to_owned();
    assert_ne!(after, before);
    fs::write(folder.path().join("test.jsonl"), line.replace("me", "you")).unwrap();
    assert_ne!(open(&folder).unwrap().fingerprint(), after);
}

#[test]
fn the_data_is_named_or_beside_the_suite_or_the_split_of_the_name() {
    let line = |word: &str| {
        format!(
            "{{\"image\": \"pictures/1.png\", \"question\": \"Who?\", \"answers\": [\"{word}\"]}}\n"
        )
    };
    let folder = folder(TOML, &line("test"));
    let answer = |dataset: Dataset| dataset.label(0).unwrap().answers.remove(0);
    let own = Suite::load(&folder.path().join("suite.toml")).unwrap();
    assert_eq!(answer(own.open(None).unwrap()), "test");
    fs::write(folder.path().join("train.jsonl"), line("train")).unwrap();
    assert_eq!(answer(own.open_training(None).unwrap()), "train");
    assert_eq!(answer(own.open_split(None, "train").unwrap()), "train");
    let message = own.open_split(None, "validation").unwrap_err().with_hint();
    assert!(
        message.contains("no validation.jsonl") && message.contains("test.jsonl, train.jsonl"),
        "{message}"
    );
    // The only file there is taken for a split that nobody named, and not for one that was asked for.
    let only = tempfile::tempdir().unwrap();
    for (from, to) in [("suite.toml", "suite.toml"), ("train.jsonl", "train.jsonl")] {
        fs::copy(folder.path().join(from), only.path().join(to)).unwrap();
    }
    fs::create_dir(only.path().join("pictures")).unwrap();
    fs::write(only.path().join("pictures/1.png"), "a picture").unwrap();
    let unnamed = Suite::load(only.path()).unwrap();
    assert_eq!(answer(unnamed.open(None).unwrap()), "train");
    let message = unnamed.open_split(None, "test").unwrap_err().with_hint();
    assert!(message.contains("no test.jsonl"), "{message}");
    // A file by any name, and data that lies elsewhere.
    fs::rename(
        folder.path().join("train.jsonl"),
        folder.path().join("x.jsonl"),
    )
    .unwrap();
    let named = format!("{TOML}data = \"x.jsonl\"\n");
    fs::write(folder.path().join("named.toml"), named).unwrap();
    let named = Suite::load(&folder.path().join("named.toml")).unwrap();
    assert_eq!(answer(named.open(None).unwrap()), "train");
    assert_eq!(
        answer(named.open(Some(Path::new("/no/such/folder"))).unwrap()),
        "train"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(
        folder.path().join("suite.toml"),
        elsewhere.path().join("suite.toml"),
    )
    .unwrap();
    let away = Suite::load(elsewhere.path()).unwrap();
    assert!(
        away.open(None)
            .unwrap_err()
            .with_hint()
            .contains("no test.jsonl")
    );
    assert_eq!(answer(away.open(Some(folder.path())).unwrap()), "test");
}

#[test]
fn a_suite_of_ones_own_over_published_columns() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "id = \"bills\"\nlayout = \"chartqa\"\nmetric = \"anls\"\nmax_new_tokens = 8\nsplit = \"train\"\n";
    fs::write(folder.path().join("suite.toml"), toml).unwrap();
    let columns = vec![
        texts("type", &["bar", "line"]),
        texts("question", &["How many?", "Which?"]),
        lists("answer", &[&["3"], &["red"]]),
        images(2),
    ];
    write(folder.path(), "train-00000-of-00001.parquet", columns);
    let dataset = open(&folder).unwrap();
    // No categories were named, so that none is wrong.
    assert_eq!(dataset.label(0).unwrap().category.as_deref(), Some("bar"));
    assert_eq!(dataset.size_hint_full(), None);
    assert!(
        !dataset.source().contains("not named as"),
        "{}",
        dataset.source()
    );
}

#[test]
fn what_is_wrong_with_a_suite_is_one_error_with_the_file() {
    let line = "{\"image\": \"pictures/1.png\", \"question\": \"Who?\", \"answers\": [\"me\"]}\n";
    let id = line.replace("{\"im", "{\"id\": \"a\", \"im");
    let cases: [(String, String, &[&str]); 15] = [
        (
            format!("{TOML}colour = 1\n"),
            line.into(),
            &["suite.toml", "unknown field `colour`", "expected one of"],
        ),
        (
            TOML.replace("mine", "docvqa"),
            line.into(),
            &["suite.toml", "the id `docvqa`", "choose another"],
        ),
        (TOML.into(), String::new(), &["test.jsonl", "no rows"]),
        (
            TOML.into(),
            format!("{line}{{\n"),
            &["test.jsonl, line 2", "EOF", "\"image\""],
        ),
        // A key that is not read may hold it, as Python writes what is no number; answers may not.
        (
            TOML.into(),
            line.replace('}', ", \"score\": NaN}")
                + &line.replace("[\"me\"]", "NaN").replace('}', ", \"id\": 7}"),
            &["test.jsonl, line 2", "NaN and Infinity", "in quotes"],
        ),
        (
            TOML.into(),
            line.replace("\"question\"", "\"text\""),
            &["line 1", "missing field `question`"],
        ),
        (
            TOML.into(),
            line.replace("\"me\"", "7"),
            &["line 1", "list of text"],
        ),
        (
            TOML.into(),
            format!("{id}\n{id}"),
            &["test.jsonl", "the id `a` occurs twice"],
        ),
        (
            TOML.into(),
            line.replace("1.png", "3.png"),
            &[
                "none of its 1 picture(s)",
                "3.png",
                "from the folder of the JSONL",
            ],
        ),
        (
            TOML.into(),
            line.replace("pictures/", "pictures/../../"),
            &[
                "line 1",
                "the image `pictures/../../1.png`",
                "put the pictures below it",
            ],
        ),
        (
            TOML.into(),
            line.replace("pictures/1.png", "/etc/hostname"),
            &["line 1", "the image `/etc/hostname`"],
        ),
        (
            format!("{TOML}data = \"../others\"\n"),
            line.into(),
            &["suite.toml", "`data` is `../others`", "--data"],
        ),
        (
            TOML.replace("anls", "vqa_accuracy"),
            line.into(),
            &["line 1", "10 answers", "repeat an answer"],
        ),
        (
            TOML.into(),
            line.replace("\"me\"]", "\"me\"], \"metric\": \"bleu\""),
            &["line 1", "there is no metric `bleu`", "anls, "],
        ),
        (
            TOML.into(),
            line.replace("me", " "),
            &["test.jsonl", "none of the split's 1 question(s)"],
        ),
    ];
    for (toml, lines, parts) in cases {
        let message = refused(&toml, &lines);
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
    let missing = Suite::load(Path::new("/no/such/suite.toml"))
        .unwrap_err()
        .with_hint();
    assert!(missing.contains("/no/such/suite.toml"), "{missing}");
}

#[test]
fn a_split_leads_nowhere_and_a_link_to_where_it_does() {
    let line = "{\"image\": \"pictures/1.png\", \"question\": \"Who?\", \"answers\": [\"me\"]}\n";
    let outer = folder(TOML, line);
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(
        inner.join("suite.toml"),
        format!("{TOML}split = \"../test\"\n"),
    )
    .unwrap();
    let own = Suite::load(&inner).unwrap();
    let message = own.open(None).unwrap_err().with_hint();
    assert!(message.contains("holds no ../test.jsonl"), "{message}");
    assert!(own.open_split(None, "../test").is_err());
    // What its owner linked into the folder is read, as in a cache of the hub.
    #[cfg(unix)]
    for name in ["test.jsonl", "pictures"] {
        std::os::unix::fs::symlink(Path::new("..").join(name), inner.join(name)).unwrap();
    }
    #[cfg(unix)]
    {
        fs::write(inner.join("suite.toml"), TOML).unwrap();
        let dataset = Suite::load(&inner).unwrap().open(None).unwrap();
        assert_eq!(common::bytes(&dataset.item(0).unwrap()), "first");
    }
}

#[test]
fn a_missing_picture_costs_its_own_samples_alone() {
    let lines = "{\"image\": \"pictures/1.png\", \"question\": \"Who?\", \"answers\": [\"me\"]}\n\n{\"image\": \"pictures/9.png\", \"question\": \"Who?\", \"answers\": [\"me\"]}\n";
    let dataset = open(&folder(TOML, lines));
    let folder = folder(TOML, lines);
    assert_eq!(dataset.unwrap().len(), 2);
    let dataset = open(&folder).unwrap();
    assert!(dataset.item(0).is_ok());
    let message = dataset.item(1).unwrap_err().with_hint();
    assert!(message.contains("9.png"), "{message}");
    assert_eq!(dataset.label(1).unwrap().answers, ["me"]);
}

#[test]
fn samples_are_chosen_by_the_ids_of_the_data() {
    let line = |id: &str| {
        format!(
            "{{\"id\": \"{id}\", \"image\": \"pictures/1.png\", \"question\": \"Who?\", \"answers\": [\"me\"]}}\n"
        )
    };
    let lines: String = ["a/1", "b", "c"].map(line).concat();
    let folder = folder(TOML, &lines);
    let dataset = open(&folder).unwrap();
    let choose = |samples: &[&str]| {
        dataset.choose(&Choice {
            samples: samples.iter().map(ToString::to_string).collect(),
            ..Choice::default()
        })
    };
    assert_eq!(choose(&["c", "a/1"]).unwrap(), [0, 2]);
    let message = choose(&["d"]).unwrap_err().with_hint();
    assert!(
        message.contains("suite `mine` has no sample `d`"),
        "{message}"
    );
}

#[test]
fn columns_that_are_plainly_mixed_up_are_refused_at_the_start() {
    let cases = [
        // What people ask, and where it stands.
        (
            "type",
            ["How many?", "Is it?"],
            ["human_test", "augmented_test"],
            ["3", "Yes"],
            "column `type` holds none of",
        ),
        (
            "question",
            ["human_test", "human_test"],
            ["17", "4.5"],
            ["How many?", "Which?"],
            "column `question` has no letter",
        ),
        (
            "question",
            ["human_test", "human_test"],
            ["red", "Yes"],
            ["Which?", "Is it?"],
            "the answers read as questions (`Which?`)",
        ),
    ];
    for (column, kinds, questions, answers, reason) in cases {
        let folder = tempfile::tempdir().unwrap();
        let columns = vec![
            texts("type", &kinds),
            texts("question", &questions),
            texts("answer", &answers),
            images(2),
        ];
        write(folder.path(), "test-00000-of-00001.parquet", columns);
        let message = suite("chartqa")
            .unwrap()
            .open(Some(folder.path()))
            .unwrap_err()
            .with_hint();
        for part in [
            column,
            reason,
            "test-00000-of-00001.parquet",
            "mixed up",
            "--data",
        ] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

#[test]
fn another_split_is_that_one_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("ChartQA/data");
    for (split, answer) in [("test", "1"), ("train", "2")] {
        let columns = vec![
            texts("type", &["human_test"]),
            texts("question", &["How many?"]),
            texts("answer", &[answer]),
            images(1),
        ];
        write(&data, &format!("{split}-00000-of-00001.parquet"), columns);
    }
    let suite = suite("chartqa").unwrap();
    let train = suite.open_split(Some(folder.path()), "train").unwrap();
    assert_eq!(train.label(0).unwrap().answers, ["2"]);
    assert_eq!(
        (train.suite().split.as_str(), train.size_hint_full()),
        ("train", None)
    );
    let test = suite.open_split(Some(folder.path()), "test").unwrap();
    assert_eq!(test.size_hint_full(), Some(2500));
    let message = suite
        .open_split(Some(folder.path()), "val")
        .unwrap_err()
        .with_hint();
    assert!(
        message.contains("split `val`") && message.contains("test, train"),
        "{message}"
    );
    let embedded = rave_benchmarks::suite("embedded-ocr").unwrap();
    assert!(
        embedded
            .open_split(None, "train")
            .unwrap_err()
            .with_hint()
            .contains("drawn")
    );
}
