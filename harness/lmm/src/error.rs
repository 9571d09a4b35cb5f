//! What can go wrong between a folder on disk and a generated answer. Every message names the file; what to do about it is
//! its hint.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rave_hints::{Refusal, did_you_mean, refusal, with_hint};

use crate::Stage;

/// An error of loading or running a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No compute type has this name.
    #[error("dtype `{0}` is unknown")]
    Dtype(String),
    /// `--model` names neither a built-in model nor a folder nor a repository.
    #[error("no model `{name}`: it is neither a built-in model ({}) nor a folder nor a repository of the hub (org/name, org/name@revision)", .built_in.join(", "))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The built-in names.
        built_in: Vec<String>,
        /// What to do.
        hint: Option<String>,
    },
    /// A checkpoint lacks a file.
    #[error("{}: {what} is missing", .folder.display())]
    Missing {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The missing file.
        what: String,
        /// What to do.
        hint: String,
    },
    /// `config.json` names a family that is not built.
    #[error("{}: model_type `{model_type}` is not supported; supported are {}", .path.display(), .supported.join(", "))]
    UnknownFamily {
        /// The config file.
        path: PathBuf,
        /// What it says.
        model_type: String,
        /// The nearest supported model type.
        nearest: Option<String>,
        /// All of them.
        supported: Vec<String>,
    },
    /// A JSON or text file of a checkpoint is not what it should be.
    #[error("{}: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: Refusal,
    },
    /// No generation config has this key.
    #[error("no key `{key}` of a generation_config.json is known")]
    UnknownGenerationKey {
        /// What was given.
        key: String,
        /// The nearest key that is known.
        nearest: Option<String>,
    },
    /// A picture that cannot or will not be decoded.
    #[error("image {name}: {reason}")]
    Picture {
        /// File name or sample id.
        name: String,
        /// What is wrong, and what to do.
        reason: Refusal,
    },
    /// A prompt that the model cannot take.
    #[error("prompt: {0}")]
    Prompt(Refusal),
    /// An adapter that does not belong to this variant or checkpoint.
    #[error("adapter {}: {reason}", .path.display())]
    Adapter {
        /// The adapter file.
        path: PathBuf,
        /// What does not match, and what to do.
        reason: Refusal,
    },
    /// The logits are not finite.
    #[error("the logits are not finite at new token {position}, first {}, in {kind}", Stage::named(*.stage))]
    NotFinite {
        /// Index of the new token.
        position: usize,
        /// Which sequence of the batch it is, from 0; others may be as bad.
        sequence: usize,
        /// What first gave a number that is not finite; `None` when the sequence, run once more by itself, gave none.
        stage: Option<Stage>,
        /// The compute type.
        kind: String,
    },
    /// [`deadline`](crate::GenerationOptions::deadline) is over.
    #[error("it took longer than allowed")]
    Deadline,
    /// A shared beginning of prompts that cannot be had, or that is not a prompt's.
    #[error("shared prefix: {0}")]
    Prefix(&'static str),
    /// A device that is not there.
    #[error("device `{device}`: {reason}")]
    Device {
        /// What was asked for.
        device: String,
        /// Why not, and what to do.
        reason: Refusal,
    },
    /// The hub refuses, or its cache lacks something.
    #[error(transparent)]
    Hub(#[from] rave_hub::Error),
    /// An attention variant failed.
    #[error(transparent)]
    Variant(#[from] rave_methods::Error),
    /// LibTorch refused an operation.
    #[error("LibTorch: {}", rave_methods::first_line(.0))]
    Torch(#[from] tch::TchError),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { .. } => "check the path and its permissions",
            Self::Write { .. } => "check the folder and the free space, or name another folder",
            Self::Dtype(_) => "use f32, bf16 or f16",
            Self::UnknownFamily { nearest, .. } => {
                let otherwise = "choose a checkpoint of one that is supported";
                return Some(did_you_mean(nearest.as_deref(), otherwise));
            }
            Self::UnknownGenerationKey { nearest, .. } => {
                let otherwise = "give the key as the file spells it";
                return Some(did_you_mean(nearest.as_deref(), otherwise));
            }
            Self::UnknownModel { hint, .. } => return hint.clone(),
            Self::Missing { hint, .. } => hint,
            Self::Malformed { reason, .. }
            | Self::Picture { reason, .. }
            | Self::Prompt(reason)
            | Self::Adapter { reason, .. }
            | Self::Device { reason, .. } => return reason.hint(),
            Self::NotFinite { .. } => {
                "try --dtype f32, or look for such numbers in the checkpoint and the adapter"
            }
            Self::Deadline => "allow more time, fewer new tokens, or fewer or smaller pictures",
            Self::Prefix(_) => "answer the prompt as a whole",
            Self::Hub(error) => return error.hint(),
            Self::Variant(error) => return error.hint(),
            Self::Torch(_) => return None,
        };
        Some(hint.to_owned())
    }

    /// The message and the hint in one text.
    pub fn with_hint(&self) -> String {
        with_hint(self, self.hint())
    }

    /// Whether memory could not be had, on the processor or a CUDA device: a smaller batch may fit.
    pub fn is_out_of_memory(&self) -> bool {
        let (Self::Torch(error) | Self::Variant(rave_methods::Error::Torch(error))) = self else {
            return false;
        };
        // LibTorch has no code for it, but these words: its allocator's (Linux and others), CUDA's, cuBLAS's and the C++ library's.
        let message = error.to_string();
        [
            "can't allocate memory",
            "not enough memory",
            "out of memory",
            "ALLOC_FAILED",
            "bad_alloc",
        ]
        .iter()
        .any(|words| message.contains(words))
    }

    /// [`Error::Deadline`] when it is over.
    pub(crate) fn check_deadline(deadline: Option<Instant>) -> Result<(), Self> {
        match deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Self::Deadline),
            _ => Ok(()),
        }
    }

    /// An [`Error::Prompt`].
    pub(crate) fn prompt(reason: impl Into<Refusal>) -> Self {
        Self::Prompt(reason.into())
    }

    /// An [`Error::Malformed`] about this file.
    pub(crate) fn malformed(path: &Path, reason: impl Into<Refusal>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// Reads a whole file, naming it when that fails.
    pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Self> {
        let bytes = std::fs::read(path).map_err(|source| Self::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::refuse_pointer(path, &bytes)?;
        Ok(bytes)
    }

    /// Refuses what a clone without Git LFS leaves in the place of a large file: a text that names it.
    pub(crate) fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<(), Self> {
        if bytes.starts_with(b"version https://git-lfs") {
            let reason = refusal(
                "a Git LFS pointer and not the file itself",
                "run `git lfs pull` in its folder, or fetch the file from the hub",
            );
            return Err(Self::malformed(path, reason));
        }
        Ok(())
    }

    /// Reads a text file, naming it when that fails.
    pub(crate) fn read_text(path: &Path) -> Result<String, Self> {
        String::from_utf8(Self::read(path)?)
            .map_err(|_| Self::malformed(path, "the file is not UTF-8 text"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn lack_of_memory_is_told_from_other_refusals() {
        // 128 TiB: more than the address space of a process.
        let error = Tensor::f_empty([1 << 45], (Kind::Float, Device::Cpu)).unwrap_err();
        assert!(error.to_string().contains("allocate"), "{error}");
        assert!(Error::from(error).is_out_of_memory());
        let error = Tensor::f_empty([1 << 45], (Kind::Float, Device::Cpu)).unwrap_err();
        assert!(Error::Variant(error.into()).is_out_of_memory());
        let cuda = "CUDA out of memory. Tried to allocate 20.00 GiB";
        assert!(Error::from(tch::TchError::Torch(cuda.to_owned())).is_out_of_memory());
        let shapes = Tensor::from_slice(&[1.0, 2.0]).f_view([3]).unwrap_err();
        assert!(!Error::from(shapes).is_out_of_memory());
        assert!(!Error::Deadline.is_out_of_memory());
    }
}
