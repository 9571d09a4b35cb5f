//! The outline fonts of the embedded suites: whole, unmodified files compiled into the program, so that a picture does
//! not depend on what the machine has installed.
//!
//! Sources and licences: `NOTICE` at the root of the repository and the `LICENSE` beside each family under
//! `benchmarks/fonts`. Changing a file changes the pictures, hence the version of the embedded suites.

use std::sync::OnceLock;

use ab_glyph::FontRef;
use rustybuzz::{Direction, ShapePlan};
use strum::IntoStaticStr;

/// One embedded font file.
#[derive(Clone, Copy)]
pub struct Font {
    /// The file's name without its extension, such as `DejaVuSans-Bold`.
    pub name: &'static str,
    /// The family, such as `DejaVu Sans`.
    pub family: &'static str,
    /// Weight on the usual scale: 400 regular, 700 bold.
    pub weight: u16,
    /// The complete file.
    pub bytes: &'static [u8],
}

/// A sans-serif face that covers Latin, Greek, Cyrillic and Arabic (`DejaVu` Sans).
pub static SANS: &[u8] = include_bytes!("../../fonts/dejavu/DejaVuSans.ttf");
/// The bold of [`SANS`].
pub static SANS_BOLD: &[u8] = include_bytes!("../../fonts/dejavu/DejaVuSans-Bold.ttf");

static FONTS: [Font; 8] = [
    Font {
        name: "DejaVuSans",
        family: "DejaVu Sans",
        weight: 400,
        bytes: SANS,
    },
    Font {
        name: "DejaVuSans-Bold",
        family: "DejaVu Sans",
        weight: 700,
        bytes: SANS_BOLD,
    },
    Font {
        name: "DejaVuSerif",
        family: "DejaVu Serif",
        weight: 400,
        bytes: include_bytes!("../../fonts/dejavu/DejaVuSerif.ttf"),
    },
    Font {
        name: "DejaVuSansMono",
        family: "DejaVu Sans Mono",
        weight: 400,
        bytes: include_bytes!("../../fonts/dejavu/DejaVuSansMono.ttf"),
    },
    Font {
        name: "LiberationSans-Regular",
        family: "Liberation Sans",
        weight: 400,
        bytes: include_bytes!("../../fonts/liberation/LiberationSans-Regular.ttf"),
    },
    Font {
        name: "LiberationSerif-Bold",
        family: "Liberation Serif",
        weight: 700,
        bytes: include_bytes!("../../fonts/liberation/LiberationSerif-Bold.ttf"),
    },
    Font {
        name: "NotoNaskhArabic-Regular",
        family: "Noto Naskh Arabic",
        weight: 400,
        bytes: include_bytes!("../../fonts/noto/NotoNaskhArabic-Regular.ttf"),
    },
    Font {
        name: "NotoNaskhArabic-Bold",
        family: "Noto Naskh Arabic",
        weight: 700,
        bytes: include_bytes!("../../fonts/noto/NotoNaskhArabic-Bold.ttf"),
    },
];

/// Every embedded font, in a fixed order.
pub fn fonts() -> &'static [Font] {
    &FONTS
}

/// A writing system, as far as shaping is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Script {
    /// Latin, with or without diacritics, and digits.
    Latin,
    /// Greek.
    Greek,
    /// Cyrillic.
    Cyrillic,
    /// Arabic: joined letters, written from right to left.
    Arabic,
}

impl Script {
    /// All scripts, in the order of the shaping plans of a face.
    pub const ALL: [Self; 4] = [Self::Latin, Self::Greek, Self::Cyrillic, Self::Arabic];

    /// The name used as the category of an `ocr` item.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The script's tag in the shaping engine.
    pub(super) fn tag(self) -> rustybuzz::Script {
        match self {
            Self::Latin => rustybuzz::script::LATIN,
            Self::Greek => rustybuzz::script::GREEK,
            Self::Cyrillic => rustybuzz::script::CYRILLIC,
            Self::Arabic => rustybuzz::script::ARABIC,
        }
    }

    /// The direction in which the script is set.
    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Arabic => Direction::RightToLeft,
            _ => Direction::LeftToRight,
        }
    }

    /// Indices into [`fonts`] of the faces that draw this script well.
    pub(super) fn faces(self) -> &'static [usize] {
        match self {
            Self::Arabic => &[0, 6, 7],
            _ => &[0, 1, 2, 3, 4, 5],
        }
    }
}

/// A font made ready for drawing: its outlines, its shaper, and one shaping plan for each script (a plan costs more to
/// build than a word costs to shape).
pub(super) struct Face {
    pub(super) outlines: FontRef<'static>,
    pub(super) shaper: rustybuzz::Face<'static>,
    plans: Vec<ShapePlan>,
    /// Height of a capital letter as a share of the em.
    pub(super) capital: f32,
}

impl Face {
    /// The shaping plan for a script.
    pub(super) fn plan(&self, script: Script) -> &ShapePlan {
        &self.plans[script as usize]
    }
}

/// The face of the font at `index` of [`fonts`].
pub(super) fn face(index: usize) -> &'static Face {
    static FACES: [OnceLock<Face>; FONTS.len()] = [const { OnceLock::new() }; FONTS.len()];
    FACES[index].get_or_init(|| {
        let bytes = FONTS[index].bytes;
        let outlines = FontRef::try_from_slice(bytes)
            .expect("an embedded font is a constant of the program and a test parses each");
        let shaper = rustybuzz::Face::from_slice(bytes, 0)
            .expect("an embedded font is a constant of the program and a test parses each");
        let plans = Script::ALL
            .map(|script| {
                ShapePlan::new(&shaper, script.direction(), Some(script.tag()), None, &[])
            })
            .into();
        // Measured, since DejaVu's tables do not say it. Noto Naskh Arabic has no Latin capitals; its letters look as
        // large as Latin ones of the same capital height at this share.
        let capital = shaper
            .glyph_index('H')
            .and_then(|glyph| shaper.glyph_bounding_box(glyph))
            .map_or(0.6, |bounds| {
                f32::from(bounds.y_max) / shaper.units_per_em() as f32
            });
        Face {
            outlines,
            shaper,
            plans,
            capital,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::words::Alphabet;

    #[test]
    fn every_font_parses_and_has_a_plausible_capital_height() {
        for index in 0..fonts().len() {
            let face = face(index);
            assert!(
                (0.4..0.9).contains(&face.capital),
                "{}: {}",
                fonts()[index].name,
                face.capital
            );
        }
    }

    #[test]
    fn every_face_covers_the_alphabets_that_it_draws() {
        for alphabet in Alphabet::ALL {
            for index in alphabet.script().faces() {
                for letter in alphabet.letters().chars() {
                    assert!(
                        face(*index).shaper.glyph_index(letter).is_some(),
                        "{} lacks {letter}",
                        fonts()[*index].name
                    );
                }
            }
        }
    }

    #[test]
    fn the_notice_names_every_family() {
        let notice =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../NOTICE")).unwrap();
        for font in fonts() {
            assert!(notice.contains(font.family), "{}", font.family);
        }
    }
}
