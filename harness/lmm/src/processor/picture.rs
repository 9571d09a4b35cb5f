//! Decoding a picture into 8-bit RGB, as the `load_image` of `transformers` does with Pillow 13: turned upright as its EXIF or
//! XMP data says, then `convert("RGB")`. Alpha samples are dropped (not blended), a
//! colour that is transparent becomes white (as the image processors' `convert_to_rgb` lays it), palettes and greys are expanded, CMYK is
//! converted, 16-bit colours keep their high byte, 16-bit greys are cut off at 255 (nearly every such picture is white), of an
//! animation the first picture is taken, a JPEG that is cut short is refused.

mod exif;
mod foreign;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod webp;

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, ImageReader, RgbImage, guess_format};
use rave_hints::{Refusal, refusal};

use crate::Error;

/// The largest picture that is decoded, in pixels: Pillow's own limit against decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// How many pixels of a format are decoded within 1 GiB. A file of some bytes can claim any size, and these decoders hold every
/// pixel more than once before the first is checked: a JPEG's coefficients, the canvas of an animation. A picture that is laid
/// on its side stands in memory twice.
fn max_pixels(format: ImageFormat, is_turned: bool) -> u64 {
    match format {
        ImageFormat::Jpeg => MAX_PIXELS / 2,
        ImageFormat::WebP | ImageFormat::Gif => MAX_PIXELS / 4,
        _ if is_turned => MAX_PIXELS / 4 * 3,
        _ => MAX_PIXELS,
    }
}

/// Decodes the bytes of a PNG, JPEG, WebP, GIF, BMP or TIFF file; of several pictures in it, the first. `name` is used in errors.
///
/// # Errors
/// [`Error::Picture`] for an empty, unknown, damaged or oversized picture. The size is checked before decoding: at most
/// [`MAX_PIXELS`], half of them of a JPEG, a quarter of a WebP or GIF, and three quarters of a picture that is laid on its side.
pub fn decode(bytes: &[u8], name: &str) -> Result<RgbImage, Error> {
    upright(bytes).map_err(|reason| Error::Picture {
        name: name.to_owned(),
        reason,
    })
}

/// The picture, turned; or why not, and what to do.
fn upright(bytes: &[u8]) -> Result<RgbImage, Refusal> {
    if bytes.is_empty() {
        return Err(refusal("the file is empty", "fetch it again"));
    }
    let format = format(bytes)?;
    let orientation = orientation(bytes, format);
    let is_turned = orientation > 4;
    let max_pixels = max_pixels(format, is_turned);
    let mut picture = match format {
        ImageFormat::Gif => gif::decode(bytes, max_pixels)?,
        ImageFormat::Tiff => tiff::decode(bytes, max_pixels)?,
        _ => as_stored(bytes, format, max_pixels)?,
    };
    let transparent = match format {
        ImageFormat::Png => png::transparent(bytes),
        _ => None,
    };
    if let Some(transparent) = transparent {
        let pixels = picture.pixels_mut();
        for pixel in pixels.filter(|pixel| pixel.0 == transparent) {
            pixel.0 = [255; 3];
        }
    }
    let Some(orientation) = Orientation::from_exif(orientation) else {
        return Ok(picture);
    };
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// The format by the first bytes, one that is read here.
fn format(bytes: &[u8]) -> Result<ImageFormat, Refusal> {
    const FORMATS: &str = "PNG, JPEG, WebP, GIF, BMP or TIFF";
    if let Some(reason) = foreign::refused(bytes) {
        return Err(reason);
    }
    // The `image` crate does not know the mark of BigTIFF.
    if bytes.starts_with(b"II\x2b\0") || bytes.starts_with(b"MM\0\x2b") {
        return Ok(ImageFormat::Tiff);
    }
    guess_format(bytes)
        .ok()
        .filter(ImageFormat::reading_enabled)
        .ok_or_else(|| {
            refusal(
                format!("not a {FORMATS} file"),
                "convert it to one of these",
            )
        })
}

/// Which way up the picture is, from 1 (as it is stored) to 8, as EXIF counts.
fn orientation(bytes: &[u8], format: ImageFormat) -> u8 {
    match format {
        ImageFormat::Jpeg => {
            let (exif, xmp) = jpeg::exif_and_xmp(bytes);
            exif::orientation(exif.as_deref(), xmp)
        }
        ImageFormat::Png => {
            let (exif, xmp) = png::exif_and_xmp(bytes);
            exif::orientation(exif.as_deref(), xmp.as_deref())
        }
        ImageFormat::WebP => {
            let (exif, xmp) = webp::exif_and_xmp(bytes);
            exif::orientation(exif, xmp)
        }
        ImageFormat::Tiff => exif::of_tiff(bytes),
        _ => 1,
    }
}

/// The pixels of a format that the `image` crate reads as Pillow does.
fn as_stored(bytes: &[u8], format: ImageFormat, max_pixels: u64) -> Result<RgbImage, Refusal> {
    let bytes = match format {
        ImageFormat::Png => png::with_end(bytes),
        _ => Cow::Borrowed(bytes),
    };
    let reader = || ImageReader::with_format(Cursor::new(&*bytes), format);
    let (width, height) = reader().into_dimensions().map_err(damaged)?;
    check_size(width, height, max_pixels)?;
    // Pillow widens five bits otherwise than the decoder does.
    if format == ImageFormat::Bmp && bytes.get(28..30) == Some(&[16, 0]) {
        return Err(refusal(
            "a BMP file of 16 bits is not read",
            "convert it to PNG",
        ));
    }
    if format == ImageFormat::Jpeg && !jpeg::ends(&bytes) {
        return Err(refusal(
            "the JPEG is cut short (it has no end marker)",
            "fetch it again",
        ));
    }
    let grey = |value: u8| image::Rgb([value; 3]);
    let cut_off = |value: u16| value.min(255) as u8;
    let high = |value: u16| (value >> 8) as u8;
    Ok(match reader().decode().map_err(damaged)? {
        // `to_rgb8` would round 16-bit samples.
        DynamicImage::ImageLuma16(picture) => RgbImage::from_fn(width, height, |x, y| {
            grey(cut_off(picture.get_pixel(x, y).0[0]))
        }),
        DynamicImage::ImageLumaA16(picture) => {
            let narrow = if png::is_grey(&bytes) { cut_off } else { high };
            RgbImage::from_fn(width, height, |x, y| {
                grey(narrow(picture.get_pixel(x, y).0[0]))
            })
        }
        DynamicImage::ImageRgb16(picture) => RgbImage::from_fn(width, height, |x, y| {
            image::Rgb(picture.get_pixel(x, y).0.map(high))
        }),
        DynamicImage::ImageRgba16(picture) => RgbImage::from_fn(width, height, |x, y| {
            let [red, green, blue, _] = picture.get_pixel(x, y).0.map(high);
            image::Rgb([red, green, blue])
        }),
        other => other.into_rgb8(),
    })
}

/// Refuses a picture without pixels, or with more than are decoded.
fn check_size(width: u32, height: u32, max_pixels: u64) -> Result<(), Refusal> {
    if width == 0 || height == 0 {
        return Err(format!("{width} x {height} has no pixels").into());
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(refusal(
            format!("{width} x {height} is over the limit of {max_pixels} pixels of this format"),
            "scale it down",
        ));
    }
    Ok(())
}

fn damaged(error: impl Display) -> Refusal {
    refusal(
        format!("cannot be decoded ({error})"),
        "fetch it again or convert it to PNG",
    )
}

#[cfg(test)]
mod tests {
    use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    fn png(bytes: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(bytes, width, height, color)
            .expect("a valid picture");
        file
    }

    #[test]
    fn transparency_is_dropped_and_sixteen_bits_are_narrowed_as_pillow_does() {
        let alpha = png(&[10, 20, 30, 0], 1, 1, ExtendedColorType::Rgba8);
        assert_eq!(
            decode(&alpha, "alpha.png")
                .expect("decodes")
                .get_pixel(0, 0)
                .0,
            [10, 20, 30]
        );
        let sixteen_bit: Vec<u8> = [0x12ff_u16, 0x80ff, 0xffff]
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect();
        let sixteen_bit = png(&sixteen_bit, 1, 1, ExtendedColorType::Rgb16);
        assert_eq!(
            decode(&sixteen_bit, "16-bit.png")
                .expect("decodes")
                .get_pixel(0, 0)
                .0,
            [0x12, 0x80, 0xff]
        );
        for (value, narrow) in [(0x0012_u16, 0x12), (0x12ff, 0xff)] {
            let grey = png(&value.to_ne_bytes(), 1, 1, ExtendedColorType::L16);
            let picture = decode(&grey, "grey.png").expect("decodes");
            assert_eq!(picture.get_pixel(0, 0).0, [narrow; 3]);
        }
    }

    #[test]
    fn a_jpeg_is_whole_or_refused() {
        let pixels: Vec<u8> = (0..64 * 64 * 3)
            .map(|value| (value * 7 % 251) as u8)
            .collect();
        let mut file = Vec::new();
        JpegEncoder::new(&mut file)
            .write_image(&pixels, 64, 64, ExtendedColorType::Rgb8)
            .expect("a valid picture");
        assert!(decode(&file, "whole.jpg").is_ok());
        // An end marker inside a segment (a thumbnail has one) is not the picture's own.
        let mut tagged = file[..2].to_vec();
        tagged.extend([0xff, 0xe1, 0, 4, 0xff, 0xd9]);
        tagged.extend(&file[2..]);
        assert!(decode(&tagged, "tagged.jpg").is_ok());
        for cut in [file.len() / 2, file.len() - 2] {
            for whole in [&file, &tagged] {
                let error = decode(&whole[..cut], "cut.jpg").expect_err("must be refused");
                assert!(
                    error.to_string().contains("cut.jpg: the JPEG is cut short"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn damaged_pictures_are_errors_that_name_them() {
        let whole = png(&[7; 300], 10, 10, ExtendedColorType::Rgb8);
        for (name, bytes) in [
            ("empty.png", &[][..]),
            ("text.png", b"not a picture"),
            ("cut.png", &whole[..60]),
        ] {
            let message = decode(bytes, name)
                .expect_err("must be refused")
                .to_string();
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn an_enormous_picture_is_refused_before_it_is_decoded() {
        // A PNG header that claims 20,000 x 20,000, and no data: only a decoder would notice that it is cut.
        let mut file = png(&[0; 3], 1, 1, ExtendedColorType::Rgb8);
        file[16..20].copy_from_slice(&20_000_u32.to_be_bytes());
        file[20..24].copy_from_slice(&20_000_u32.to_be_bytes());
        let checksum = crc32(&file[12..29]);
        file[29..33].copy_from_slice(&checksum.to_be_bytes());
        let message = decode(&file, "huge.png")
            .expect_err("must be refused")
            .to_string();
        assert!(
            message.contains("20000 x 20000") && message.contains("limit"),
            "{message}"
        );
    }

    #[test]
    fn a_picture_that_claims_gigabytes_is_refused_by_its_format() {
        // Lossless WebP: a signature, and 14 bits a side.
        let webp = |side: u32| {
            let sides = (side - 1) | (side - 1) << 14;
            let data = [&[0x2f][..], &sides.to_le_bytes(), &[0]].concat();
            [&b"RIFF\x12\0\0\0WEBPVP8L\x06\0\0\0"[..], &data].concat()
        };
        let refusal = |side| {
            decode(&webp(side), "w.webp")
                .expect_err("it has no pixels")
                .to_string()
        };
        assert!(
            refusal(6_700).contains("over the limit of 44739242 pixels"),
            "{}",
            refusal(6_700)
        );
        assert!(
            refusal(6_000).contains("cannot be decoded"),
            "{}",
            refusal(6_000)
        );
    }

    /// The CRC of a PNG chunk.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                if crc & 1 == 1 {
                    (crc >> 1) ^ 0xedb8_8320
                } else {
                    crc >> 1
                }
            })
        })
    }
}
