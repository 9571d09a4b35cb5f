//! The cache folder: `<cache>/models--org--name/{blobs,refs,snapshots}`.
//!
//! `refs/<revision>` holds a commit, `snapshots/<commit>/<file>` links to `blobs/<hash>`: the layout of `huggingface_hub`, so
//! that what one tool brought the other finds.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::Cache;

use crate::reference::is_plain_name;
use crate::{Error, Kind, Reference, Settings, repo};

/// Folders deeper than this are not searched: a link that leads back up must not be followed forever.
const DEEPEST: usize = 8;

/// Repository and commit of a folder in a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `org/name`.
    pub repository: String,
    /// The commit.
    pub revision: String,
}

impl Origin {
    /// What the path of a folder says: `.../models--org--name/snapshots/<commit>`, or below that; `None` for any other.
    pub fn of(folder: &Path) -> Option<Self> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        folder.ancestors().find_map(|snapshot| {
            let snapshots = snapshot.parent()?;
            if name(snapshots)? != "snapshots" {
                return None;
            }
            let whole = name(snapshots.parent()?)?;
            let flat = whole
                .strip_prefix("models--")
                .or_else(|| whole.strip_prefix("datasets--"))?;
            let (organisation, repository) = flat.split_once("--")?;
            Some(Self {
                repository: format!("{organisation}/{repository}"),
                revision: name(snapshot)?,
            })
        })
    }
}

/// The folder of a repository at a revision in the cache; nothing is asked of the hub.
///
/// # Errors
/// [`Error::NotCached`].
pub fn cached(kind: Kind, reference: &Reference, settings: &Settings) -> Result<PathBuf, Error> {
    let repo = repo(kind, reference);
    let refs = settings.cache.join(repo.folder_name()).join("refs");
    let known = fs::read_to_string(refs.join(reference.revision())).ok();
    // A revision that no ref names is a commit.
    let commit = known.as_deref().map_or(reference.revision(), str::trim);
    let folder = Cache::new(settings.cache.clone())
        .repo(repo)
        .pointer_path(commit);
    if is_plain_name(commit) && folder.is_dir() {
        Ok(folder)
    } else {
        Err(Error::NotCached {
            what: reference.to_string(),
            folder: settings.cache.clone(),
        })
    }
}

/// Paths of the files below a folder, relative to it.
pub(crate) fn files(folder: &Path) -> Result<Vec<String>, Error> {
    fn walk(
        root: &Path,
        folder: &Path,
        depth: usize,
        found: &mut Vec<String>,
    ) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if depth < DEEPEST {
                    walk(root, &path, depth + 1, found)?;
                }
            } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                found.push(name.to_owned());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(folder, folder, 0, &mut found).map_err(|source| Error::Cache {
        path: folder.to_owned(),
        source,
    })?;
    found.sort();
    Ok(found)
}

/// Makes `path` in a snapshot a link to a blob.
pub(crate) fn point(path: &Path, blob: &Path) -> Result<(), Error> {
    let failed = |source| Error::Cache {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // A link that leads nowhere, to a blob that somebody removed.
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path).map_err(failed)?;
    }
    link(path, blob).map_err(failed)
}

/// Relative, so that a cache can be moved: `../../blobs/<hash>` from `snapshots/<commit>`, one level up more a subfolder.
#[cfg(unix)]
fn link(path: &Path, blob: &Path) -> std::io::Result<()> {
    let repository = blob.parent().and_then(Path::parent);
    let inside = repository.and_then(|root| path.strip_prefix(root).ok());
    let target = match (
        inside,
        repository.and_then(|root| blob.strip_prefix(root).ok()),
    ) {
        (Some(inside), Some(blob)) => {
            let mut target = PathBuf::new();
            for _ in 1..inside.components().count() {
                target.push("..");
            }
            target.join(blob)
        }
        _ => blob.to_owned(),
    };
    std::os::unix::fs::symlink(target, path)
}

/// Where links need privileges, a copy.
#[cfg(not(unix))]
fn link(path: &Path, blob: &Path) -> std::io::Result<()> {
    fs::copy(blob, path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_read_off_the_path() {
        let origin = |path: &str| Origin::of(Path::new(path));
        let expected = Origin {
            repository: "lmms-lab/DocVQA".into(),
            revision: "abc".into(),
        };
        let root = "/nowhere/hub/datasets--lmms-lab--DocVQA/snapshots/abc";
        assert_eq!(origin(root), Some(expected.clone()));
        assert_eq!(origin(&format!("{root}/DocVQA")), Some(expected));
        assert_eq!(
            origin("/nowhere/hub/datasets--lmms-lab--DocVQA/blobs/abc"),
            None
        );
        assert_eq!(origin("/nowhere/models/snapshots/abc"), None);
    }
}
