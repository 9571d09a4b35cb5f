//! The folder of a run of any kind: who may write it, the header that says which run it is, and whether it has ended.
//!
//! [`open`] is the one way in. Work that comes before the header is known, such as loading a model, stands between
//! [`Claim::take`] and [`Claim::open`]: the folder is locked and known to be free from the beginning, and a claim that is dropped
//! before it is opened leaves nothing behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::files::{read_header, replace_json};
use super::lock::Lock;
use crate::Error;
use crate::latency::LatencyRecord;
use crate::schema::RunRecord;
use crate::training::TrainingRecord;

/// What a kind of run writes down about itself at its beginning and its end.
pub trait Header: Clone + Serialize + DeserializeOwned {
    /// The file in the run's folder, which marks the folder as one of this kind.
    const FILE: &'static str;
    /// What such a run is called.
    const KIND: &'static str;
    /// The key of its version, and the one that is written and read; `None` for a kind without.
    const VERSION: Option<(&'static str, u32)>;
    /// Whether an interrupted one can be gone on with.
    const RESUMES: bool;
    /// Files that a finished run has no more, but that a process may leave that is killed just before its end.
    const LEFTOVERS: &'static [&'static str];

    /// The run's id.
    fn run(&self) -> &str;

    /// Whether it has ended.
    fn is_finished(&self) -> bool;

    /// In what the stored run differs from the same run begun `now`, in words; nothing where it may go on.
    fn differences(&self, now: &Self) -> Vec<String>;
}

/// What became of the folder.
#[derive(Debug)]
pub enum Opened<H: Header> {
    /// The run begins, and its header is written.
    New(RunFolder<H>),
    /// The run that was interrupted goes on.
    Resumed(RunFolder<H>),
    /// There is nothing to do: the header of the finished run.
    Finished(H),
}

/// Begins the run of this header in a folder, which is made if need be; with `resume`, goes on with the one that is there.
///
/// # Errors
/// Without `resume` a folder that holds a run; a run of another kind; one that another process writes, or that differs from
/// `header` (the error lists in what); a folder that cannot be written.
pub fn open<H: Header>(folder: &Path, header: &H, resume: bool) -> Result<Opened<H>, Error> {
    Claim::take(folder, resume)?.open(header)
}

/// A folder that is locked for a run whose header is not known yet.
#[derive(Debug)]
pub struct Claim<H: Header> {
    folder: PathBuf,
    /// Of a run that is to be gone on with.
    stored: Option<H>,
    /// None where the run has finished.
    lock: Option<Lock>,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    /// What goes with a claim that is not opened.
    provisional: Vec<PathBuf>,
}

impl<H: Header> Claim<H> {
    /// Takes a folder, which is made if need be.
    ///
    /// # Errors
    /// As [`open`], but for differences.
    pub fn take(folder: &Path, resume: bool) -> Result<Self, Error> {
        let mut claim = Self {
            folder: folder.to_path_buf(),
            stored: stored(folder, resume)?,
            lock: None,
            made: Vec::new(),
            provisional: Vec::new(),
        };
        if claim.is_finished() {
            return Ok(claim);
        }
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        claim.made = missing.map(Path::to_path_buf).collect();
        fs::create_dir_all(folder).map_err(|source| Error::writing(folder, source))?;
        claim.lock = Some(Lock::take(folder)?);
        // Again, now that nobody else writes.
        claim.stored = stored(folder, resume)?;
        Ok(claim)
    }

    /// Whether a run is there to go on with.
    pub fn is_begun(&self) -> bool {
        self.stored.is_some()
    }

    /// Whether that run has finished.
    pub fn is_finished(&self) -> bool {
        self.stored.as_ref().is_some_and(Header::is_finished)
    }

    /// The path of this name in the folder; what stands there goes with a claim of a new run that is not opened.
    pub fn provisional(&mut self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        self.provisional.push(path.clone());
        path
    }

    /// Makes it the folder of this header's run.
    ///
    /// # Errors
    /// A run that differs from the stored one; a folder that cannot be written; a full disk.
    pub fn open(mut self, header: &H) -> Result<Opened<H>, Error> {
        if let Some(stored) = &self.stored {
            unchanged(&self.folder, stored.differences(header))?;
        }
        let path = self.folder.clone();
        match self.stored.take() {
            Some(stored) if stored.is_finished() => {
                for name in H::LEFTOVERS {
                    // What cannot be removed harms nobody: a finished run is read from its tables.
                    let _ = fs::remove_file(path.join(name));
                }
                Lock::remove(&path);
                Ok(Opened::Finished(stored))
            }
            Some(stored) => Ok(Opened::Resumed(RunFolder {
                path,
                header: stored,
                is_resumed: true,
                _lock: self.lock.take(),
            })),
            None => {
                replace_json(&path.join(H::FILE), header)?;
                Ok(Opened::New(RunFolder {
                    path,
                    header: header.clone(),
                    is_resumed: false,
                    _lock: self.lock.take(),
                }))
            }
        }
    }
}

impl<H: Header> Drop for Claim<H> {
    fn drop(&mut self) {
        if self.lock.is_none() || self.is_begun() {
            return;
        }
        // What cannot be removed is in nobody's way: the next run in this folder writes over it.
        for path in &self.provisional {
            let _ = fs::remove_file(rave_files::temporary_name(path));
            let _ = fs::remove_file(path);
            let _ = fs::remove_dir_all(path);
        }
        Lock::remove(&self.folder);
        for folder in &self.made {
            // Only if nothing else is in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The folder of a run that is written. Dropped before [`RunFolder::finish`], it holds an interrupted run.
#[derive(Debug)]
pub struct RunFolder<H: Header> {
    path: PathBuf,
    header: H,
    is_resumed: bool,
    /// Held until the run has ended.
    _lock: Option<Lock>,
}

impl<H: Header> RunFolder<H> {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The header as it stands in the folder.
    pub fn header(&self) -> &H {
        &self.header
    }

    /// Whether the run goes on after an interruption.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Replaces the header while the run lasts.
    ///
    /// # Errors
    /// A full disk or a failed write.
    pub fn update(&mut self, update: impl FnOnce(&mut H)) -> Result<(), Error> {
        update(&mut self.header);
        replace_json(&self.path.join(H::FILE), &self.header)
    }

    /// Refuses to go on with a run that turns out to be another one.
    pub(crate) fn unchanged(&self, differences: Vec<String>) -> Result<(), Error> {
        unchanged(&self.path, differences)
    }

    /// Writes the header of the finished run, whose other files are on the disk; `update` sets what says that it has finished.
    ///
    /// # Errors
    /// A full disk or a failed write: the run is then interrupted.
    pub fn finish(mut self, update: impl FnOnce(&mut H)) -> Result<H, Error> {
        self.update(update)?;
        for name in H::LEFTOVERS {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::writing(&path, source));
                }
                _ => {}
            }
        }
        Lock::remove(&self.path);
        Ok(self.header)
    }
}

/// The header of the run in a folder that may go on; `None` where a new one may begin.
fn stored<H: Header>(folder: &Path, resume: bool) -> Result<Option<H>, Error> {
    if folder.exists() && !folder.is_dir() {
        let reason = io::Error::new(io::ErrorKind::NotADirectory, "a file, not a folder");
        return Err(Error::writing(folder, reason));
    }
    let kinds = [
        kind::<RunRecord>(),
        kind::<LatencyRecord>(),
        kind::<TrainingRecord>(),
    ];
    for (file, kind) in kinds {
        let is_own = file == H::FILE;
        if folder.join(file).exists() && (!is_own || !H::RESUMES) {
            return Err(Error::Taken {
                folder: folder.to_path_buf(),
                kind,
            });
        }
    }
    if !folder.join(H::FILE).exists() {
        return Ok(None);
    }
    let present: H = read_header(folder)?;
    if resume {
        return Ok(Some(present));
    }
    let (folder, run) = (folder.to_path_buf(), present.run().to_owned());
    Err(if present.is_finished() {
        Error::FinishedRun { folder, run }
    } else {
        Error::InterruptedRun { folder, run }
    })
}

fn kind<H: Header>() -> (&'static str, &'static str) {
    (H::FILE, H::KIND)
}

fn unchanged(folder: &Path, differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::ChangedRun {
        folder: folder.to_path_buf(),
        differences,
    })
}
