//! `docs/checkpoints.md` says what the cases say, and the README names no checkpoint beside them.

use std::fs;
use std::path::Path;

use crate::case::{Asked, Case};

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// Letters and digits in lower case: `fine-tune` and `finetune` are one word.
fn letters(text: &str) -> String {
    let kept = text.chars().filter(char::is_ascii_alphanumeric);
    kept.collect::<String>().to_lowercase()
}

/// The name on the hub, and which copy of it this is (empty for its own files).
fn names(case: &Case) -> (String, String) {
    let parts: Vec<_> = case.checkpoint.split("--").collect();
    (parts[..2].join("/"), parts[2..].join(" "))
}

/// The cells after the name, of the row that is this case's.
fn row<'a>(text: &'a str, case: &Case) -> Vec<&'a str> {
    let (name, copy) = names(case);
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    let mut found = rows.filter_map(|line| {
        let (first, rest) = line.split_once('|')?;
        let (own, which) = first.trim().split_once(", ").unwrap_or((first, ""));
        let own = own.split(" (").next()?.trim();
        let same = own == name && which.is_empty() == copy.is_empty();
        (same && letters(which).contains(&letters(&copy)))
            .then(|| rest.split('|').map(str::trim).collect())
    });
    let row = found
        .next()
        .unwrap_or_else(|| panic!("docs/checkpoints.md has no row of {}", case.checkpoint));
    assert_eq!(
        found.next(),
        None::<Vec<_>>,
        "two rows of {}",
        case.checkpoint
    );
    row
}

#[test]
fn the_documents_table_says_what_the_cases_say() {
    let text = document("docs/checkpoints.md");
    let cases = Case::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo"));
    for case in &cases {
        let row = row(&text, case);
        if let Some(words) = &case.refused {
            assert!(
                words.iter().all(|word| row[0].contains(word)),
                "{}: {words:?} in {row:?}",
                case.checkpoint
            );
            continue;
        }
        let answered = |asked: &&Asked| matches!(asked, Asked::Answered(_));
        let count = case.prompts.iter().filter(answered).count();
        let all = format!("{count} of {count}");
        let tensors = match case.full_size().len() {
            0 => "-".to_owned(),
            count => format!("{count} equal"),
        };
        assert_eq!(row[1..3], [all.as_str(); 2], "{}", case.checkpoint);
        assert_eq!(
            row[3].split(',').next(),
            Some(tensors.as_str()),
            "{}",
            case.checkpoint
        );
    }
}

#[test]
fn the_readme_names_no_checkpoint_that_was_not_tried() {
    let (readme, tried) = (document("README.md"), document("docs/checkpoints.md"));
    let cases = Case::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo"));
    let mut named = 0;
    for case in &cases {
        let (name, _) = names(case);
        let organisation = name.split_inclusive('/').next().unwrap();
        for (at, _) in readme.match_indices(organisation) {
            let rest = &readme[at..];
            let is_part = |it: char| it.is_ascii_alphanumeric() || "/-_.".contains(it);
            let name = &rest[..rest.find(|it| !is_part(it)).unwrap_or(rest.len())];
            assert!(tried.contains(&format!("| {name} ")), "{name}");
            named += 1;
        }
    }
    assert!(named > 0, "the README names no checkpoint");
}
