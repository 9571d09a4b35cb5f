//! Opening a suite: its files found, their light columns read, and whatever is wrong with them refused at once.

use super::dataset::{Dataset, File, Items, Placed};
use super::folder::{self, Selection};
use super::lines::Lines;
use super::rows::FileRows;
use super::table::{ChunkCache, Table};
use super::{Layout, sha256};
use crate::Error;
use crate::render::{self, Task};
use crate::suite::Suite;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

impl Suite {
    /// Opens the suite's items.
    ///
    /// `data` is a local copy of the suite's hub repository under any name, or a folder that holds it by name; embedded
    /// suites ignore it. A suite in a file reads what that file names, else `data`, else what lies beside it. Every light column is
    /// read and checked, and the files are hashed.
    ///
    /// # Errors
    /// What is missing, unreadable or contradictory in the folder, with the file and the remedy.
    pub fn open(&self, data: Option<&Path>) -> Result<Dataset, Error> {
        if let Some(task) = self.task() {
            return self.open_embedded(task);
        }
        let data = self.place(data)?;
        if self.layout == Layout::Jsonl {
            return self.read_lines(&data, false);
        }
        self.read(folder::select(self, &data)?)
    }

    /// As [`Suite::open`], another split of the same data; no other split is taken in its place. The fingerprint, the source
    /// and the suite of the data set are this split's.
    ///
    /// # Errors
    /// As [`Suite::open`]; a suite that is drawn, which has no other split; no files of that split.
    pub fn open_split(&self, data: Option<&Path>, split: &str) -> Result<Dataset, Error> {
        if self.is_embedded() {
            return Err(Error::Drawn {
                suite: self.id.clone(),
                split: split.to_owned(),
            });
        }
        let other = self.of_split(split);
        let place = other.place(data)?;
        if self.layout == Layout::Jsonl && (place.is_dir() || self.split == split) {
            return other.read_lines(&place, true);
        }
        let selection = folder::select(&other, &place)?;
        if !selection.right_split {
            return Err(Error::NoSuchPart {
                path: selection.root,
                what: "split",
                wanted: other.split,
                suite: self.id.clone(),
                found: selection.split,
            });
        }
        other.read(selection)
    }

    /// The same with another split.
    #[must_use]
    pub fn of_split(&self, split: &str) -> Self {
        Self {
            split: split.to_owned(),
            items: self.items.filter(|_| self.split == split),
            ..self.clone()
        }
    }

    /// Opens the split that models are trained on.
    ///
    /// # Errors
    /// As [`Suite::open_split`].
    pub fn open_training(&self, data: Option<&Path>) -> Result<Dataset, Error> {
        self.open_split(data, render::Split::Train.name())
    }

    /// Where the data is: what a suite in a file names, the folder that was given, or else that file's own.
    fn place(&self, data: Option<&Path>) -> Result<PathBuf, Error> {
        let given = data.filter(|_| self.data.is_none()).map(Path::to_owned);
        given
            .or_else(|| self.own_data())
            .ok_or_else(|| Error::NeedsData {
                suite: self.id.clone(),
                repository: self.repositories.first().cloned().unwrap_or_default(),
            })
    }

    /// Reads the light columns of the chosen parquet files.
    fn read(&self, selection: Selection) -> Result<Dataset, Error> {
        let mut files = Vec::with_capacity(selection.files.len());
        let cache = ChunkCache::default();
        for (number, path) in selection.files.iter().enumerate() {
            let table = Table::open(path, self.layout.id(), number, &cache)?;
            let rows = self.layout.rows(&table)?;
            files.push((table.rows(), rows, File::Parquet(table)));
        }
        let hashes = Hashes::of(&selection.files, &selection.root)?;
        let path = match &selection.files[..] {
            [only] => only.clone(),
            _ => selection.root,
        };
        let mut dataset = self.gather(&path, files, hashes, selection.source)?;
        dataset.origin = selection.origin;
        let is_published = selection.is_published || Some(dataset.len()) == self.items;
        dataset.full = self.items.filter(|_| is_published);
        Ok(dataset)
    }

    /// Reads a JSONL file: `data` itself, `<split>.jsonl` in that folder, or the only one there.
    fn read_lines(&self, data: &Path, by_name: bool) -> Result<Dataset, Error> {
        let path = super::lines::find(self, data, by_name)?;
        let (lines, rows) = Lines::open(&path, self.metric)?;
        let mut hashes = Hashes::of(&lines.files(), path.parent().unwrap_or(Path::new("")))?;
        // A record that named every picture would be longer than the data; they are in the hash of the whole.
        hashes.each.truncate(1);
        let source = format!("{} line(s) of {}", rows.rows.len(), path.display());
        let files = vec![(rows.rows.len(), rows, File::Lines(lines))];
        let mut dataset = self.gather(&path, files, hashes, source)?;
        dataset.full = self.items;
        Ok(dataset)
    }

    /// The items of files, each with its number of rows and those that can be asked; `path` is what an error names.
    fn gather(
        &self,
        path: &Path,
        read: Vec<(usize, FileRows, File)>,
        hashes: Hashes,
        mut source: String,
    ) -> Result<Dataset, Error> {
        let mut files = Vec::with_capacity(read.len());
        let mut placed: Vec<Placed> = Vec::new();
        let (mut left_out, mut before) = (0, 0);
        for (length, rows, file) in read {
            left_out += rows.left_out;
            for row in rows.rows {
                // Where a row is several questions, the questions are counted, as other harnesses do that flatten it.
                let number = if self.layout == Layout::Mtvqa {
                    placed.len()
                } else {
                    before + row.position
                };
                let id = row.id.clone();
                placed.push(Placed {
                    id: id.unwrap_or_else(|| format!("{number:06}")),
                    file: files.len(),
                    number,
                    row,
                });
            }
            before += length;
            files.push(file);
        }
        if placed.is_empty() {
            let path = path.to_owned();
            return Err(if left_out > 0 {
                Error::NothingToAsk { path, left_out }
            } else {
                Error::EmptySplit { path }
            });
        }
        self.refuse_mixed_columns(path, &placed)?;
        refuse_duplicates(path, &placed)?;
        if left_out > 0 {
            let _ = write!(
                source,
                "; {left_out} question(s) without text or answer left out"
            );
        }
        Ok(Dataset {
            fingerprint: hashes.whole,
            hashes: hashes.each,
            origin: None,
            source,
            full: None,
            items: Items::Published {
                files,
                rows: placed,
            },
            suite: self.clone(),
        })
    }

    fn open_embedded(&self, task: Task) -> Result<Dataset, Error> {
        if self.split != render::Split::Test.name() {
            return Err(Error::Suite {
                file: self.file_name(),
                reason: format!("its split is `{}`, and only `test` is scored", self.split).into(),
            });
        }
        let identity = format!("{} {} {}", self.id, self.version, self.split);
        Ok(Dataset {
            fingerprint: sha256(identity.as_bytes()),
            source: format!(
                "drawn by this program: {task}, version {}, {} split",
                self.version, self.split
            ),
            origin: None,
            hashes: Vec::new(),
            full: self.items,
            items: Items::Embedded { task },
            suite: self.clone(),
        })
    }

    /// Refuses data in which a column plainly holds what belongs into another: every row would be asked or scored wrongly.
    ///
    /// Types tell most mix-ups apart (a picture is no text). What they cannot tell: a category column with none of the
    /// suite's categories, questions without a single letter (ids, numbers), and answers that ask while questions do not.
    fn refuse_mixed_columns(&self, path: &Path, placed: &[Placed]) -> Result<(), Error> {
        let refused = |column: &str, reason: String| {
            Err(Error::MixedColumns {
                path: path.to_owned(),
                column: column.to_owned(),
                reason,
                suite: self.id.clone(),
            })
        };
        let rows = || placed.iter().map(|placed| &placed.row);
        if let Some(column) = self.layout.category_column()
            && !self.categories.is_empty()
            && !rows().any(|row| {
                let known = |name: &String| self.categories.contains(name);
                row.category.as_ref().is_some_and(known)
            })
        {
            let found = rows().find_map(|row| row.category.as_deref());
            return refused(
                column,
                format!(
                    "holds none of the suite's categories ({}) but, in its first row, {}",
                    self.categories.join(", "),
                    found.map_or("nothing".to_owned(), quoted)
                ),
            );
        }
        if !rows().any(|row| row.question.chars().any(char::is_alphabetic)) {
            return refused(
                "question",
                format!(
                    "has no letter in any row, such as {}",
                    quoted(&placed[0].row.question)
                ),
            );
        }
        let asks = |text: &str| text.trim_end().ends_with(['?', '？', '؟']);
        let asking = rows().filter(|row| asks(&row.question)).count();
        let answering = rows().filter(|row| row.answers.iter().any(|answer| asks(answer)));
        if answering.count() > placed.len() / 2 && asking <= placed.len() / 2 {
            return refused(
                "question",
                format!(
                    "holds what reads as answers ({}), and the answers read as questions ({})",
                    quoted(&placed[0].row.question),
                    quoted(&placed[0].row.answers[0])
                ),
            );
        }
        Ok(())
    }
}

/// A cell for an error message, shortened.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
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

/// SHA-256 of files, in hexadecimal.
struct Hashes {
    /// Over their bytes, one after the other.
    whole: String,
    /// Of each, by its path from their folder.
    each: Vec<(String, String)>,
}

impl Hashes {
    fn of(files: &[PathBuf], folder: &Path) -> Result<Self, Error> {
        let mut whole = Sha256::new();
        let mut each = Vec::with_capacity(files.len());
        let mut buffer = vec![0; 1 << 20];
        for path in files {
            let failed = |source| Error::Read {
                path: path.clone(),
                source,
            };
            let mut hasher = Sha256::new();
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
            let inside = path.strip_prefix(folder).unwrap_or(path);
            let name = inside.to_string_lossy().into_owned();
            each.push((name, format!("{:x}", hasher.finalize())));
        }
        let whole = match &each[..] {
            [(_, only)] => only.clone(),
            _ => format!("{:x}", whole.finalize()),
        };
        Ok(Self { whole, each })
    }
}
