//! A trained model's way to a checkpoint folder, and a trained tower's way into another model.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::checkpoint::built_in::MARKER;
use crate::checkpoint::{INDEX, SINGLE};
use crate::{Checkpoint, Error, Model, write_tensors};

/// The vision tower's tensors, where it has a file of its own.
const TOWER_APART: &str = "model-00001-of-00002.safetensors";

/// The others then.
const REST_APART: &str = "model-00002-of-00002.safetensors";

impl Model {
    /// Copies the vision tower of another checkpoint of the same sizes into this model.
    ///
    /// # Errors
    /// A checkpoint that cannot be read; a tensor of the tower that it lacks or has in another shape.
    pub fn take_vision(&self, folder: &Path) -> Result<(), Error> {
        let other = Checkpoint::open(folder)?;
        let (kind, device) = self.decoder().options();
        let tower = self
            .parameters()
            .iter()
            .filter(|(name, _)| self.is_vision(name));
        for (name, tensor) in tower {
            let shape = tensor.size();
            let values = other.tensor(name, &shape, device, kind)?;
            tch::no_grad(|| tensor.shallow_clone().f_copy_(&values))?;
        }
        Ok(())
    }

    /// Writes the model as a checkpoint folder in the layout it was opened from: its parameters in the element types they are
    /// stored in there, those in `trained` from here, tensors that it does not use (layers of a tower beyond those whose image embeddings
    /// are taken) as they are there, and copies of its config, tokenizer and processor files. With
    /// `apart` the vision tower is a file of its own, so that checkpoints that share a tower share the file's bytes. `note` goes
    /// into `rave.json`, where records find it.
    ///
    /// # Errors
    /// A file that cannot be copied or written, naming it.
    pub fn save(
        &self,
        folder: &Path,
        trained: &[(String, Tensor)],
        apart: bool,
        note: &Value,
    ) -> Result<(), Error> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        std::fs::create_dir_all(folder).map_err(write(folder))?;
        let origin = Checkpoint::open(&self.info().folder)?;
        for name in origin.companions() {
            let target = folder.join(&name);
            let parent = target.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).map_err(write(parent))?;
            let mut source = std::fs::File::open(origin.path(&name)).map_err(write(&target))?;
            rave_files::replace(&target, |file| std::io::copy(&mut source, file).map(drop))
                .map_err(write(&target))?;
        }
        let trained: HashMap<_, _> = trained
            .iter()
            .map(|(name, tensor)| (name, tensor))
            .collect();
        let mut files: BTreeMap<&str, Vec<(String, Tensor)>> = BTreeMap::new();
        for (name, tensor) in self.parameters() {
            let file = match (apart, self.is_vision(name)) {
                (false, _) => SINGLE,
                (true, true) => TOWER_APART,
                (true, false) => REST_APART,
            };
            let tensor = trained.get(name).copied().unwrap_or(tensor);
            let stored = tensor.f_to_kind(origin.kind(name).unwrap_or(Kind::Float))?;
            files.entry(file).or_default().push((name.clone(), stored));
        }
        for name in origin.names().filter(|name| self.part(name).is_none()) {
            if let Some(tensor) = origin.stored(name)? {
                let file = if apart { REST_APART } else { SINGLE };
                files
                    .entry(file)
                    .or_default()
                    .push((name.to_owned(), tensor));
            }
        }
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        for (file, tensors) in &files {
            write_tensors(&folder.join(file), tensors, &metadata)?;
        }
        if apart {
            let weight_map = files.iter().flat_map(|(file, tensors)| {
                tensors
                    .iter()
                    .map(move |(name, _)| (name.clone(), json!(file)))
            });
            let weight_map: BTreeMap<_, _> = weight_map.collect();
            let size =
                |(_, tensor): &(String, Tensor)| tensor.numel() * tensor.kind().elt_size_in_bytes();
            let total: usize = files.values().flatten().map(size).sum();
            let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
            let path = folder.join(INDEX);
            rave_files::replace(&path, |file| writeln!(file, "{index:#}")).map_err(write(&path))?;
        }
        let path = folder.join(MARKER);
        rave_files::replace(&path, |file| writeln!(file, "{note:#}")).map_err(write(&path))
    }
}
