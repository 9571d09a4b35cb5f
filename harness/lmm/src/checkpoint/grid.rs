//! Checkpoints that were trained apart, one a seed and variant, under one name.
//!
//! A variant that is trained together with the model it attends for has weights of its own, and a comparison that can
//! be believed has several seeds of each. Such a grid is a folder with `grid.json` and the checkpoints in
//! `seed-<seed>/<variant>/`, each one complete: any tool can open it.

use std::path::{Path, PathBuf};

use rave_hints::refusal;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::checkpoint::read_json;

/// The file that makes a folder a grid.
pub const FILE: &str = "grid.json";
/// The variant that every grid holds: those that are not trained run on its checkpoints.
pub const BASELINE: &str = "standard";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// One line for people.
    pub summary: String,
    /// The seeds, each of which has every variant.
    pub seeds: Vec<u64>,
    /// Ids of the variants.
    pub variants: Vec<String>,
}

/// A grid of checkpoints on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    folder: PathBuf,
    contents: Contents,
}

impl Grid {
    /// Opens a folder that holds a grid; `None` for any other folder.
    ///
    /// # Errors
    /// A damaged `grid.json`, one without seeds or without `standard`, a checkpoint that is not there.
    pub fn open(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let contents: Contents = serde_json::from_value(read_json(&path)?).map_err(|error| {
            Error::malformed(&path, refusal(error.to_string(), "make the grid again"))
        })?;
        if contents.seeds.is_empty() || !contents.variants.iter().any(|id| id == BASELINE) {
            let reason = refusal(
                format!("a grid needs a seed and the variant `{BASELINE}`"),
                "make the grid again",
            );
            return Err(Error::malformed(&path, reason));
        }
        let odd = |id: &&String| id.is_empty() || id.contains(['/', '\\']) || id.starts_with('.');
        if let Some(odd) = contents.variants.iter().find(odd) {
            let reason = refusal(format!("`{odd}` is no variant's id"), "make the grid again");
            return Err(Error::malformed(&path, reason));
        }
        let grid = Self {
            folder: folder.to_owned(),
            contents,
        };
        for &seed in &grid.contents.seeds {
            for variant in &grid.contents.variants {
                let folder = grid.place(seed, variant);
                if !folder.join("config.json").is_file() {
                    return Err(Error::Missing {
                        what: format!("the checkpoint of `{variant}` at seed {seed}"),
                        hint: format!(
                            "{} names it: train it, or take it out of the list",
                            path.display()
                        ),
                        folder,
                    });
                }
            }
        }
        Ok(Some(grid))
    }

    /// What the grid holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The checkpoint on which a variant runs: its own, or `standard`'s for one that the grid did not train.
    ///
    /// # Errors
    /// A seed that the grid lacks.
    pub fn checkpoint(&self, seed: u64, variant: &str) -> Result<PathBuf, Error> {
        if !self.contents.seeds.contains(&seed) {
            return Err(Error::Missing {
                folder: self.folder.clone(),
                what: format!("seed {seed}"),
                hint: format!(
                    "give one of those that it was trained with: {:?}",
                    self.contents.seeds
                ),
            });
        }
        let own = self.contents.variants.iter().any(|id| id == variant);
        Ok(self.place(seed, if own { variant } else { BASELINE }))
    }

    fn place(&self, seed: u64, variant: &str) -> PathBuf {
        self.folder.join(format!("seed-{seed}")).join(variant)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn grid(folder: &Path, variants: &[&str]) {
        let contents = Contents {
            summary: "two".into(),
            seeds: vec![4, 7],
            variants: variants.iter().map(ToString::to_string).collect(),
        };
        std::fs::write(folder.join(FILE), serde_json::to_vec(&contents).unwrap()).unwrap();
        for place in [
            "seed-4/standard",
            "seed-4/rave",
            "seed-7/standard",
            "seed-7/rave",
        ] {
            std::fs::create_dir_all(folder.join(place)).unwrap();
            std::fs::write(folder.join(place).join("config.json"), "{}").unwrap();
        }
    }

    #[test]
    fn a_variant_runs_on_its_own_checkpoint_and_an_untrained_one_on_the_baselines() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Grid::open(folder.path()).unwrap(), None);
        grid(folder.path(), &["standard", "rave"]);
        let opened = Grid::open(folder.path()).unwrap().unwrap();
        let place = |seed, variant| opened.checkpoint(seed, variant).unwrap();
        assert!(place(7, "rave").ends_with("seed-7/rave"));
        assert!(place(4, "pai").ends_with("seed-4/standard"));
        let missing = opened.checkpoint(5, "rave").unwrap_err().with_hint();
        assert!(missing.contains("[4, 7]"), "{missing}");
    }

    #[test]
    fn a_grid_that_lies_is_refused() {
        for (variants, word) in [
            (&["rave"][..], "standard"),
            (&["standard", "../rave"], "../rave"),
            (&["standard", "pai"], "seed-4/pai"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            grid(folder.path(), variants);
            let message = Grid::open(folder.path()).unwrap_err().with_hint();
            assert!(message.contains(word), "{message}");
        }
    }
}
