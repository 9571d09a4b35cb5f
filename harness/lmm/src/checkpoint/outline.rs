//! What is known of a checkpoint's tensors without a byte of their values: from the headers of the weight files that are there,
//! and from the index where a file is not.

use std::collections::BTreeMap;
use std::path::Path;

use rave_hints::refusal;

use super::layout::{Layout, WeightMap, files, read};
use super::shard::{Shard, Stored, stored_by_header};
use super::{Checkpoint, not_there, unread_index};
use crate::Error;

/// The tensors of a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// By name; `None` where an index alone names one, so that nobody knows its type and shape.
    pub tensors: BTreeMap<String, Option<Stored>>,
    /// Tensors that the index lists, and that the file which it names does not hold.
    pub unheld: Vec<String>,
    /// Weight files that the index lists and that are not there.
    pub absent: Vec<String>,
    /// Weight files whose headers were read.
    pub present: usize,
    /// What is odd and harmless.
    pub notes: Vec<String>,
}

impl Outline {
    /// That of a folder, some of whose shards may be missing.
    ///
    /// # Errors
    /// As [`Checkpoint::with_weights`], but for shards that are missing.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let layout = checkpoint.layout()?;
        let file = checkpoint.path(layout.file());
        let mut outline = Self::default();
        match layout {
            Layout::Single(_) => {
                let shard = Shard::open(&file)?;
                outline.add(&file, shard.stored()?)?;
                outline
                    .notes
                    .extend(unread_index::note(&shard, checkpoint.folder())?);
            }
            Layout::Sharded(_) => {
                let weight_map = read(&file)?;
                for name in files(&weight_map) {
                    let path = checkpoint.path(name);
                    if path.is_file() {
                        outline.add(&path, Shard::open(&path)?.stored()?)?;
                    } else {
                        outline.absent.push(name.to_owned());
                    }
                }
                outline.place(&file, &weight_map, |name| checkpoint.path(name).is_file())?;
            }
        }
        Ok(outline)
    }

    /// Adds what the beginning of a weight file, with all of its header, says.
    ///
    /// # Errors
    /// A damaged header; a tensor that is in another file too.
    pub(crate) fn add_header(&mut self, path: &Path, beginning: &[u8]) -> Result<(), Error> {
        self.add(path, stored_by_header(path, beginning)?)
    }

    fn add(&mut self, path: &Path, tensors: BTreeMap<String, Stored>) -> Result<(), Error> {
        self.present += 1;
        for (name, stored) in tensors {
            if self.tensors.contains_key(&name) {
                let reason = refusal(
                    format!("tensor `{name}` is also in another shard"),
                    "keep one of the two",
                );
                return Err(Error::malformed(path, reason));
            }
            self.tensors.insert(name, Some(stored));
        }
        Ok(())
    }

    /// Adds what an index says of the files whose headers were not read, after those of all others.
    ///
    /// # Errors
    /// A tensor that such a file should hold and that another one does.
    pub(crate) fn place(
        &mut self,
        index: &Path,
        weight_map: &WeightMap,
        was_read: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        for (name, file) in weight_map {
            match (self.tensors.contains_key(name), was_read(file)) {
                (true, false) => return Err(not_there(index, name, file)),
                (true, true) => {}
                (false, true) => self.unheld.push(name.clone()),
                (false, false) => {
                    self.tensors.insert(name.clone(), None);
                }
            }
        }
        Ok(())
    }
}
