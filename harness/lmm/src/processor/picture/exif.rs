//! Which way up a picture is: the orientation in its EXIF or XMP data, found as Pillow finds it.
//!
//! Source: Pillow 13 `Image.getexif`, `TiffImagePlugin.ImageFileDirectory_v2.load` and `ImageOps.exif_transpose`, which the
//! `load_image` of `transformers` and the `Image` of `datasets` call.
//!
//! Deviation: where Pillow raises on EXIF data that is none (a wrong byte order in a PNG), the picture stays as it is stored.

/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;

/// The tag of XMP data in a TIFF file.
const XMP: u16 = 700;

/// What the EXIF data of a JPEG or WebP may begin with, once or twice.
const PREFIX: &[u8] = b"Exif\0\0";

/// One entry of a directory of tags.
pub(super) struct Entry<'a> {
    pub(super) tag: u16,
    /// Number of the type of its values.
    kind: u16,
    /// Its values.
    pub(super) data: &'a [u8],
}

/// The first directory of tags of a TIFF file, which EXIF data is too.
pub(super) struct Directory<'a> {
    pub(super) little_endian: bool,
    entries: Vec<Entry<'a>>,
}

/// Reads numbers of a byte order.
struct Reader<'a> {
    bytes: &'a [u8],
    little_endian: bool,
}

impl<'a> Reader<'a> {
    fn slice(&self, at: u64, length: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(at).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        self.bytes.get(start..end)
    }

    /// An unsigned number of up to eight bytes.
    fn number(&self, at: u64, length: u64) -> Option<u64> {
        Some(unsigned(self.slice(at, length)?, self.little_endian))
    }
}

fn unsigned(bytes: &[u8], little_endian: bool) -> u64 {
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if little_endian {
        bytes.iter().rev().fold(0, join)
    } else {
        bytes.iter().fold(0, join)
    }
}

impl<'a> Directory<'a> {
    /// Reads what can be read; `None` for a header that is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (little_endian, big_tiff) = match bytes.get(..4)? {
            b"II\x2a\0" | b"II\0\x2a" => (true, false),
            b"MM\0\x2a" | b"MM\x2a\0" => (false, false),
            b"II\x2b\0" => (true, true),
            b"MM\0\x2b" => (false, true),
            _ => return None,
        };
        let reader = Reader {
            bytes,
            little_endian,
        };
        let start = if big_tiff {
            reader.number(8, 8)?
        } else {
            reader.number(4, 4)?
        };
        Some(Self {
            little_endian,
            entries: entries(&reader, start, big_tiff),
        })
    }

    pub(super) fn find(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The first value of a tag as a number, where its type is one of numbers.
    pub(super) fn number(&self, tag: u16) -> Option<f64> {
        let Entry { kind, data, .. } = self.find(tag)?;
        let first = |length: usize| data.get(..length);
        let whole = |length: usize| Some(unsigned(first(length)?, self.little_endian));
        Some(match kind {
            3 => whole(2)? as f64,
            4 | 13 => whole(4)? as f64,
            5 => whole(4)? as f64 / unsigned(data.get(4..8)?, self.little_endian) as f64,
            6 => f64::from(whole(1)? as i8),
            8 => f64::from(whole(2)? as i16),
            9 => f64::from(whole(4)? as i32),
            10 => {
                let below = unsigned(data.get(4..8)?, self.little_endian);
                f64::from(whole(4)? as i32) / f64::from(below as i32)
            }
            11 => f64::from(f32::from_bits(whole(4)? as u32)),
            12 => f64::from_bits(whole(8)?),
            16 => whole(8)? as f64,
            _ => return None,
        })
    }
}

/// The entries at a place, up to the first that is cut off; of a tag that occurs twice, the first.
fn entries<'a>(reader: &Reader<'a>, start: u64, big_tiff: bool) -> Vec<Entry<'a>> {
    let (count_length, entry_length, inline) = if big_tiff { (8, 20, 8) } else { (2, 12, 4) };
    let mut found: Vec<Entry> = Vec::new();
    let Some(count) = reader.number(start, count_length) else {
        return found;
    };
    let mut far = 0_u64;
    for index in 0..count {
        let at = index
            .saturating_mul(entry_length)
            .saturating_add(start)
            .saturating_add(count_length);
        let (Some(tag), Some(kind), Some(count)) = (
            reader.number(at, 2),
            reader.number(at.saturating_add(2), 2),
            reader.number(at.saturating_add(4), inline),
        ) else {
            break;
        };
        let tag = tag as u16;
        let Some(unit) = unit(kind as u16) else {
            continue;
        };
        if found.iter().any(|entry| entry.tag == tag) {
            continue;
        }
        let size = count.saturating_mul(unit);
        let value = at.saturating_add(4).saturating_add(inline);
        let place = if size > inline {
            far = far.saturating_add(size);
            // More than the file has: this one is skipped, and the next are read.
            if far > reader.bytes.len() as u64 {
                continue;
            }
            reader.number(value, inline)
        } else {
            Some(value)
        };
        let Some(data) = place.and_then(|place| reader.slice(place, size)) else {
            break;
        };
        if !data.is_empty() {
            found.push(Entry {
                tag,
                kind: kind as u16,
                data,
            });
        }
    }
    found
}

/// Bytes of a value of a type; `None` for one that is not known.
fn unit(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 => 8,
        _ => return None,
    })
}

/// The orientation from EXIF data, or else from XMP data: 1 (upright) to 8.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> u8 {
    let mut exif = exif.unwrap_or_default();
    for _ in 0..2 {
        exif = exif.strip_prefix(PREFIX).unwrap_or(exif);
    }
    if exif.is_empty() {
        return in_xmp(xmp);
    }
    Directory::read(exif).map_or(1, |directory| in_directory(&directory, xmp))
}

/// The orientation of a TIFF file, from its own tags.
pub(super) fn of_tiff(bytes: &[u8]) -> u8 {
    Directory::read(bytes).map_or(1, |directory| {
        let xmp = directory.find(XMP).map(|entry| entry.data);
        in_directory(&directory, xmp)
    })
}

/// A tag that is there counts, whatever it holds: then XMP is not asked.
fn in_directory(directory: &Directory, xmp: Option<&[u8]>) -> u8 {
    if directory.find(ORIENTATION).is_none() {
        return in_xmp(xmp);
    }
    let value = directory.number(ORIENTATION);
    (2..=8)
        .find(|&known| value == Some(f64::from(known)))
        .unwrap_or(1)
}

/// The first `tiff:Orientation="N"` or `<tiff:Orientation>N`.
fn in_xmp(xmp: Option<&[u8]>) -> u8 {
    const NAME: &[u8] = b"tiff:Orientation";
    let xmp = xmp.unwrap_or_default();
    let digit = (0..xmp.len()).find_map(|at| {
        let after = xmp[at..].strip_prefix(NAME)?;
        let value = after
            .strip_prefix(b"=\"")
            .or_else(|| after.strip_prefix(b">"))?;
        value.first().copied().filter(u8::is_ascii_digit)
    });
    match digit {
        Some(digit @ b'2'..=b'8') => digit - b'0',
        _ => 1,
    }
}
