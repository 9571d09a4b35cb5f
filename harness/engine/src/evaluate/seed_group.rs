//! The variants of a model that stand against each other, with the checkpoints they run on.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use rave_lmm::{Built, Grid, LoadOptions, Model, ModelInfo, resolve};
use rave_methods::Variant;

use super::{Observer, Request};
use crate::Error;

/// A variant with the model it runs on; variants of one checkpoint share theirs.
pub(crate) struct ModelVariant {
    pub variant: &'static Variant,
    pub model: Rc<Model>,
    /// Number of that model's checkpoint among those of the request's model.
    pub checkpoint: usize,
    /// Number of its vision tower among the different ones of the model.
    pub tower: usize,
    pub built: Built,
}

/// The variants of a model that stand against each other, under one seed.
pub(crate) struct SeedGroup {
    pub seed: u64,
    /// Whether each seed has weights of its own.
    pub trained_by_seed: bool,
    pub members: Vec<ModelVariant>,
}

/// The seeds and variants of a model, each with its checkpoint's folder.
pub(super) fn checkpoints(
    name: &str,
    request: &Request,
) -> Result<Vec<(u64, &'static Variant, PathBuf)>, Error> {
    let folder = resolve(name)?;
    let mut checkpoints = Vec::new();
    let Some(grid) = Grid::open(&folder)? else {
        let seed = request.seed.unwrap_or(0);
        let place = |&variant| (seed, variant, folder.clone());
        return Ok(request.variants.iter().map(place).collect());
    };
    if request.adapter.is_some() {
        return Err(Error::request(
            format!(
                "--adapter does not go with `{name}`, a grid whose variants have checkpoints of their own"
            ),
            "give one of those folders as --model",
        ));
    }
    let seeds = request
        .seed
        .map_or_else(|| grid.contents().seeds.clone(), |seed| vec![seed]);
    for seed in seeds {
        for &variant in &request.variants {
            checkpoints.push((seed, variant, grid.checkpoint(seed, variant.id)?));
        }
    }
    Ok(checkpoints)
}

/// Loads every checkpoint of a model once, and builds the variants on theirs: a group a seed.
pub(super) fn load(
    name: &str,
    request: &Request,
    options: LoadOptions,
    observer: &mut dyn Observer,
) -> Result<Vec<SeedGroup>, Error> {
    observer.loading(name);
    let trained_by_seed = Grid::open(&resolve(name)?)?.is_some();
    let mut models: HashMap<PathBuf, (Rc<Model>, [usize; 2])> = HashMap::new();
    // A model with each of the different vision towers.
    let mut towers: Vec<Rc<Model>> = Vec::new();
    let mut groups: Vec<SeedGroup> = Vec::new();
    let mut decoding: Option<ModelInfo> = None;
    for (seed, variant, folder) in checkpoints(name, request)? {
        let (model, [checkpoint, tower]) = if let Some((model, numbers)) = models.get(&folder) {
            (Rc::clone(model), *numbers)
        } else {
            let model = Rc::new(Model::open(name, folder.clone(), options)?);
            let first = decoding.get_or_insert_with(|| model.info().clone());
            if first.generation != model.info().generation {
                return Err(Error::request(
                    format!(
                        "{} and {} are to be decoded in different ways",
                        first.folder.display(),
                        folder.display()
                    ),
                    "give the checkpoints of a grid the same generation_config.json",
                ));
            }
            let mut tower = 0;
            while tower < towers.len() && !model.shares_tower(&towers[tower])? {
                tower += 1;
            }
            if tower == towers.len() {
                towers.push(Rc::clone(&model));
            }
            let numbers = [models.len(), tower];
            models.insert(folder, (Rc::clone(&model), numbers));
            (model, numbers)
        };
        let adapter = request.adapter.as_deref().filter(|_| variant.is_trained());
        let built = model.build(variant, seed, adapter)?;
        if groups.last().is_none_or(|group| group.seed != seed) {
            groups.push(SeedGroup {
                seed,
                trained_by_seed,
                members: Vec::new(),
            });
        }
        if let Some(group) = groups.last_mut() {
            group.members.push(ModelVariant {
                variant,
                model,
                checkpoint,
                tower,
                built,
            });
        }
    }
    Ok(groups)
}
