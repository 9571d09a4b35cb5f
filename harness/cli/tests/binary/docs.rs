//! What the pages say is what there is: the crates and variants that `docs` lists, and every path that a page names. Lines of pages
//! have a limit.

use std::collections::{BTreeMap, BTreeSet};

use rave_benchmarks::Suite;

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What stands in quotation marks of a kind.
fn quoted<'a, T: FromIterator<&'a str>>(text: &'a str, mark: char) -> T {
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
    let members: BTreeSet<&str> = quoted(between(&manifest, "members = [", "]"), '"');
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
    let named: BTreeSet<&str> = quoted(list, '`');
    let registered: BTreeSet<&str> = rave_methods::variants::REGISTRY
        .iter()
        .map(|variant| variant.id)
        .collect();
    assert_eq!(named, registered);
}

/// What looks like a path and is none of this repository, each named by some page.
const ELSEWHERE: [&str; 7] = [
    "//!",
    "SUITE/ID",
    "org/name",
    "org/name[@revision]",
    // Made by recipes, or beside the repository.
    ".cargo/config.toml",
    "target/browser",
    "../shared/hub-files",
];
/// The longest line of a page; rows of tables and code are as long as they must be.
const LINE: usize = 140;

/// Every page written by hand.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(str::to_owned)
        .into();
    for (folder, below) in [
        ("docs", false),
        ("benchmarks", false),
        ("benchmarks/suites", true),
        ("results", false),
        ("results/bench", false),
        ("results/runs", true),
    ] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let page = if below {
                format!("{folder}/{name}/README.md")
            } else {
                format!("{folder}/{name}")
            };
            let path = root().join(&page);
            let is_page = path.extension().is_some_and(|end| end == "md") && path.is_file();
            pages.extend(is_page.then_some(page));
        }
    }
    pages
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn spelled_out(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| {
        let (inside, after) = rest.split_once('}')?;
        Some((before, inside, after))
    }) {
        Some((before, inside, after)) => inside
            .split(',')
            .map(|part| format!("{before}{part}{after}"))
            .collect(),
        None => vec![path.to_owned()],
    }
}

/// The path of a quotation where it is one: with a slash, or a source file. Of one with a placeholder (`<id>`) what stands before it.
fn path(quotation: &str) -> Option<&str> {
    let is_command = quotation.contains([' ', '\n', '=', '~', '*']) || quotation.starts_with("./");
    let is_source = [".rs", ".py", ".sh"]
        .iter()
        .any(|end| quotation.ends_with(end));
    if is_command || !(is_source || quotation.contains('/')) {
        return None;
    }
    match quotation.split_once('<') {
        Some((before, _)) => Some(before.rsplit_once('/')?.0),
        None => Some(quotation),
    }
}

/// The paths of a section that are not there: neither from the root, nor from the page's folder, nor from a folder of a path that the
/// section names before.
fn absent_paths(section: &str, folder: &str, elsewhere: &mut BTreeSet<String>) -> Vec<String> {
    let mut folders = vec![PathBuf::new(), PathBuf::from(folder)];
    let mut absent = Vec::new();
    let quotations: Vec<&str> = quoted(section, '`');
    for name in quotations.into_iter().filter_map(path) {
        if ELSEWHERE.contains(&name) {
            elsewhere.insert(name.to_owned());
            continue;
        }
        let is_of_the_hub = |suite: &Suite| suite.repositories.iter().any(|own| own == name);
        if rave_benchmarks::suites().iter().any(is_of_the_hub) {
            continue;
        }
        for name in spelled_out(name) {
            let mut paths = folders.iter().map(|folder| folder.join(&name));
            match paths.find(|path| root().join(path).exists()) {
                Some(path) => folders.extend(path.ancestors().map(Path::to_owned)),
                None => absent.push(name),
            }
        }
    }
    absent
}

#[test]
fn paths_and_links_of_pages_exist() {
    let mut elsewhere = BTreeSet::new();
    let mut absent = Vec::new();
    for page in pages() {
        // What was is in the changelog, where it was.
        if page == "CHANGELOG.md" {
            continue;
        }
        let text = prose(&read(&page));
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for section in text.split("\n## ") {
            let paths = absent_paths(section, folder, &mut elsewhere);
            absent.extend(paths.into_iter().map(|path| format!("{page}: `{path}`")));
        }
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            let is_here = target.contains("://") || root().join(folder).join(target).exists();
            absent.extend((!is_here).then(|| format!("{page}: ({target})")));
        }
    }
    assert!(absent.is_empty(), "{absent:#?}");
    assert_eq!(elsewhere, BTreeSet::from(ELSEWHERE.map(str::to_owned)));
}

#[test]
fn a_path_that_is_gone_is_found() {
    let section = "`harness/cli/src/main.rs` and `commands/eval.rs`, `gone.rs`, `harness/{lmm,gone}/src`, `results/<name>/a.json`";
    let absent = absent_paths(section, "docs", &mut BTreeSet::new());
    assert_eq!(absent, ["gone.rs", "harness/gone/src"]);
}

#[test]
fn lines_of_pages_are_short() {
    let mut long = Vec::new();
    for page in pages() {
        let text = prose(&read(&page));
        let lines = text.lines().filter(|line| !line.starts_with('|'));
        long.extend(
            lines
                .filter(|line| line.chars().count() > LINE)
                .map(|line| format!("{page}: {line}")),
        );
    }
    assert!(long.is_empty(), "longer than {LINE}: {long:#?}");
}
