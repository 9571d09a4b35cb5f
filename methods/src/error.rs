//! What can go wrong in a variant.

/// An error of an attention variant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// LibTorch refused an operation: shapes that do not fit, or memory that could not be had.
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),
    /// No variant has this id.
    #[error("unknown variant `{id}`{}; `rave variants` lists all", crate::error::did_you_mean(.nearest.as_deref()))]
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
        reason: String,
    },
}

/// A question that names the nearest id, or nothing.
pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean `{nearest}`?")
    })
}
