//! Pictures of samples, small enough for a page.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder as _, ImageResult, RgbImage};

use super::text::data_uri;
use crate::Error;

/// Longest side of a picture on the page.
const SIDE: u32 = 512;
/// A picture is made no smaller than this.
const SMALLEST: u32 = 48;
/// JPEG qualities, the best first.
const QUALITIES: [u8; 4] = [85, 70, 55, 40];

/// Where the pictures of a run's samples come from. The report itself reads no data set.
pub trait Pictures {
    /// What there is of a sample besides its records.
    ///
    /// # Errors
    /// Why there is nothing, in words for a reader.
    fn find(&mut self, suite: &str, sample: &str) -> Result<Found, String>;
}

/// What a data set holds of a sample.
#[derive(Clone, Debug)]
pub struct Found {
    /// The question alone, without the prompt around it.
    pub question: String,
    /// The picture.
    pub picture: RgbImage,
    /// Where the answer stands: left, top, right and bottom as shares of width and height.
    pub boxes: Vec<[f32; 4]>,
}

/// No pictures at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoPictures;

impl Pictures for NoPictures {
    fn find(&mut self, _: &str, _: &str) -> Result<Found, String> {
        Err("The picture is not stored with the run.".into())
    }
}

/// A picture inside a page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Inline {
    pub source: String,
    pub width: u32,
    pub height: u32,
}

/// The pictures as they go into a page, together at most about `budget` bytes. A picture is stored without loss where its share
/// of the budget allows, otherwise as JPEG, and smaller if that is not enough. What it does not need of its share is left to the others.
///
/// # Errors
/// A picture that cannot be encoded.
pub(super) fn inline(pictures: Vec<RgbImage>, budget: usize) -> Result<Vec<Inline>, Error> {
    let failed = |error: image::ImageError| Error::Picture(error.to_string());
    let mut lossless = Vec::new();
    for (index, picture) in pictures.into_iter().enumerate() {
        let picture = fitted(picture);
        lossless.push((webp(&picture).map_err(failed)?, index, picture));
    }
    lossless.sort_by_key(|(bytes, index, _)| (bytes.len(), *index));
    // Three bytes become four characters.
    let mut left = budget / 4 * 3;
    let mut waiting = lossless.len();
    let mut done: Vec<(usize, Inline)> = Vec::new();
    for (bytes, index, picture) in lossless {
        let share = left / waiting;
        waiting -= 1;
        let (kind, bytes, picture) = if bytes.len() <= share {
            ("image/webp", bytes, picture)
        } else {
            let (bytes, picture) = lossy(picture, share).map_err(failed)?;
            ("image/jpeg", bytes, picture)
        };
        left = left.saturating_sub(bytes.len());
        done.push((
            index,
            Inline {
                source: data_uri(kind, &bytes),
                width: picture.width(),
                height: picture.height(),
            },
        ));
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, inline)| inline).collect())
}

/// The picture at the size it has in a page. A page holds a thousand of them, and a scan as it came is 11 MB.
pub(super) fn fitted(picture: RgbImage) -> RgbImage {
    if picture.width().max(picture.height()) > SIDE {
        within(&picture, SIDE)
    } else {
        picture
    }
}

/// The picture, no side of it longer than `side`.
fn within(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest <= side {
        return picture.clone();
    }
    let scaled =
        |length: u32| (u64::from(length) * u64::from(side) / u64::from(longest)).max(1) as u32;
    imageops::resize(
        picture,
        scaled(width),
        scaled(height),
        FilterType::CatmullRom,
    )
}

fn webp(picture: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = picture.dimensions();
    WebPEncoder::new_lossless(&mut bytes).write_image(
        picture,
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// As JPEG of at most `most` bytes if a quality or a smaller picture gives that; else the smallest.
fn lossy(mut picture: RgbImage, most: usize) -> ImageResult<(Vec<u8>, RgbImage)> {
    loop {
        let mut bytes = Vec::new();
        for quality in QUALITIES {
            bytes.clear();
            JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&picture)?;
            if bytes.len() <= most {
                return Ok((bytes, picture));
            }
        }
        let longest = picture.width().max(picture.height());
        if longest <= SMALLEST {
            return Ok((bytes, picture));
        }
        picture = within(&picture, (longest * 3 / 4).max(SMALLEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(side: u32) -> RgbImage {
        RgbImage::from_fn(side, side, |x, y| {
            let mixed = (x * 7_919 + y * 104_729).wrapping_mul(2_654_435_761);
            image::Rgb([mixed as u8, (mixed >> 8) as u8, (mixed >> 16) as u8])
        })
    }

    #[test]
    fn plain_pictures_keep_every_pixel_and_noise_fits_the_budget() {
        let plain = RgbImage::from_pixel(128, 128, image::Rgb([10, 200, 30]));
        let pictures = [noise(128), plain.clone(), noise(1_024)];
        let inlined = inline(pictures.to_vec(), 20_000).unwrap();
        let total: usize = inlined.iter().map(|own| own.source.len()).sum();
        assert!(total < 20_200, "{total}");
        assert!(inlined[1].source.starts_with("data:image/webp;base64,"));
        assert_eq!((inlined[1].width, inlined[1].height), (128, 128));
        assert!(inlined[2].width < 512 && inlined[2].source.starts_with("data:image/jpeg;base64,"));
        let alone = inline(pictures[..1].to_vec(), 1_000_000).unwrap();
        assert!(alone[0].source.starts_with("data:image/webp;base64,"));
    }

    #[test]
    fn the_shape_is_kept() {
        let wide = within(&RgbImage::new(2_000, 10), SIDE);
        assert_eq!(wide.dimensions(), (512, 2));
    }
}
