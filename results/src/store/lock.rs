//! One writer a run: an exclusive lock on a file in the run's folder.
//!
//! The lock belongs to the open file and not to the file's presence, so a killed process holds none: a `run.lock` that
//! lies about says nothing. It is removed only once `run.json` says that the run has finished; whoever opened it before
//! that and locks it afterwards finds a finished run and goes.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use fs4::{FileExt, TryLockError};

use crate::Error;

const LOCK: &str = "run.lock";

/// The right to write a run's folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at once or not at all.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK);
        let failed = |source| Error::writing(&path, source);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        // By its path: from Rust 1.89 on, `File` has a method of that name.
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy {
                folder: folder.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Removes the file of a finished run; if it cannot be removed, it harms nobody.
    pub(super) fn remove(folder: &Path) {
        let _ = fs::remove_file(folder.join(LOCK));
    }
}
