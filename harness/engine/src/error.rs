//! What stops a run. A sample that fails does not: it is recorded with its reason, and the run goes on.

/// An error that stops a run; what was recorded before it stays readable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request contradicts itself.
    #[error("{0}")]
    Request(String),
    /// A model cannot be loaded or built.
    #[error(transparent)]
    Model(#[from] rave_lmm::Error),
    /// A suite's data cannot be opened.
    #[error(transparent)]
    Suite(#[from] rave_benchmarks::Error),
    /// The run cannot be written.
    #[error(transparent)]
    Results(#[from] rave_results::Error),
}
