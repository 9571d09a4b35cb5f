//! A loaded model: vision, prefill and greedy decoding with any attention variant.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rave_hub::{Kind as HubKind, Origin, Reference, Settings, cached};
use rave_methods::noise::Noise;
use rave_methods::{Attention, Build, Geometry, Tokens, Variant};
use tch::{Cuda, Device, Kind, Tensor};

use crate::adapter::{self, Adapter};
use crate::decoder::{Pass, Probe, Watch};
use crate::families::{self, Family, Network, Pixels, Seen, Visual};
use crate::generation::{StopStrings, second, trained_end_tokens};
use crate::grid::{self, Grid};
use crate::layers::{Parameter, Root};
use crate::small_files::SmallFiles;
use crate::{
    Checkpoint, Error, Followed, GenerationConfig, GenerationKeys, Hashes, Part, Processor, Prompt,
    built_in, libtorch,
};

/// Where and how a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// The device that holds weights and activations.
    pub device: Device,
    /// The compute type: `Float`, `BFloat16` or `Half`.
    pub kind: Kind,
    /// Keys of the checkpoint's generation config that answers do not follow.
    pub ignored: GenerationKeys,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            kind: Kind::Float,
            ignored: GenerationKeys::default(),
        }
    }
}

impl LoadOptions {
    /// From the names on a command line: `cpu`, `cuda` or `cuda:N`, and `f32`, `bf16` or `f16`.
    ///
    /// # Errors
    /// [`Error::Device`] and [`Error::Dtype`] with the remedy.
    pub fn named(device: &str, dtype: &str) -> Result<Self, Error> {
        Ok(Self {
            device: libtorch::device(device)?,
            kind: kind(dtype).ok_or_else(|| Error::Dtype(dtype.to_owned()))?,
            ignored: GenerationKeys::default(),
        })
    }

    /// The same, for answers that do not follow these keys of the checkpoint's generation config.
    #[must_use]
    pub fn without(self, ignored: GenerationKeys) -> Self {
        Self { ignored, ..self }
    }
}

/// What a run record says of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name it was asked for by.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Id of its family.
    pub family: &'static str,
    /// The hub's repository and commit, where the folder lies in its cache.
    pub origin: Option<Origin>,
    /// SHA-256 of its weight files, together.
    pub sha256: String,
    /// SHA-256 of each file that it was made from.
    pub files: BTreeMap<String, String>,
    /// Number of parameters.
    pub parameters: u64,
    /// Whether its weights are seeded random numbers, so that its scores say nothing.
    pub untrained: bool,
    /// Sizes of its decoder.
    pub geometry: Geometry,
    /// What is odd about its weight files, and harmless: for people.
    pub notes: Vec<String>,
    /// How its answers are decoded.
    pub generation: Followed,
}

/// A model on its device. Belongs to one thread; its [`Processor`] may be shared.
pub struct Model {
    info: ModelInfo,
    processor: Arc<dyn Processor>,
    network: Box<dyn Network>,
    parameters: Vec<(String, Tensor)>,
    parts: HashMap<String, Part>,
    generation: GenerationConfig,
    stop_strings: Option<StopStrings>,
    end_tokens: Vec<i64>,
}

/// What the vision tower makes of a prompt's tiles; the same for every checkpoint that [`Model::shares_tower`].
#[derive(Debug)]
pub struct Patches {
    /// `None` for a prompt without pictures.
    pub(crate) seen: Option<Seen>,
    pub(crate) elapsed: Duration,
}

/// What the vision side (tower and connector) makes of a prompt; independent of the attention variant.
#[derive(Debug)]
pub struct Features {
    /// `None` for a prompt without pictures.
    pub(crate) visual: Option<Visual>,
    pub(crate) elapsed: Duration,
}

impl Features {
    /// The same storage.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self {
            visual: self.visual.as_ref().map(Visual::shallow_clone),
            elapsed: self.elapsed,
        }
    }
}

/// What the decoder begins with.
pub(crate) struct Embedded {
    /// `[B, T, C]`.
    pub embeddings: Tensor,
    /// What is added to the output of the first layers, `[B, T, C]` each, zero but at visual tokens.
    pub deep: Vec<Tensor>,
}

/// A variant built for a model, with the trained weights it was given.
pub struct Built {
    /// The attention to hand to [`Model::generate`].
    pub attention: Box<dyn Attention>,
    /// The adapter that its weights came from; `None` for a variant without parameters or at its initial values.
    pub adapter: Option<Adapter>,
}

/// The folder of a model by its name: a built-in model, a folder, or a repository that [`crate::hub::fetch`] has brought into
/// the hub's cache. Nothing is fetched here, so every part of a run finds the same files.
///
/// # Errors
/// [`Error::UnknownModel`] and [`Error::Hub`] with the remedy.
pub fn resolve(name: &str) -> Result<PathBuf, Error> {
    if let Some(folder) = built_in::folder(name)? {
        return Ok(folder);
    }
    let folder = PathBuf::from(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let hint = if folder.is_file() {
        "; that is a file: give the checkpoint's folder".to_owned()
    } else if let Ok(reference) = name.parse::<Reference>() {
        return Ok(cached(HubKind::Model, &reference, &Settings::from_env())?);
    } else {
        "; give the folder of a checkpoint with config.json, model.safetensors and tokenizer.json"
            .to_owned()
    };
    Err(Error::UnknownModel {
        name: name.to_owned(),
        built_in: built_in::MODELS
            .iter()
            .map(|model| model.name.to_owned())
            .collect(),
        hint,
    })
}

/// The sizes of the decoder of the model called `name` (see [`resolve`]), from its config alone; of a [`Grid`] those of its
/// first checkpoint.
///
/// # Errors
/// As [`Model::load`].
pub fn geometry(name: &str) -> Result<Geometry, Error> {
    let checkpoint = Checkpoint::small_files(&checkpoint_folder(name, grid::BASELINE, None)?)?;
    (families::of(&checkpoint)?.geometry)(&checkpoint)
}

/// The checkpoint of the model called `name` (see [`resolve`]) on which `variant` runs; of a [`Grid`] the variant's own, at
/// the first seed when none is given.
///
/// # Errors
/// As [`resolve`]; a damaged grid, or a seed that it lacks.
pub fn checkpoint_folder(name: &str, variant: &str, seed: Option<u64>) -> Result<PathBuf, Error> {
    let folder = resolve(name)?;
    match Grid::open(&folder)? {
        Some(grid) => grid.checkpoint(seed.unwrap_or(grid.contents().seeds[0]), variant),
        None => Ok(folder),
    }
}

impl Model {
    /// Loads the model called `name` (see [`resolve`]); of a [`Grid`] the checkpoint of `standard` at the first seed.
    ///
    /// # Errors
    /// Names the file and the remedy for anything missing, damaged or contradictory in the checkpoint.
    pub fn load(name: &str, options: LoadOptions) -> Result<Self, Error> {
        Self::load_for(name, grid::BASELINE, None, options)
    }

    /// Loads the model called `name` to run `variant` on it: the checkpoint in its [`checkpoint_folder`].
    ///
    /// # Errors
    /// As [`Model::load`] and [`checkpoint_folder`].
    pub fn load_for(
        name: &str,
        variant: &str,
        seed: Option<u64>,
        options: LoadOptions,
    ) -> Result<Self, Error> {
        Self::open(name, checkpoint_folder(name, variant, seed)?, options)
    }

    /// Loads the checkpoint in `folder` under the name that records are to show.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn open(name: &str, folder: PathBuf, options: LoadOptions) -> Result<Self, Error> {
        // Small files first, weights last: what cannot run is refused before gigabytes are asked for.
        let checkpoint = Checkpoint::small_files(&folder)?;
        let SmallFiles {
            family,
            processor,
            generation,
        } = SmallFiles::open(&checkpoint, options.ignored)?;
        let stop_strings = generation.stop_strings(processor.text().tokenizer())?;
        let end_tokens = trained_end_tokens(&checkpoint, processor.text())?;
        let checkpoint = checkpoint.with_weights()?;
        // Beside each other: hashing takes one core as long as loading.
        let (loaded, hashes) = std::thread::scope(|scope| {
            let hashes = scope.spawn(|| checkpoint.hashes());
            let loaded = load(family, &checkpoint, options);
            (
                loaded,
                hashes
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        });
        let (network, parameters) = loaded?;
        generation.check_tokens(network.decoder().vocabulary())?;
        let Hashes { weights, files } = hashes?;
        let info = ModelInfo {
            name: name.to_owned(),
            family: family.id,
            origin: Origin::of(&folder),
            sha256: weights,
            files,
            parameters: checkpoint.parameters()?,
            untrained: built_in::is_untrained(&folder)?,
            geometry: *network.decoder().geometry(),
            notes: checkpoint.notes().to_vec(),
            generation: generation.followed().clone(),
            folder,
        };
        let parts = parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.part));
        Ok(Self {
            info,
            processor,
            network,
            parts: parts.collect(),
            parameters: parameters
                .into_iter()
                .map(|parameter| (parameter.name, parameter.tensor))
                .collect(),
            end_tokens,
            generation,
            stop_strings,
        })
    }

    /// What a run record says of it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Where its tensors are.
    pub fn device(&self) -> Device {
        self.network.decoder().options().1
    }

    /// Its processor, for any thread.
    pub fn processor(&self) -> Arc<dyn Processor> {
        Arc::clone(&self.processor)
    }

    /// Builds a variant for this model, with the weights of `adapter`, or of the adapter that lies beside the checkpoint,
    /// or else at its initial values (equal to `standard`).
    ///
    /// # Errors
    /// Options that do not fit the model; an adapter for another variant, version, options or checkpoint.
    pub fn build(
        &self,
        variant: &Variant,
        seed: u64,
        adapter: Option<&Path>,
    ) -> Result<Built, Error> {
        let (kind, device) = self.network.decoder().options();
        let attention = variant.build(&Build {
            geometry: self.info.geometry,
            device,
            kind,
            seed,
        })?;
        let beside = self.info.folder.join(adapter::file_name(variant.id));
        let path = adapter.or_else(|| beside.is_file().then_some(beside.as_path()));
        let adapter = match path {
            Some(path) => Some(adapter::load(
                path,
                variant,
                &self.info.sha256,
                attention.as_ref(),
            )?),
            None => None,
        };
        Ok(Built { attention, adapter })
    }

    /// Runs the vision side of a prompt.
    ///
    /// # Errors
    /// When LibTorch refuses an operation, for example for lack of memory.
    pub fn see(&self, prompt: &Prompt) -> Result<Features, Error> {
        self.see_until(prompt, None)
    }

    /// Runs the vision side of a prompt, until a deadline at most, at which the tower looks before every layer.
    ///
    /// # Errors
    /// As [`Model::see`]; [`Error::Deadline`].
    pub fn see_until(&self, prompt: &Prompt, deadline: Option<Instant>) -> Result<Features, Error> {
        self.connect(&self.patches(prompt, deadline)?)
    }

    /// Runs the vision tower over a prompt's tiles, until a deadline at most.
    ///
    /// # Errors
    /// As [`Model::see_until`].
    pub fn patches(&self, prompt: &Prompt, deadline: Option<Instant>) -> Result<Patches, Error> {
        let start = Instant::now();
        let seen = match prompt.pixel_shape[0] {
            0 => None,
            _ => Some(tch::no_grad(|| {
                self.network.look(&self.pixels(&[prompt])?, deadline)
            })?),
        };
        self.finish();
        Ok(Patches {
            seen,
            elapsed: start.elapsed(),
        })
    }

    /// Runs the connector over what the tower, or that of a checkpoint with the same one, made of a prompt. The time of
    /// both counts.
    ///
    /// # Errors
    /// As [`Model::see`].
    pub fn connect(&self, patches: &Patches) -> Result<Features, Error> {
        let start = Instant::now();
        let visual = patches
            .seen
            .as_ref()
            .map(|seen| tch::no_grad(|| self.network.connect(seen)))
            .transpose()?;
        self.finish();
        Ok(Features {
            visual,
            elapsed: patches.elapsed + start.elapsed(),
        })
    }

    /// Whether the vision towers hold the same weights in the same type on the same device.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn shares_tower(&self, other: &Self) -> Result<bool, Error> {
        let tower = |model: &Self| -> Vec<(String, Tensor)> {
            let own = model.parameters.iter();
            own.filter(|(name, _)| model.is_vision(name))
                .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
                .collect()
        };
        let (own, others) = (tower(self), tower(other));
        if own.len() != others.len() {
            return Ok(false);
        }
        for ((name, tensor), (other_name, other)) in own.iter().zip(&others) {
            let alike = name == other_name
                && tensor.kind() == other.kind()
                && tensor.device() == other.device()
                && tensor.size() == other.size();
            if !alike || !tensor.f_equal(other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Seeded normal numbers in the place of what the vision side would make of a prompt: for measuring the decoder alone,
    /// whose work does not depend on the values. A decoder whose early layers are given features too does without these: they are
    /// a sum a layer.
    ///
    /// # Errors
    /// As [`Model::see`].
    pub fn stand_in(&self, prompt: &Prompt) -> Result<Features, Error> {
        let (kind, device) = self.network.decoder().options();
        let shape = [
            prompt.visual_tokens() as i64,
            self.info.geometry.model_width,
        ];
        let embeddings = Noise::new(0)
            .normal(0, &shape)
            .f_to_device(device)?
            .f_to_kind(kind)?; // [V, C]
        Ok(Features {
            visual: Some(Visual {
                embeddings,
                deep: Vec::new(),
            }),
            elapsed: Duration::ZERO,
        })
    }

    /// Most tokens of a prompt and its answer together (`max_position_embeddings`), where the checkpoint says.
    pub fn most_positions(&self) -> Option<i64> {
        self.network.decoder().most_positions()
    }

    /// Logits `[T, vocabulary]` in f32 of every token of a prompt and of what has been answered so far, in one pass without a
    /// cache. Those of tokens that the attention drops mean nothing.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn logits(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        features: &Features,
        answer: &[i64],
    ) -> Result<Tensor, Error> {
        tch::no_grad(|| {
            let hidden = self.one_pass(attention, prompt, features, answer, None, None)?;
            Ok(self
                .network
                .decoder()
                .logits(&hidden)?
                .f_squeeze_dim(0)?
                .f_to_kind(Kind::Float)?)
        })
    }

    /// Runs a prompt and its answer in one pass without a cache and shows `probe` every layer: what was attended to while the
    /// answer's tokens were predicted. The answer's last token predicts nothing and is no input.
    ///
    /// # Errors
    /// When LibTorch refuses an operation, or the probe does.
    pub fn probe(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        features: &Features,
        answer: &[i64],
        probe: &mut Probe,
    ) -> Result<(), Error> {
        let inputs = &answer[..answer.len().saturating_sub(1)];
        // The hidden states are of no use here: the probe has seen what it came for.
        let pass = || self.one_pass(attention, prompt, features, inputs, Some(probe), None);
        tch::no_grad(pass).map(drop)
    }

    /// Hidden states `[1, T, C]` of a prompt and an answer, with the prompt run a second time where the attention wants it;
    /// `probe` and `watch` see the pass that counts.
    pub(crate) fn one_pass<'p>(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        features: &Features,
        answer: &[i64],
        probe: Option<&mut Probe<'p>>,
        watch: Option<&mut Watch<'p>>,
    ) -> Result<Tensor, Error> {
        let decoder = self.network.decoder();
        let device = decoder.options().1;
        let length = prompt.ids.len() as i64;
        let tokens = Rc::new(self.tokens(&[prompt], &[answer], true));
        let ids = [&prompt.ids[..], answer].concat();
        let ids = Tensor::f_from_slice(&ids)?
            .f_unsqueeze(0)?
            .f_to_device(device)?;
        let Embedded { embeddings, deep } = self.embed(&ids, &tokens, features.visual.as_ref())?;
        let mut attention = attention;
        if attention.again(0.0).is_some() {
            let pass = Pass::new(attention, Some(Rc::clone(&tokens)), &deep);
            let hidden = decoder.forward(&embeddings, None, pass)?;
            let last = hidden.f_narrow(1, length - 1, 1)?;
            attention = second(attention, &decoder.logits(&last)?)?.unwrap_or(attention);
        }
        let pass = Pass {
            probe,
            watch,
            ..Pass::new(attention, Some(tokens), &deep)
        };
        decoder.forward(&embeddings, None, pass)
    }

    /// The vision input of some prompts in order, on the device in the compute type.
    pub(crate) fn pixels(&self, prompts: &[&Prompt]) -> Result<Pixels, Error> {
        let (kind, device) = self.network.decoder().options();
        let values = prompts
            .iter()
            .map(
                |prompt| Ok(Tensor::f_from_slice(&prompt.pixels)?.f_view(&prompt.pixel_shape[..])?),
            )
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Pixels {
            values: Tensor::f_cat(&values, 0)?
                .f_to_device(device)?
                .f_to_kind(kind)?,
            pictures: prompts
                .iter()
                .flat_map(|prompt| prompt.pictures.iter().copied())
                .collect(),
        })
    }

    /// Its tensors.
    pub(crate) fn network(&self) -> &dyn Network {
        self.network.as_ref()
    }

    /// How it is decoded.
    pub(crate) fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The texts that end an answer, if there are any.
    pub(crate) fn stop_strings(&self) -> Option<&StopStrings> {
        self.stop_strings.as_ref()
    }

    /// The tokens that an answer to train on may end with.
    pub fn end_tokens(&self) -> &[i64] {
        &self.end_tokens
    }

    /// Every tensor by its name in the checkpoint, sharing storage with the model: copying into one changes the model.
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// Which part of the model the parameter of this name belongs to; `None` for a name that it does not have.
    pub fn part(&self, parameter: &str) -> Option<Part> {
        self.parts.get(parameter).copied()
    }

    /// The tokens of some prompts and of what follows each (text), all of them new; the shorter ones are padded on the right.
    /// Where nobody reads what comes of the padding it need not be marked: attention is causal, so no token sees it.
    pub(crate) fn tokens(
        &self,
        prompts: &[&Prompt],
        more: &[&[i64]],
        mark_padding: bool,
    ) -> Tokens {
        let lengths = prompts.iter().zip(more);
        let lengths: Vec<_> = lengths
            .map(|(prompt, more)| prompt.ids.len() + more.len())
            .collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (mut visual, mut valid) = (Vec::new(), Vec::new());
        for (row, (prompt, length)) in prompts.iter().zip(&lengths).enumerate() {
            visual.extend_from_slice(&prompt.visual);
            visual.resize((row + 1) * longest, false);
            valid.resize(row * longest + length, true);
            valid.resize((row + 1) * longest, false);
        }
        let ends: Vec<_> = prompts
            .iter()
            .map(|prompt| prompt.ids.len() as i64)
            .collect();
        let device = self.network.decoder().options().1;
        let valid = mark_padding.then_some(&valid[..]);
        let tokens = Tokens::new(&visual, valid, &ends, device);
        if prompts.iter().all(|prompt| prompt.rotary.is_none()) {
            return tokens;
        }
        let rotary: Vec<&[[i64; 3]]> = prompts
            .iter()
            .map(|prompt| prompt.rotary.as_deref().unwrap_or_default())
            .collect();
        tokens.with_rotary(&rotary)
    }

    /// Embeddings of the token ids `[B, T]` with what the pictures give in place.
    pub(crate) fn embed(
        &self,
        ids: &Tensor,
        tokens: &Tokens,
        visual: Option<&Visual>,
    ) -> Result<Embedded, Error> {
        let embeddings = self.network.decoder().embed(ids)?;
        let (Some(visual), Some(places)) = (visual, tokens.visual_keys()?) else {
            return Ok(Embedded {
                embeddings,
                deep: Vec::new(),
            });
        };
        let places = places.f_unsqueeze(-1)?; // [B, T, 1]
        let zeros = embeddings.f_zeros_like()?;
        let deep = visual.deep.iter();
        Ok(Embedded {
            deep: deep
                .map(|deep| zeros.f_masked_scatter(&places, deep))
                .collect::<Result<_, _>>()?,
            embeddings: embeddings.f_masked_scatter(&places, &visual.embeddings)?,
        })
    }

    /// Waits for the device, so that a clock read after it means something.
    pub(crate) fn finish(&self) {
        if let Device::Cuda(index) = self.network.decoder().options().1 {
            Cuda::synchronize(index as i64);
        }
    }
}

/// The network of a checkpoint on its device, and every tensor of it.
fn load(
    family: &Family,
    checkpoint: &Checkpoint,
    options: LoadOptions,
) -> Result<(Box<dyn Network>, Vec<Parameter>), Error> {
    let root = Root::new(checkpoint, options.device, options.kind);
    let network = (family.network)(checkpoint, &root)?;
    Ok((network, root.into_parameters()))
}

/// The compute type of a `--dtype` name.
pub fn kind(name: &str) -> Option<Kind> {
    match name {
        "f32" => Some(Kind::Float),
        "bf16" => Some(Kind::BFloat16),
        "f16" => Some(Kind::Half),
        _ => None,
    }
}
