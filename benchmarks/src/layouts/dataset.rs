//! The items of an opened suite, one at a time.

use super::lines::Lines;
use super::rows::Row;
use super::sha256;
use super::table::{Image, Table};
use crate::render::{self, Task};
use crate::suite::Suite;
use crate::{Error, Item, Label, Picture};
use rave_hints::{Refusal, refusal};
use rave_hub::Origin;
use std::path::Path;

/// The items of a suite, each read or drawn when it is asked for. `Send` and `Sync`.
pub struct Dataset {
    pub(super) suite: Suite,
    pub(super) items: Items,
    pub(super) fingerprint: String,
    pub(super) source: String,
    pub(super) origin: Option<Origin>,
    /// Of each file read, by its path in the repository.
    pub(super) hashes: Vec<(String, String)>,
    pub(super) full: Option<usize>,
}

pub(super) enum Items {
    Published { files: Vec<File>, rows: Vec<Placed> },
    Embedded { task: Task },
}

/// A file of items.
pub(super) enum File {
    Parquet(Table),
    Lines(Lines),
}

impl File {
    fn path(&self) -> &Path {
        match self {
            Self::Parquet(table) => table.path(),
            Self::Lines(lines) => lines.path(),
        }
    }

    fn image(&self, row: usize) -> Result<Image, Error> {
        match self {
            Self::Parquet(table) => table.image(row),
            Self::Lines(lines) => lines.image(row),
        }
    }
}

/// A row with its final id, the file it stands in, and its number in the split.
pub(super) struct Placed {
    pub(super) id: String,
    pub(super) file: usize,
    pub(super) number: usize,
    pub(super) row: Row,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Dataset")
            .field("suite", &self.suite.id)
            .field("len", &self.len())
            .field("source", &self.source)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Dataset {
    /// Number of items.
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Published { rows, .. } => rows.len(),
            Items::Embedded { .. } => self.suite.items.unwrap_or(0),
        }
    }

    /// Whether there are none; [`Suite::open`] refuses that.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The suite that was opened; its split is the one that was.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// What the items depend on, as a SHA-256 in hexadecimal: the bytes of the files read, one after the other in the order
    /// of their names (`cat FILES | sha256sum`; a JSONL file is followed by its pictures); for an embedded suite its id,
    /// version and split.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// One line that says what is read, and in what it differs from what the suite names.
    pub fn source(&self) -> String {
        self.source.clone()
    }

    /// The hub's repository and commit, where the files lie in its cache.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The files read, by their path in the repository, each with its SHA-256 in hexadecimal; none for an embedded suite.
    pub fn files(&self) -> &[(String, String)] {
        &self.hashes
    }

    /// Items of the whole published split, so that a subset is reported as k of n. `None` where the folder is some other
    /// data set in the same columns, whose whole nobody here knows.
    pub fn size_hint_full(&self) -> Option<usize> {
        self.full
    }

    /// The id of an item; `None` past the end.
    pub fn id(&self, index: usize) -> Option<String> {
        match &self.items {
            Items::Published { rows, .. } => Some(rows.get(index)?.id.clone()),
            Items::Embedded { task } => (index < self.len()).then(|| drawn_id(*task, index)),
        }
    }

    /// What is known of an item before its picture is read or drawn, and thus also of one whose picture cannot be; `None`
    /// past the end.
    pub fn label(&self, index: usize) -> Option<Label> {
        let id = self.id(index)?;
        Some(match &self.items {
            Items::Published { rows, .. } => {
                let Placed { number, row, .. } = rows.get(index)?;
                Label {
                    id,
                    number: *number,
                    image_id: row.image_id.clone(),
                    question: row.question.clone(),
                    prompt: self.suite.prompt(&row.question, None),
                    answers: row.answers.clone(),
                    category: row.category.clone(),
                    dataset: row.dataset.clone(),
                    metric: row.metric,
                }
            }
            Items::Embedded { .. } => Label {
                id,
                number: index,
                ..Label::default()
            },
        })
    }

    /// Reads or draws one item; callable from any thread, in any order.
    ///
    /// # Errors
    /// An index past the end, or a picture that the file does not hold. The picture is not decoded here.
    pub fn item(&self, index: usize) -> Result<Item, Error> {
        if index >= self.len() {
            return Err(Error::Index {
                index,
                len: self.len(),
            });
        }
        match &self.items {
            Items::Published { files, rows } => self.published(files, &rows[index]),
            Items::Embedded { task } => self.drawn(*task, index),
        }
    }

    fn published(&self, files: &[File], placed: &Placed) -> Result<Item, Error> {
        let file = &files[placed.file];
        let row = &placed.row;
        let image = file.image(row.position)?;
        let refused = |reason: Refusal| Error::Row {
            path: file.path().to_owned(),
            row: row.position,
            reason,
        };
        let bytes = image.bytes.ok_or_else(|| {
            refused(refusal(
                "column `image` holds no bytes, only a path",
                "take a copy of the data set with its pictures inside",
            ))
        })?;
        if bytes.is_empty() {
            return Err(refused(refusal(
                "the picture in column `image` is empty (0 bytes)",
                "download the file again",
            )));
        }
        let image_id = row
            .image_id
            .clone()
            .unwrap_or_else(|| sha256(&bytes)[..16].to_owned());
        let name = file
            .path()
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = image.path.map_or_else(
            || format!("{name}, row {}", row.position),
            |path| format!("{path} in {name}"),
        );
        Ok(Item {
            id: placed.id.clone(),
            image_id,
            prompt: self.suite.prompt(&row.question, None),
            question: row.question.clone(),
            answers: row.answers.clone(),
            category: row.category.clone(),
            dataset: row.dataset.clone(),
            metric: row.metric,
            picture: Picture::Encoded { bytes, name },
            answer_boxes: Vec::new(),
            distractor_boxes: Vec::new(),
            difficulty: None,
        })
    }

    fn drawn(&self, task: Task, index: usize) -> Result<Item, Error> {
        let drawn = render::render(task, render::Split::Test, self.suite.version, index as u64)
            .map_err(|reason| Error::Draw {
                suite: self.suite.id.clone(),
                index,
                reason,
            })?;
        let id = drawn_id(task, index);
        Ok(Item {
            image_id: id.clone(),
            id,
            prompt: self.suite.prompt(&drawn.question, None),
            question: drawn.question,
            answers: drawn.answers,
            category: drawn.category,
            dataset: None,
            metric: None,
            picture: Picture::Rendered(drawn.picture),
            answer_boxes: drawn.answer_boxes,
            distractor_boxes: drawn.distractor_boxes,
            difficulty: Some(drawn.difficulty),
        })
    }
}

fn drawn_id(task: Task, index: usize) -> String {
    format!("{task}-{index:06}")
}
