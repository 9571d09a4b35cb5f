//! What the vision side made of a prompt, kept: how large it is, and its way to a file and back.

use std::path::Path;
use std::time::Duration;

use tch::{Device, Tensor};

use crate::families::Seen;
use crate::model::{Features, Patches};
use crate::{Error, Prompt};

fn bytes(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

impl Features {
    /// Bytes of its tensors.
    pub fn bytes(&self) -> usize {
        self.visual.as_ref().map_or(0, |visual| {
            bytes(&visual.embeddings) + visual.deep.iter().map(bytes).sum::<usize>()
        })
    }

    /// Wall time of the vision tower and the connector.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl Patches {
    /// Bytes of its tensors.
    pub fn bytes(&self) -> usize {
        self.seen.as_ref().map_or(0, |seen| {
            bytes(&seen.features) + seen.deep.iter().map(bytes).sum::<usize>()
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
        let seen = self.seen.iter();
        let tensors: Vec<(String, Tensor)> = seen
            .flat_map(|seen| std::iter::once(&seen.features).chain(&seen.deep))
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
        let seen = tensors.next().map(|features| Seen {
            features,
            deep: tensors.collect(),
            pictures: prompt.pictures.clone(),
        });
        Ok(Self { seen, elapsed })
    }
}
