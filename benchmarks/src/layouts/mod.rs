//! Data layouts: from a suite and a folder to items that are all alike.
//!
//! [`Suite::open`] reads the light columns (questions, answers, ids) and refuses what is wrong with them before anything is
//! computed; [`Dataset::item`] reads or draws one picture, from any thread.

mod folder;
mod hub;
mod python_literal;
mod rows;
mod table;

use crate::render::{self, Task};
use crate::suites::Suite;
use crate::{Error, Item, Label, Picture};
use rave_hub::Origin;
use rows::Row;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use table::Table;

/// How a data set's columns are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `questionId`, `question`, `docId`, `answers`, `image`.
    Docvqa,
    /// `type`, `question`, `answer`, `image`.
    Chartqa,
    /// `question_id`, `question`, `image_id`, `answers`, `image`.
    Textvqa,
    /// `dataset`, `question`, `question_type`, `answer`, `image`.
    Ocrbench,
    /// `id`, `lang`, `qa_pairs`, `image`.
    Mtvqa,
    /// Drawn by [`crate::render`]; no data.
    Embedded,
}

impl Layout {
    /// The id: its name in a `suite.toml`.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Docvqa => "docvqa",
            Self::Chartqa => "chartqa",
            Self::Textvqa => "textvqa",
            Self::Ocrbench => "ocrbench",
            Self::Mtvqa => "mtvqa",
            Self::Embedded => "embedded",
        }
    }
}

/// The items of a suite, each read or drawn when it is asked for. `Send` and `Sync`.
pub struct Dataset {
    suite: Suite,
    items: Items,
    fingerprint: String,
    source: String,
    origin: Option<Origin>,
    files: Vec<(String, String)>,
    full: Option<usize>,
}

enum Items {
    Published {
        tables: Vec<Table>,
        rows: Vec<Placed>,
    },
    Embedded {
        task: Task,
    },
}

/// A row with its final id, and the file it stands in.
struct Placed {
    id: String,
    table: usize,
    row: Row,
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

impl Suite {
    /// Opens the suite's items.
    ///
    /// `data` is a local copy of the suite's hub repository under any name, or a folder that holds it by name; embedded
    /// suites ignore it. Every light column is read and checked, and the files are hashed.
    ///
    /// # Errors
    /// What is missing, unreadable or contradictory in the folder, with the file and the remedy.
    pub fn open(&self, data: Option<&Path>) -> Result<Dataset, Error> {
        if let Some(task) = self.task() {
            return self.open_embedded(task);
        }
        let selection = folder::select(self, self.needed(data)?)?;
        self.read(selection)
    }

    /// Opens the split that models are trained on, from the same folders as [`Suite::open`]; another split is not taken in
    /// its place. The fingerprint and the source of the data set are this split's.
    ///
    /// # Errors
    /// As [`Suite::open`]; a suite that is drawn, whose training items come from [`crate::render`]; no files of `train`.
    pub fn open_training(&self, data: Option<&Path>) -> Result<Dataset, Error> {
        if self.is_embedded() {
            return Err(Error::Suite {
                id: self.id.clone(),
                reason: "its training items are drawn, not opened".to_owned(),
            });
        }
        let training = self.training();
        let selection = folder::select(&training, self.needed(data)?)?;
        if !selection.right_split {
            return Err(Error::NoSuchPart {
                path: selection.root,
                what: "split",
                wanted: training.split,
                suite: self.id.clone(),
                found: selection.split,
            });
        }
        training.read(selection)
    }

    /// The same with the split that models are trained on.
    fn training(&self) -> Self {
        Self {
            split: render::Split::Train.name().to_owned(),
            ..self.clone()
        }
    }

    fn needed<'a>(&self, data: Option<&'a Path>) -> Result<&'a Path, Error> {
        data.ok_or_else(|| Error::NeedsData {
            suite: self.id.clone(),
            repository: self.repositories.first().cloned().unwrap_or_default(),
        })
    }

    /// Reads the light columns of the chosen files.
    fn read(&self, selection: folder::Selection) -> Result<Dataset, Error> {
        let mut tables = Vec::with_capacity(selection.files.len());
        let mut placed: Vec<Placed> = Vec::new();
        let (mut left_out, mut before) = (0, 0);
        for (number, path) in selection.files.iter().enumerate() {
            let table = Table::open(path, self.layout.id())?;
            let rows = self.layout.rows(&table)?;
            left_out += rows.left_out;
            for row in rows.rows {
                let id = row
                    .id
                    .clone()
                    .unwrap_or_else(|| format!("{:06}", before + row.position));
                placed.push(Placed {
                    id,
                    table: number,
                    row,
                });
            }
            before += table.rows();
            tables.push(table);
        }
        if placed.is_empty() {
            let path = selection.files.into_iter().next().unwrap_or(selection.root);
            return Err(if left_out > 0 {
                Error::NothingToAsk { path, left_out }
            } else {
                Error::EmptySplit { path }
            });
        }
        refuse_duplicates(&selection.root, &placed)?;
        let mut source = selection.source;
        if left_out > 0 {
            let _ = write!(
                source,
                "; {left_out} question(s) without text or answer left out"
            );
        }
        let is_published = selection.is_published || placed.len() == self.items;
        let (fingerprint, hashes) = fingerprint(&selection.files)?;
        let names = selection.files.iter().map(|path| {
            let inside = path.strip_prefix(&selection.root).unwrap_or(path);
            inside.to_string_lossy().into_owned()
        });
        Ok(Dataset {
            fingerprint,
            files: names.zip(hashes).collect(),
            origin: selection.origin,
            source,
            full: is_published.then_some(self.items),
            items: Items::Published {
                tables,
                rows: placed,
            },
            suite: self.clone(),
        })
    }

    fn open_embedded(&self, task: Task) -> Result<Dataset, Error> {
        if self.split != render::Split::Test.name() {
            return Err(Error::Suite {
                id: self.id.clone(),
                reason: format!("its split is `{}`, and only `test` is scored", self.split),
            });
        }
        let identity = format!("{} {} {}", self.id, self.version, self.split);
        Ok(Dataset {
            fingerprint: hexadecimal(&Sha256::digest(identity)),
            source: format!(
                "drawn by this program: {task}, version {}, {} split",
                self.version, self.split
            ),
            origin: None,
            files: Vec::new(),
            full: Some(self.items),
            items: Items::Embedded { task },
            suite: self.clone(),
        })
    }
}

impl Dataset {
    /// Number of items.
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Published { rows, .. } => rows.len(),
            Items::Embedded { .. } => self.suite.items,
        }
    }

    /// Whether there are none; [`Suite::open`] refuses that.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The suite that was opened.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// What the items depend on, as a SHA-256 in hexadecimal: the bytes of the files read, one after the other in the order
    /// of their names (`cat FILES | sha256sum`); for an embedded suite its id, version and split.
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
        &self.files
    }

    /// Items of the whole published split, so that a subset is reported as k of n. `None` where the folder is some other
    /// data set in the same columns, whose whole nobody here knows.
    pub fn size_hint_full(&self) -> Option<usize> {
        self.full
    }

    /// What is known of an item before its picture is read or drawn, and thus also of one whose picture cannot be; `None`
    /// past the end.
    pub fn label(&self, index: usize) -> Option<Label> {
        match &self.items {
            Items::Published { rows, .. } => {
                let placed = rows.get(index)?;
                Some(Label {
                    id: placed.id.clone(),
                    image_id: placed.row.image_id.clone(),
                    prompt: self.prompt(&placed.row.question),
                    answers: placed.row.answers.clone(),
                    category: placed.row.category.clone(),
                })
            }
            Items::Embedded { task } => (index < self.len()).then(|| Label {
                id: drawn_id(*task, index),
                ..Label::default()
            }),
        }
    }

    fn prompt(&self, question: &str) -> String {
        format!("{question}{}", self.suite.prompt_suffix)
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
            Items::Published { tables, rows } => self.published(tables, &rows[index]),
            Items::Embedded { task } => self.drawn(*task, index),
        }
    }

    fn published(&self, tables: &[Table], placed: &Placed) -> Result<Item, Error> {
        let table = &tables[placed.table];
        let row = &placed.row;
        let image = table.image(row.position)?;
        let refused = |reason: &str| Error::Row {
            path: table.path().to_owned(),
            row: row.position,
            reason: reason.to_owned(),
        };
        let bytes = image.bytes.ok_or_else(|| {
            refused("column `image` holds no bytes, only a path; take a copy of the data set with its pictures inside")
        })?;
        if bytes.is_empty() {
            return Err(refused(
                "the picture in column `image` is empty (0 bytes); download the file again",
            ));
        }
        let image_id = row
            .image_id
            .clone()
            .unwrap_or_else(|| hexadecimal(&Sha256::digest(&bytes)[..8]));
        let file = table
            .path()
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = image.path.map_or_else(
            || format!("{file}, row {}", row.position),
            |path| format!("{path} in {file}"),
        );
        Ok(Item {
            id: placed.id.clone(),
            image_id,
            prompt: self.prompt(&row.question),
            question: row.question.clone(),
            answers: row.answers.clone(),
            category: row.category.clone(),
            dataset: row.dataset.clone(),
            picture: Picture::Encoded { bytes, name },
            answer_boxes: Vec::new(),
            distractor_boxes: Vec::new(),
            difficulty: None,
        })
    }

    fn drawn(&self, task: Task, index: usize) -> Result<Item, Error> {
        let drawn = render::render(task, render::Split::Test, self.suite.version, index as u64)
            .map_err(|error| Error::Draw {
                suite: self.suite.id.clone(),
                index,
                reason: error.to_string(),
            })?;
        let id = drawn_id(task, index);
        Ok(Item {
            image_id: id.clone(),
            id,
            prompt: self.prompt(&drawn.question),
            question: drawn.question,
            answers: drawn.answers,
            category: drawn.category,
            dataset: None,
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

fn refuse_duplicates(root: &Path, placed: &[Placed]) -> Result<(), Error> {
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(placed.len());
    for (second, item) in placed.iter().enumerate() {
        if let Some(first) = seen.insert(&item.id, second) {
            return Err(Error::DuplicateId {
                path: root.to_owned(),
                id: item.id.clone(),
                first,
                second,
            });
        }
    }
    Ok(())
}

/// SHA-256 over the files' bytes, one after the other, and that of each.
fn fingerprint(files: &[PathBuf]) -> Result<(String, Vec<String>), Error> {
    let mut whole = Sha256::new();
    let mut hashes = Vec::with_capacity(files.len());
    let mut buffer = vec![0; 1 << 20];
    for path in files {
        let mut hasher = Sha256::new();
        let failed = |source| Error::Read {
            path: path.clone(),
            source,
        };
        let mut file = std::fs::File::open(path).map_err(failed)?;
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            // Of a single file both are the same.
            if files.len() > 1 {
                whole.update(&buffer[..read]);
            }
        }
        hashes.push(hexadecimal(&hasher.finalize()));
    }
    let fingerprint = match &hashes[..] {
        [only] => only.clone(),
        _ => hexadecimal(&whole.finalize()),
    };
    Ok((fingerprint, hashes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
