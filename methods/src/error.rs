//! What can go wrong in a variant.

use rave_hints::{Refusal, did_you_mean, refusal};

/// An error of an attention variant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// LibTorch refused an operation: shapes that do not fit, or memory that could not be had.
    #[error("LibTorch: {}", first_line(.0))]
    Torch(#[from] tch::TchError),
    /// No variant has this id.
    #[error("unknown variant `{id}`")]
    UnknownVariant {
        /// What was asked for.
        id: String,
        /// The registered id closest to it.
        nearest: Option<String>,
    },
    /// The options of a variant do not parse, or do not fit the model.
    #[error("variant `{variant}`: {reason}")]
    Options {
        /// The variant's id.
        variant: String,
        /// What is wrong and what is allowed.
        reason: Refusal,
    },
    /// A user's preset cannot be read.
    #[error("preset {}: {reason}", .path.display())]
    Preset {
        /// Its file.
        path: std::path::PathBuf,
        /// What is wrong and what is allowed.
        reason: Refusal,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownVariant { nearest, .. } => {
                let otherwise = "choose one that `rave variants` lists";
                Some(did_you_mean(nearest.as_deref(), otherwise))
            }
            Self::Options { reason, .. } | Self::Preset { reason, .. } => reason.hint(),
            Self::Torch(_) => None,
        }
    }

    /// Refuses an option of a variant that is not finite.
    pub(crate) fn check_finite(variant: &str, name: &str, value: f64) -> Result<(), Self> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Self::options(
            variant,
            refusal(
                format!("{name} = {value} is not possible"),
                "allowed is a finite number",
            ),
        ))
    }

    /// Options of a variant that are not possible, with what is allowed.
    pub(crate) fn options(variant: &str, reason: impl Into<Refusal>) -> Self {
        Self::Options {
            variant: variant.to_owned(),
            reason: reason.into(),
        }
    }
}

/// What LibTorch says, without the C++ call stack that it appends.
pub fn first_line(error: &tch::TchError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
