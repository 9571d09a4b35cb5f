//! Checkpoints from the hub: what a model is loaded from, and nothing else of its repository.
//!
//! Small files come first. A model that is not supported, is incomplete or contradicts itself is refused by what they say, and by
//! the names of tensors in the index, before any weights are asked for.

use std::path::PathBuf;

use rave_hub::{Hub, Kind, Observer, Reference, Repository};
use serde_json::Value;

use crate::check::{self, Report};
use crate::checkpoint::small_files::SmallFiles;
use crate::checkpoint::{
    INDEX, Layout, Outline, PEFT_CONFIG, SINGLE, files, is_companion, is_peft, no_weights, peft,
    read_index, read_json,
};
use crate::{Checkpoint, Error, GenerationKeys, built_in, grid};

/// Bytes of a weight file that are asked for at first: more than most headers have.
const BEGINNING: u64 = 128 << 10;
/// The longest header that the format allows.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Brings a checkpoint from the hub into its cache, and gives its folder: config, tokenizer, chat template, preprocessing,
/// the safetensors files that it is loaded from, and adapters beside them. Of a [`crate::Grid`] every checkpoint. `ignored` are the
/// keys of its generation config that will not be followed.
///
/// # Errors
/// What the hub refuses; a repository that is no checkpoint, or one that cannot be run, before its weights are fetched.
pub fn fetch(
    hub: &Hub,
    reference: &Reference,
    ignored: GenerationKeys,
    observer: &mut dyn Observer,
) -> Result<PathBuf, Error> {
    let repository = hub.open(Kind::Model, reference, observer)?;
    let mut weights = Vec::new();
    for folder in folders(&repository, observer)? {
        let part = RepositoryFolder {
            repository: &repository,
            folder,
        };
        let (checkpoint, layout) = part.small_files(observer)?;
        SmallFiles::open(&checkpoint, ignored)?;
        match &layout {
            Layout::Single(file) => weights.push(part.path(file)),
            Layout::Sharded(index) => {
                let index = part.fetch(index, observer)?;
                let weight_map = read_index(&index)?;
                check::names(&checkpoint, &index, &weight_map)?;
                weights.extend(files(&weight_map).into_iter().map(|file| part.path(file)));
            }
        }
        weights.extend(part.adapters());
    }
    for file in weights {
        repository.fetch(&file, observer)?;
    }
    Ok(repository.complete()?)
}

/// What can be told of a checkpoint of the hub by its small files, which are fetched, and by the headers of its weight files. Of a
/// [`crate::Grid`] the first checkpoint.
///
/// # Errors
/// What the hub refuses; a repository that is no checkpoint. All else is in the report.
pub fn check(
    hub: &Hub,
    reference: &Reference,
    observer: &mut dyn Observer,
) -> Result<Report, Error> {
    let repository = hub.open(Kind::Model, reference, observer)?;
    let folders = folders(&repository, observer)?;
    let part = RepositoryFolder {
        repository: &repository,
        folder: folders.first().copied().unwrap_or_default(),
    };
    let (checkpoint, layout) = part.small_files(observer)?;
    let outline = part.outline(&layout, observer);
    Ok(Report::new(&checkpoint, outline))
}

/// The folders of a repository that hold a checkpoint each: its own, or those of a grid.
fn folders<'a>(
    repository: &'a Repository,
    observer: &mut dyn Observer,
) -> Result<Vec<&'a str>, Error> {
    let files = repository.files();
    let has = |name: &str| files.iter().any(|file| file == name);
    if has(grid::FILE) {
        repository.fetch(grid::FILE, observer)?;
        let configs = files
            .iter()
            .filter_map(|file| file.strip_suffix("config.json"));
        return Ok(configs.filter(|folder| folder.ends_with('/')).collect());
    }
    if has("config.json") {
        return Ok(vec![""]);
    }
    if has(PEFT_CONFIG) {
        let adapter = repository.fetch(PEFT_CONFIG, observer)?;
        let place = PathBuf::from(repository.reference().to_string()).join(PEFT_CONFIG);
        return Err(peft(&place, &read_json(&adapter)?, false));
    }
    Err(Error::Missing {
        folder: repository.reference().to_string().into(),
        what: "config.json".into(),
        hint: "give a repository with a whole checkpoint, or another revision of it".into(),
    })
}

/// A folder of a repository that holds a checkpoint.
#[derive(Clone, Copy)]
struct RepositoryFolder<'a> {
    repository: &'a Repository<'a>,
    /// Empty, or ends with `/`.
    folder: &'a str,
}

impl<'a> RepositoryFolder<'a> {
    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// Names of its files.
    fn names(&self) -> impl Iterator<Item = &'a str> + Clone {
        let folder = self.folder;
        let files = self.repository.files().iter();
        files.filter_map(move |file| file.strip_prefix(folder))
    }

    fn has(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    fn fetch(&self, name: &str, observer: &mut dyn Observer) -> Result<PathBuf, Error> {
        Ok(self.repository.fetch(&self.path(name), observer)?)
    }

    /// The trained weights of variants, which lie beside a checkpoint.
    fn adapters(&self) -> impl Iterator<Item = String> {
        let own = self
            .names()
            .filter(|name| name.ends_with(".adapter.safetensors") && !name.contains('/'));
        own.map(|name| self.path(name))
    }

    /// Fetches all but the weights, after a look at the config and at the names of the files.
    fn small_files(&self, observer: &mut dyn Observer) -> Result<(Checkpoint, Layout), Error> {
        let place = PathBuf::from(self.repository.reference().to_string()).join(self.folder);
        let has = |name: &str| self.has(name);
        // By the names alone where they tell: a config may name others.
        let named = |config: &Value| Layout::find(&place.join("config.json"), config, has);
        let has_others = self.names().any(|name| name.ends_with(".safetensors"));
        if named(&Value::Null)?.is_none() && !has_others {
            return Err(self.no_weights());
        }
        self.fetch("config.json", observer)?;
        let checkpoint = Checkpoint::small_files(&self.repository.folder().join(self.folder))?;
        let family = crate::families::of(&checkpoint)?;
        (family.geometry)(&checkpoint)?;
        if is_peft(has) {
            let adapter = self.fetch(PEFT_CONFIG, observer)?;
            return Err(peft(&place.join(PEFT_CONFIG), &read_json(&adapter)?, true));
        }
        let layout = named(checkpoint.config())?.ok_or_else(|| self.no_weights())?;
        let small = |name: &str| is_companion(name) || name == built_in::MARKER;
        for name in self.names().filter(|name| small(name)) {
            self.fetch(name, observer)?;
        }
        Ok((checkpoint, layout))
    }

    /// Why a repository without weights that are looked for is refused.
    fn no_weights(&self) -> Error {
        no_weights(
            &PathBuf::from(self.repository.reference().to_string()).join(self.folder),
            &self.names(),
            "give a repository with safetensors weights, or a revision that has them (some keep them at refs/pr/N)",
        )
    }

    /// What the headers of its weight files say; they alone are asked for.
    fn outline(&self, layout: &Layout, observer: &mut dyn Observer) -> Result<Outline, Error> {
        let mut outline = Outline::default();
        match layout {
            Layout::Single(file) => {
                outline.add_header(file.as_ref(), &self.header(file, observer)?)?;
                if file == SINGLE && self.has(INDEX) {
                    let note = format!(
                        "{SINGLE} is loaded, as transformers does; {INDEX} beside it is not read"
                    );
                    outline.notes.push(note);
                }
            }
            Layout::Sharded(index) => {
                let path = self.fetch(index, observer)?;
                let weight_map = read_index(&path)?;
                for file in files(&weight_map) {
                    if self.has(file) {
                        outline.add_header(file.as_ref(), &self.header(file, observer)?)?;
                    } else {
                        outline.absent.push(file.to_owned());
                    }
                }
                outline.place(&path, &weight_map, |file| self.has(file))?;
            }
        }
        Ok(outline)
    }

    /// The beginning of a weight file, with all of its header.
    fn header(&self, file: &str, observer: &mut dyn Observer) -> Result<Vec<u8>, Error> {
        let path = self.path(file);
        let bytes = self.repository.beginning(&path, BEGINNING, observer)?;
        let Some(length) = bytes.first_chunk() else {
            return Ok(bytes);
        };
        let whole = u64::from_le_bytes(*length).saturating_add(8);
        if whole <= BEGINNING || whole > MAX_HEADER_BYTES {
            return Ok(bytes);
        }
        Ok(self.repository.beginning(&path, whole, observer)?)
    }
}
