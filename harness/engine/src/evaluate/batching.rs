//! Which samples are worked on together, and what happens to those of a batch that fails.
//!
//! What stands in a batch is fixed by the request alone, never by what was recorded before or by how fast anything was: a
//! resumed run, or one with other threads, computes the same products of the same shapes and so the same bits.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Windows of so many batches are sorted by length: longer ones would hold more prepared pictures in memory.
const BATCHES_A_WINDOW: usize = 2;

/// Rows whose pictures have no names stand in windows of so many: whether neighbours have one picture is known once both are
/// read, and only within a window.
const NEIGHBOURS: usize = 4;

/// Rows that are prepared before the first of them is answered.
pub(crate) type Window = Vec<usize>;

/// Cuts rows into windows: one picture each for single samples, else as many as fill some batches. `picture` names the picture of
/// a row, where the data does; those that follow each other on one picture stand in one window.
pub(crate) fn windows(
    rows: &[usize],
    picture: impl Fn(usize) -> Option<String>,
    batch: usize,
) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut last = None;
    for &row in rows {
        let name = picture(row);
        let is_next = name.is_some() && name == last;
        let full = match (batch, &name) {
            (1, Some(_)) => 1,
            (1, None) => NEIGHBOURS,
            _ => batch * BATCHES_A_WINDOW,
        };
        last = name;
        match windows.last_mut() {
            Some(window) if is_next || window.len() < full => window.push(row),
            _ => windows.push(vec![row]),
        }
    }
    windows
}

/// Runs `run` over `items` in batches of at most `most`. A batch that finds no memory is halved, and so are all after it; one
/// that fails for another reason is run item by item, so that only what is at fault fails.
pub(crate) fn run<T, R, E>(
    items: &[T],
    most: &AtomicUsize,
    is_out_of_memory: impl Fn(&E) -> bool,
    mut run: impl FnMut(&[T]) -> Result<Vec<R>, E>,
) -> Vec<Result<R, E>> {
    let mut results = Vec::with_capacity(items.len());
    let mut rest = items;
    // Of a batch that failed as a whole, how many are still to be run alone.
    let mut alone = 0_usize;
    while !rest.is_empty() {
        let size = if alone > 0 {
            1
        } else {
            most.load(Ordering::Relaxed).clamp(1, rest.len())
        };
        let (batch, after) = rest.split_at(size);
        match run(batch) {
            Ok(answers) => results.extend(answers.into_iter().map(Ok)),
            Err(error) if size == 1 => results.push(Err(error)),
            Err(error) => {
                if is_out_of_memory(&error) {
                    most.fetch_min(size / 2, Ordering::Relaxed);
                } else {
                    alone = size;
                }
                continue;
            }
        }
        alone = alone.saturating_sub(size);
        rest = after;
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pictures: &[Option<&str>], batch: usize) -> Vec<Window> {
        let rows: Vec<usize> = (0..pictures.len()).collect();
        windows(&rows, |row| pictures[row].map(str::to_owned), batch)
    }

    #[test]
    fn neighbours_on_one_picture_stand_together() {
        let pictures = [Some("a"), Some("a"), Some("b"), Some("c"), Some("a")];
        assert_eq!(cut(&pictures, 1), [vec![0, 1], vec![2], vec![3], vec![4]]);
        assert_eq!(cut(&[], 4), Vec::<Window>::new());
    }

    #[test]
    fn neighbours_without_names_stand_together_too() {
        assert_eq!(cut(&[None; 6], 1), [vec![0, 1, 2, 3], vec![4, 5]]);
        let pictures = [None, None, Some("a"), Some("a"), None];
        assert_eq!(cut(&pictures, 1), [vec![0, 1], vec![2, 3, 4]]);
    }

    #[test]
    fn windows_hold_whole_pictures() {
        let pictures = [None, None, None, Some("a"), Some("a"), None];
        assert_eq!(cut(&pictures, 2), [vec![0, 1, 2, 3, 4], vec![5]]);
    }

    /// Runs 0..count where a batch above `fits` has no memory and one with a `bad` item fails.
    fn outcome(
        count: u32,
        fits: usize,
        bad: &[u32],
        most: &AtomicUsize,
    ) -> (Vec<Result<u32, &'static str>>, Vec<usize>) {
        let items: Vec<u32> = (0..count).collect();
        let mut sizes = Vec::new();
        let results = run(
            &items,
            most,
            |error| *error == "memory",
            |batch| {
                sizes.push(batch.len());
                if batch.len() > fits {
                    return Err("memory");
                }
                if batch.iter().any(|item| bad.contains(item)) {
                    return Err("bad");
                }
                Ok(batch.to_vec())
            },
        );
        (results, sizes)
    }

    #[test]
    fn a_batch_without_memory_is_halved_and_that_is_remembered() {
        let most = AtomicUsize::new(8);
        let (results, sizes) = outcome(10, 3, &[], &most);
        assert_eq!(results, (0..10).map(Ok).collect::<Vec<_>>());
        assert_eq!(sizes, [8, 4, 2, 2, 2, 2, 2]);
        assert_eq!(most.load(Ordering::Relaxed), 2);
        assert_eq!(outcome(4, 3, &[], &most).1, [2, 2]);
    }

    #[test]
    fn without_memory_for_one_that_one_fails() {
        let most = AtomicUsize::new(2);
        let (results, sizes) = outcome(2, 0, &[], &most);
        assert_eq!(results, [Err("memory"), Err("memory")]);
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn only_what_is_at_fault_fails() {
        let most = AtomicUsize::new(4);
        let (results, sizes) = outcome(8, 4, &[1], &most);
        let expected: Vec<_> = (0..8)
            .map(|item| if item == 1 { Err("bad") } else { Ok(item) })
            .collect();
        assert_eq!(results, expected);
        assert_eq!(sizes, [4, 1, 1, 1, 1, 4]);
        assert_eq!(most.load(Ordering::Relaxed), 4);
    }
}
