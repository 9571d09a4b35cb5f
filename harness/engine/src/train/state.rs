//! The saved state of a training run, and taking it up again.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rave_lmm::{Error as ModelError, TensorFile, read_tensors, write_tensors};
use tch::Tensor;

use super::optimizer::AdamW;
use crate::Error;

const STATE: &str = "state.safetensors";
/// What to do about a state that is none.
const BEGIN_AGAIN: &str = "remove the folder and begin again";

/// Weights and moments after some step.
pub(super) struct State {
    pub(super) step: u64,
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl State {
    /// Saves the state of a run, replacing the one before at once.
    pub(super) fn save(folder: &Path, step: u64, optimizer: &AdamW) -> Result<(), Error> {
        let tensors = [
            ("master", &optimizer.master),
            ("first", &optimizer.first),
            ("second", &optimizer.second),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()));
        let metadata = BTreeMap::from([("step".to_owned(), step.to_string())]);
        Ok(write_tensors(&folder.join(STATE), &tensors, &metadata)?)
    }

    /// The state that was saved last; `None` before the first.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(STATE);
        if !path.is_file() {
            return Ok(None);
        }
        let TensorFile { tensors, metadata } = read_tensors(&path)?;
        let step = metadata.get("step").and_then(|step| step.parse().ok());
        let Some(step) = step else {
            return Err(Error::request(
                format!(
                    "{}: says no step, so it is no state of a training run",
                    path.display()
                ),
                BEGIN_AGAIN,
            ));
        };
        Ok(Some(Self {
            step,
            path,
            tensors,
        }))
    }

    /// Copies the state into a fresh optimiser of the same plan.
    pub(super) fn restore(&self, optimizer: &mut AdamW) -> Result<(), Error> {
        let places = [
            ("master", &mut optimizer.master),
            ("first", &mut optimizer.first),
            ("second", &mut optimizer.second),
        ];
        for (name, place) in places {
            let stored = self.tensors.get(name);
            let Some(stored) = stored.filter(|stored| stored.size() == place.size()) else {
                return Err(Error::request(
                    format!(
                        "{}: its `{name}` does not fit the model",
                        self.path.display()
                    ),
                    BEGIN_AGAIN,
                ));
            };
            tch::no_grad(|| place.f_copy_(stored)).map_err(ModelError::from)?;
        }
        Ok(optimizer.refresh()?)
    }
}
