//! A suite: which data, read how, asked how, scored how; one `suite.toml`, whether compiled in or a user's own.

use crate::Error;
use crate::layouts::Layout;
use crate::metrics::Metric;
use crate::render::Task;
use rave_hints::{Refusal, refusal};
use rave_hub::stays_inside;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What the id of every embedded suite begins with.
const EMBEDDED: &str = "embedded-";

/// The split of a suite that names none.
pub(crate) const DEFAULT_SPLIT: &str = "test";

/// A benchmark: which data, read how, asked how, scored how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Its name on the command line and in results; of a registered suite also its folder's.
    pub id: String,
    /// Raised whenever the suite's numbers may move.
    #[serde(default = "one")]
    pub version: u32,
    /// The benchmark's name as people write it; by default the id.
    #[serde(default)]
    pub title: String,
    /// One line for a listing.
    #[serde(default)]
    pub description: String,
    /// Terms under which the data set is published.
    #[serde(default)]
    pub licence: String,
    /// Which columns mean what.
    pub layout: Layout,
    /// Hub names under which the data set is accepted, the preferred one first; empty for embedded suites and for data
    /// that is on no hub.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// The data set's configuration, where it has several.
    #[serde(default)]
    pub config: Option<String>,
    /// Of a suite in a file: its data, a path within that file's folder; by default the folder itself.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// The split that is scored.
    #[serde(default = "default_split")]
    pub split: String,
    /// Items of the whole published split, so that a subset can be called one; `None` where nobody has said.
    #[serde(default)]
    pub items: Option<usize>,
    /// Appended to every question.
    #[serde(default)]
    pub prompt_suffix: String,
    /// What takes the place of `prompt_suffix` for models whose authors prescribe a prompt.
    #[serde(default)]
    pub prompts: Vec<Wording>,
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
    /// Where a suite in a file was read from; `None` for a registered one.
    #[serde(skip)]
    pub file: Option<SuiteFile>,
}

/// The file of a user's own suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteFile {
    /// The `suite.toml`.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// How a family's authors ask: before and after the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// The models that are asked so, by the `model_type` of `config.json`.
    pub model_types: Vec<String>,
    /// Put before the question.
    #[serde(default)]
    pub prefix: String,
    /// Put after the question.
    #[serde(default)]
    pub suffix: String,
    /// Where the authors say so.
    pub source: String,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn default_split() -> String {
    DEFAULT_SPLIT.to_owned()
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
    /// Reads a `suite.toml`; `file` is what an error calls it.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let refused = |reason: Refusal| Error::Suite {
            file: file.to_owned(),
            reason,
        };
        let mut suite: Self = toml::from_str(text).map_err(|error| {
            let reason = error.to_string();
            refused(refusal(
                reason.trim_end(),
                "benchmarks/README.md says what a suite.toml holds",
            ))
        })?;
        suite.check().map_err(refused)?;
        if suite.title.is_empty() {
            suite.title.clone_from(&suite.id);
        }
        Ok(suite)
    }

    /// What contradicts itself, in words.
    fn check(&self) -> Result<(), Refusal> {
        let is_plain =
            |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if self.id.is_empty() || self.id.starts_with('.') || !self.id.chars().all(is_plain) {
            return Err(format!(
                "the id `{}` is to be letters, digits, `-`, `_` and, but at its start, `.`: it is part of every sample's key",
                self.id
            ).into());
        }
        if let Some(data) = self.data.as_ref().filter(|data| !stays_inside(data)) {
            return Err(refusal(
                format!(
                    "`data` is `{}`, which is not in this file's folder",
                    data.display()
                ),
                "leave it out and give the data's folder with --data, or put a \
                 link to it beside this file",
            ));
        }
        if self.is_embedded() {
            if !self.repositories.is_empty() || self.config.is_some() || self.data.is_some() {
                return Err("an embedded suite has no repositories, no config and no data".into());
            }
            let name = self
                .id
                .strip_prefix(EMBEDDED)
                .ok_or_else(|| format!("the id of an embedded suite begins with `{EMBEDDED}`"))?;
            name.parse::<Task>().map_err(|error| error.to_string())?;
        }
        if let Some(name) = self
            .repositories
            .iter()
            .find(|name| name.split('/').count() != 2)
        {
            return Err(format!("repository `{name}` is not `organisation/name`").into());
        }
        let mut named = HashSet::new();
        let mut model_types = self.prompts.iter().flat_map(|wording| &wording.model_types);
        if let Some(twice) = model_types.find(|name| !named.insert(name.as_str())) {
            return Err(format!("`prompts` names the model type `{twice}` twice").into());
        }
        if self.items == Some(0) || self.max_new_tokens == 0 || self.version == 0 {
            return Err("`version`, `items` and `max_new_tokens` are at least 1".into());
        }
        Ok(())
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

    /// What a model is asked: the question in the words that its authors prescribe, or else with the suite's suffix.
    ///
    /// `model_type` is that of `config.json`; `None` asks every model alike.
    pub fn prompt(&self, question: &str, model_type: Option<&str>) -> String {
        let asks = |wording: &&Wording| {
            let mut names = wording.model_types.iter();
            model_type.is_some_and(|model_type| names.any(|name| name == model_type))
        };
        match self.prompts.iter().find(asks) {
            Some(Wording { prefix, suffix, .. }) => format!("{prefix}{question}{suffix}"),
            None => format!("{question}{}", self.prompt_suffix),
        }
    }

    /// What an error calls the suite's definition.
    pub(crate) fn file_name(&self) -> String {
        match &self.file {
            Some(file) => file.path.display().to_string(),
            None => format!("suites/{}/suite.toml", self.id),
        }
    }

    /// The folder or file that a suite in a file names as its data, or else its own folder; `None` for a registered suite.
    pub(crate) fn own_data(&self) -> Option<PathBuf> {
        let folder = self.file.as_ref()?.path.parent().unwrap_or(Path::new(""));
        Some(match &self.data {
            Some(data) => folder.join(data),
            None => folder.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "id = \"mine\"\nlayout = \"jsonl\"\nmax_new_tokens = 8\nmetric = \"anls\"\n";

    #[test]
    fn a_small_file_is_enough() {
        let suite = Suite::parse("mine.toml", SMALL).unwrap();
        assert_eq!(
            (suite.title.as_str(), suite.version, suite.split.as_str()),
            ("mine", 1, "test")
        );
        assert_eq!((suite.items, suite.average), (None, Average::Items));
        assert!(suite.reading && !suite.is_embedded());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        for (changed, reason) in [
            (format!("{SMALL}colour = 1\n"), "unknown field `colour`"),
            (SMALL.replace("\"mine\"", "\"my/own\""), "the id `my/own`"),
            (SMALL.replace("\"mine\"", "\"..\""), "the id `..`"),
            (
                format!("{SMALL}data = \"../other\"\n"),
                "`data` is `../other`, which is not in this file's folder",
            ),
            (format!("{SMALL}data = \"/etc\"\n"), "`data` is `/etc`"),
            (SMALL.replace("jsonl", "json"), "unknown variant `json`"),
            (SMALL.replace("anls", "bleu"), "there is no metric `bleu`"),
            (SMALL.replace("= 8", "= 0"), "at least 1"),
            (SMALL.replace("= 8", "= \"8\""), "invalid type"),
            (
                SMALL.replace("jsonl", "embedded"),
                "begins with `embedded-`",
            ),
            (
                format!("{SMALL}repositories = [\"MTVQA\"]\n"),
                "organisation/name",
            ),
            (
                format!("{SMALL}[[prompts]]\nsufix = \"?\"\n"),
                "unknown field `sufix`",
            ),
            (
                format!("{SMALL}[[prompts]]\nmodel_types = [\"llava\"]\n"),
                "missing field `source`",
            ),
            (
                format!(
                    "{SMALL}[[prompts]]\nmodel_types = [\"llava\", \"llava\"]\nsource = \"here\"\n"
                ),
                "names the model type `llava` twice",
            ),
        ] {
            let message = Suite::parse("here/mine.toml", &changed)
                .unwrap_err()
                .with_hint();
            assert!(message.starts_with("here/mine.toml "), "{message}");
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn a_family_is_asked_as_its_authors_ask() {
        let text = format!(
            "{SMALL}prompt_suffix = \" Briefly.\"\n[[prompts]]\nmodel_types = [\"qwen2_vl\"]\nprefix = \"Q: \"\nsource = \"here\"\n"
        );
        let suite = Suite::parse("mine.toml", &text).unwrap();
        assert_eq!(suite.prompt("Who?", Some("qwen2_vl")), "Q: Who?");
        assert_eq!(suite.prompt("Who?", Some("llava")), "Who? Briefly.");
        assert_eq!(suite.prompt("Who?", None), "Who? Briefly.");
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
