//! The order of a finished run's rows: model, seed, suite, sample, variant, each as the run names them.
//!
//! A log holds its lines in the order in which they became ready, which an interruption, a batch or a shard changes. The tables
//! are in this order instead, so that the same samples give the same tables.

use std::collections::HashMap;

use crate::schema::{RunRecord, SampleRecord};

/// Where a sample stands: model, seed, suite, number in the split, variant.
pub(crate) type Rank = (usize, usize, usize, Option<u64>, usize);

/// Ranks the samples of one run.
pub(crate) struct Order<'a> {
    models: HashMap<&'a str, usize>,
    suites: HashMap<&'a str, usize>,
    variants: HashMap<&'a str, usize>,
    record: &'a RunRecord,
}

impl<'a> Order<'a> {
    pub(crate) fn of(record: &'a RunRecord) -> Self {
        let asked = &record.configuration;
        Self {
            models: positions(asked.models.iter().map(String::as_str)),
            suites: positions(asked.suites.iter().map(|suite| suite.id.as_str())),
            variants: positions(asked.variants.iter().map(|variant| variant.id.as_str())),
            record,
        }
    }

    /// A name that the run does not have comes last.
    pub(crate) fn rank(&self, sample: &SampleRecord) -> Rank {
        let place = |places: &HashMap<&str, usize>, name: &String| {
            places.get(name.as_str()).copied().unwrap_or(usize::MAX)
        };
        let model = self.record.model(&sample.model);
        let seed = model.and_then(|model| model.seeds.iter().position(|&seed| seed == sample.seed));
        (
            place(&self.models, &sample.model),
            seed.unwrap_or(usize::MAX),
            place(&self.suites, &sample.suite),
            sample.number,
            place(&self.variants, &sample.variant),
        )
    }
}

fn positions<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    names
        .enumerate()
        .map(|(place, name)| (name, place))
        .collect()
}
