//! Pictures for the HTML report: drawn anew for embedded suites, read from `--data` for others, and only from the data that
//! the run was made on.

use std::collections::{BTreeMap, HashMap};

use rave_benchmarks::Dataset;
use rave_engine::{answer_boxes, picture};
use rave_reports::html::{Found, Pictures};
use rave_results::Run;

use super::Data;

/// The suites of runs, each opened when its first picture is asked for.
pub struct SuitePictures<'a> {
    runs: &'a [Run],
    data: Data<'a>,
    open: BTreeMap<String, Result<Opened, String>>,
}

struct Opened {
    dataset: Dataset,
    /// Indices of the samples by their ids.
    indices: HashMap<String, usize>,
}

impl<'a> SuitePictures<'a> {
    /// Pictures for `runs`, with the data of suites that are not embedded.
    pub fn new(runs: &'a [Run], data: Data<'a>) -> Self {
        Self {
            runs,
            data,
            open: BTreeMap::new(),
        }
    }
}

/// Opens a suite; why that gives no picture, otherwise.
fn open(id: &str, runs: &[Run], data: Data) -> Result<Opened, String> {
    let suite = data.suite(id).ok_or(
        "The picture is not stored with the run, and the suite is one of its user's own, which rave eval shows alone.",
    )?;
    let folder = data.of(id);
    if !suite.is_embedded() && suite.file.is_none() && folder.is_none() {
        return Err(
            "The picture is not stored with the run; rave report --data DIR takes it from the data.".into(),
        );
    }
    let configured = runs.iter().flat_map(|run| &run.record.configuration.suites);
    let split = configured
        .filter(|own| own.id == id)
        .map(|own| &own.split)
        .next();
    let dataset = match split.filter(|split| **split != suite.split) {
        Some(split) => suite.open_split(folder, split),
        None => suite.open(folder),
    };
    let dataset = dataset.map_err(|error| error.with_hint())?;
    let mut recorded = runs.iter().filter_map(|run| run.record.data.get(id));
    if recorded.any(|record| record.fingerprint != dataset.fingerprint()) {
        return Err(
            "The picture is not shown: these data are not those that the run was made on.".into(),
        );
    }
    let labels = (0..dataset.len()).filter_map(|index| Some((dataset.label(index)?.id, index)));
    Ok(Opened {
        indices: labels.collect(),
        dataset,
    })
}

impl Pictures for SuitePictures<'_> {
    fn find(&mut self, id: &str, sample: &str) -> Result<Found, String> {
        let (runs, data) = (self.runs, self.data);
        let opened = self.open.entry(id.to_owned());
        let opened = opened.or_insert_with(|| open(id, runs, data));
        let opened = opened.as_ref().map_err(Clone::clone)?;
        let index = opened
            .indices
            .get(sample)
            .ok_or("The data do not hold this sample.")?;
        let item = opened
            .dataset
            .item(*index)
            .map_err(|error| error.with_hint())?;
        Ok(Found {
            picture: picture(&item).map_err(|error| error.with_hint())?,
            boxes: answer_boxes(&item).map_err(|error| error.with_hint())?,
            question: item.question,
        })
    }
}
