//! Which samples of each suite a request takes, and which of those its shard does.
//!
//! Shards are dealt from the chosen rows alone: neither models nor variants nor the machine have a part in it. Questions on one
//! picture that follow each other stay in one shard, where their work can be shared; otherwise the pictures go round in turn.

use rave_benchmarks::{Choice, Dataset};
use rave_results::schema::{Selection, Shard};

use crate::{Error, Request};

/// What a request takes of a data set.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The rows that this run takes, ascending.
    pub rows: Vec<usize>,
    /// The rows that all shards take together; the same where there are none.
    pub all: Vec<usize>,
    /// Of a shard the fingerprint of all.
    pub selection: Option<Selection>,
}

/// What a request takes of each data set.
pub(crate) fn choose(request: &Request, datasets: &[Dataset]) -> Result<Vec<Chosen>, Error> {
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
        let all = dataset.choose(&Choice {
            limit: request.limit,
            shuffle: request.shuffle,
            samples,
        })?;
        chosen.push(match request.shard {
            Some(shard) => Chosen {
                rows: deal(&all, shard, |row| dataset.label(row)?.image_id),
                selection: Some(Selection::of(all.iter().filter_map(|&row| dataset.id(row)))),
                all,
            },
            None => Chosen {
                rows: all.clone(),
                all,
                selection: None,
            },
        });
    }
    Ok(chosen)
}

/// The rows of a shard. `picture` names the picture of a row; one without a name is a picture of its own.
fn deal(rows: &[usize], shard: Shard, picture: impl Fn(usize) -> Option<String>) -> Vec<usize> {
    let mut own = Vec::new();
    let mut pictures = 0;
    let mut last = None;
    for &row in rows {
        let name = picture(row);
        if name.is_none() || name != last {
            pictures += 1;
        }
        if (pictures - 1) % shard.count() + 1 == shard.number() {
            own.push(row);
        }
        last = name;
    }
    own
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

    fn dealt(rows: &[usize], count: usize) -> Vec<Vec<usize>> {
        let shards = Shard::all(count);
        shards.map(|shard| deal(rows, shard, picture)).collect()
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
    fn pictures_go_round_and_a_shard_may_be_empty() {
        let own = |shard: &str, rows: &[usize]| {
            deal(rows, shard.parse().unwrap(), |row| {
                Some((row / 2).to_string())
            })
        };
        assert_eq!(own("1/2", &[0, 1, 2, 3, 5, 6]), [0, 1, 5]);
        assert_eq!(own("2/2", &[0, 1, 2, 3, 5, 6]), [2, 3, 6]);
        assert!(own("4/4", &[0, 1, 2, 3, 5]).is_empty());
        assert!(own("1/4", &[]).is_empty());
    }
}
