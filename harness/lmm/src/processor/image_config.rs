//! The image processor's file of a checkpoint, and what 8-bit values become by it.
//!
//! Source: `transformers` 5.23 `auto/image_processing_auto.py` (which class reads it), `image_processing_utils.py` (forms of a size).

use std::path::{Path, PathBuf};

use image::RgbImage;
use rave_hints::refusal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::checkpoint::read_json;
use crate::families::classes;
use crate::{Checkpoint, Error, Filter};

/// An image processor's config.
pub(crate) struct ImageConfig<T> {
    /// The file that it came from.
    pub path: PathBuf,
    /// What all image processors do with a picture that has its size.
    pub steps: Steps,
    /// The keys that are the family's own.
    pub keys: T,
}

/// The steps of every image processor.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names are those of preprocessor_config.json"
)]
pub(crate) struct Steps {
    do_resize: bool,
    resample: Value,
    do_rescale: bool,
    rescale_factor: Option<f64>,
    do_normalize: bool,
    image_mean: Option<Channels>,
    image_std: Option<Channels>,
    default_to_square: bool,
}

/// A number of each channel, or one for all.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Channels {
    Each([f64; 3]),
    All(f64),
}

impl Channels {
    fn each(self) -> [f64; 3] {
        match self {
            Self::Each(channels) => channels,
            Self::All(channel) => [channel; 3],
        }
    }
}

/// The config in the `image_processor` part of `processor_config.json`, or in `preprocessor_config.json`. Its class, which fills in
/// what it leaves out, is the one that it names; the first of `supported` where it names none.
///
/// # Errors
/// A missing or damaged file, another class than the family's, and keys that are not supported, by name.
pub(crate) fn image_config<T: DeserializeOwned>(
    checkpoint: &Checkpoint,
    supported: &[&'static str],
) -> Result<ImageConfig<T>, Error> {
    let (path, file) = image_file(checkpoint)?;
    let named = class_name(&file);
    let refuse = |reason: &str| unfit(&path, reason);
    let class = match &named {
        None => supported.first().and_then(|name| classes::image(name)),
        Some(name) => classes::image(name).filter(|class| supported.contains(&class.name)),
    };
    let Some(class) = class else {
        return Err(refuse(&format!(
            "image_processor_type `{}` is not one of this family, whose are {}",
            named.unwrap_or_default(),
            supported.join(", ")
        )));
    };
    let filled = class.fill(&file).map_err(|reason| refuse(&reason))?;
    let parse = |error: serde_json::Error| refuse(&error.to_string());
    let steps: Steps = serde_json::from_value(filled.clone()).map_err(parse)?;
    steps.check().map_err(|reason| refuse(&reason))?;
    Ok(ImageConfig {
        steps,
        keys: serde_json::from_value(filled).map_err(parse)?,
        path,
    })
}

/// The image processor's file and its object.
fn image_file(checkpoint: &Checkpoint) -> Result<(PathBuf, Value), Error> {
    let (newer, older) = (
        checkpoint.path("processor_config.json"),
        checkpoint.path("preprocessor_config.json"),
    );
    let object = |path: PathBuf, file: Value| {
        if file.is_object() {
            Ok((path, file))
        } else {
            Err(unfit(&path, "the image processor's config is no object"))
        }
    };
    if newer.is_file()
        && let Some(nested) = read_json(&newer)?.get("image_processor")
    {
        return object(newer, nested.clone());
    }
    if older.is_file() {
        let file = read_json(&older)?;
        return object(older, file);
    }
    Err(Error::Missing {
        folder: checkpoint.folder().to_owned(),
        what: "preprocessor_config.json (or image_processor in processor_config.json)".into(),
        hint: "fetch it with the checkpoint: without it pictures cannot be prepared as in training"
            .into(),
    })
}

/// The class that a file names; none for the names of classes that `transformers` had only before it released a model.
fn class_name(file: &Value) -> Option<String> {
    const NEVER_RELEASED: [&str; 2] = ["Qwen2_5_VLImageProcessor", "Qwen3VLImageProcessor"];
    let named = |key: &str| file.get(key).and_then(Value::as_str);
    let older =
        || Some(named("feature_extractor_type")?.replace("FeatureExtractor", "ImageProcessor"));
    let name = named("image_processor_type")
        .map(str::to_owned)
        .or_else(older)?;
    let plain = name.strip_suffix("Fast").unwrap_or(&name);
    (!NEVER_RELEASED.contains(&plain)).then_some(name)
}

/// An image processor's file that cannot be followed.
pub(crate) fn unfit(path: &Path, reason: &str) -> Error {
    Error::malformed(
        path,
        refusal(reason, "use the file that was saved with the weights"),
    )
}

impl Steps {
    /// What is wrong with them, in words.
    fn check(&self) -> Result<(), String> {
        if !self.do_resize {
            return Err("do_resize is false; pictures would not fit the vision tower".into());
        }
        for (needed, key, is_there) in [
            (
                self.do_rescale,
                "rescale_factor",
                self.rescale_factor.is_some(),
            ),
            (self.do_normalize, "image_mean", self.image_mean.is_some()),
            (self.do_normalize, "image_std", self.image_std.is_some()),
        ] {
            if needed && !is_there {
                return Err(format!("{key} is null, but needed"));
            }
        }
        Ok(())
    }

    /// The resampling filter.
    ///
    /// # Errors
    /// One that is not supported, by its number.
    pub(crate) fn filter(&self, path: &Path) -> Result<Filter, Error> {
        let filter = self.resample.as_u64().and_then(Filter::from_pillow);
        filter.ok_or_else(|| {
            let reason = format!(
                "resample {} is not supported; 1 (Lanczos), 2 (bilinear) and 3 (bicubic) are",
                self.resample
            );
            unfit(path, &reason)
        })
    }

    /// What 8-bit values become.
    pub(crate) fn levels(&self) -> Levels {
        let channels = self.image_mean.zip(self.image_std);
        let normalise = channels.map(|(mean, std)| (mean.each(), std.each()));
        Levels::new(
            self.rescale_factor.filter(|_| self.do_rescale),
            normalise.filter(|_| self.do_normalize),
        )
    }

    /// The mean of the training pictures; black where there is none.
    pub(crate) fn mean(&self) -> [f64; 3] {
        self.image_mean.map_or([0.0; 3], Channels::each)
    }

    /// A size as a file writes it.
    ///
    /// # Errors
    /// Anything else, in words.
    pub(crate) fn size(&self, value: &Value) -> Result<Size, String> {
        Size::read(value, self.default_to_square)
    }
}

/// A size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Exact {
        height: u32,
        width: u32,
    },
    /// The shorter side is to be so long; the longer one at most `longest`, where it is given.
    Shortest {
        edge: u32,
        longest: Option<u32>,
    },
    Longest(u32),
}

impl Size {
    /// A number, `[height, width]`, or an object of one of the sets of keys that there are; a number is both sides of a square or
    /// the shorter side.
    ///
    /// # Errors
    /// Anything else, in words.
    pub(crate) fn read(value: &Value, number_is_square: bool) -> Result<Self, String> {
        let unknown = || format!("a size of {value} is not supported");
        let number = |value: &Value| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.filter(|number| *number > 0).ok_or_else(unknown)
        };
        if let Value::Array(sides) = value {
            let [height, width] = sides.as_slice() else {
                return Err(unknown());
            };
            return Ok(Self::Exact {
                height: number(height)?,
                width: number(width)?,
            });
        }
        let Value::Object(keys) = value else {
            let edge = number(value)?;
            return Ok(if number_is_square {
                Self::Exact {
                    height: edge,
                    width: edge,
                }
            } else {
                Self::Shortest {
                    edge,
                    longest: None,
                }
            });
        };
        let mut names: Vec<_> = keys.keys().map(String::as_str).collect();
        names.sort_unstable();
        Ok(match names.as_slice() {
            ["height", "width"] => Self::Exact {
                height: number(&keys["height"])?,
                width: number(&keys["width"])?,
            },
            ["shortest_edge"] => Self::Shortest {
                edge: number(&keys["shortest_edge"])?,
                longest: None,
            },
            ["longest_edge", "shortest_edge"] => Self::Shortest {
                edge: number(&keys["shortest_edge"])?,
                longest: Some(number(&keys["longest_edge"])?),
            },
            ["longest_edge"] => Self::Longest(number(&keys["longest_edge"])?),
            _ => return Err(unknown()),
        })
    }

    /// The side of what comes out square whatever goes in square.
    pub(crate) fn side(self) -> Option<u32> {
        match self {
            Self::Exact { height, width } => (height == width).then_some(height),
            Self::Shortest {
                edge,
                longest: None,
            } => Some(edge),
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_a_size_is_read_and_others_are_refused() {
        let square = Size::Exact {
            height: 5,
            width: 5,
        };
        let shortest = |longest| Size::Shortest { edge: 5, longest };
        for (value, as_square, as_edge) in [
            (json!(5), square, shortest(None)),
            (json!([5, 5]), square, square),
            (json!({ "height": 5, "width": 5 }), square, square),
            (
                json!({ "shortest_edge": 5 }),
                shortest(None),
                shortest(None),
            ),
            (
                json!({ "shortest_edge": 5, "longest_edge": 9 }),
                shortest(Some(9)),
                shortest(Some(9)),
            ),
            (
                json!({ "longest_edge": 5 }),
                Size::Longest(5),
                Size::Longest(5),
            ),
        ] {
            assert_eq!(Size::read(&value, true), Ok(as_square));
            assert_eq!(Size::read(&value, false), Ok(as_edge));
        }
        for value in [
            json!(0),
            json!(-1),
            json!("5"),
            json!([5]),
            json!({ "height": 5 }),
            json!({ "height": 5, "width": 5, "shortest_edge": 5 }),
            json!({ "max_height": 5, "max_width": 5 }),
            json!({}),
        ] {
            let reason = Size::read(&value, true).unwrap_err();
            assert!(reason.contains(&value.to_string()), "{reason}");
        }
    }

    #[test]
    fn names_of_classes_lose_what_older_files_add() {
        let name = |key: &str, name: &str| class_name(&json!({ key: name }));
        assert_eq!(
            name("image_processor_type", "Qwen2_5_VLImageProcessor"),
            None
        );
        assert_eq!(
            name("feature_extractor_type", "CLIPFeatureExtractor").as_deref(),
            Some("CLIPImageProcessor")
        );
        assert_eq!(name("size", "7"), None);
        for (name, class) in [
            ("Qwen2VLImageProcessorFast", Some("Qwen2VLImageProcessor")),
            ("CLIPImageProcessorPil", Some("CLIPImageProcessor")),
            ("LlavaNextImageProcessor", None),
        ] {
            assert_eq!(classes::image(name).map(|class| class.name), class);
        }
    }
}
