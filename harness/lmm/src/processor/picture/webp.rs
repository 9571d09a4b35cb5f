//! The chunks of a WebP file: its EXIF and XMP data.

/// The bits of the header that say that there is EXIF and XMP data; without them the chunks do not count.
const HAS_EXIF: u8 = 1 << 3;
const HAS_XMP: u8 = 1 << 2;

/// The EXIF and the XMP data; of several, the first.
pub(super) fn exif_and_xmp(bytes: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let mut chunks = Chunks { bytes, at: 12 };
    let Some((b"VP8X", &[flags, ..])) = chunks.next() else {
        return (None, None);
    };
    let (mut exif, mut xmp) = (None, None);
    for (kind, content) in chunks {
        match kind {
            b"EXIF" if flags & HAS_EXIF != 0 => exif = exif.or(Some(content)),
            b"XMP " if flags & HAS_XMP != 0 => xmp = xmp.or(Some(content)),
            _ => {}
        }
    }
    (exif, xmp)
}

/// Name and content of each whole chunk.
struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.bytes.get(self.at..self.at + 8)?;
        let (kind, length) = header.split_at(4);
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let content = self.bytes.get(self.at + 8..)?.get(..length)?;
        self.at += 8 + length.next_multiple_of(2);
        Some((kind, content))
    }
}
