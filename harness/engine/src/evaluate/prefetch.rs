//! Work ahead of the model: items are read, decoded and prepared on the rayon pool while the model answers earlier ones.
//!
//! At most `depth` items are under way or wait to be taken, which bounds the memory; they are taken in their order, whatever
//! the number of threads. What the taker waited is measured, so that a run can say how long its model stood idle for data. Answers
//! are scored by the taker itself: 4 to 19 µs each (the answers of the published nano run ten times over, one core), of which a
//! thread of its own would spare the fastest model two thousandths at most.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rayon::Scope;

/// The results of some items, to be taken in order.
pub(super) struct Prefetch<'a, 'scope, T> {
    scope: &'a Scope<'scope>,
    items: &'a mut dyn Iterator<Item = usize>,
    prepare: &'scope (dyn Fn(usize) -> T + Sync),
    depth: usize,
    under_way: VecDeque<Receiver<T>>,
    waited: Duration,
}

impl<T: Send + 'static> Prefetch<'_, '_, T> {
    /// The next result; `None` after the last, or when preparing it panicked, which the end of [`prefetch`] passes on.
    pub(super) fn take(&mut self) -> Option<T> {
        self.fill();
        let receiver = self.under_way.pop_front()?;
        let start = Instant::now();
        let result = receiver.recv().ok();
        self.waited += start.elapsed();
        // At once, so that the next ones are prepared while this one is worked on.
        self.fill();
        result
    }

    /// How long [`take`](Self::take) has waited in all.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    fn fill(&mut self) {
        while self.under_way.len() < self.depth {
            let Some(item) = self.items.next() else {
                return;
            };
            let (sender, receiver) = sync_channel(1);
            let prepare = self.prepare;
            // Nobody listens any more where the taker has stopped early.
            self.scope.spawn(move |_| drop(sender.send(prepare(item))));
            self.under_way.push_back(receiver);
        }
    }
}

/// Hands `body` the results of `prepare` for some items, prepared at most `depth` ahead of it. Not to be called from a thread of the
/// pool, which could then wait for work that is its own.
pub(super) fn prefetch<T: Send + 'static, R>(
    mut items: impl Iterator<Item = usize>,
    depth: usize,
    prepare: impl Fn(usize) -> T + Sync,
    body: impl FnOnce(&mut Prefetch<T>) -> R,
) -> R {
    let prepare: &(dyn Fn(usize) -> T + Sync) = &prepare;
    rayon::in_place_scope(|scope| {
        body(&mut Prefetch {
            scope,
            items: &mut items,
            prepare,
            depth: depth.max(1),
            under_way: VecDeque::new(),
            waited: Duration::ZERO,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_never_more_are_made_than_the_depth_allows() {
        let (begun, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let prepare = |item: usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            // The first ones take longest, so that they would come last if order were that of completion.
            std::thread::sleep(Duration::from_millis(20_u64.saturating_sub(item as u64)));
            item * item
        };
        let taken = prefetch(0..40, 3, prepare, |items| {
            let mut taken = Vec::new();
            while let Some(result) = items.take() {
                taken.push(result);
                let ahead_of_us = begun.load(Ordering::SeqCst) - taken.len();
                most.fetch_max(ahead_of_us, Ordering::SeqCst);
            }
            assert!(items.waited() > Duration::ZERO);
            taken
        });
        assert_eq!(taken, (0..40).map(|item| item * item).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn a_taker_that_stops_early_leaves_nothing_behind() {
        let made = AtomicUsize::new(0);
        let prepare = |item| {
            made.fetch_add(1, Ordering::SeqCst);
            item
        };
        let first = prefetch(0..1000, 2, prepare, |items| {
            let first = items.take();
            assert!(first.is_some());
            first
        });
        assert_eq!(first, Some(0));
        assert!(made.load(Ordering::SeqCst) <= 3);
    }
}
