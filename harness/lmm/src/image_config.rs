//! The image processor's file of a checkpoint, and what 8-bit values become by it.

use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::de::DeserializeOwned;

use crate::checkpoint::read_json;
use crate::{Checkpoint, Error, Filter};

/// The config in `preprocessor_config.json`, or in the `image_processor` part of `processor_config.json`, and the file that it
/// came from.
pub(crate) fn image_config<T: DeserializeOwned>(
    checkpoint: &Checkpoint,
) -> Result<(PathBuf, T), Error> {
    let (newer, older) = (
        checkpoint.path("processor_config.json"),
        checkpoint.path("preprocessor_config.json"),
    );
    if newer.is_file()
        && let Some(nested) = read_json(&newer)?.get("image_processor")
    {
        let config = serde_json::from_value(nested.clone()).map_err(|error| {
            Error::malformed(&newer, format!("image_processor: {error}; fetch it again"))
        })?;
        return Ok((newer, config));
    }
    if older.is_file() {
        let config = serde_json::from_value(read_json(&older)?)
            .map_err(|error| Error::malformed(&older, format!("{error}; fetch it again")))?;
        return Ok((older, config));
    }
    Err(Error::Missing {
        folder: checkpoint.folder().to_owned(),
        what: "preprocessor_config.json (or image_processor in processor_config.json)".into(),
        remedy:
            "fetch it with the checkpoint: without it pictures cannot be prepared as in training"
                .into(),
    })
}

/// The filter of a config's `resample` number.
pub(crate) fn filter(path: &Path, resample: u64) -> Result<Filter, Error> {
    Filter::from_pillow(resample).ok_or_else(|| {
        Error::malformed(
            path,
            format!("resample {resample} is not supported; use a checkpoint with 1, 2 or 3"),
        )
    })
}

/// What each 8-bit value of a channel becomes.
pub(crate) struct Levels([Vec<f32>; 3]);

impl Levels {
    /// `(value * rescale - mean) / std`, in f32 after the product, as NumPy does it; either step may be left out.
    pub(crate) fn new(rescale: Option<f64>, normalise: Option<([f64; 3], [f64; 3])>) -> Self {
        Self([0, 1, 2].map(|channel| {
            let level = |value: u8| {
                let mut level = f64::from(value) as f32;
                if let Some(factor) = rescale {
                    level = (f64::from(value) * factor) as f32;
                }
                if let Some((mean, std)) = normalise {
                    level = (level - mean[channel] as f32) / std[channel] as f32;
                }
                level
            };
            (0..=255).map(level).collect()
        }))
    }

    /// What an 8-bit value of a channel becomes.
    pub(crate) fn of(&self, channel: usize, value: u8) -> f32 {
        self.0[channel][usize::from(value)]
    }

    /// The values of a picture, `[3, height, width]` row-major.
    pub(crate) fn channels_first<'a>(
        &'a self,
        picture: &'a RgbImage,
    ) -> impl Iterator<Item = f32> + 'a {
        (0..3).flat_map(move |channel| {
            picture
                .pixels()
                .map(move |pixel| self.of(channel, pixel.0[channel]))
        })
    }
}
