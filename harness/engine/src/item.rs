//! What is asked of an item's picture before a model sees it.

use std::path::Path;

use image::RgbImage;
use rave_benchmarks::{Item, Picture};
use rave_lmm::attention::Bounds;
use rave_lmm::{Checkpoint, decode};

/// The picture of an item, decoded if it is a file's.
///
/// # Errors
/// A picture that cannot be decoded.
pub fn picture(item: &Item) -> Result<RgbImage, rave_lmm::Error> {
    match &item.picture {
        Picture::Rendered(picture) => Ok(picture.clone()),
        Picture::Encoded { bytes, name } => decode(bytes, name),
    }
}

/// The `model_type` of a checkpoint's `config.json`, by which a suite chooses its words ([`rave_benchmarks::Suite::prompt`]).
///
/// # Errors
/// A folder that is no checkpoint.
pub fn model_type(folder: &Path) -> Result<Option<String>, rave_lmm::Error> {
    let checkpoint = Checkpoint::small_files(folder)?;
    Ok(checkpoint.config()["model_type"]
        .as_str()
        .map(str::to_owned))
}

/// Where an item's answer stands, as shares of its picture's width and height.
///
/// # Errors
/// A picture that cannot be decoded.
pub fn answer_boxes(item: &Item) -> Result<Vec<Bounds>, rave_lmm::Error> {
    if item.answer_boxes.is_empty() {
        return Ok(Vec::new());
    }
    let picture = picture(item)?;
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let shares = item.answer_boxes.iter().map(|own| {
        [
            own.left / width,
            own.top / height,
            own.right / width,
            own.bottom / height,
        ]
    });
    Ok(shares.collect())
}
