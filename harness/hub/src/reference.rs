//! `org/name` and `org/name@revision`.

use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use crate::Error;

/// The branch that is taken where none is named.
const MAIN: &str = "main";

/// A repository of the hub, with the branch, tag or commit to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `org/name`.
    pub repository: String,
    /// Branch, tag or commit; `None` for `main`.
    pub revision: Option<String>,
}

impl Reference {
    /// Branch, tag or commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.revision {
            Some(revision) => write!(formatter, "{}@{revision}", self.repository),
            None => formatter.write_str(&self.repository),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |reason| Error::Reference {
            name: text.to_owned(),
            reason,
        };
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let mut parts = repository.split('/');
        let (Some(organisation), Some(name), None) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(refused("it has not one `/`"));
        };
        if !is_plain_name(organisation) || !is_plain_name(name) {
            return Err(refused("a name is letters, digits, `-`, `_` and `.`"));
        }
        if revision.is_some_and(|revision| !is_plain_path(revision)) {
            return Err(refused("what follows `@` is no branch, tag or commit"));
        }
        Ok(Self {
            repository: repository.to_owned(),
            revision: revision.map(str::to_owned),
        })
    }
}

/// Whether this is one part of a path that stays where it is: the names of organisations, repositories and commits.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
}

/// Whether a path that a file names stays in the folder that it is taken from. Only the name is looked at: a link in that folder
/// is its owner's, and the snapshots of the hub's cache are made of such.
pub fn stays_inside(path: &Path) -> bool {
    let mut parts = path.components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Whether this is a relative path that leads nowhere up: the names of files and revisions.
pub(crate) fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && !part.contains('\\')
            && !part.chars().any(char::is_control)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_and_without_a_revision() {
        let plain: Reference = "HuggingFaceTB/SmolVLM-256M-Instruct".parse().unwrap();
        assert_eq!(
            (plain.repository.as_str(), plain.revision()),
            ("HuggingFaceTB/SmolVLM-256M-Instruct", "main")
        );
        let pinned: Reference = "a/b.c@refs/pr/3".parse().unwrap();
        assert_eq!(
            (pinned.repository.as_str(), pinned.revision()),
            ("a/b.c", "refs/pr/3")
        );
        assert_eq!(pinned.to_string(), "a/b.c@refs/pr/3");
    }

    #[test]
    fn a_path_goes_up_or_away_or_stays() {
        for inside in ["a", "a/b.png", "./a", "a/./b", "...", ""] {
            assert!(stays_inside(Path::new(inside)), "{inside}");
        }
        for outside in ["..", "a/../../b", "/etc/passwd", "../a", "/"] {
            assert!(!stays_inside(Path::new(outside)), "{outside}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_form_that_is() {
        for name in [
            "", "nano", "./a", "../b", "a/b/c", "/a/b", "a/", "a/b@", "a/b@../c", "a b/c", "a/..",
            "~/a",
        ] {
            let hint = name.parse::<Reference>().unwrap_err().hint();
            assert!(
                hint.is_some_and(|hint| hint.contains("org/name@revision")),
                "{name}"
            );
        }
    }
}
