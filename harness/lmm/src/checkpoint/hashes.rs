//! SHA-256 of what a checkpoint was loaded from.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::layout::file_name;
use crate::{Checkpoint, Error};

/// SHA-256 of what a checkpoint was loaded from, hex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Of the weight files, one after the other: what an adapter and a run record refer to.
    pub weights: String,
    /// Of every file, the companions of the weights too, by its name.
    pub files: BTreeMap<String, String>,
}

impl Checkpoint {
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

    fn weight_hashes(&self) -> Hashes {
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
