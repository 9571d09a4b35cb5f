//! The segments of a JPEG: whether it ends, and the EXIF and XMP data before its pixels.

/// The marker of the end of the picture.
const END: u8 = 0xd9;

/// The marker before the pixels.
const SCAN: u8 = 0xda;

/// The marker of EXIF and XMP data.
const APPLICATION_1: u8 = 0xe1;

/// What XMP data begins with.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// The segments by their lengths: marker and content. In entropy-coded data a marker is 0xFF followed by neither 0 (an
/// escape), another 0xFF (filling) nor a restart marker.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(&[first, marker]) = self.bytes.get(self.at..self.at + 2) {
            match (first, marker) {
                (0xff, END) => {
                    self.at += 2;
                    return Some((END, &[]));
                }
                (0xff, 0x02..=0xcf | SCAN..=0xfe) => {
                    let &[high, low] = self.bytes.get(self.at + 2..self.at + 4)? else {
                        return None;
                    };
                    let start = self.at + 4;
                    self.at += 2 + usize::from(u16::from_be_bytes([high, low]));
                    return Some((marker, self.bytes.get(start..self.at).unwrap_or_default()));
                }
                _ => self.at += 1,
            }
        }
        None
    }
}

fn segments(bytes: &[u8]) -> Segments<'_> {
    Segments { bytes, at: 2 }
}

/// Whether a JPEG has its end marker: the decoder fills what is missing with grey, where Pillow refuses the file. A thumbnail
/// inside a segment has an end marker of its own.
pub(super) fn ends(bytes: &[u8]) -> bool {
    segments(bytes).any(|(marker, _)| marker == END)
}

/// The EXIF data, of all segments of it together, and the last XMP data.
pub(super) fn exif_and_xmp(bytes: &[u8]) -> (Option<Vec<u8>>, Option<&[u8]>) {
    let mut exif: Option<Vec<u8>> = None;
    let mut xmp = None;
    let header = segments(bytes).take_while(|(marker, _)| *marker != SCAN);
    for (_, data) in header.filter(|(marker, _)| *marker == APPLICATION_1) {
        if let Some(part) = data.strip_prefix(b"Exif\0\0") {
            exif.get_or_insert_default().extend_from_slice(part);
        } else if let Some(part) = data.strip_prefix(XMP) {
            xmp = Some(part);
        }
    }
    (exif, xmp)
}
