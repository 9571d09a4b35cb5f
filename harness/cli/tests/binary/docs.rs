//! What `docs/architecture.md` and `docs/glossary.md` list is what there is.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What stands in quotation marks of a kind.
fn quoted(text: &str, mark: char) -> BTreeSet<&str> {
    text.split(mark).skip(1).step_by(2).collect()
}

/// What stands after one text and before another.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

#[test]
fn the_architecture_lists_every_crate_and_its_arrows_are_dependencies() {
    let manifest = read("Cargo.toml");
    let members = quoted(between(&manifest, "members = [", "]"), '"');
    let text = read("docs/architecture.md");
    let listed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| `")?
                .split_once("` |")
                .map(|(name, _)| name)
        })
        .collect();
    assert_eq!(listed, members);

    let diagram = between(&text, "```mermaid\n", "```");
    let crates: BTreeMap<&str, &str> = members
        .iter()
        .map(|&member| (member.rsplit('/').next().unwrap(), member))
        .collect();
    let name =
        |end: &'static str| move |text: &str| text.split(end).next().unwrap().trim().to_owned();
    let mut drawn = BTreeSet::new();
    for (from, to) in diagram.lines().filter_map(|line| line.split_once(" --> ")) {
        let (from, to) = (name("[")(from), name("[")(to));
        let manifest = read(&format!("{}/Cargo.toml", crates[from.as_str()]));
        assert!(
            manifest.contains(&format!("rave-{to}.workspace")),
            "{from} does not depend on {to}"
        );
        drawn.extend([from, to]);
    }
    assert_eq!(drawn.len(), members.len(), "{drawn:?}");
}

#[test]
fn the_glossary_names_every_variant_and_no_other() {
    let text = read("docs/glossary.md");
    let (_, section) = text.split_once("## Variants").unwrap();
    let (_, list) = section.split_once("by kind:").unwrap();
    let named = quoted(list, '`');
    let registered: BTreeSet<&str> = rave_methods::variants::REGISTRY
        .iter()
        .map(|variant| variant.id)
        .collect();
    assert_eq!(named, registered);
}
