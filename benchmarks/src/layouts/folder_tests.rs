//! Every shape of folder that people keep their copies in.

use super::select;
use crate::suites::suite;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with these (empty) files.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    folder
}

/// What is selected below `below`: the files relative to the folder, whether it is the published set, the source line.
fn selected(id: &str, folder: &TempDir, below: &str) -> (Vec<String>, bool, String) {
    let selection = select(suite(id).unwrap(), &folder.path().join(below)).unwrap();
    let relative = |path: &Path| {
        path.strip_prefix(folder.path())
            .unwrap()
            .display()
            .to_string()
    };
    (
        selection.files.iter().map(|path| relative(path)).collect(),
        selection.is_published,
        selection.source,
    )
}

fn refused(id: &str, folder: &TempDir, below: &str) -> String {
    select(suite(id).unwrap(), &folder.path().join(below))
        .unwrap_err()
        .with_hint()
}

#[test]
fn of_a_repository_only_the_files_of_configuration_and_split_are_wanted() {
    let files = |id: &str, names: &[&str]| {
        let root = Path::new("org/name");
        let paths = names.iter().map(|name| root.join(name)).collect();
        super::split_files(suite(id).unwrap(), root, paths).map_err(|error| error.with_hint())
    };
    let names = |found: Vec<PathBuf>| -> Vec<String> {
        let inside = found
            .iter()
            .map(|path| path.strip_prefix("org/name").unwrap());
        inside.map(|path| path.display().to_string()).collect()
    };
    let docvqa = [
        "DocVQA/validation-00001-of-00002.parquet",
        "DocVQA/validation-00000-of-00002.parquet",
        "DocVQA/test-00000-of-00001.parquet",
        "InfographicVQA/validation-00000-of-00001.parquet",
    ];
    assert_eq!(
        names(files("docvqa", &docvqa).unwrap()),
        [docvqa[1], docvqa[0]]
    );
    assert_eq!(names(files("infovqa", &docvqa).unwrap()), [docvqa[3]]);
    for (names, parts) in [
        (&docvqa[1..], ["1 of the 2 files", "org/name"]),
        (&docvqa[2..3], ["split `validation`", "it holds test"]),
        (&docvqa[3..], ["configuration `DocVQA`", "InfographicVQA"]),
        (&docvqa[..0], ["split `validation`", "it holds none"]),
    ] {
        let message = files("docvqa", names).unwrap_err();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn a_snapshot_of_a_hub_cache_is_known_by_its_repository_and_commit() {
    let root = "hub/datasets--lmms-lab-encoder--ChartQA/snapshots/abc123";
    let copy = folder(&[&format!("{root}/{CHARTS}")]);
    let (files, is_published, source) = selected("chartqa", &copy, root);
    assert_eq!(files, [format!("{root}/{CHARTS}")]);
    assert!(is_published);
    assert_eq!(source, "lmms-lab-encoder/ChartQA@abc123, test, 1 file(s)");
}

const CHARTS: &str = "data/test-00000-of-00001.parquet";

#[test]
fn a_repository_under_its_own_or_any_name() {
    for (prefix, below, published) in [
        ("ChartQA/", "ChartQA", true),
        ("lmms-lab--ChartQA/", "lmms-lab--ChartQA", true),
        ("mine/", "mine", false),
    ] {
        let copy = folder(&[
            &format!("{prefix}{CHARTS}"),
            &format!("{prefix}data/train-00000-of-00001.parquet"),
        ]);
        let (files, is_published, source) = selected("chartqa", &copy, below);
        assert_eq!(files, [format!("{prefix}{CHARTS}")], "{prefix}");
        assert_eq!(is_published, published, "{source}");
        assert_eq!(
            source.contains("not named as lmms-lab/ChartQA"),
            !published,
            "{source}"
        );
    }
}

#[test]
fn a_folder_of_repositories() {
    for prefix in [
        "ChartQA/",
        "chartqa/",
        "lmms-lab/ChartQA/",
        "lmms-lab-encoder/ChartQA/",
        "lmms-lab--ChartQA/",
        "datasets--lmms-lab--ChartQA/snapshots/0123abc/",
    ] {
        let copy = folder(&[
            &format!("{prefix}{CHARTS}"),
            "OCRBench/data/test-00000-of-00001.parquet",
        ]);
        let (files, is_published, _) = selected("chartqa", &copy, "");
        assert_eq!(files, [format!("{prefix}{CHARTS}")]);
        assert!(is_published);
    }
}

#[test]
fn a_hub_cache_gives_the_revision_of_main() {
    let copy = folder(&[
        "datasets--lmms-lab--ChartQA/snapshots/aaa/data/test-00000-of-00001.parquet",
        "datasets--lmms-lab--ChartQA/snapshots/bbb/data/test-00000-of-00001.parquet",
    ]);
    std::fs::create_dir_all(copy.path().join("datasets--lmms-lab--ChartQA/refs")).unwrap();
    std::fs::write(
        copy.path().join("datasets--lmms-lab--ChartQA/refs/main"),
        "aaa\n",
    )
    .unwrap();
    let (files, _, _) = selected("chartqa", &copy, "");
    assert!(files[0].contains("/aaa/"), "{files:?}");
}

#[test]
fn the_configuration_decides_in_any_shape() {
    let both = [
        "DocVQA/validation-00000-of-00001.parquet",
        "InfographicVQA/validation-00000-of-00001.parquet",
    ];
    let converted = [
        "DocVQA/validation/0000.parquet",
        "InfographicVQA/validation/0000.parquet",
        "InfographicVQA/test/0000.parquet",
    ];
    for files in [&both[..], &converted[..]] {
        for prefix in ["DocVQA/", "lmms-lab/DocVQA/", "clone/"] {
            let paths: Vec<String> = files.iter().map(|file| format!("{prefix}{file}")).collect();
            let copy = folder(&paths.iter().map(String::as_str).collect::<Vec<_>>());
            let parent = if prefix == "clone/" { "clone" } else { "" };
            assert_eq!(selected("docvqa", &copy, parent).0, paths[..1], "{prefix}");
            assert_eq!(
                selected("infovqa", &copy, parent).0,
                paths[1..2],
                "{prefix}"
            );
            assert_eq!(
                selected("infovqa", &copy, prefix).0,
                paths[1..2],
                "{prefix}"
            );
        }
    }
}

#[test]
fn an_incomplete_copy_is_not_taken_for_another_configuration() {
    let copy = folder(&["DocVQA/DocVQA/validation-00000-of-00001.parquet"]);
    for below in ["", "DocVQA"] {
        let message = refused("infovqa", &copy, below);
        assert!(
            message.contains("configuration `InfographicVQA`")
                && message.contains("it holds DocVQA; give "),
            "{message}"
        );
        assert!(selected("docvqa", &copy, below).1);
    }
}

#[test]
fn another_data_set_in_the_same_columns_is_taken_and_said() {
    let copy = folder(&["SROIE/data/train-00000-of-00001.parquet"]);
    let (files, is_published, source) = selected("docvqa", &copy, "SROIE");
    assert_eq!(files.len(), 1);
    assert!(!is_published);
    assert!(
        source.contains("split `train` taken in place of `validation`"),
        "{source}"
    );
    assert!(source.contains("a data set of its own"), "{source}");
}

#[test]
fn several_splits_or_sets_without_the_right_one_are_refused() {
    let splits = folder(&[
        "x/train-00000-of-00001.parquet",
        "x/dev-00000-of-00001.parquet",
    ]);
    let message = refused("chartqa", &splits, "x");
    assert!(
        message.contains("split `test`") && message.contains("it holds dev, train"),
        "{message}"
    );
    let sets = folder(&[
        "A/data/test-00000-of-00001.parquet",
        "B/data/test-00000-of-00001.parquet",
    ]);
    let message = refused("textvqa", &sets, "");
    assert!(
        message.contains("lmms-lab/textvqa") && message.contains("it holds A, B"),
        "{message}"
    );
}

#[test]
fn spellings_of_validation_are_one() {
    let copy = folder(&[
        "textvqa/data/val-00000-of-00002.parquet",
        "textvqa/data/train-00000-of-00001.parquet",
    ]);
    let (files, is_published, source) = selected("textvqa", &copy, "");
    assert_eq!(files, ["textvqa/data/val-00000-of-00002.parquet"]);
    assert!(is_published);
    assert!(
        source.contains("1 of the 2 files of the split are there"),
        "{source}"
    );
}

#[test]
fn nothing_there_says_what_was_wanted() {
    let empty = folder(&[
        "ChartQA/README.md",
        "ChartQA/.cache/test-00000-of-00001.parquet",
    ]);
    let message = refused("chartqa", &empty, "");
    assert!(
        message.contains("holds no parquet file") && message.contains("lmms-lab/ChartQA"),
        "{message}"
    );
    let message = refused("chartqa", &empty, "nowhere");
    assert!(
        message.contains("no such folder") && message.contains("nowhere"),
        "{message}"
    );
    let message = refused("chartqa", &empty, "ChartQA/README.md");
    assert!(message.contains("this is a file"), "{message}");
}
