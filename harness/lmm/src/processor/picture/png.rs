//! The chunks of a PNG: its missing end, and its EXIF and XMP data.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::ZlibDecoder;

/// The signature of the file.
const SIGNATURE: usize = 8;

/// The chunk at the end, with its checksum.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82];

/// The most that a compressed text is unpacked to: Pillow's limit.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// The place of the colour type in the file.
const COLOUR_TYPE: usize = 25;

/// Type and content of each whole chunk.
struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.bytes.get(self.at..self.at + 8)?;
        let (length, kind) = header.split_at(4);
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        let content = self.bytes.get(self.at + 8..)?.get(..length)?;
        // The checksum.
        self.at += 12 + length;
        Some((kind, content))
    }
}

fn chunks(bytes: &[u8]) -> Chunks<'_> {
    Chunks {
        bytes,
        at: SIGNATURE,
    }
}

/// The file with an end: one whose pixels are whole but whose last chunk is missing or cut off is read by Pillow.
pub(super) fn with_end(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut chunks = chunks(bytes);
    let mut has_pixels = false;
    let mut end = SIGNATURE;
    while let Some((kind, _)) = chunks.next() {
        match kind {
            b"IEND" => return Cow::Borrowed(bytes),
            b"IDAT" => has_pixels = true,
            _ => {}
        }
        end = chunks.at;
    }
    match bytes.get(end..) {
        Some(rest) if has_pixels && rest.len() < END.len() && END.starts_with(rest) => {
            Cow::Owned([&bytes[..end], &END].concat())
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// The colour that is transparent, in the values of the picture in RGB. Of a palette with several transparent entries, or with one that
/// is so in part, none.
///
/// As Pillow keeps it through `convert("RGB")`: the low bytes of a colour; a grey as itself, but of one and of 16 bits as its
/// amount of red alone.
pub(super) fn transparent(bytes: &[u8]) -> Option<[u8; 3]> {
    let before = || chunks(bytes).take_while(|(kind, _)| *kind != b"IDAT");
    let content = |wanted: &[u8]| Some(before().filter(|(kind, _)| *kind == wanted).last()?.1);
    let key = content(b"tRNS")?;
    let value = |at: usize| Some(u16::from_be_bytes(key.get(at..at + 2)?.try_into().ok()?));
    match (bytes.get(COLOUR_TYPE)?, bytes.get(COLOUR_TYPE - 1)?) {
        (0, 1) => Some([if value(0)? == 0 { 0 } else { 255 }, 0, 0]),
        (0, 16) => Some([value(0)? as u8, 0, 0]),
        (0, _) => Some([value(0)?.min(255) as u8; 3]),
        (2, _) => Some([value(0)? as u8, value(2)? as u8, value(4)? as u8]),
        (3, _) => {
            let mut opaque = key.iter().enumerate().filter(|(_, alpha)| **alpha != 255);
            let (Some((entry, 0)), None) = (opaque.next(), opaque.next()) else {
                return None;
            };
            let palette = content(b"PLTE").unwrap_or_default();
            let colour = palette.chunks_exact(3).nth(entry);
            Some(colour.map_or([0; 3], |colour| [colour[0], colour[1], colour[2]]))
        }
        _ => None,
    }
}

/// Whether the pixels are grey without alpha samples; a transparent colour beside them does not count.
pub(super) fn is_grey(bytes: &[u8]) -> bool {
    bytes.get(COLOUR_TYPE) == Some(&0)
}

/// The EXIF data, from its own chunk or from a text, and the XMP data; of several, the last.
pub(super) fn exif_and_xmp(bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut exif, mut profile, mut xmp) = (None, None, None);
    for (kind, content) in chunks(bytes).take_while(|(kind, _)| *kind != b"IEND") {
        if kind == b"eXIf" {
            exif = Some(content.to_vec());
        } else if let Some((keyword, text)) = text(kind, content) {
            match keyword {
                b"exif" if kind == b"tEXt" => exif = Some(text),
                b"Raw profile type exif" => profile = Some(text),
                b"XML:com.adobe.xmp" => xmp = Some(text),
                _ => {}
            }
        }
    }
    (exif.or_else(|| hexadecimal(&profile?)), xmp)
}

/// Keyword and text of a chunk of text.
fn text<'a>(kind: &[u8], content: &'a [u8]) -> Option<(&'a [u8], Vec<u8>)> {
    let (keyword, rest) = split(content)?;
    let text = match kind {
        b"tEXt" => rest.to_vec(),
        b"zTXt" => unpacked(rest.get(1..)?)?,
        b"iTXt" => {
            let (flags, rest) = rest.split_at_checked(2)?;
            // Language, and the keyword in it.
            let (_, rest) = split(rest)?;
            let (_, text) = split(rest)?;
            match flags {
                [0, _] => text.to_vec(),
                [_, 0] => unpacked(text)?,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some((keyword, text))
}

/// What stands before the first zero, and after it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..zero], &bytes[zero + 1..]))
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut reader = ZlibDecoder::new(bytes).take(MAX_TEXT_BYTES);
    reader.read_to_end(&mut text).ok()?;
    Some(text)
}

/// What `ImageMagick` writes: after three lines (empty, the name, the length), the bytes in hexadecimal.
fn hexadecimal(profile: &[u8]) -> Option<Vec<u8>> {
    let lines = profile.split(|&byte| byte == b'\n').skip(3);
    let digits: Option<Vec<u8>> = lines
        .flatten()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|&byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}
