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
        loop {
            // The folder too may have gone with a claim that was given up.
            fs::create_dir_all(folder).map_err(failed)?;
            let file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            // By its path: from Rust 1.89 on, `File` has a method of that name.
            match FileExt::try_lock(&file) {
                Ok(()) if is_at(&file, &path) => return Ok(Self { _file: file }),
                // Whoever held it has removed the file since it was opened here: this lock would keep nobody out.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy {
                        folder: folder.to_path_buf(),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }

    /// Removes the file of a finished run; if it cannot be removed, it harms nobody.
    pub(super) fn remove(folder: &Path) {
        let _ = fs::remove_file(folder.join(LOCK));
    }
}

/// Whether a file is still the one of this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(own), Ok(there)) => of(own) == of(there),
        _ => false,
    }
}

/// Elsewhere no open file can be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}
