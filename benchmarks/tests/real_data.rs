//! The layouts on real items, where `../shared/data` is there: counts, pictures, and the two predictions whose score is
//! known beforehand.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

use rave_benchmarks::{Dataset, Item, Metric, Picture, suite};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// The folder, or `None` with a line that says so.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared/data/{name} is not here");
    None
}

fn items(dataset: &Dataset) -> Vec<Item> {
    (0..dataset.len())
        .map(|index| dataset.item(index).unwrap())
        .collect()
}

/// What holds for every published data set.
fn check(dataset: &Dataset, count: usize) -> Vec<Item> {
    assert_eq!(dataset.len(), count);
    assert_eq!(dataset.fingerprint().len(), 64);
    let items = items(dataset);
    let ids: HashSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids.len(), count);
    let metric = dataset.suite().metric;
    for item in &items {
        let Picture::Encoded { bytes, name } = &item.picture else {
            panic!("{} is not encoded", item.id)
        };
        let decoded =
            image::load_from_memory(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(decoded.width() > 1 && decoded.height() > 1, "{name}");
        assert!(
            item.prompt.starts_with(&item.question)
                && item.prompt.ends_with(&dataset.suite().prompt_suffix)
        );
        let score =
            |prediction: &str| metric.score(prediction, &item.answers, item.dataset.as_deref());
        // A number's text is a perfect answer too, but `nan` and `inf` would not be; none of these has them.
        assert_eq!(score(&item.answers[0]), 1.0, "{:?}", item.answers);
        assert_eq!(score(""), 0.0, "{:?}", item.answers);
    }
    items
}

fn categories(items: &[Item]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts
            .entry(item.category.clone().unwrap_or_default())
            .or_default() += 1;
    }
    counts
}

#[test]
fn chartqa() {
    let Some(folder) = data("ChartQA") else {
        return;
    };
    let suite = suite("chartqa").unwrap();
    let dataset = suite.open(Some(&folder)).unwrap();
    let items = check(&dataset, 300);
    assert_eq!(
        categories(&items),
        BTreeMap::from([("augmented".to_owned(), 150), ("human".to_owned(), 150)])
    );
    assert!(
        categories(&items)
            .keys()
            .all(|name| suite.categories.contains(name))
    );
    assert_eq!(dataset.size_hint_full(), Some(2500));
    assert_eq!(items[12].id, "000012");
    let pictures: HashSet<&str> = items.iter().map(|item| item.image_id.as_str()).collect();
    assert!(
        pictures.len() < 300 && pictures.len() > 100,
        "questions share charts: {}",
        pictures.len()
    );
}

#[test]
fn docvqa() {
    let Some(folder) = data("DocVQA") else { return };
    let dataset = suite("docvqa").unwrap().open(Some(&folder)).unwrap();
    let items = check(&dataset, 12);
    let pictures: HashSet<&str> = items.iter().map(|item| item.image_id.as_str()).collect();
    assert_eq!(pictures.len(), 3);
    assert_eq!(dataset.size_hint_full(), Some(5349));
    let message = suite("infovqa")
        .unwrap()
        .open(Some(&folder))
        .unwrap_err()
        .with_hint();
    assert!(message.contains("InfographicVQA"), "{message}");
}

#[test]
fn sroie_in_the_docvqa_layout() {
    let Some(folder) = data("SROIE") else { return };
    let dataset = suite("docvqa").unwrap().open(Some(&folder)).unwrap();
    let items = check(&dataset, 179);
    let pictures: HashSet<&str> = items.iter().map(|item| item.image_id.as_str()).collect();
    assert_eq!(pictures.len(), 45);
    assert_eq!(dataset.size_hint_full(), None, "SROIE is no part of DocVQA");
    assert!(
        dataset
            .source()
            .contains("split `train` taken in place of `validation`"),
        "{}",
        dataset.source()
    );
}

#[test]
fn ocrbench() {
    let Some(folder) = data("OCRBench") else {
        return;
    };
    let suite = suite("ocrbench").unwrap();
    let dataset = suite.open(Some(&folder)).unwrap();
    let items = check(&dataset, 120);
    assert!(
        categories(&items)
            .keys()
            .all(|name| suite.categories.contains(name)),
        "{:?}",
        categories(&items)
    );
    assert_eq!(dataset.size_hint_full(), Some(1000));
    assert!(items.iter().all(|item| item.dataset.is_some()));
}

#[test]
fn iiit5k_in_the_ocrbench_layout() {
    let Some(folder) = data("IIIT5K") else { return };
    let dataset = suite("ocrbench").unwrap().open(Some(&folder)).unwrap();
    check(&dataset, 300);
    assert_eq!(dataset.size_hint_full(), None);
}

#[test]
fn the_parent_folder_serves_every_suite_by_name() {
    let Some(parent) = data("") else { return };
    for (id, count) in [("chartqa", 300), ("docvqa", 12), ("ocrbench", 120)] {
        let dataset = suite(id).unwrap().open(Some(&parent)).unwrap();
        assert_eq!(dataset.len(), count, "{id}");
        assert!(dataset.size_hint_full().is_some(), "{}", dataset.source());
    }
    for id in ["infovqa", "textvqa", "mtvqa"] {
        let message = suite(id)
            .unwrap()
            .open(Some(&parent))
            .unwrap_err()
            .with_hint();
        assert!(message.contains("it holds"), "{message}");
    }
}

#[test]
fn any_thread_any_order_gives_the_same_item() {
    let Some(folder) = data("ChartQA") else {
        return;
    };
    let dataset = suite("chartqa").unwrap().open(Some(&folder)).unwrap();
    let in_order: Vec<String> = items(&dataset)
        .into_iter()
        .map(|item| item.image_id)
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (dataset, in_order) = (&dataset, &in_order);
            scope.spawn(move || {
                for step in 0..60 {
                    let index = (step * 97 + thread * 31) % dataset.len();
                    assert_eq!(dataset.item(index).unwrap().image_id, in_order[index]);
                }
            });
        }
    });
    assert!(
        dataset
            .item(300)
            .unwrap_err()
            .with_hint()
            .contains("item 300")
    );
}

#[test]
fn a_relaxed_number_is_not_the_answer_itself() {
    // Guards the check above: were the metric to accept anything, it would pass too.
    assert_eq!(
        "relaxed_accuracy"
            .parse::<Metric>()
            .unwrap()
            .score("14", &["15".to_owned()], None),
        0.0
    );
}
