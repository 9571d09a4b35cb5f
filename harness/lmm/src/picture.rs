//! Decoding a picture into 8-bit RGB, as Pillow's `convert("RGB")` does: transparency is dropped (not blended), palettes
//! and greys are expanded, CMYK is converted, 16-bit samples keep their high byte, a JPEG that is cut short is refused.
//!
//! Deviation: Pillow clips plain 16-bit grey at 255, which makes nearly every picture white; here it keeps its high byte too.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader, RgbImage};

use crate::Error;

/// The largest picture that is decoded, in pixels: Pillow's own limit against decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// How many pixels of a format are decoded within 1 GiB. A file of some bytes can claim any size, and these decoders hold every
/// pixel more than once before the first is checked: a JPEG's coefficients, the canvas of an animation.
fn most_pixels(format: ImageFormat) -> u64 {
    match format {
        ImageFormat::Jpeg => MAX_PIXELS / 2,
        ImageFormat::WebP | ImageFormat::Gif => MAX_PIXELS / 4,
        _ => MAX_PIXELS,
    }
}

/// Decodes the bytes of a PNG, JPEG, WebP, GIF (first frame), BMP or TIFF file. `name` is used in errors.
///
/// # Errors
/// [`Error::Picture`] for an empty, unknown, damaged or oversized picture. The size is checked before decoding: at most
/// [`MAX_PIXELS`], half of them of a JPEG, a quarter of a WebP or GIF.
pub fn decode(bytes: &[u8], name: &str) -> Result<RgbImage, Error> {
    let fail = |reason: String| Error::Picture {
        name: name.to_owned(),
        reason,
    };
    if bytes.is_empty() {
        return Err(fail("the file is empty; fetch it again".into()));
    }
    let reader = || {
        ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| fail(error.to_string()))
    };
    let Some(format) = reader()?.format() else {
        return Err(fail(
            "not a PNG, JPEG, WebP, GIF, BMP or TIFF file; convert it to one of these".into(),
        ));
    };
    let damaged = |error| {
        fail(format!(
            "cannot be decoded ({error}); fetch it again or convert it to PNG"
        ))
    };
    let (width, height) = reader()?.into_dimensions().map_err(damaged)?;
    let most = most_pixels(format);
    if u64::from(width) * u64::from(height) > most {
        return Err(fail(format!(
            "{width} x {height} is over the limit of {most} pixels of this format; scale it down"
        )));
    }
    if width == 0 || height == 0 {
        return Err(fail(format!("{width} x {height} has no pixels")));
    }
    if format == ImageFormat::Jpeg && !ends(bytes) {
        return Err(fail(
            "the JPEG is cut short (it has no end marker); fetch it again".into(),
        ));
    }
    let grey = |value: u16| image::Rgb([(value >> 8) as u8; 3]);
    Ok(match reader()?.decode().map_err(damaged)? {
        // `to_rgb8` would round 16-bit samples instead of keeping their high byte.
        DynamicImage::ImageLuma16(picture) => {
            RgbImage::from_fn(width, height, |x, y| grey(picture.get_pixel(x, y).0[0]))
        }
        DynamicImage::ImageLumaA16(picture) => {
            RgbImage::from_fn(width, height, |x, y| grey(picture.get_pixel(x, y).0[0]))
        }
        DynamicImage::ImageRgb16(picture) => RgbImage::from_fn(width, height, |x, y| {
            image::Rgb(picture.get_pixel(x, y).0.map(|value| (value >> 8) as u8))
        }),
        DynamicImage::ImageRgba16(picture) => RgbImage::from_fn(width, height, |x, y| {
            let [red, green, blue, _] = picture.get_pixel(x, y).0.map(|value| (value >> 8) as u8);
            image::Rgb([red, green, blue])
        }),
        other => other.into_rgb8(),
    })
}

/// Whether a JPEG has its end marker: the decoder fills what is missing with grey, where Pillow refuses the file.
///
/// Walks the segments by their lengths (a thumbnail inside one has an end marker of its own); in entropy-coded data a
/// marker is 0xFF followed by neither 0 (an escape), another 0xFF (filling) nor a restart marker.
fn ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[first, marker]) = bytes.get(at..at + 2) {
        match (first, marker) {
            (0xff, 0xd9) => return true,
            (0xff, 0x02..=0xcf | 0xda..=0xfe) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
            _ => at += 1,
        }
    }
    false
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
    fn transparency_is_dropped_and_sixteen_bits_keep_the_high_byte() {
        let alpha = png(&[10, 20, 30, 0], 1, 1, ExtendedColorType::Rgba8);
        assert_eq!(
            decode(&alpha, "alpha.png")
                .expect("decodes")
                .get_pixel(0, 0)
                .0,
            [10, 20, 30]
        );
        let deep: Vec<u8> = [0x12ff_u16, 0x80ff, 0xffff]
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect();
        let deep = png(&deep, 1, 1, ExtendedColorType::Rgb16);
        assert_eq!(
            decode(&deep, "deep.png")
                .expect("decodes")
                .get_pixel(0, 0)
                .0,
            [0x12, 0x80, 0xff]
        );
        let grey = png(&0x12ff_u16.to_ne_bytes(), 1, 1, ExtendedColorType::L16);
        let picture = decode(&grey, "grey.png").expect("decodes");
        assert_eq!(picture.get_pixel(0, 0).0, [0x12; 3]);
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
