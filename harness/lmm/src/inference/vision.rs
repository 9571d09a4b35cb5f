//! The vision side of a prompt: tower, connector, and what they make, which may be kept and read back.

use std::path::Path;
use std::time::{Duration, Instant};

use rave_methods::noise::Noise;
use tch::{Device, Tensor};

use crate::families::{ConnectorOutput, Pixels, TowerOutput};
use crate::{Error, Model, Prompt};

/// What the vision tower makes of a prompt's tiles; the same for every checkpoint that [`Model::shares_tower`].
#[derive(Debug)]
pub struct TowerRun {
    /// `None` for a prompt without pictures.
    pub(crate) output: Option<TowerOutput>,
    pub(crate) elapsed: Duration,
}

/// What the vision side (tower and connector) makes of a prompt; independent of the attention variant.
#[derive(Debug)]
pub struct ImageEmbeds {
    /// `None` for a prompt without pictures.
    pub(crate) output: Option<ConnectorOutput>,
    pub(crate) elapsed: Duration,
}

impl Model {
    /// Runs the vision side of a prompt.
    ///
    /// # Errors
    /// When LibTorch refuses an operation, for example for lack of memory.
    pub fn encode_image(&self, prompt: &Prompt) -> Result<ImageEmbeds, Error> {
        self.encode_image_until(prompt, None)
    }

    /// Runs the vision side of a prompt, until a deadline at most, at which the tower looks before every layer.
    ///
    /// # Errors
    /// As [`Model::encode_image`]; [`Error::Deadline`].
    pub fn encode_image_until(
        &self,
        prompt: &Prompt,
        deadline: Option<Instant>,
    ) -> Result<ImageEmbeds, Error> {
        self.connect(&self.run_tower(prompt, deadline)?)
    }

    /// Runs the vision tower over a prompt's tiles, until a deadline at most.
    ///
    /// # Errors
    /// As [`Model::encode_image_until`].
    pub fn run_tower(&self, prompt: &Prompt, deadline: Option<Instant>) -> Result<TowerRun, Error> {
        let start = Instant::now();
        let output = match prompt.pixel_shape[0] {
            0 => None,
            _ => Some(tch::no_grad(|| {
                self.network().run_tower(&self.pixels(&[prompt])?, deadline)
            })?),
        };
        self.finish();
        Ok(TowerRun {
            output,
            elapsed: start.elapsed(),
        })
    }

    /// Runs the connector over what the tower, or that of a checkpoint with the same one, made of a prompt. The time of
    /// both counts.
    ///
    /// # Errors
    /// As [`Model::encode_image`].
    pub fn connect(&self, tower: &TowerRun) -> Result<ImageEmbeds, Error> {
        let start = Instant::now();
        let output = tower
            .output
            .as_ref()
            .map(|output| tch::no_grad(|| self.network().connect(output)))
            .transpose()?;
        self.finish();
        Ok(ImageEmbeds {
            output,
            elapsed: tower.elapsed + start.elapsed(),
        })
    }

    /// Whether the vision towers hold the same weights in the same type on the same device.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn shares_tower(&self, other: &Self) -> Result<bool, Error> {
        let tower = |model: &Self| -> Vec<(String, Tensor)> {
            let own = model.parameters().iter();
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
    /// whose work does not depend on the values. A decoder whose early layers are given image embeddings too does without these: they are
    /// a sum a layer.
    ///
    /// # Errors
    /// As [`Model::encode_image`].
    pub fn random_image_embeds(&self, prompt: &Prompt) -> Result<ImageEmbeds, Error> {
        let (kind, device) = self.decoder().options();
        let shape = [
            prompt.visual_tokens() as i64,
            self.info().geometry.model_width,
        ];
        let embeddings = Noise::new(0)
            .normal(0, &shape)
            .f_to_device(device)?
            .f_to_kind(kind)?; // [V, C]
        Ok(ImageEmbeds {
            output: Some(ConnectorOutput {
                embeddings,
                deepstack: Vec::new(),
            }),
            elapsed: Duration::ZERO,
        })
    }

    /// The vision input of some prompts in order, on the device in the compute type.
    pub(crate) fn pixels(&self, prompts: &[&Prompt]) -> Result<Pixels, Error> {
        let (kind, device) = self.decoder().options();
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
}

fn bytes(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

impl ImageEmbeds {
    /// The same storage.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self {
            output: self.output.as_ref().map(ConnectorOutput::shallow_clone),
            elapsed: self.elapsed,
        }
    }

    /// Bytes of its tensors.
    pub fn bytes(&self) -> usize {
        self.output.as_ref().map_or(0, |output| {
            bytes(&output.embeddings) + output.deepstack.iter().map(bytes).sum::<usize>()
        })
    }

    /// Wall time of the vision tower and the connector.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl TowerRun {
    /// Bytes of its tensors.
    pub fn bytes(&self) -> usize {
        self.output.as_ref().map_or(0, |output| {
            bytes(&output.hidden_states) + output.deepstack.iter().map(bytes).sum::<usize>()
        })
    }

    /// Wall time of the vision tower.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Writes its tensors to a file, bit by bit.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let output = self.output.iter();
        let tensors: Vec<(String, Tensor)> = output
            .flat_map(|output| std::iter::once(&output.hidden_states).chain(&output.deepstack))
            .enumerate()
            .map(|(number, tensor)| (number.to_string(), tensor.shallow_clone()))
            .collect();
        Ok(Tensor::write_safetensors(&tensors, path)?)
    }

    /// Reads back what was written for the pictures of `prompt`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(
        path: &Path,
        prompt: &Prompt,
        elapsed: Duration,
        device: Device,
    ) -> Result<Self, Error> {
        let mut tensors = Tensor::read_safetensors(path)?
            .into_iter()
            .map(|(name, tensor)| {
                Ok((
                    name.parse().unwrap_or(usize::MAX),
                    tensor.f_to_device(device)?,
                ))
            })
            .collect::<Result<Vec<(usize, Tensor)>, Error>>()?;
        tensors.sort_by_key(|(number, _)| *number);
        let mut tensors = tensors.into_iter().map(|(_, tensor)| tensor);
        let output = tensors.next().map(|hidden_states| TowerOutput {
            hidden_states,
            deepstack: tensors.collect(),
            pictures: prompt.pictures.clone(),
        });
        Ok(Self { output, elapsed })
    }
}
