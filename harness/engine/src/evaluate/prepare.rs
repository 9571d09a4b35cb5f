//! One item on its way to the model: read, decoded, cut into patches, tokenised. Runs on the rayon pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rave_benchmarks::{Dataset, Item, Picture};
use rave_lmm::Processor;
use rave_results::schema::{Failure, FailureKind};
use sha2::{Digest as _, Sha256};

use super::sample::Prepared;
use super::vision::PictureKey;
use crate::item;

/// Reads, decodes and prepares one item; a failure becomes a reason, never an end. So does a panic: some picture that makes a
/// decoder panic must not take the run with it.
pub(super) fn prepare(
    dataset: &Dataset,
    index: usize,
    model_type: Option<&str>,
    processor: &dyn Processor,
) -> Prepared {
    let start = Instant::now();
    let mut prepared = Prepared {
        label: dataset.label(index).unwrap_or_default(),
        item: None,
        index,
        picture: None,
        prompt: Err(Failure::new(FailureKind::Unscored, "")),
        elapsed: Duration::ZERO,
    };
    let label = &mut prepared.label;
    label.prompt = dataset.suite().prompt(&label.question, model_type);
    let made = catch_unwind(AssertUnwindSafe(|| {
        let item = dataset
            .item(index)
            .map_err(|error| Failure::new(FailureKind::Item, error.with_hint()))?;
        let prompt = dataset.suite().prompt(&item.question, model_type);
        let found = prepared.item.insert(Item { prompt, ..item });
        prepared.picture = Some(picture_key(found));
        item::picture(found)
            .and_then(|picture| processor.prepare(&[&picture], &found.prompt))
            .map_err(|error| failed(&error))
    }));
    prepared.prompt = made.unwrap_or_else(|_| {
        Err(Failure::new(
            FailureKind::Panic,
            "preparing it met a fault of the program or of a library (the message above)",
        ))
    });
    prepared.elapsed = start.elapsed();
    prepared
}

/// A hash of the picture's content: of the file's bytes, or of the pixels of one that was drawn.
fn picture_key(item: &Item) -> PictureKey {
    let mut hash = Sha256::new();
    match &item.picture {
        Picture::Encoded { bytes, .. } => hash.update(bytes),
        Picture::Rendered(picture) => {
            hash.update(picture.width().to_le_bytes());
            hash.update(picture.as_raw());
        }
    }
    hash.finalize().into()
}

/// Why a sample has no answer.
pub(super) fn failed(error: &rave_lmm::Error) -> Failure {
    Failure::new(kind(error), error.with_hint())
}

/// What a failure is counted by.
fn kind(error: &rave_lmm::Error) -> FailureKind {
    use rave_lmm::Error;
    match error {
        Error::Picture { .. } => FailureKind::Image,
        Error::Prompt(_) => FailureKind::Prompt,
        Error::NotFinite { .. } => FailureKind::NotFinite,
        Error::Deadline => FailureKind::Timeout,
        error if error.is_out_of_memory() => FailureKind::OutOfMemory,
        Error::Torch(_) | Error::Variant(rave_methods::Error::Torch(_)) => FailureKind::Torch,
        _ => FailureKind::Model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_failure_keeps_its_hint() {
        let failure = failed(&rave_lmm::Error::Deadline);
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert_eq!(
            failure.detail,
            "it took longer than allowed; allow more time, fewer new tokens, or fewer or smaller pictures"
        );
    }
}
