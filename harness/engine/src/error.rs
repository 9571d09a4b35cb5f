//! What stops a run. A sample that fails does not: it is recorded with its reason, and the run goes on.

use rave_hints::with_hint;

/// An error that stops a run; what was recorded before it stays readable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request contradicts itself, or cannot be met.
    #[error("{message}")]
    Request {
        /// What is wrong.
        message: String,
        /// What to do, where the message alone does not say it.
        hint: Option<String>,
    },
    /// What should never happen: not the user's doing.
    #[error("{0}")]
    Fault(&'static str),
    /// A model cannot be loaded or built.
    #[error(transparent)]
    Model(#[from] rave_lmm::Error),
    /// A suite's data cannot be opened.
    #[error(transparent)]
    Suite(#[from] rave_benchmarks::Error),
    /// An item of the embedded stream cannot be drawn.
    #[error(transparent)]
    Render(#[from] rave_benchmarks::render::RenderError),
    /// Training left the numbers that can be computed with.
    #[error("step {step}: the loss is {loss} or its gradient not finite; the state before it is kept in {}", .folder.display())]
    Diverged {
        /// The step that was not made.
        step: u64,
        /// The loss there.
        loss: f64,
        /// The run's folder.
        folder: std::path::PathBuf,
    },
    /// The run cannot be written.
    #[error(transparent)]
    Results(#[from] rave_results::Error),
}

impl Error {
    /// A request that says itself what would be right.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Request {
            message: message.into(),
            hint: None,
        }
    }

    /// A request, and what to do instead.
    pub(crate) fn request(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Request {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Request { hint, .. } => hint.clone(),
            Self::Diverged { .. } => {
                Some("begin again with a lower --lr or --max-grad-norm".to_owned())
            }
            Self::Results(error) => error.hint(),
            Self::Model(error) => error.hint(),
            Self::Suite(error) => error.hint(),
            Self::Render(error) => error.hint(),
            Self::Fault(_) => None,
        }
    }

    /// The message and the hint in one text.
    pub fn with_hint(&self) -> String {
        with_hint(self, self.hint())
    }

    /// Whether it is a fault of this program and not of what it was given.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Fault(_))
    }
}
