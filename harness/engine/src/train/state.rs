//! The saved state of a training run, and taking it up again.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rave_lmm::{Error as ModelError, TensorFile, read_tensors, write_tensors};
use rave_results::training::{Row, read_rows};
use serde_json::Value;
use tch::Tensor;

use super::ROWS;
use super::optimizer::AdamW;
use super::plan::Plan;
use crate::Error;

const PLAN: &str = "train.json";
const STATE: &str = "state.safetensors";

/// Weights and moments after some step.
pub(super) struct State {
    pub(super) step: u64,
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

/// Begins a run in the plan's folder, or finds the state and the rows of the one to resume.
pub(super) fn open(plan: &Plan, settings: &Value) -> Result<(Option<State>, Vec<Row>), Error> {
    let path = plan.out.join(PLAN);
    if !plan.resume {
        if path.exists() {
            return Err(Error::Request(format!(
                "{}: holds a training run already; go on with it by --resume, choose another --out, or remove the folder",
                plan.out.display()
            )));
        }
        let failed = |source| {
            Error::Model(ModelError::Write {
                path: path.clone(),
                source,
            })
        };
        fs::create_dir_all(&plan.out).map_err(failed)?;
        fs::write(&path, format!("{settings:#}\n")).map_err(failed)?;
        return Ok((None, Vec::new()));
    }
    let text = fs::read(&path).map_err(|source| {
        Error::Model(ModelError::Io {
            path: path.clone(),
            source,
        })
    })?;
    let stored: Value = serde_json::from_slice(&text)
        .map_err(|error| Error::Request(format!("{}: not valid JSON: {error}", path.display())))?;
    let changed = differences(&stored, settings);
    if !changed.is_empty() {
        return Err(Error::Request(format!(
            "{}: cannot resume, the run differs from the stored one in: {}; repeat its command line, or choose another --out",
            plan.out.display(),
            changed.join(", ")
        )));
    }
    let state = plan.out.join(STATE);
    if !state.is_file() {
        // Killed before its first save: it begins again.
        return Ok((None, Vec::new()));
    }
    Ok((Some(State::read(&state)?), read_rows(&plan.out.join(ROWS))?))
}

/// The keys whose values differ, with both values.
fn differences(stored: &Value, now: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let stored = stored.as_object().unwrap_or(&empty);
    let now = now.as_object().unwrap_or(&empty);
    now.iter()
        .filter(|(key, value)| stored.get(*key) != Some(value))
        .map(|(key, value)| {
            let before = stored.get(key).unwrap_or(&Value::Null);
            format!("{key} ({before} before, {value} now)")
        })
        .collect()
}

impl State {
    /// Saves the state of a run, replacing the one before at once.
    pub(super) fn save(plan: &Plan, step: u64, optimizer: &AdamW) -> Result<(), Error> {
        let tensors = [
            ("master", &optimizer.master),
            ("first", &optimizer.first),
            ("second", &optimizer.second),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()));
        let metadata = BTreeMap::from([("step".to_owned(), step.to_string())]);
        Ok(write_tensors(&plan.out.join(STATE), &tensors, &metadata)?)
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let TensorFile { tensors, metadata } = read_tensors(path)?;
        let step = metadata.get("step").and_then(|step| step.parse().ok());
        let Some(step) = step else {
            return Err(Error::Request(format!(
                "{}: says no step; it is no state of a training run: remove the folder and begin again",
                path.display()
            )));
        };
        Ok(Self {
            step,
            path: path.to_owned(),
            tensors,
        })
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
                return Err(Error::Request(format!(
                    "{}: its `{name}` does not fit the model; remove the folder and begin again",
                    self.path.display()
                )));
            };
            tch::no_grad(|| place.f_copy_(stored)).map_err(ModelError::from)?;
        }
        Ok(optimizer.refresh()?)
    }
}
