//! The suites: one folder each, `suites/<id>/suite.toml` beside a `README.md` that gives the reason for it.
//!
//! The registry is one literal table, a line a suite; the files are compiled in, so that the binary needs no folder beside
//! it. Adding a suite in a known layout is a folder and a line; a user's own is read from wherever it lies ([`Suite::load`]).

use rave_hints::refusal;

use crate::Error;
use crate::layouts::sha256;
use crate::suite::{Suite, SuiteFile};
use std::path::Path;
use std::sync::OnceLock;

macro_rules! suite_files {
    ($($id:literal),* $(,)?) => {
        [$(($id, include_str!(concat!("../suites/", $id, "/suite.toml")))),*]
    };
}

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

/// A suite of the registry: one whose folder has its name and which says of its data what a listing must.
fn registered(id: &str, text: &str) -> Result<Suite, Error> {
    let file = format!("suites/{id}/suite.toml");
    let suite = Suite::parse(&file, text)?;
    let missing = [
        (suite.id != id, "id"),
        (suite.description.is_empty(), "description"),
        (suite.licence.is_empty(), "licence"),
        (suite.items.is_none(), "items"),
        (
            suite.repositories.is_empty() && !suite.is_embedded(),
            "repositories",
        ),
    ];
    match missing.into_iter().find(|(is_missing, _)| *is_missing) {
        Some((_, key)) => Err(Error::Suite {
            file,
            reason: format!("`{key}` does not say what it must of a suite in the folder `{id}`")
                .into(),
        }),
        None => Ok(suite),
    }
}

impl Suite {
    /// A user's own suite: a `suite.toml` by any name, or the folder that holds one.
    ///
    /// # Errors
    /// A folder without `suite.toml`; a file that cannot be read, that is no valid suite, or that takes the id of a registered one.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let path = if path.is_dir() {
            let file = path.join("suite.toml");
            if !file.exists() {
                return Err(Error::NoSuite {
                    path: path.to_owned(),
                });
            }
            file
        } else {
            path.to_owned()
        };
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let mut suite = Self::parse(&path.display().to_string(), &text)?;
        if suites().iter().any(|known| known.id == suite.id) {
            return Err(Error::Suite {
                file: path.display().to_string(),
                reason: refusal(
                    format!("the id `{}` is that of a suite of this program", suite.id),
                    "choose another, so that results are not mixed up",
                ),
            });
        }
        suite.file = Some(SuiteFile {
            path,
            sha256: sha256(text.as_bytes()),
        });
        Ok(suite)
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
                registered(id, text).expect("the compiled-in suite files are parsed by a test")
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
    use crate::suite::Average;

    #[test]
    fn every_suite_parses_and_every_folder_is_registered() {
        for (id, text) in FILES {
            let suite = registered(id, text).unwrap();
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
                    suite.metric.id(),
                )
            })
            .collect();
        assert_eq!(
            facts,
            [
                ("docvqa", "validation", Some(5349), 32, "anls"),
                ("infovqa", "validation", Some(2801), 32, "anls"),
                ("chartqa", "test", Some(2500), 16, "relaxed_accuracy"),
                ("textvqa", "validation", Some(5000), 32, "vqa_accuracy"),
                ("ocrbench", "test", Some(1000), 128, "ocrbench"),
                ("mtvqa", "test", Some(6778), 64, "mtvqa"),
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
        let message = suite("chatqa").unwrap_err().with_hint();
        assert!(message.contains("did you mean `chartqa`?"), "{message}");
        assert!(
            suite("embedded")
                .unwrap_err()
                .with_hint()
                .contains("did you mean `embedded-")
        );
    }

    #[test]
    fn a_folder_holds_the_suite_of_its_name_in_full() {
        let text = FILES[10].1;
        for (changed, reason) in [
            (text.replace("id = \"mtvqa\"", "id = \"other\""), "`id`"),
            (text.replace("items = 6778", ""), "`items`"),
            (text.replace("licence = ", "# "), "`licence`"),
            (format!("{text}\ncolour = 1\n"), "colour"),
        ] {
            let message = registered("mtvqa", &changed).unwrap_err().with_hint();
            assert!(
                message.starts_with("suites/mtvqa/suite.toml ") && message.contains(reason),
                "{message}"
            );
        }
    }

    #[test]
    fn prompts_of_families_are_those_of_known_model_types_and_say_where_from() {
        const MODEL_TYPES: [&str; 5] =
            ["smolvlm", "idefics3", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"];
        for suite in suites() {
            assert_eq!(
                suite.prompts.is_empty(),
                suite.is_embedded(),
                "{}",
                suite.id
            );
            for wording in &suite.prompts {
                let mut names = wording.model_types.iter();
                assert!(names.all(|name| MODEL_TYPES.contains(&name.as_str())));
                assert!(wording.source.contains("VLMEvalKit"), "{}", suite.id);
            }
        }
        let docvqa = suite("docvqa").unwrap();
        assert_eq!(
            docvqa.prompt("Who?", Some("qwen2_5_vl")),
            "Who?\nPlease try to answer the question with short words or phrases if possible."
        );
        let prompt = docvqa.prompt("Who?", Some("smolvlm"));
        assert!(
            prompt.starts_with("Give a short and terse answer")
                && prompt.ends_with(
                    "Question: Who?\nAnswer the question using a single word or phrase."
                ),
            "{prompt}"
        );
        assert_eq!(
            docvqa.prompt("Who?", Some("llava")),
            docvqa.prompt("Who?", None)
        );
    }
}
