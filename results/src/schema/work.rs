//! What a run's work was, beside its samples.

use serde::{Deserialize, Serialize};

/// How a run spent its time; of a resumed one the last part alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkRecord {
    /// Wall time from the first model's loading to the last sample, in seconds.
    pub seconds: f64,
    /// Of it the time in which the model stood idle until an item was read and prepared, in seconds.
    pub waited_seconds: f64,
    /// Features of pictures that were asked for.
    pub features: u64,
    /// Times that a vision tower ran for them.
    pub towers: u64,
    /// Samples a batch at the end: fewer than were asked for where there was no memory for those.
    pub least_batch: usize,
}
