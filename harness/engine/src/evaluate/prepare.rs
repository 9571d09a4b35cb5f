//! One item on its way to the model: read, decoded, cut into patches, tokenised. Runs on the rayon pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rave_benchmarks::{Dataset, Item, Picture};
use rave_lmm::Processor;
use sha2::{Digest as _, Sha256};

use super::vision::PictureKey;
use crate::record::{self, Prepared};

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
        prompt: Err(String::new()),
        elapsed: Duration::ZERO,
    };
    let label = &mut prepared.label;
    label.prompt = dataset.suite().prompt(&label.question, model_type);
    let made = catch_unwind(AssertUnwindSafe(|| {
        let item = dataset
            .item(index)
            .map_err(|error| format!("item: {error}"))?;
        let prompt = dataset.suite().prompt(&item.question, model_type);
        let item = prepared.item.insert(Item { prompt, ..item });
        prepared.picture = Some(picture_key(item));
        record::picture(item)
            .and_then(|picture| processor.prepare(&[&picture], &item.prompt))
            .map_err(|error| failed(&error))
    }));
    prepared.prompt = made.unwrap_or_else(|_| {
        Err(
            "panic: preparing it met a fault of the program or of a library (the message above)"
                .to_owned(),
        )
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

/// Why a sample has no answer, as `reason: detail`.
pub(super) fn failed(error: &rave_lmm::Error) -> String {
    format!("{}: {error}", reason(error))
}

/// The word under which a failure is counted.
fn reason(error: &rave_lmm::Error) -> &'static str {
    use rave_lmm::Error;
    match error {
        Error::Picture { .. } => "image",
        Error::Prompt(_) => "prompt",
        Error::NotFinite { .. } => "not finite",
        Error::Deadline => "timeout",
        error if error.is_out_of_memory() => "out of memory",
        Error::Torch(_) | Error::Variant(rave_methods::Error::Torch(_)) => "torch",
        _ => "model",
    }
}
