//! Which samples of each suite a request takes.

use rave_benchmarks::{Choice, Dataset};

use crate::{Error, Request};

/// The rows of each data set that a request takes.
pub(crate) fn choose(request: &Request, datasets: &[Dataset]) -> Result<Vec<Vec<usize>>, Error> {
    let mut named: Vec<Vec<String>> = vec![Vec::new(); datasets.len()];
    for sample in &request.samples {
        let of_suite = sample.split_once('/').and_then(|(suite, id)| {
            let place = datasets
                .iter()
                .position(|dataset| dataset.suite().id == suite);
            Some((place?, id))
        });
        match (of_suite, datasets) {
            (Some((place, id)), _) => named[place].push(id.to_owned()),
            (None, [_]) => named[0].push(sample.clone()),
            (None, _) => {
                return Err(Error::Request(format!(
                    "--samples {sample}: of several suites, say which one has it: SUITE/ID"
                )));
            }
        }
    }
    let mut chosen = Vec::with_capacity(datasets.len());
    for (dataset, samples) in datasets.iter().zip(named) {
        if samples.is_empty() && !request.samples.is_empty() {
            return Err(Error::Request(format!(
                "--samples names none of suite `{0}`; add {0}/ID, or leave the suite out",
                dataset.suite().id
            )));
        }
        chosen.push(dataset.choose(&Choice {
            limit: request.limit,
            shuffle: request.shuffle,
            samples,
        })?);
    }
    Ok(chosen)
}
