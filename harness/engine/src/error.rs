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
    /// An item of the embedded stream cannot be drawn.
    #[error(transparent)]
    Render(#[from] rave_benchmarks::render::RenderError),
    /// Training left the numbers that can be computed with.
    #[error("step {step}: the loss is {loss} or its gradient not finite; the state before it is kept in {}: begin again with a lower --lr or --max-grad-norm", .folder.display())]
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
