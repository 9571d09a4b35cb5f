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
    /// Threads that answered beside each other, each with a copy of the model; older records have none.
    #[serde(default)]
    pub workers: usize,
}

impl WorkRecord {
    /// The work of all parts of a run together.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            seconds: self.seconds + other.seconds,
            waited_seconds: self.waited_seconds + other.waited_seconds,
            features: self.features + other.features,
            towers: self.towers + other.towers,
            least_batch: self.least_batch.min(other.least_batch),
            workers: self.workers.max(other.workers),
        }
    }
}
