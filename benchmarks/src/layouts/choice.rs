//! Which items of a data set a run takes: all, the first so many, so many drawn under a seed, or those of some ids.

use super::{Dataset, sha256};
use crate::Error;
use std::collections::HashSet;

/// Which items are taken, always in the order of the data set: pictures are then read in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// At most so many.
    pub limit: Option<usize>,
    /// With a limit, those whose rank under this seed is lowest instead of the first. The rank is the SHA-256 of
    /// `<seed>/<id>`: the same on every machine, and a smaller limit takes a part of what a larger one does.
    pub shuffle: Option<u64>,
    /// Only the items of these ids, where there are any.
    pub samples: Vec<String>,
}

impl Dataset {
    /// The indices of the selected items, ascending.
    ///
    /// # Errors
    /// An id that no item has.
    pub fn choose(&self, choice: &Choice) -> Result<Vec<usize>, Error> {
        let mut selected: Vec<usize> = (0..self.len()).collect();
        if !choice.samples.is_empty() {
            let mut wanted: HashSet<&str> = choice.samples.iter().map(String::as_str).collect();
            selected.retain(|&index| self.id(index).is_some_and(|id| wanted.remove(id.as_str())));
            if let Some(missing) = choice
                .samples
                .iter()
                .find(|id| wanted.contains(id.as_str()))
            {
                return Err(Error::NoSample {
                    id: missing.clone(),
                    suite: self.suite().id.clone(),
                    first: self.id(0).unwrap_or_default(),
                    last: self.id(self.len().saturating_sub(1)).unwrap_or_default(),
                });
            }
        }
        let limit = choice.limit.unwrap_or(selected.len());
        if let Some(seed) = choice.shuffle {
            let rank = |index: usize| {
                let id = self.id(index).unwrap_or_default();
                sha256(format!("{seed}/{id}").as_bytes())
            };
            selected.sort_by_cached_key(|&index| rank(index));
            selected.truncate(limit);
            selected.sort_unstable();
        }
        selected.truncate(limit);
        Ok(selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    fn choose(
        limit: Option<usize>,
        shuffle: Option<u64>,
        samples: &[&str],
    ) -> Result<Vec<usize>, Error> {
        let dataset = suite("embedded-ocr").unwrap().open(None).unwrap();
        dataset.choose(&Choice {
            limit,
            shuffle,
            samples: samples.iter().map(ToString::to_string).collect(),
        })
    }

    #[test]
    fn all_the_first_or_those_named() {
        assert_eq!(
            choose(None, None, &[]).unwrap(),
            (0..200).collect::<Vec<_>>()
        );
        assert_eq!(choose(Some(3), None, &[]).unwrap(), [0, 1, 2]);
        assert_eq!(choose(Some(999), None, &[]).unwrap().len(), 200);
        let named = choose(None, None, &["ocr-000007", "ocr-000002", "ocr-000007"]).unwrap();
        assert_eq!(named, [2, 7]);
        let message = choose(None, None, &["ocr-000002", "ocr-7"])
            .unwrap_err()
            .with_hint();
        assert!(
            message.contains("`ocr-7`") && message.contains("`ocr-000000` to `ocr-000199`"),
            "{message}"
        );
    }

    #[test]
    fn a_seed_draws_the_same_items_everywhere_and_fewer_of_them_are_among_more() {
        let ten = choose(Some(10), Some(1), &[]).unwrap();
        // Held as numbers: a change of the draw would mix two subsets in one comparison.
        assert_eq!(ten, choose(Some(10), Some(1), &[]).unwrap());
        assert!(ten.is_sorted() && ten.len() == 10);
        assert_ne!(ten, choose(Some(10), Some(2), &[]).unwrap());
        assert_ne!(ten, (0..10).collect::<Vec<_>>());
        let twenty = choose(Some(20), Some(1), &[]).unwrap();
        assert!(ten.iter().all(|index| twenty.contains(index)));
        assert_eq!(choose(None, Some(1), &[]).unwrap().len(), 200);
    }
}
