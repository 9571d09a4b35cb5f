//! SHA-256 of what a checkpoint was loaded from.
//!
//! Hashing takes as long as loading, so the hashes of large weight files are remembered in the cache folder, under everything that
//! the system says of the files: path, size, inode, times of the last change of content and of anything. A file that was changed is
//! another file by these. `rave check checkpoint --hash` computes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::built_in::cache_folder;
use super::layout::file_name;
use crate::{Checkpoint, Error};

/// SHA-256 of what a checkpoint was loaded from, hex.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// Of the weight files, one after the other: what an adapter and a run record refer to.
    pub weights: String,
    /// Of every file, the companions of the weights too, by its name.
    pub files: BTreeMap<String, String>,
}

/// Bytes of weight files up to which hashing is not worth a file that remembers it.
const MIN_BYTES: u64 = 32 << 20;

/// What the system says of a file.
#[derive(Debug, Serialize)]
struct Stamp {
    path: PathBuf,
    size: u64,
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: [i64; 2],
    changed: [i64; 2],
}

impl Stamp {
    /// `None` where the system does not say enough, or where the file has changed so lately that one more change might leave it the same
    /// times.
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        use std::time::{Duration, SystemTime};
        /// More than the clock of any file system is coarse.
        const SETTLED: Duration = Duration::from_secs(2);
        let path = path.canonicalize().ok()?;
        let metadata = path.metadata().ok()?;
        let nanoseconds = metadata.ctime_nsec().try_into().ok()?;
        let changed = Duration::new(metadata.ctime().try_into().ok()?, nanoseconds);
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed);
        if age.ok()? < SETTLED {
            return None;
        }
        Some(Self {
            path,
            size: metadata.size(),
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: [metadata.mtime(), metadata.mtime_nsec()],
            changed: [metadata.ctime(), metadata.ctime_nsec()],
        })
    }

    #[cfg(not(unix))]
    fn of(_path: &Path) -> Option<Self> {
        None
    }
}

/// Where the hashes of these files are remembered in a folder, if they can be.
fn memory_of<'a>(folder: &Path, files: impl Iterator<Item = &'a Path>) -> Option<PathBuf> {
    let stamps = files.map(Stamp::of).collect::<Option<Vec<Stamp>>>()?;
    if stamps.iter().map(|stamp| stamp.size).sum::<u64>() < MIN_BYTES {
        return None;
    }
    let key = Sha256::digest(serde_json::to_vec(&stamps).ok()?);
    Some(folder.join(format!("{key:x}.json")))
}

/// Hashes that were remembered, if they can be read.
fn recall(memory: &Path) -> Option<Hashes> {
    serde_json::from_slice(&fs::read(memory).ok()?).ok()
}

/// Remembers hashes; where that is not possible, they are computed again.
fn remember(memory: &Path, hashes: &Hashes) {
    let Ok(text) = serde_json::to_vec(hashes) else {
        return;
    };
    let written = memory.parent().map(fs::create_dir_all).transpose();
    if written.is_ok() {
        let _ = rave_files::replace(memory, |file| std::io::Write::write_all(file, &text));
    }
}

/// The hash of a checkpoint's weights, computed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehashed {
    /// SHA-256 of the weight files in order, hex.
    pub sha256: String,
    /// What was remembered of them, where it was another.
    pub remembered: Option<String>,
}

impl Checkpoint {
    /// Computes the hash of the weight files anew, and remembers it in place of what was remembered.
    pub fn rehash(&self) -> Rehashed {
        let before = self.memory().and_then(|memory| recall(&memory));
        let hashes = self.hash_and_remember();
        let other = before.filter(|before| *before != hashes);
        Rehashed {
            sha256: hashes.weights,
            remembered: other.map(|before| before.weights),
        }
    }

    fn hash_and_remember(&self) -> Hashes {
        let memory = self.memory();
        let hashes = self.computed_hashes();
        // A file that was written to meanwhile has another stamp by now, and is not remembered.
        if let Some(memory) = memory.filter(|memory| self.memory().as_ref() == Some(memory)) {
            remember(&memory, &hashes);
        }
        hashes
    }

    fn memory(&self) -> Option<PathBuf> {
        let folder = cache_folder().ok()?.join("hashes");
        memory_of(
            &folder,
            self.shards.iter().map(|shard| shard.path.as_path()),
        )
    }

    fn weight_hashes(&self) -> Hashes {
        let remembered = self.memory().and_then(|memory| recall(&memory));
        remembered.unwrap_or_else(|| self.hash_and_remember())
    }

    /// SHA-256 of the weight files in order, hex: what an adapter and a run record refer to.
    pub fn sha256(&self) -> String {
        self.weight_hashes().weights
    }

    /// The hashes of every file that a model is made from.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn hashes(&self) -> Result<Hashes, Error> {
        let mut hashes = self.weight_hashes();
        for name in self.companions() {
            let hash = format!("{:x}", Sha256::digest(Error::read(&self.path(&name))?));
            hashes.files.insert(name, hash);
        }
        Ok(hashes)
    }

    fn computed_hashes(&self) -> Hashes {
        let mut whole = Sha256::new();
        let mut files = BTreeMap::new();
        for shard in &self.shards {
            let mut own = Sha256::new();
            shard.hash(|chunk| {
                // Of a single file both are the same.
                if self.shards.len() > 1 {
                    rayon::join(|| own.update(chunk), || whole.update(chunk));
                } else {
                    own.update(chunk);
                }
            });
            files.insert(file_name(&shard.path), format!("{:x}", own.finalize()));
        }
        let mut hashes = files.values();
        let weights = match (hashes.next(), hashes.next()) {
            (Some(only), None) => only.clone(),
            _ => format!("{:x}", whole.finalize()),
        };
        Hashes { weights, files }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_file_is_remembered_until_anything_of_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let file = File::create(&path).unwrap();
        file.set_len(MIN_BYTES).unwrap();
        let memory = || memory_of(folder.path(), [path.as_path()].into_iter());
        assert_eq!(memory(), None, "it was made just now");
        std::thread::sleep(Duration::from_millis(2_100));
        let first = memory().unwrap();
        assert_eq!(memory().as_ref(), Some(&first));
        assert_eq!(recall(&first), None);
        let hashes = Hashes {
            weights: "ab".into(),
            files: BTreeMap::from([("model.safetensors".into(), "ab".into())]),
        };
        remember(&first, &hashes);
        assert_eq!(recall(&first), Some(hashes));
        fs::write(&first, "{").unwrap();
        assert_eq!(recall(&first), None, "damaged");
        // Content of the same size put in place, with the old time of its content: the time of the change tells.
        let modified = path.metadata().unwrap().modified().unwrap();
        file.set_modified(SystemTime::now()).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(memory(), None, "it was changed just now");
        std::thread::sleep(Duration::from_millis(2_100));
        assert_ne!(memory(), Some(first));
        file.set_len(MIN_BYTES - 1).unwrap();
        std::thread::sleep(Duration::from_millis(2_100));
        assert_eq!(memory(), None, "it is small");
    }
}
