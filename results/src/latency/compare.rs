//! Latency runs side by side. Times of different runs are not paired, so they are never divided by each other; what stands
//! beside each other is each run's own ratio to its own `standard`.

use serde::Serialize;

use super::{LatencyRun, LatencySummary};
use crate::Error;
use crate::statistics::Resampling;

/// Several latency runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyComparison {
    /// The runs, in the order given.
    pub runs: Vec<LatencySummary>,
    /// Why they should not have been compared, where that was forced.
    pub forced: Vec<String>,
}

impl LatencyComparison {
    /// The runs side by side. Another machine, device or element type is what one may want to compare; another checkpoint or
    /// another length of the answers is refused, or noted with `force`.
    ///
    /// # Errors
    /// No run; runs of other checkpoints or answer lengths without `force`.
    pub fn of(runs: &[LatencyRun], resampling: &Resampling, force: bool) -> Result<Self, Error> {
        let first = &runs.first().ok_or(Error::NoRuns)?.record;
        let mut forced = Vec::new();
        for run in &runs[1..] {
            let own = &run.record;
            let unlike = [
                (
                    first.model.sha256 != own.model.sha256,
                    format!(
                        "checkpoint '{}' is not '{}'",
                        own.model.name, first.model.name
                    ),
                ),
                (
                    first.configuration.new_tokens != own.configuration.new_tokens,
                    format!(
                        "answers have {} and not {} tokens",
                        own.configuration.new_tokens, first.configuration.new_tokens
                    ),
                ),
            ];
            for (_, reason) in unlike.into_iter().filter(|(unlike, _)| *unlike) {
                if !force {
                    return Err(Error::Incomparable {
                        first: first.run.clone(),
                        second: own.run.clone(),
                        reason,
                    });
                }
                forced.push(format!("{} and {}: {reason}", first.run, own.run));
            }
        }
        Ok(Self {
            runs: runs
                .iter()
                .map(|run| LatencySummary::of(run, resampling))
                .collect(),
            forced,
        })
    }
}
