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
use crate::record::failed;

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
