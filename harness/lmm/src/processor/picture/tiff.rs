//! The first page of a TIFF file, as Pillow's `TiffImagePlugin` (version 13) reads it and `convert("RGB")` turns it: 16-bit
//! colours keep their high byte; 16-bit greys, 32-bit numbers and floats are cut off at 0 and 255; colours that alpha was
//! multiplied into are divided by it; CMYK is converted without a profile.
//!
//! Deviations: what Pillow reads and this does not is refused by name. That is Lab, YCbCr that is not JPEG, alpha beside greys
//! in a JPEG, bits in reverse order, floats of which white is zero, planes of 16 bits (which Pillow misreads), and what the
//! `tiff` crate does not unpack (fax of group 3, LZMA, Zstandard, WebP, old JPEG, 12 bits). Pixels of a JPEG inside may be off by
//! 2 of 255.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Cursor;

use image::RgbImage;
use rave_hints::{Refusal, refusal};
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::exif::Directory;
use super::{check_size, damaged};

/// The most bytes of samples: with the picture made from them, less than 1 GiB.
const MAX_BYTES: usize = 512 << 20;

const PHOTOMETRIC: u16 = 262;
const WHITE_IS_ZERO: u16 = 0;
const BLACK_IS_ZERO: u16 = 1;
const PALETTE: u16 = 3;

/// The number of JPEG compression.
const JPEG: u16 = 7;

/// The number of an extra sample that is alpha which the colours were multiplied by.
const ASSOCIATED_ALPHA: u16 = 1;

fn not_read(what: impl Display) -> Refusal {
    refusal(
        format!("this kind of TIFF file is not read ({what})"),
        "convert it to PNG",
    )
}

fn refused(error: tiff::TiffError) -> Refusal {
    match error {
        tiff::TiffError::UnsupportedError(kind) => not_read(kind),
        other => damaged(other),
    }
}

/// RGB from the samples of a pixel.
type Convert = fn(&[u8]) -> [u8; 3];

/// What the samples mean.
struct Page {
    width: u32,
    height: u32,
    colour: ColorType,
    photometric: u16,
    little_endian: bool,
    /// Whether each colour's samples stand by themselves.
    planar: bool,
    /// What the first sample beside the colours is.
    extra: Option<u16>,
    compression: u16,
    /// Of a page with a palette, its colours.
    palette: Option<Vec<[u8; 3]>>,
}

/// Decodes the first page; the reason why not, otherwise.
pub(super) fn decode(bytes: &[u8], max_pixels: u64) -> Result<RgbImage, Refusal> {
    let directory = Directory::read(bytes).ok_or_else(|| damaged("it has no header"))?;
    let little_endian = directory.little_endian;
    let photometric = directory.number(PHOTOMETRIC).unwrap_or(0.0) as u16;
    let bytes = without_palette(bytes, &directory, photometric);
    let mut decoder = Decoder::new(Cursor::new(&*bytes)).map_err(refused)?;
    let (width, height) = decoder.dimensions().map_err(refused)?;
    check_size(width, height, max_pixels)?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_BYTES;
    let mut decoder = decoder.with_limits(limits);
    let mut number = |tag, default| {
        let found = decoder.find_tag_unsigned::<u16>(tag).map_err(refused)?;
        Ok::<_, Refusal>(found.unwrap_or(default))
    };
    if number(Tag::FillOrder, 1)? != 1 {
        return Err(not_read("bits in reverse order (FillOrder 2)"));
    }
    let planar = number(Tag::PlanarConfiguration, 1)? == 2;
    let compression = number(Tag::Compression, 1)?;
    let extra: Vec<u16> = decoder
        .find_tag_unsigned_vec(Tag::ExtraSamples)
        .map_err(refused)?
        .unwrap_or_default();
    let palette = if photometric == PALETTE {
        Some(colours(
            &decoder.get_tag_u16_vec(Tag::ColorMap).map_err(refused)?,
        ))
    } else {
        None
    };
    let page = Page {
        width,
        height,
        colour: decoder.colortype().map_err(refused)?,
        photometric,
        little_endian,
        planar,
        extra: extra.first().copied(),
        compression,
        palette,
    };
    let mut samples = DecodingResult::U8(Vec::new());
    decoder
        .read_image_to_buffer(&mut samples)
        .map_err(refused)?;
    page.rgb(samples)
}

/// The file with black-is-zero in the place of a palette: the `tiff` crate does not read the indices as such.
fn without_palette<'a>(bytes: &'a [u8], directory: &Directory, photometric: u16) -> Cow<'a, [u8]> {
    let Some(entry) = directory
        .find(PHOTOMETRIC)
        .filter(|entry| photometric == PALETTE && entry.data.len() == 2)
    else {
        return Cow::Borrowed(bytes);
    };
    let place = entry.data.as_ptr().addr() - bytes.as_ptr().addr();
    let mut bytes = bytes.to_vec();
    let value = if directory.little_endian {
        BLACK_IS_ZERO.to_le_bytes()
    } else {
        BLACK_IS_ZERO.to_be_bytes()
    };
    bytes[place..place + 2].copy_from_slice(&value);
    Cow::Owned(bytes)
}

/// The palette's colours: all reds, then all greens and all blues, of which the high byte counts.
fn colours(map: &[u16]) -> Vec<[u8; 3]> {
    let count = map.len() / 3;
    (0..count)
        .map(|index| [0, 1, 2].map(|colour| (map[colour * count + index] >> 8) as u8))
        .collect()
}

impl Page {
    fn rgb(&self, samples: DecodingResult) -> Result<RgbImage, Refusal> {
        let whole = |value: i64| value.clamp(0, 255) as u8;
        match (samples, self.colour) {
            (DecodingResult::U8(samples), ColorType::Gray(bits)) => self.greys(&samples, bits),
            // Signed bytes are read as if they were not.
            (DecodingResult::I8(samples), ColorType::Gray(8))
                if self.photometric == BLACK_IS_ZERO =>
            {
                self.numbers(&samples, |value| value as u8)
            }
            (DecodingResult::U16(samples), ColorType::Gray(16)) => match self.photometric {
                BLACK_IS_ZERO => self.numbers(&samples, |value| whole(value.into())),
                // Pillow does not invert them; the crate did.
                WHITE_IS_ZERO if self.little_endian => {
                    self.numbers(&samples, |value| whole((!value).into()))
                }
                _ => Err(not_read("16-bit greys of which white is zero")),
            },
            (DecodingResult::I16(samples), ColorType::Gray(16))
                if self.photometric == BLACK_IS_ZERO =>
            {
                self.numbers(&samples, |value| whole(value.into()))
            }
            // As signed numbers, so that the upper half is black.
            (DecodingResult::U32(samples), ColorType::Gray(32))
                if self.photometric == BLACK_IS_ZERO && self.little_endian =>
            {
                self.numbers(&samples, |value| whole((value as i32).into()))
            }
            (DecodingResult::I32(samples), ColorType::Gray(32))
                if self.photometric == BLACK_IS_ZERO =>
            {
                self.numbers(&samples, |value| whole(value.into()))
            }
            (DecodingResult::F32(samples), ColorType::Gray(32))
                if self.photometric == BLACK_IS_ZERO =>
            {
                // Not a number is 0.
                self.numbers(&samples, |value| value as u8)
            }
            (DecodingResult::U8(samples), colour) => self.colours(samples, colour),
            // Pillow reads such planes as if they were of bytes.
            (DecodingResult::U16(_), _) if self.planar => Err(not_read("planes of 16 bits")),
            (DecodingResult::U16(samples), colour) => {
                let high = samples.into_iter().map(|value| (value >> 8) as u8);
                self.colours(high.collect(), colour)
            }
            (_, colour) => Err(not_read(format!("numbers of this kind as {colour:?}"))),
        }
    }

    /// Grey, or entries of the palette, of up to eight bits; each row begins with a byte of its own.
    fn greys(&self, samples: &[u8], bits: u8) -> Result<RgbImage, Refusal> {
        if !matches!(bits, 1 | 2 | 4 | 8) {
            return Err(not_read(format!("samples of {bits} bits")));
        }
        let bits = usize::from(bits);
        let width = self.width as usize;
        let row_length = (width * bits).div_ceil(8);
        let white = u8::MAX >> (8 - bits);
        let grey: Vec<[u8; 3]> = (0..=white)
            .map(|value| [value * (255 / white); 3])
            .collect();
        let colours = self.palette.as_ref().unwrap_or(&grey);
        let mut picture = Vec::with_capacity(width * self.height as usize * 3);
        for row in samples.chunks_exact(row_length) {
            for x in 0..width {
                let place = x * bits;
                let value = row[place / 8] >> (8 - bits - place % 8) & white;
                // A palette is as long as its bits allow, or the file is refused here.
                let colour = colours.get(usize::from(value));
                picture.extend_from_slice(colour.ok_or_else(|| damaged("its palette is short"))?);
            }
        }
        self.image(picture)
    }

    fn numbers<T: Copy>(&self, samples: &[T], grey: impl Fn(T) -> u8) -> Result<RgbImage, Refusal> {
        if self.palette.is_some() {
            return Err(not_read("a palette of more than eight bits"));
        }
        let picture = samples.iter().flat_map(|&value| [grey(value); 3]);
        self.image(picture.collect())
    }

    /// Samples of several colours, of eight bits each.
    fn colours(&self, samples: Vec<u8>, colour: ColorType) -> Result<RgbImage, Refusal> {
        let is_associated = self.extra == Some(ASSOCIATED_ALPHA);
        let is_jpeg = self.compression == JPEG;
        let (count, pixel): (usize, Convert) = match colour {
            ColorType::RGB(8 | 16) => (3, |own| [own[0], own[1], own[2]]),
            ColorType::RGBA(8 | 16) if is_associated => (4, divided),
            ColorType::RGBA(8 | 16) => (4, |own| [own[0], own[1], own[2]]),
            ColorType::CMYK(8 | 16) => (4, from_cmyk),
            ColorType::YCbCr(8) if is_jpeg => (3, from_ycbcr),
            // Grey or a palette's entry, and alpha.
            ColorType::Multiband {
                bit_depth: 8,
                num_samples: 2,
            } if !is_associated
                && !self.planar
                && !is_jpeg
                && self.photometric != WHITE_IS_ZERO =>
            {
                let grey: Vec<u8> = samples.chunks_exact(2).map(|own| own[0]).collect();
                return self.greys(&grey, 8);
            }
            other => return Err(not_read(format!("samples of {other:?}"))),
        };
        if count == 3 && !self.planar && matches!(colour, ColorType::RGB(_)) {
            return self.image(samples);
        }
        let pixels = self.width as usize * self.height as usize;
        let mut picture = Vec::with_capacity(pixels * 3);
        if self.planar {
            let planes: Vec<&[u8]> = samples.chunks_exact(pixels).collect();
            if planes.len() < count {
                return Err(damaged("a colour is missing"));
            }
            for at in 0..pixels {
                let mut own = [0; 4];
                for (sample, plane) in own.iter_mut().zip(&planes[..count]) {
                    *sample = plane[at];
                }
                picture.extend_from_slice(&pixel(&own));
            }
        } else {
            for own in samples.chunks_exact(count) {
                picture.extend_from_slice(&pixel(own));
            }
        }
        self.image(picture)
    }

    fn image(&self, picture: Vec<u8>) -> Result<RgbImage, Refusal> {
        RgbImage::from_raw(self.width, self.height, picture)
            .ok_or_else(|| damaged("it has fewer pixels than it says"))
    }
}

/// Colours divided by the alpha that they were multiplied with.
fn divided(own: &[u8]) -> [u8; 3] {
    let alpha = u16::from(own[3]);
    [0, 1, 2].map(|colour| {
        let whole = u16::from(own[colour]) * 255;
        whole.checked_div(alpha).unwrap_or(0).min(255) as u8
    })
}

/// As Pillow's `cmyk2rgb`, with its rounding of a product by 255.
fn from_cmyk(own: &[u8]) -> [u8; 3] {
    let light = u32::from(255 - own[3]);
    [0, 1, 2].map(|colour| {
        let product = u32::from(own[colour]) * light + 128;
        let dark = ((product >> 8) + product) >> 8;
        light.saturating_sub(dark) as u8
    })
}

/// The conversion of JFIF, with which libjpeg unpacks the YCbCr of a TIFF file.
fn from_ycbcr(own: &[u8]) -> [u8; 3] {
    let y = f32::from(own[0]);
    let (blue, red) = (f32::from(own[1]) - 128.0, f32::from(own[2]) - 128.0);
    [
        y + 1.402 * red,
        y - 0.344_136 * blue - 0.714_136 * red,
        y + 1.772 * blue,
    ]
    // Out of range is cut off.
    .map(|value| value.round() as u8)
}
