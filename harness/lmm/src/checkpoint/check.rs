//! What can be told of a checkpoint before its weights are read: what it is, which small files it has, and whether its tensors are
//! those that its network asks for.
//!
//! The tensors that are expected are not listed anywhere: the network is loaded as ever, from tensors that take no memory, and
//! what it asks for is noted.
//!
//! Source of what is ignored: `transformers` 5.23 `modeling_utils.py` (`_adjust_missing_and_unexpected_keys`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rave_hints::refusal;
use rave_methods::Geometry;
use serde::Serialize;

use crate::checkpoint::small_files::SmallFiles;
use crate::checkpoint::{Outline, floating, some};
use crate::families::{self, Family};
use crate::nn::weights::{Plan, Root};
use crate::{Checkpoint, Error, GenerationKeys};

/// What a check of a checkpoint found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its folder.
    pub folder: PathBuf,
    /// `model_type` of its config.
    pub model_type: Option<String>,
    /// Id of its family; `None` for one that is not supported.
    pub family: Option<&'static str>,
    /// Sizes of its decoder, where the config can be read.
    pub geometry: Option<Geometry>,
    /// The small files that a model is made from, as far as they are there.
    pub files: Vec<String>,
    /// Its tensors against those that are expected; `None` where the config cannot be read.
    pub tensors: Option<Tensors>,
    /// Why it cannot be loaded, apart from its tensors.
    pub problems: Vec<String>,
    /// What is odd or not known, and harmless.
    pub notes: Vec<String>,
}

/// Tensors against those that are expected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tensors {
    /// Those that a network of this config has, with their shapes.
    pub expected: BTreeMap<String, Vec<i64>>,
    /// Values in them.
    pub parameters: u64,
    /// How many there are, by the headers of weight files or by an index; `None` without either.
    pub found: Option<usize>,
    /// How many of them an index alone names: their shapes are not known.
    pub without_shape: usize,
    /// Bytes of those whose shapes are known.
    pub bytes: u64,
    /// Expected, computed with, and not there.
    pub missing: Vec<String>,
    /// Expected by `transformers`, not computed with, and not there: harmless.
    pub missing_unused: Vec<String>,
    /// There and not expected: `transformers` would load the model without them, but they are a sign of another model.
    pub surplus: Vec<String>,
    /// There, not expected, and known to be harmless.
    pub ignored: Vec<String>,
    /// Of another shape than expected.
    pub shape: Vec<OtherShape>,
    /// Of an element type that is not loaded.
    pub element_type: Vec<OtherType>,
}

/// A tensor of another shape than expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherShape {
    /// Its name.
    pub name: String,
    /// The shape that the config asks for.
    pub expected: Vec<i64>,
    /// The shape in the weight file.
    pub found: Vec<i64>,
}

/// A tensor of an element type that is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherType {
    /// Its name.
    pub name: String,
    /// Its type, as safetensors calls it.
    pub found: String,
}

impl Tensors {
    /// Whether all that is computed with is there, in the right shape and in a type that is loaded, and nothing besides.
    pub fn fit(&self) -> bool {
        let faults = [&self.missing, &self.surplus];
        faults.iter().all(|list| list.is_empty())
            && self.shape.is_empty()
            && self.element_type.is_empty()
    }

    fn of(plan: &Plan, outline: &Outline) -> Self {
        let wanted: BTreeMap<&str, (&[i64], bool)> = [(&plan.used, true), (&plan.unused, false)]
            .into_iter()
            .flat_map(|(list, is_used)| {
                list.iter()
                    .map(move |(name, shape)| (name.as_str(), (&shape[..], is_used)))
            })
            .collect();
        let values = |shape: &[i64]| {
            let sizes = shape.iter().map(|&size| size.unsigned_abs());
            sizes.fold(1, u64::saturating_mul)
        };
        let sizes = wanted.values().map(|(shape, _)| values(shape));
        let mut tensors = Self {
            expected: wanted
                .iter()
                .map(|(name, (shape, _))| ((*name).to_owned(), shape.to_vec()))
                .collect(),
            parameters: sizes.fold(0, u64::saturating_add),
            found: Some(outline.tensors.len()),
            ..Self::default()
        };
        for (name, (_, is_used)) in &wanted {
            if !outline.tensors.contains_key(*name) {
                let list = if *is_used {
                    &mut tensors.missing
                } else {
                    &mut tensors.missing_unused
                };
                list.push((*name).to_owned());
            }
        }
        for (name, stored) in &outline.tensors {
            let known = wanted.get(name.as_str());
            if known.is_none() {
                let list = if is_ignored(name) {
                    &mut tensors.ignored
                } else {
                    &mut tensors.surplus
                };
                list.push(name.clone());
            }
            let Some(stored) = stored else {
                tensors.without_shape += 1;
                continue;
            };
            tensors.bytes += stored.bytes;
            let Some(&(expected, is_used)) = known else {
                continue;
            };
            if stored.shape != expected {
                tensors.shape.push(OtherShape {
                    name: name.clone(),
                    expected: expected.to_vec(),
                    found: stored.shape.clone(),
                });
            }
            if is_used && floating(stored.dtype).is_none() {
                tensors.element_type.push(OtherType {
                    name: name.clone(),
                    found: format!("{:?}", stored.dtype),
                });
            }
        }
        tensors
    }
}

impl Report {
    /// What can be told of the checkpoint in `folder`, whose weights may be missing.
    ///
    /// # Errors
    /// A folder that is no checkpoint. All else is in the report.
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let checkpoint = Checkpoint::small_files(folder)?;
        let outline = Outline::of(&checkpoint);
        Ok(Self::new(&checkpoint, outline))
    }

    /// What can be told of a checkpoint and of what is known of its tensors.
    pub(crate) fn new(checkpoint: &Checkpoint, outline: Result<Outline, Error>) -> Self {
        let model_type = checkpoint.config()["model_type"].as_str();
        let mut report = Self {
            folder: checkpoint.folder().to_owned(),
            model_type: model_type.map(str::to_owned),
            family: None,
            geometry: None,
            files: checkpoint.companions(),
            tensors: None,
            problems: Vec::new(),
            notes: Vec::new(),
        };
        match families::of(checkpoint) {
            Ok(family) => {
                report.family = Some(family.id);
                report.examine(checkpoint, family, outline);
            }
            Err(error) => report.problems.push(error.with_hint()),
        }
        report
    }

    fn examine(
        &mut self,
        checkpoint: &Checkpoint,
        family: &Family,
        outline: Result<Outline, Error>,
    ) {
        match (family.geometry)(checkpoint) {
            Ok(geometry) => self.geometry = Some(geometry),
            Err(error) => return self.problems.push(error.with_hint()),
        }
        if let Err(error) = SmallFiles::open(checkpoint, GenerationKeys::default()) {
            self.problems.push(error.with_hint());
        }
        let outline = match outline {
            Ok(outline) => outline,
            Err(error) => {
                // Weights that are not there yet may fit.
                let list = match error {
                    Error::Missing { .. } => &mut self.notes,
                    _ => &mut self.problems,
                };
                list.push(error.with_hint());
                self.tensors = self.planned(checkpoint, family, &Outline::default());
                if let Some(tensors) = &mut self.tensors {
                    tensors.found = None;
                    tensors.missing.clear();
                    tensors.missing_unused.clear();
                }
                return;
            }
        };
        self.tensors = self.planned(checkpoint, family, &outline);
        self.notes.extend(outline.notes);
        if !outline.absent.is_empty() {
            let (absent, all) = (outline.absent.len(), outline.absent.len() + outline.present);
            self.notes.push(format!(
                "{absent} of {all} weight files are not there yet: {}",
                some(&outline.absent)
            ));
        }
        if !outline.unheld.is_empty() {
            self.notes.push(format!(
                "the index lists tensors that its files do not hold: {}",
                some(&outline.unheld)
            ));
        }
    }

    fn planned(
        &mut self,
        checkpoint: &Checkpoint,
        family: &Family,
        outline: &Outline,
    ) -> Option<Tensors> {
        let names = outline.tensors.keys().map(String::as_str);
        match plan(checkpoint, family, names) {
            Ok(plan) => Some(Tensors::of(&plan, outline)),
            Err(error) => {
                self.problems.push(error.with_hint());
                None
            }
        }
    }

    /// Whether nothing stands in the way of loading it.
    pub fn fits(&self) -> bool {
        self.problems.is_empty() && self.tensors.as_ref().is_some_and(Tensors::fit)
    }
}

/// Name and shape of every tensor that a checkpoint of this config has, sorted by name; its weights need not be there. Versions
/// of `transformers` name some tensors otherwise: with an index or weights in the folder by the names there, else by those of the
/// hub's files. A head that is tied to the embedding is there only where the folder names it.
///
/// # Errors
/// A config that is not supported or contradicts itself; a damaged index or header.
pub fn expected_tensors(folder: &Path) -> Result<Vec<(String, Vec<i64>)>, Error> {
    let checkpoint = Checkpoint::small_files(folder)?;
    let family = families::of(&checkpoint)?;
    let outline = match Outline::of(&checkpoint) {
        // Without any weights.
        Err(Error::Missing { .. }) => Outline::default(),
        outline => outline?,
    };
    let names = outline.tensors.keys().map(String::as_str);
    let Plan { mut used, unused } = plan(&checkpoint, family, names)?;
    used.extend(unused);
    used.sort();
    Ok(used)
}

/// Refuses an index without the names of tensors that the network of a config asks for.
pub(crate) fn names(
    checkpoint: &Checkpoint,
    index: &Path,
    weight_map: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let family = families::of(checkpoint)?;
    let names: BTreeSet<&str> = weight_map.keys().map(String::as_str).collect();
    let plan = plan(checkpoint, family, names.iter().copied())?;
    let missing = plan.used.iter().map(|(name, _)| name.as_str());
    let missing: Vec<&str> = missing.filter(|name| !names.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let reason = refusal(
        format!(
            "it lacks {} of the {} tensors that config.json asks for: {}",
            missing.len(),
            plan.used.len(),
            some(&missing)
        ),
        "use the config that was saved with the weights",
    );
    Err(Error::malformed(index, reason))
}

/// The tensors that the network of a checkpoint asks for, where these are the names of those that there are.
fn plan<'a>(
    checkpoint: &'a Checkpoint,
    family: &Family,
    names: impl Iterator<Item = &'a str>,
) -> Result<Plan, Error> {
    let root = Root::plan(checkpoint, names);
    (family.network)(checkpoint, &root)?;
    Ok(root.into_plan())
}

/// Whether `transformers` says nothing of such a tensor where it is not expected: what was once stored and is now computed.
fn is_ignored(name: &str) -> bool {
    name.contains("rotary_emb.inv_freq")
        || name == "position_ids"
        || name.ends_with(".position_ids")
}
