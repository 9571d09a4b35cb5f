//! Files that are no picture of a format that is read here, known by their first bytes, so that a refusal can name them.

use rave_hints::{Refusal, refusal};

const CONVERT: &str = "convert it to PNG";
const FETCH: &str = "fetch the picture itself";

/// What a file is, and what to do.
type Known = (&'static str, &'static str);

/// Why a file is not read, where its first bytes tell; `None` for a format that is read and for one that is not known.
pub(super) fn refused(bytes: &[u8]) -> Option<Refusal> {
    const BEGINNINGS: [(&[u8], Known); 23] = [
        (b"\0\0\0\x0cjP  \r\n\x87\n", ("a JPEG 2000 file", CONVERT)),
        (b"\xff\x4f\xff\x51", ("a JPEG 2000 codestream", CONVERT)),
        (b"\0\0\0\x0cJXL \r\n\x87\n", ("a JPEG XL file", CONVERT)),
        (b"\xff\x0a", ("a JPEG XL codestream", CONVERT)),
        (b"II\xbc", ("a JPEG XR file", CONVERT)),
        (b"%PDF", ("a PDF document", "convert its page to PNG")),
        (b"AT&TFORM", ("a DjVu document", "convert its page to PNG")),
        (b"%!PS", ("a PostScript file", CONVERT)),
        (b"\xc5\xd0\xd3\xc6", ("a PostScript file", CONVERT)),
        (b"8BPS", ("a Photoshop file", CONVERT)),
        (b"gimp xcf", ("a GIMP file", CONVERT)),
        (b"\0\0\x01\0", ("a Windows icon", CONVERT)),
        (b"icns", ("a macOS icon", CONVERT)),
        (b"DDS ", ("a DDS texture", CONVERT)),
        (b"qoif", ("a QOI file", CONVERT)),
        (b"\x76\x2f\x31\x01", ("an OpenEXR file", CONVERT)),
        (b"#?RADIANCE", ("a Radiance HDR file", CONVERT)),
        (b"SIMPLE  =", ("a FITS file", CONVERT)),
        (b"\x8aMNG", ("an MNG animation", CONVERT)),
        (
            b"\x1a\x45\xdf\xa3",
            ("a Matroska or WebM video", "take a frame of it as PNG"),
        ),
        (b"\x1f\x8b", ("a gzip archive", "unpack it")),
        (b"PK\x03\x04", ("a ZIP archive", "unpack it")),
        (
            b"version https://git-lfs",
            (
                "a Git LFS pointer",
                "fetch the file that it stands for (git lfs pull)",
            ),
        ),
    ];
    let (name, hint) = BEGINNINGS
        .iter()
        .find(|(beginning, _)| bytes.starts_with(beginning))
        .map(|(_, known)| *known)
        .or_else(|| of_media(bytes))
        .or_else(|| of_bitmap(bytes))
        .or_else(|| of_text(bytes))?;
    Some(refusal(format!("it is {name}, which is not read"), hint))
}

/// The ISO container by its brands: AVIF, HEIF or a video.
fn of_media(bytes: &[u8]) -> Option<Known> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let header = &bytes[8..length.clamp(8, bytes.len())];
    let has = |names: &[&[u8; 4]]| {
        let mut brands = header.chunks_exact(4);
        brands.any(|brand| names.iter().any(|name| brand == *name))
    };
    Some(if has(&[b"avif", b"avis"]) {
        ("an AVIF file", CONVERT)
    } else if has(&[
        b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1", b"heim",
    ]) {
        ("a HEIC file", CONVERT)
    } else {
        ("an MP4 or QuickTime video", "take a frame of it as PNG")
    })
}

/// `P1` to `P7` and white space: PBM, PGM, PPM, PAM.
fn of_bitmap(bytes: &[u8]) -> Option<Known> {
    matches!(bytes, [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace())
        .then_some(("a PPM, PGM or PBM file", CONVERT))
}

/// SVG, a web page and JSON: what a failed download leaves.
fn of_text(bytes: &[u8]) -> Option<Known> {
    /// How far the name of an SVG's first element may stand from the beginning.
    const PREFIX_BYTES: usize = 1024;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = text.trim_ascii_start();
    let beginning = text[..text.len().min(PREFIX_BYTES)].to_ascii_lowercase();
    let holds = |word: &[u8]| beginning.windows(word.len()).any(|window| window == word);
    match beginning.first()? {
        b'<' if holds(b"<svg") => Some(("an SVG drawing", CONVERT)),
        b'<' if holds(b"<!doctype html") || holds(b"<html") => Some(("a web page", FETCH)),
        b'<' if beginning.starts_with(b"<?xml") => Some(("an XML file", FETCH)),
        b'{' if holds(b"\"") => Some(("a JSON file", FETCH)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_named_with_what_to_do() {
        for (bytes, name, remedy) in [
            (&b"\0\0\0\x20ftypavif\0\0\0\0mif1avif"[..], "AVIF", CONVERT),
            (b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", "AVIF", CONVERT),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", CONVERT),
            (b"\0\0\0\x18ftypisom\0\0\0\0avc1mp41", "MP4", "a frame"),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0\0", "JPEG 2000", CONVERT),
            (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000", CONVERT),
            (b"\xff\x0a\xfa", "JPEG XL", CONVERT),
            (b"%PDF-1.7\n", "PDF", "page"),
            (b"8BPS\0\x01", "Photoshop", CONVERT),
            (b"\0\0\x01\0\x01\0", "icon", CONVERT),
            (b"P6\n2 2\n255\n", "PPM", CONVERT),
            (
                b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- a --><svg>",
                "SVG",
                CONVERT,
            ),
            (b"\n<!DOCTYPE html><html>", "web page", FETCH),
            (b"<?xml version=\"1.0\"?><Error>", "XML", FETCH),
            (b"{\"error\": \"gated\"}", "JSON", FETCH),
            (b"version https://git-lfs.github.com/spec/v1", "LFS", "pull"),
            (b"PK\x03\x04\x14", "ZIP", "unpack"),
        ] {
            let refused = refused(bytes).expect(name);
            assert!(refused.to_string().contains(name), "{name}: {refused}");
            let hint = refused.hint().unwrap_or_default();
            assert!(hint.contains(remedy), "{name}: {hint}");
        }
    }

    #[test]
    fn formats_that_are_read_are_not_among_them() {
        for bytes in [
            &b"\x89PNG\r\n\x1a\n"[..],
            b"\xff\xd8\xff\xe0",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"GIF89a",
            b"BM\0\0",
            b"II\x2a\0",
            b"MM\0\x2a",
            b"II\x2b\0",
            b"",
        ] {
            assert_eq!(refused(bytes), None);
        }
    }
}
