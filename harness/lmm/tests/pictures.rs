//! Picture files of many kinds, read as Pillow 13 reads them or refused by what they are: `fixtures/make_pictures.py` makes them.
//!
//! `RAVE_PICTURES=DIR` reads the folders in DIR too, as `make_pictures.py --further DIR` writes them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rave_lmm::decode;
use serde::Deserialize;

/// Files that are refused, and a part of the reason.
const REFUSED: [(&str, &str); 11] = [
    ("cut.gif", "fetch it again"),
    ("cut_pixels.png", "fetch it again"),
    ("refused_16.bmp", "a BMP file of 16 bits"),
    ("refused_fax_3.tif", "Fax3"),
    ("refused_float_64.tif", "Gray(64)"),
    ("refused_lab.tif", "CIELab"),
    ("refused_lzma.tif", "34925"),
    ("refused_planes_16.tif", "planes of 16 bits"),
    ("refused_reversed_bits.tif", "bits in reverse order"),
    ("refused_ycbcr.tif", "YCbCr"),
    ("refused_zstd.tif", "ZSTD"),
];

/// What Pillow gives, or the error that it raises.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Read {
        width: u32,
        height: u32,
        rgb: String,
    },
    Refused {
        error: String,
    },
}

fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reading");
    let further = std::env::var_os("RAVE_PICTURES").map(|folder| {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path())
    });
    std::iter::once(own)
        .chain(further.into_iter().flatten())
        .collect()
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap();
    (0..hexadecimal.len()).step_by(2).map(digits).collect()
}

#[test]
fn every_kind_of_file_is_read_as_pillow_reads_it_or_refused_by_name() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for folder in folders() {
        let expected = fs::read(folder.join("expected.json")).unwrap();
        let expected: BTreeMap<String, Expected> = serde_json::from_slice(&expected).unwrap();
        assert_eq!(expected.len() + 1, fs::read_dir(&folder).unwrap().count());
        for (name, expected) in expected {
            count += 1;
            let picture = decode(&fs::read(folder.join(&name)).unwrap(), &name);
            let refusal = REFUSED.iter().find(|(refused, _)| *refused == name);
            match (picture, refusal, expected) {
                (Err(error), Some((_, reason)), _) => {
                    let message = error.with_hint();
                    if !message.contains(reason) || !message.contains("convert it to PNG") {
                        wrong.push(message);
                    }
                }
                (Ok(picture), None, Expected::Read { width, height, rgb }) => {
                    let rgb = bytes(&rgb);
                    // JPEG decoders round differently; everything else is exact.
                    let is_jpeg = name.contains(".jpg") || name.contains("jpeg");
                    let allowed = if is_jpeg { 2 } else { 0 };
                    let pairs = picture.as_raw().iter().zip(&rgb);
                    let difference = pairs.map(|(own, right)| own.abs_diff(*right)).max();
                    if picture.dimensions() != (width, height) || difference > Some(allowed) {
                        let size = picture.dimensions();
                        wrong.push(format!("{name}: {size:?}, off by {difference:?}"));
                    }
                }
                (Ok(_), Some(_), _) => wrong.push(format!("{name} is read")),
                (Ok(_), None, Expected::Refused { error }) => {
                    wrong.push(format!("{name} is read, and Pillow raises {error}"));
                }
                (Err(error), None, _) => wrong.push(error.with_hint()),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 150, "{count}");
}
