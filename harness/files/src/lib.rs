//! The one way in which a file of ours is replaced: written under a temporary name beside its place, synchronised with the disk,
//! renamed, and the folder synchronised. A reader sees the old or the new file and never a half, and so does whoever comes
//! after a power cut.
//!
//! [`replace`] does all of it; a file that grows for long is written under [`temporary_name`] and ends with [`commit`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Replaces the file at `path` by what `write` writes. When that fails, the old file stays and no half one is left.
///
/// # Errors
/// That of `write`, or of the file system.
pub fn replace<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let temporary = temporary_name(path);
    let mut file = File::create(&temporary)?;
    if let Err(error) = write(&mut file) {
        // The half-written file is of no use; if even this fails, the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(commit(file, path)?)
}

/// The name beside `path` under which its next content is written.
pub fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Puts `file`, which was written under the [`temporary_name`] of `path`, in its place, durably.
///
/// # Errors
/// A file that cannot be synchronised or renamed; it is removed.
pub fn commit(file: File, path: &Path) -> io::Result<()> {
    let temporary = temporary_name(path);
    let synchronised = file.sync_all();
    // Some systems rename no file that is open.
    drop(file);
    if let Err(error) = synchronised.and_then(|()| fs::rename(&temporary, path)) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    if let Some(folder) = path.parent() {
        synchronise_folder(folder);
    }
    Ok(())
}

/// Makes names durable that were made or removed in a folder. Some file systems cannot; what the files hold is safe either way.
pub fn synchronise_folder(folder: &Path) {
    if let Ok(handle) = File::open(folder) {
        let _ = handle.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        replace(&path, |file| file.write_all(b"first")).unwrap();
        let broken = replace(&path, |file| {
            file.write_all(b"sec")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(broken.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, |file| file.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn what_cannot_be_renamed_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("a folder");
        fs::create_dir_all(taken.join("with something in it")).unwrap();
        assert!(replace(&taken, |file| file.write_all(b"x")).is_err());
        assert!(!temporary_name(&taken).exists());
    }
}
