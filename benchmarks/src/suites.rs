//! The suites: one folder each, `suites/<id>/suite.toml` beside a `README.md` that gives the reason for it.
//!
//! The registry is one literal table, a line a suite; the files are compiled in, so that the binary needs no folder beside
//! it. Adding a suite in a known layout is a folder and a line.

use crate::Error;
use crate::layouts::Layout;
use crate::metrics::Metric;
use crate::render::Task;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

macro_rules! suite_files {
    ($($id:literal),* $(,)?) => {
        [$(($id, include_str!(concat!("../suites/", $id, "/suite.toml")))),*]
    };
}

/// What the id of every embedded suite begins with.
const EMBEDDED: &str = "embedded-";

/// The registry, in the order of every listing.
const FILES: [(&str, &str); 11] = suite_files![
    "embedded-ocr",
    "embedded-chart",
    "embedded-document",
    "embedded-scene",
    "embedded-general",
    "docvqa",
    "infovqa",
    "chartqa",
    "textvqa",
    "ocrbench",
    "mtvqa",
];

/// A benchmark: which data, read how, asked how, scored how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The folder's name; its name on the command line and in results.
    pub id: String,
    /// Raised whenever the suite's numbers may move.
    pub version: u32,
    /// The benchmark's name as people write it.
    pub title: String,
    /// One line for a listing.
    pub description: String,
    /// Terms under which the data set is published.
    pub licence: String,
    /// Which columns mean what.
    pub layout: Layout,
    /// Hub names under which the data set is accepted, the preferred one first; empty for embedded suites.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// The data set's configuration, where it has several.
    #[serde(default)]
    pub config: Option<String>,
    /// The split that is scored.
    pub split: String,
    /// Items of the whole published split, so that a subset can be called one.
    pub items: usize,
    /// Appended to every question.
    #[serde(default)]
    pub prompt_suffix: String,
    /// The model's budget for an answer, in tokens.
    pub max_new_tokens: u32,
    /// The metric.
    pub metric: Metric,
    /// How the items' scores become the suite's score.
    #[serde(default)]
    pub average: Average,
    /// Whether an answer must be read off the picture as text: the paper claims most for such suites.
    #[serde(default = "yes")]
    pub reading: bool,
    /// Parts that are reported on their own besides the whole, in the order they are listed.
    #[serde(default)]
    pub categories: Vec<String>,
}

fn yes() -> bool {
    true
}

/// How the scores of items become one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// The mean over items.
    #[default]
    Items,
    /// The mean over categories of the mean over each one's items (`MTVQA`: over languages).
    Categories,
}

impl Average {
    /// The suite's score from `(category, score)` of every scored item; `None` without items.
    pub fn of<'a>(self, scores: impl IntoIterator<Item = (Option<&'a str>, f64)>) -> Option<f64> {
        let mut groups: Vec<(Option<&str>, f64, usize)> = Vec::new();
        for (category, score) in scores {
            let key = match self {
                Self::Items => None,
                Self::Categories => category,
            };
            match groups.iter_mut().find(|group| group.0 == key) {
                Some(group) => {
                    group.1 += score;
                    group.2 += 1;
                }
                None => groups.push((key, score, 1)),
            }
        }
        let means = groups.iter().map(|(_, sum, count)| sum / *count as f64);
        (!groups.is_empty()).then(|| means.sum::<f64>() / groups.len() as f64)
    }
}

impl Suite {
    fn parse(id: &str, text: &str) -> Result<Self, Error> {
        let refused = |reason: String| Error::Suite {
            id: id.to_owned(),
            reason,
        };
        let suite: Self = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        if suite.id != id {
            return Err(refused(format!(
                "its id is `{}`, and its folder is `{id}`",
                suite.id
            )));
        }
        if suite.layout == Layout::Embedded {
            if !suite.repositories.is_empty() || suite.config.is_some() {
                return Err(refused(
                    "an embedded suite has no repositories and no config".to_owned(),
                ));
            }
            let name = suite.id.strip_prefix(EMBEDDED).ok_or_else(|| {
                refused(format!(
                    "the id of an embedded suite begins with `{EMBEDDED}`"
                ))
            })?;
            name.parse::<Task>()
                .map_err(|error| refused(error.to_string()))?;
        } else if suite.repositories.is_empty() {
            return Err(refused(
                "`repositories` is empty: where is the data?".to_owned(),
            ));
        }
        if let Some(name) = suite
            .repositories
            .iter()
            .find(|name| name.split('/').count() != 2)
        {
            return Err(refused(format!(
                "repository `{name}` is not `organisation/name`"
            )));
        }
        if suite.items == 0 || suite.max_new_tokens == 0 || suite.version == 0 {
            return Err(refused(
                "`version`, `items` and `max_new_tokens` are at least 1".to_owned(),
            ));
        }
        Ok(suite)
    }

    /// Whether the suite draws its own items and needs no data.
    pub fn is_embedded(&self) -> bool {
        self.layout == Layout::Embedded
    }

    /// The renderer's task behind an embedded suite: what follows `embedded-` in its id. `None` for a suite of published
    /// data.
    pub fn task(&self) -> Option<Task> {
        let name = self.is_embedded().then(|| self.id.strip_prefix(EMBEDDED))?;
        name?.parse().ok()
    }
}

/// Every suite, the embedded ones first.
///
/// # Panics
/// Never in a build whose tests pass: the files are compiled in, and a test parses each.
pub fn suites() -> &'static [Suite] {
    static SUITES: OnceLock<Vec<Suite>> = OnceLock::new();
    SUITES.get_or_init(|| {
        FILES
            .iter()
            .map(|(id, text)| {
                Suite::parse(id, text).expect("the compiled-in suite files are parsed by a test")
            })
            .collect()
    })
}

/// The suite of that id.
///
/// # Errors
/// [`Error::Unknown`] with the nearest id.
pub fn suite(id: &str) -> Result<&'static Suite, Error> {
    suites()
        .iter()
        .find(|suite| suite.id == id)
        .ok_or_else(|| Error::unknown("suite", id, suites().iter().map(|suite| suite.id.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_suite_parses_and_every_folder_is_registered() {
        for (id, text) in FILES {
            let suite = Suite::parse(id, text).unwrap();
            assert_eq!(suite.task().is_some(), suite.is_embedded(), "{id}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
        let mut found: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut registered: Vec<&str> = FILES.iter().map(|(id, _)| *id).collect();
        found.sort();
        registered.sort_unstable();
        assert_eq!(found, registered);
        for id in registered {
            let reason = std::fs::read_to_string(folder.join(id).join("README.md")).unwrap();
            assert!(
                reason.lines().count() > 5,
                "suites/{id}/README.md says nothing"
            );
        }
    }

    #[test]
    fn the_facts_of_the_design() {
        let facts: Vec<_> = suites()
            .iter()
            .filter(|suite| !suite.is_embedded())
            .map(|suite| {
                (
                    suite.id.as_str(),
                    suite.split.as_str(),
                    suite.items,
                    suite.max_new_tokens,
                    suite.metric,
                )
            })
            .collect();
        assert_eq!(
            facts,
            [
                ("docvqa", "validation", 5349, 32, Metric::Anls),
                ("infovqa", "validation", 2801, 32, Metric::Anls),
                ("chartqa", "test", 2500, 16, Metric::RelaxedAccuracy),
                ("textvqa", "validation", 5000, 32, Metric::VqaAccuracy),
                ("ocrbench", "test", 1000, 128, Metric::Ocrbench),
                ("mtvqa", "test", 6778, 64, Metric::Mtvqa),
            ]
        );
        assert_eq!(
            suite("chartqa").unwrap().prompt_suffix,
            "\nAnswer the question with a single word."
        );
        assert_eq!(
            suite("docvqa").unwrap().prompt_suffix,
            "\nAnswer the question using a single word or phrase."
        );
        assert_eq!(suite("ocrbench").unwrap().prompt_suffix, "");
        assert_eq!(suite("mtvqa").unwrap().average, Average::Categories);
    }

    #[test]
    fn an_unknown_suite_names_the_nearest() {
        let message = suite("chatqa").unwrap_err().to_string();
        assert!(message.contains("did you mean `chartqa`?"), "{message}");
        assert!(
            suite("embedded")
                .unwrap_err()
                .to_string()
                .contains("did you mean `embedded-")
        );
    }

    #[test]
    fn a_suite_with_a_stray_key_or_name_is_refused() {
        let text = FILES[10].1;
        for (changed, reason) in [
            (format!("{text}\ncolour = 1\n"), "unknown field"),
            (text.replace("\"mtvqa\"", "\"other\""), "folder is `mtvqa`"),
            (
                text.replace("ByteDance/MTVQA", "MTVQA"),
                "organisation/name",
            ),
            (
                text.replace("max_new_tokens = 64", "max_new_tokens = 0"),
                "at least 1",
            ),
        ] {
            let message = Suite::parse("mtvqa", &changed).unwrap_err().to_string();
            assert!(message.contains("suites/mtvqa/suite.toml"), "{message}");
            assert!(
                message.contains(reason) || message.contains("unknown variant"),
                "{message}"
            );
        }
    }

    #[test]
    fn averages_over_items_and_over_categories() {
        let scores = [
            (Some("DE"), 1.0),
            (Some("DE"), 1.0),
            (Some("DE"), 1.0),
            (Some("FR"), 0.0),
        ];
        assert_eq!(Average::Items.of(scores), Some(0.75));
        assert_eq!(Average::Categories.of(scores), Some(0.5));
        assert_eq!(Average::Items.of([]), None);
    }
}
