//! The layout of a user's own data: one JSON object a line, pictures in files beside it.
//!
//! `image` is a path from the folder of the JSONL file, not out of it, and names the picture (questions about one file are one cluster);
//! `question` and `answers` (a list, or one text) are text; `id`, `category`, `dataset` and `metric` may be there. Other keys
//! are ignored. Lines of white space are none. A line that cannot be read is refused at once; a picture that is missing
//! costs its own items alone.

use super::rows::{FileRows, Row, says_something};
use super::table::Image;
use crate::Error;
use crate::metrics::Metric;
use crate::predictions::one_or_many;
use crate::python_json;
use crate::suite::{DEFAULT_SPLIT, Suite};
use rave_hints::{Refusal, refusal};
use rave_hub::stays_inside;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What a line of the file is.
const SHAPE: &str =
    "{\"image\", \"question\", \"answers\", \"id\"?, \"category\"?, \"dataset\"?, \"metric\"?}";

/// One line.
#[derive(Debug, Deserialize)]
struct Line {
    image: String,
    question: String,
    #[serde(alias = "answer", deserialize_with = "one_or_many")]
    answers: Vec<String>,
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    dataset: Option<String>,
    #[serde(default)]
    metric: Option<Metric>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`id` must be a text or a whole number")]
enum Id {
    Number(i64),
    Text(String),
}

/// A JSONL file and the pictures that its lines name.
pub(super) struct Lines {
    path: PathBuf,
    /// As they are written in the lines, one a line.
    pictures: Vec<String>,
}

impl Lines {
    /// Reads the file; `metric` is the suite's.
    pub(super) fn open(path: &Path, metric: Metric) -> Result<(Self, FileRows), Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut lines = Self {
            path: path.to_owned(),
            pictures: Vec::new(),
        };
        let mut rows = FileRows::default();
        // Editors of Windows begin a file with a mark of its encoding.
        let text = text.trim_start_matches('\u{feff}');
        for (number, text) in text.lines().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let refused = |reason: Refusal| Error::Line {
                path: path.to_owned(),
                line: number + 1,
                reason,
            };
            let line: Line = python_json::parse(text).map_err(|error| {
                let reason = refusal(error.to_string(), format!("a line is an object {SHAPE}"));
                refused(if python_json::has_words(text) {
                    reason.also(python_json::HINT)
                } else {
                    reason
                })
            })?;
            if !stays_inside(Path::new(&line.image)) {
                return Err(refused(refusal(
                    format!("the image `{}` is not in this file's folder", line.image),
                    "put the pictures below it, or a link to where they are, and \
                     give their paths from there",
                )));
            }
            let position = lines.pictures.len();
            lines.pictures.push(line.image.clone());
            if !says_something(&line.question)
                || !line.answers.iter().any(|answer| says_something(answer))
            {
                rows.left_out += 1;
                continue;
            }
            let own = line.metric.unwrap_or(metric);
            if let Some(annotators) = own.annotators()
                && line.answers.len() != annotators
            {
                return Err(refused(refusal(
                    format!(
                        "{own} is a vote of {annotators} answers, and here are {}",
                        line.answers.len()
                    ),
                    "repeat an answer as often as it was \
                     given, or choose another `metric`",
                )));
            }
            rows.rows.push(Row {
                id: line.id.map(|id| match id {
                    Id::Number(number) => number.to_string(),
                    Id::Text(text) => text,
                }),
                image_id: Some(line.image),
                question: line.question,
                answers: line.answers,
                category: line.category,
                dataset: line.dataset,
                metric: line.metric,
                position,
            });
        }
        lines.refuse_a_wrong_folder()?;
        Ok((lines, rows))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The picture of a line.
    pub(super) fn image(&self, position: usize) -> Result<Image, Error> {
        let name = self.pictures.get(position).ok_or(Error::Index {
            index: position,
            len: self.pictures.len(),
        })?;
        let path = self.picture(name);
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
        Ok(Image {
            bytes: Some(bytes),
            path: Some(name.clone()),
        })
    }

    /// The file itself, then every picture that is there, each once, in the order in which they are named.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut seen = HashSet::new();
        let pictures = self.pictures.iter().filter(|name| seen.insert(*name));
        let pictures = pictures.map(|name| self.picture(name));
        std::iter::once(self.path.clone())
            .chain(pictures.filter(|path| path.is_file()))
            .collect()
    }

    fn picture(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(name)
    }

    /// A picture may be missing; where all are, the paths are meant from somewhere else.
    fn refuse_a_wrong_folder(&self) -> Result<(), Error> {
        let is_there = |name: &String| self.picture(name).is_file();
        match self.pictures.first() {
            Some(first) if !self.pictures.iter().any(is_there) => Err(Error::NoPictures {
                path: self.path.clone(),
                first: self.picture(first),
                count: self.pictures.len(),
            }),
            _ => Ok(()),
        }
    }
}

/// The JSONL file of a suite: `data` itself, `<split>.jsonl` in that folder, or, unless the split was asked for by name, the only
/// one there.
pub(super) fn find(suite: &Suite, data: &Path, by_name: bool) -> Result<PathBuf, Error> {
    if data.is_file() {
        return Ok(data.to_owned());
    }
    let wanted = format!("{}.jsonl", suite.split);
    let named = data.join(&wanted);
    if stays_inside(Path::new(&wanted)) && named.is_file() {
        return Ok(named);
    }
    let mut found: Vec<PathBuf> = super::folder::entries(data)?
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    match (found.pop(), found.is_empty()) {
        // Whoever names no split means the file that is there.
        (Some(only), true) if suite.split == DEFAULT_SPLIT && !by_name => Ok(only),
        (last, _) => {
            found.extend(last);
            Err(Error::NoLines {
                path: data.to_owned(),
                wanted,
                suite: suite.id.clone(),
                found: found
                    .iter()
                    .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        }
    }
}
