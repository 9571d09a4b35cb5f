//! A loaded model: vision, prefill and greedy decoding with any attention variant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rave_hub::{Kind as HubKind, Origin, Reference, Settings, cached};
use rave_methods::noise::Noise;
use rave_methods::{Attention, Build, Geometry, Tokens, Variant};
use serde_json::Value;
use tch::{Cuda, Device, Kind, Tensor};

use crate::adapter::{self, Adapter};
use crate::cache::Cache;
use crate::checkpoint::read_json;
use crate::decoder::{Pass, Probe};
use crate::families::{self, Network, Opened};
use crate::grid::{self, Grid};
use crate::{Checkpoint, Error, Hashes, Processor, Prompt, built_in, libtorch};

/// Where and how a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// The device that holds weights and activations.
    pub device: Device,
    /// The compute type: `Float`, `BFloat16` or `Half`.
    pub kind: Kind,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            kind: Kind::Float,
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
        })
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
}

/// A model on its device. Belongs to one thread; its [`Processor`] may be shared.
pub struct Model {
    info: ModelInfo,
    processor: Arc<dyn Processor>,
    network: Box<dyn Network>,
    parameters: Vec<(String, Tensor)>,
    end_tokens: Vec<i64>,
}

/// How to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationOptions {
    /// Most tokens to generate.
    pub max_new_tokens: usize,
    /// Whether to stop at the checkpoint's end tokens (they are not part of the result).
    pub stop_at_end: bool,
}

/// Wall time of the phases of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Vision tower and connector.
    pub vision: Duration,
    /// The decoder over the whole prompt, to the first token.
    pub prefill: Duration,
    /// All further tokens.
    pub decode: Duration,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The generated token ids, without the end token.
    pub ids: Vec<i64>,
    /// Their text.
    pub text: String,
    /// Wall time by phase.
    pub timings: Timings,
    /// Bytes of the key-value cache.
    pub cache_bytes: u64,
}

/// What the vision tower makes of a prompt's tiles; the same for every checkpoint that [`Model::shares_tower`].
#[derive(Debug)]
pub struct Patches {
    /// `[N, P, vision width]`; `None` for a prompt without pictures.
    patches: Option<Tensor>,
    elapsed: Duration,
}

/// What the vision side (tower and connector) makes of a prompt; independent of the attention variant.
#[derive(Debug)]
pub struct Features {
    embeddings: Option<Tensor>,
    elapsed: Duration,
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
    let checkpoint = Checkpoint::open(&checkpoint_folder(name, grid::BASELINE, None)?)?;
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
        let checkpoint = Checkpoint::open(&folder)?;
        let family = families::of(&checkpoint)?;
        let Opened {
            processor,
            network,
            parameters,
        } = (family.open)(&checkpoint, options.device, options.kind)?;
        let Hashes { weights, files } = checkpoint.hashes()?;
        let info = ModelInfo {
            name: name.to_owned(),
            family: family.id,
            origin: Origin::of(&folder),
            sha256: weights,
            files,
            parameters: checkpoint.parameters()?,
            untrained: built_in::is_untrained(&folder)?,
            geometry: *network.decoder().geometry(),
            folder,
        };
        Ok(Self {
            info,
            processor,
            network,
            parameters,
            end_tokens: end_tokens(&checkpoint)?,
        })
    }

    /// What a run record says of it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
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
        self.connect(&self.patches(prompt)?)
    }

    /// Runs the vision tower over a prompt's tiles.
    ///
    /// # Errors
    /// As [`Model::see`].
    pub fn patches(&self, prompt: &Prompt) -> Result<Patches, Error> {
        let start = Instant::now();
        let patches = match prompt.pixel_shape[0] {
            0 => None,
            _ => Some(tch::no_grad(|| {
                self.network.look(&self.pixels(&[prompt])?)
            })?),
        };
        self.finish();
        Ok(Patches {
            patches,
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
        let embeddings = patches
            .patches
            .as_ref()
            .map(|patches| tch::no_grad(|| self.network.connect(patches)))
            .transpose()?;
        self.finish();
        Ok(Features {
            embeddings,
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
    /// whose work does not depend on the values.
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
            embeddings: Some(embeddings),
            elapsed: Duration::ZERO,
        })
    }

    /// Most tokens of a prompt and its answer together (`max_position_embeddings`), where the checkpoint says.
    pub fn most_positions(&self) -> Option<i64> {
        self.network.decoder().most_positions()
    }

    /// Answers a prompt greedily.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when the logits overflow; LibTorch's own errors.
    pub fn generate(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        features: &Features,
        options: &GenerationOptions,
    ) -> Result<Generation, Error> {
        tch::no_grad(|| self.decode(attention, prompt, features, options))
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
            let hidden = self.one_pass(attention, prompt, features, answer, None)?;
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
        tch::no_grad(|| self.one_pass(attention, prompt, features, inputs, Some(probe))).map(drop)
    }

    /// Hidden states `[1, T, C]` of a prompt and an answer, with the prompt run a second time where the attention wants it.
    fn one_pass(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        features: &Features,
        answer: &[i64],
        probe: Option<&mut Probe>,
    ) -> Result<Tensor, Error> {
        let decoder = self.network.decoder();
        let device = decoder.options().1;
        let mut embeddings = self.embed(prompt, features)?;
        let mut visual = prompt.visual.clone();
        if !answer.is_empty() {
            let ids = Tensor::f_from_slice(answer)?
                .f_unsqueeze(0)?
                .f_to_device(device)?;
            embeddings = Tensor::f_cat(&[&embeddings, &decoder.embed(&ids)?], 1)?;
            visual.resize(visual.len() + answer.len(), false);
        }
        let length = prompt.ids.len() as i64;
        let tokens = Rc::new(Tokens::new(&visual, None, &[length], device));
        let mut attention = attention;
        if attention.again(0.0).is_some() {
            let pass = Pass {
                attention,
                tokens: Some(Rc::clone(&tokens)),
                probe: None,
            };
            let hidden = decoder.forward(&embeddings, None, pass)?;
            let last = hidden.f_narrow(1, length - 1, 1)?;
            attention = second(attention, &decoder.logits(&last)?)?.unwrap_or(attention);
        }
        let pass = Pass {
            attention,
            tokens: Some(tokens),
            probe,
        };
        decoder.forward(&embeddings, None, pass)
    }

    fn decode(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        features: &Features,
        options: &GenerationOptions,
    ) -> Result<Generation, Error> {
        let decoder = self.network.decoder();
        let start = Instant::now();
        let capacity = (prompt.ids.len() + options.max_new_tokens) as i64;
        if let Some(most) = decoder.most_positions().filter(|&most| capacity > most) {
            return Err(Error::Prompt(format!(
                "{} tokens and up to {} new ones are more than the model's {most} positions (max_position_embeddings); \
                 shorten the question, use fewer or smaller pictures, or allow fewer new tokens",
                prompt.ids.len(),
                options.max_new_tokens
            )));
        }
        let prefill = |attention| -> Result<(Cache, Tensor), Error> {
            let mut cache = Cache::new(decoder.geometry().layers, options.max_new_tokens);
            let pass = Pass {
                attention,
                tokens: Some(self.tokens(prompt)),
                probe: None,
            };
            let hidden = decoder.forward(&self.embed(prompt, features)?, Some(&mut cache), pass)?;
            let last = hidden.f_narrow(1, hidden.size()[1] - 1, 1)?; // [1, 1, C]
            Ok((cache, decoder.logits(&last)?))
        };
        let (mut cache, mut logits) = prefill(attention)?;
        let mut attention = attention;
        if let Some(chosen) = second(attention, &logits)? {
            attention = chosen;
            (cache, logits) = prefill(attention)?;
        }
        let mut timings = Timings {
            vision: features.elapsed,
            ..Timings::default()
        };
        let mut ids = Vec::new();
        let mut first_token = None;
        while ids.len() < options.max_new_tokens {
            let next = self.next_token(&logits, ids.len())?;
            first_token.get_or_insert_with(|| start.elapsed());
            if options.stop_at_end && self.end_tokens.contains(&next) {
                break;
            }
            ids.push(next);
            if ids.len() == options.max_new_tokens {
                break;
            }
            let input = Tensor::f_from_slice(&[next])?
                .f_view([1, 1])?
                .f_to_device(decoder.options().1)?;
            let pass = Pass {
                attention,
                tokens: None,
                probe: None,
            };
            let hidden = decoder.forward(&decoder.embed(&input)?, Some(&mut cache), pass)?;
            logits = decoder.logits(&hidden)?;
        }
        self.finish();
        timings.prefill = first_token.unwrap_or_else(|| start.elapsed());
        timings.decode = start.elapsed().saturating_sub(timings.prefill);
        let text = self.processor.decode(&ids)?;
        Ok(Generation {
            ids,
            text,
            timings,
            cache_bytes: cache.bytes(),
        })
    }

    /// The likeliest token; the logits `[1, 1, vocabulary]` must be finite.
    fn next_token(&self, logits: &Tensor, position: usize) -> Result<i64, Error> {
        // A maximum is NaN or infinite exactly when some logit is (a minus infinity alone cannot win): one pass, one copy.
        let (best, token) = logits
            .f_view([-1])?
            .f_to_kind(Kind::Float)?
            .f_max_dim(0, false)?;
        if f64::try_from(&best)?.is_finite() {
            return Ok(i64::try_from(&token)?);
        }
        Err(Error::NotFinite {
            position,
            kind: format!("{:?}", self.network.decoder().options().0),
        })
    }

    /// The tiles of some prompts in order, `[N, 3, height, width]`, on the device in the compute type.
    pub(crate) fn pixels(&self, prompts: &[&Prompt]) -> Result<Tensor, Error> {
        let (kind, device) = self.network.decoder().options();
        let tiles = prompts
            .iter()
            .map(|prompt| Ok(Tensor::f_from_slice(&prompt.pixels)?.f_view(prompt.pixel_shape)?))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Tensor::f_cat(&tiles, 0)?
            .f_to_device(device)?
            .f_to_kind(kind)?)
    }

    /// Its tensors.
    pub(crate) fn network(&self) -> &dyn Network {
        self.network.as_ref()
    }

    /// The tokens that end an answer.
    pub fn end_tokens(&self) -> &[i64] {
        &self.end_tokens
    }

    /// Every tensor by its name in the checkpoint, sharing storage with the model: copying into one changes the model.
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// The tokens of a prompt, all of them new.
    fn tokens(&self, prompt: &Prompt) -> Rc<Tokens> {
        let (length, device) = (prompt.ids.len() as i64, self.network.decoder().options().1);
        Rc::new(Tokens::new(&prompt.visual, None, &[length], device))
    }

    /// Embeddings `[1, T, C]` with the visual features in place.
    fn embed(&self, prompt: &Prompt, features: &Features) -> Result<Tensor, Error> {
        let decoder = self.network.decoder();
        let device = decoder.options().1;
        let ids = Tensor::f_from_slice(&prompt.ids)?
            .f_unsqueeze(0)?
            .f_to_device(device)?;
        let embeddings = decoder.embed(&ids)?;
        let Some(visual_embeddings) = &features.embeddings else {
            return Ok(embeddings);
        };
        let visual = Tensor::f_from_slice(&prompt.visual)?
            .f_unsqueeze(0)?
            .f_to_device(device)?;
        Ok(embeddings.f_masked_scatter(&visual.f_unsqueeze(-1)?, visual_embeddings)?)
    }

    /// Waits for the device, so that a clock read after it means something.
    fn finish(&self) {
        if let Device::Cuda(index) = self.network.decoder().options().1 {
            Cuda::synchronize(index as i64);
        }
    }
}

/// The attention with which the prompt is to run again, given the logits `[.., vocabulary]` of its last token.
fn second<'a>(
    attention: &'a dyn Attention,
    logits: &Tensor,
) -> Result<Option<&'a dyn Attention>, Error> {
    if attention.again(0.0).is_none() {
        return Ok(None);
    }
    let probabilities = logits.f_view([-1])?.f_softmax(-1, Kind::Float)?;
    Ok(attention.again(f64::try_from(&probabilities.f_max()?)?))
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

/// The tokens that end an answer: `generation_config.json` decides, as in `transformers`; else the configs.
fn end_tokens(checkpoint: &Checkpoint) -> Result<Vec<i64>, Error> {
    let path = checkpoint.path("generation_config.json");
    let generation = if path.is_file() {
        read_json(&path)?
    } else {
        Value::Null
    };
    let config = checkpoint.config();
    let places = [
        generation.get("eos_token_id"),
        config.get("eos_token_id"),
        config
            .get("text_config")
            .and_then(|text| text.get("eos_token_id")),
    ];
    let found = places.into_iter().flatten().find(|value| !value.is_null());
    Ok(match found {
        Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_i64).collect(),
        Some(id) => id.as_i64().into_iter().collect(),
        None => Vec::new(),
    })
}
