//! Decoding a picture into 8-bit RGB, as Pillow's `convert("RGB")` does: transparency is dropped (not blended), palettes
//! and greys are expanded, CMYK is converted, 16-bit samples keep their high byte.

use std::io::Cursor;

use image::{DynamicImage, ImageReader, RgbImage};

use crate::Error;

/// The largest picture that is decoded, in pixels: Pillow's own limit against decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// Decodes the bytes of a PNG, JPEG, WebP, GIF (first frame), BMP or TIFF file. `name` is used in errors.
///
/// # Errors
/// [`Error::Picture`] for an empty, unknown, damaged or oversized picture. The size is checked before decoding.
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
    if reader()?.format().is_none() {
        return Err(fail(
            "not a PNG, JPEG, WebP, GIF, BMP or TIFF file; convert it to one of these".into(),
        ));
    }
    let damaged = |error| {
        fail(format!(
            "cannot be decoded ({error}); fetch it again or convert it to PNG"
        ))
    };
    let (width, height) = reader()?.into_dimensions().map_err(damaged)?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(fail(format!(
            "{width} x {height} is over the limit of {MAX_PIXELS} pixels; scale it down"
        )));
    }
    if width == 0 || height == 0 {
        return Err(fail(format!("{width} x {height} has no pixels")));
    }
    Ok(match reader()?.decode().map_err(damaged)? {
        // Pillow keeps the high byte of 16-bit colour; `to_rgb8` would round instead.
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

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

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
