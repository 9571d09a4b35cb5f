//! Which samples of each suite a request takes, which of them are worked on together, and which its shard does.
//!
//! Shards are dealt from the chosen rows alone: neither models nor variants nor the machine have a part in it. What is worked on
//! together (`Window`) stays in one shard and is the same in it as in an undivided run, so that the same products are computed;
//! otherwise the windows go round in turn.

use rave_benchmarks::{Choice, Dataset};
use rave_results::schema::{SelectionRecord, Shard};

use super::Request;
use super::batching::{Window, windows};
use crate::Error;

/// What a request takes of a data set.
#[derive(Debug)]
pub(crate) struct Selection {
    /// The rows that this run takes, ascending.
    pub windows: Vec<Window>,
    /// The rows that all shards take together; the same where there are none.
    pub all: Vec<usize>,
    /// Of a shard the fingerprint of all.
    pub record: Option<SelectionRecord>,
}

/// What a request takes of each data set.
pub(crate) fn choose(request: &Request, datasets: &[Dataset]) -> Result<Vec<Selection>, Error> {
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
                return Err(Error::request(
                    format!(
                        "--samples {sample}: of several suites, it does not say which one has it"
                    ),
                    "say which one has it: SUITE/ID",
                ));
            }
        }
    }
    let mut selections = Vec::with_capacity(datasets.len());
    for (dataset, samples) in datasets.iter().zip(named) {
        if samples.is_empty() && !request.samples.is_empty() {
            return Err(Error::request(
                format!("--samples names none of suite `{}`", dataset.suite().id),
                format!("add {}/ID, or leave the suite out", dataset.suite().id),
            ));
        }
        let all = dataset.choose(&Choice {
            limit: request.limit,
            shuffle: request.shuffle,
            samples,
        })?;
        let picture = |row| dataset.label(row)?.image_id;
        let windows = windows(&all, picture, request.batch);
        selections.push(match request.shard {
            Some(shard) => Selection {
                windows: deal(windows, shard),
                record: Some(SelectionRecord::of(
                    all.iter().filter_map(|&row| dataset.id(row)),
                )),
                all,
            },
            None => Selection {
                windows,
                all,
                record: None,
            },
        });
    }
    Ok(selections)
}

impl Selection {
    /// The rows that this run takes, ascending.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.windows.iter().flatten().copied()
    }
}

/// The windows of a shard.
fn deal(windows: Vec<Window>, shard: Shard) -> Vec<Window> {
    let turns = windows.into_iter().enumerate();
    turns
        .filter(|(turn, _)| turn % shard.count() + 1 == shard.number())
        .map(|(_, window)| window)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Rows 3 to 22 with one, two or three questions a picture; every fifth picture has no name.
    fn picture(row: usize) -> Option<String> {
        let number = row * 4 / 7;
        (!number.is_multiple_of(5)).then(|| format!("picture {number}"))
    }

    fn own(rows: &[usize], shard: Shard, batch: usize) -> Vec<usize> {
        let windows = deal(windows(rows, picture, batch), shard);
        windows.concat()
    }

    fn dealt(rows: &[usize], count: usize) -> Vec<Vec<usize>> {
        let shards = Shard::all(count);
        shards.map(|shard| own(rows, shard, 1)).collect()
    }

    #[test]
    fn every_row_is_in_one_shard_and_a_picture_too() {
        let rows: Vec<usize> = (3..23).collect();
        for count in [1, 2, 3, 7, 40] {
            let shards = dealt(&rows, count);
            let mut together = shards.concat();
            together.sort_unstable();
            assert_eq!(together, rows, "{count} shards");
            let mut seen = BTreeSet::new();
            for shard in &shards {
                assert!(shard.is_sorted());
                let own: BTreeSet<String> = shard.iter().filter_map(|&row| picture(row)).collect();
                for name in own {
                    assert!(seen.insert(name.clone()), "{name} is in two of {count}");
                }
            }
        }
        assert_eq!(dealt(&rows, 1), [rows]);
    }

    #[test]
    fn a_batch_stands_in_one_shard_as_it_does_undivided() {
        let rows: Vec<usize> = (3..23).collect();
        let all = windows(&rows, picture, 2);
        let mut together: Vec<Window> = Shard::all(3)
            .flat_map(|shard| deal(windows(&rows, picture, 2), shard))
            .collect();
        together.sort();
        assert_eq!(together, all);
    }

    #[test]
    fn pictures_go_round_and_a_shard_may_be_empty() {
        let own = |shard: &str, rows: &[usize]| {
            let windows = windows(rows, |row| Some((row / 2).to_string()), 1);
            let windows = deal(windows, shard.parse().unwrap());
            windows.concat()
        };
        assert_eq!(own("1/2", &[0, 1, 2, 3, 5, 6]), [0, 1, 5]);
        assert_eq!(own("2/2", &[0, 1, 2, 3, 5, 6]), [2, 3, 6]);
        assert!(own("4/4", &[0, 1, 2, 3, 5]).is_empty());
        assert!(own("1/4", &[]).is_empty());
    }
}
