//! Which character stands on which patch: the targets of a dense auxiliary loss on a vision tower.
//!
//! Class 0 is the background; every other class is one character as it is drawn. Characters of different scripts whose
//! outlines are the same in every face (Latin `o`, Greek `ο`, Cyrillic `о`) are one class, since no picture of one glyph tells
//! them apart; the joined forms of an Arabic letter are one class, since they are one letter.
//!
//! The table is part of what a trained head means. New classes go to its end, and any change raises [`CLASSES_VERSION`].

use std::collections::HashMap;
use std::sync::LazyLock;

use super::boxes::centre;
use super::colours::NAMED;
use super::{CANVAS, Feature, FeatureBox, RenderError, Rendered};
use crate::item::PixelBox;

/// The version of the table of classes, to be kept with a head that was trained on it.
pub const CLASSES_VERSION: u32 = 1;

/// The class of a patch on which no character stands.
pub const BACKGROUND: u8 = 0;

/// The characters of each class from 1 on: digits and points, Latin, Greek, Cyrillic, Arabic.
const CLASSES: [&str; 84] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", ".", ":", // up to 12
    "aа", "b", "d", "eе", "f", "g", "k", "l", "m", "n", "oοо", "pр", // up to 24
    "r", "s", "t", "u", "v", "z", "å", "ç", "é", "ñ", "ö", "š", // up to 36
    "ü", "ž", "α", "β", "γ", "δ", "ε", "η", "ι", "κ", "λ", "μ", // up to 48
    "ν", "π", "ρ", "σ", "ς", "τ", "υ", "φ", "ω", "б", "в", "г", // up to 60
    "д", "ж", "и", "к", "л", "м", "н", "п", "т", "у", "ш", "я", // up to 72
    "ا", "ب", "د", "ر", "س", "ع", "ف", "ك", "ل", "م", "و", "ي", // up to 84
];

/// Number of classes, the background included: the width of a head that tells them apart.
pub const CLASS_COUNT: usize = CLASSES.len() + 1;

/// The class of a character, in 1..[`CLASS_COUNT`]; `None` for one that the renderer never draws.
pub fn class_of(character: char) -> Option<u8> {
    static CLASS_OF: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
        let numbered = (1..).zip(CLASSES);
        numbered
            .flat_map(|(class, characters)| characters.chars().map(move |each| (each, class)))
            .collect()
    });
    CLASS_OF.get(&character).copied()
}

/// The characters of a class that look the same as drawn, Latin first; `None` for the background and past the end.
pub fn class_characters(class: u8) -> Option<&'static str> {
    let index = usize::from(class).checked_sub(1)?;
    CLASSES.get(index).copied()
}

/// Number of colours and of kinds of things, none included.
pub const COLOUR_COUNT: usize = NAMED.len() + 1;
/// Four marks and six forms, none included.
pub const KIND_COUNT: usize = 11;

/// What stands on each square patch of a picture, row by row: `[CANVAS / patch, CANVAS / patch]` each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchClasses {
    /// The character's class, in 0..[`CLASS_COUNT`].
    pub character: Vec<u8>,
    /// That of the next character of its word, [`BACKGROUND`] where the word ends and without a character.
    pub next: Vec<u8>,
    /// That of the character before, [`BACKGROUND`] where the word begins and without a character.
    pub previous: Vec<u8>,
    /// The named colour of what stands there, from 1 on, in 0..[`COLOUR_COUNT`].
    pub colour: Vec<u8>,
    /// The mark or form of what stands there, from 1 on, in 0..[`KIND_COUNT`].
    pub kind: Vec<u8>,
}

/// What stands on each square patch of `patch` pixels a side.
///
/// A character stands on a patch when its box covers the patch's centre or has its own centre in the patch, so that even
/// a point is seen by one patch. Of several characters the one with the nearer centre counts, then the one drawn first.
/// A feature stands on the patches whose centres its box covers; the one drawn last counts.
///
/// # Errors
/// [`RenderError::PatchSize`] when such patches do not tile the picture, [`RenderError::NoClass`] for a character that the
/// renderer never draws (an item not made by [`super::render`]).
pub fn patch_classes(item: &Rendered, patch: u32) -> Result<PatchClasses, RenderError> {
    let glyphs = patch_glyphs(item, patch)?;
    let class = |index: usize| -> Result<u8, RenderError> {
        let character = item.glyphs[index].character;
        class_of(character).ok_or(RenderError::NoClass(character))
    };
    let none = vec![BACKGROUND; glyphs.len()];
    let mut classes = PatchClasses {
        character: none.clone(),
        next: none.clone(),
        previous: none.clone(),
        colour: none.clone(),
        kind: none,
    };
    for (place, glyph) in glyphs.into_iter().enumerate() {
        let Some(glyph) = glyph else { continue };
        classes.character[place] = class(glyph)?;
        if !item.glyphs[glyph].ends_word {
            classes.next[place] = class(glyph + 1)?;
        }
        if glyph > 0 && !item.glyphs[glyph - 1].ends_word {
            classes.previous[place] = class(glyph - 1)?;
        }
    }
    let side = patch as f32;
    let patches = CANVAS / patch;
    for FeatureBox { feature, bounds } in &item.features {
        let (map, class) = match feature {
            Feature::Colour(number) => (&mut classes.colour, number + 1),
            Feature::Kind(number) => (&mut classes.kind, number + 1),
        };
        for row in touched(bounds.top, bounds.bottom, side, patches) {
            for column in touched(bounds.left, bounds.right, side, patches) {
                let middle = ((column as f32 + 0.5) * side, (row as f32 + 0.5) * side);
                if covers(*bounds, middle) {
                    map[(row * patches + column) as usize] = class;
                }
            }
        }
    }
    Ok(classes)
}

/// The number of the character on each patch.
fn patch_glyphs(item: &Rendered, patch: u32) -> Result<Vec<Option<usize>>, RenderError> {
    if !CANVAS.is_multiple_of(patch) {
        return Err(RenderError::PatchSize(patch));
    }
    let patches = CANVAS / patch;
    let side = patch as f32;
    let mut glyphs = vec![None; (patches * patches) as usize];
    let mut nearest = vec![f32::INFINITY; glyphs.len()];
    for (number, glyph) in item.glyphs.iter().enumerate() {
        let (x, y) = centre(glyph.bounds);
        for row in touched(glyph.bounds.top, glyph.bounds.bottom, side, patches) {
            for column in touched(glyph.bounds.left, glyph.bounds.right, side, patches) {
                let (left, top) = (column as f32 * side, row as f32 * side);
                let middle = (left + side / 2.0, top + side / 2.0);
                let whole = PixelBox {
                    left,
                    top,
                    right: left + side,
                    bottom: top + side,
                };
                let stands = covers(glyph.bounds, middle) || covers(whole, (x, y));
                let distance = (x - middle.0).powi(2) + (y - middle.1).powi(2);
                let index = (row * patches + column) as usize;
                if stands && distance < nearest[index] {
                    (glyphs[index], nearest[index]) = (Some(number), distance);
                }
            }
        }
    }
    Ok(glyphs)
}

/// The patches along one axis that a stretch of pixels touches.
fn touched(from: f32, to: f32, side: f32, patches: u32) -> std::ops::Range<u32> {
    let first = (from.max(0.0) / side) as u32;
    let end = (to.max(0.0) / side).ceil() as u32;
    first..end.min(patches)
}

/// Whether a point lies in a box (right and bottom exclusive).
fn covers(bounds: PixelBox, (x, y): (f32, f32)) -> bool {
    bounds.left <= x && x < bounds.right && bounds.top <= y && y < bounds.bottom
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashSet};

    use super::super::text::{Style, set};
    use super::super::words::Alphabet;
    use super::super::{GlyphBox, Split, Task, VERSION, render};
    use super::*;

    /// What [`class_characters`] lists, in order.
    fn table() -> Vec<&'static str> {
        (1..=u8::MAX).map_while(class_characters).collect()
    }

    #[test]
    fn the_table_numbers_each_character_once_and_does_not_move() {
        let mut seen = HashSet::new();
        for (class, characters) in (1..).zip(table()) {
            for character in characters.chars() {
                assert!(seen.insert(character), "{character} stands twice");
                assert_eq!(class_of(character), Some(class));
            }
        }
        assert_eq!((table().len() + 1, class_of('q')), (CLASS_COUNT, None));
        assert_eq!(class_characters(BACKGROUND), None);
        // A few of version 1; a head trained on it relies on them.
        let held = [
            ('0', 1),
            ('9', 10),
            ('a', 13),
            ('z', 30),
            ('ž', 38),
            ('ω', 57),
            ('я', 72),
            ('ي', 84),
        ];
        assert_eq!(CLASSES_VERSION, 1);
        for (character, class) in held {
            assert_eq!(class_of(character), Some(class), "{character}");
        }
    }

    #[test]
    fn every_class_is_drawn_and_every_drawn_character_has_a_class() {
        let mut drawn = BTreeSet::new();
        for task in Task::ALL {
            for index in 0..800 {
                let item = render(task, Split::Train, VERSION, index).unwrap();
                drawn.extend(item.glyphs.iter().map(|glyph| glyph.character));
            }
        }
        let known = table().concat().chars().collect::<BTreeSet<_>>();
        assert_eq!(drawn, known);
        for alphabet in Alphabet::ALL {
            assert!(
                alphabet
                    .letters()
                    .chars()
                    .all(|letter| known.contains(&letter))
            );
        }
    }

    /// Arabic apart, whose letters have no shape of their own outside a word.
    #[test]
    fn characters_share_a_class_exactly_when_they_are_drawn_alike_in_every_face() {
        let unjoined = Alphabet::ALL
            .into_iter()
            .filter(|alphabet| *alphabet != Alphabet::Arabic);
        let letters = unjoined
            .flat_map(|alphabet| {
                let letters = alphabet.letters().chars().collect::<Vec<_>>();
                letters
                    .into_iter()
                    .map(move |letter| (letter, alphabet.script()))
            })
            .collect::<BTreeMap<_, _>>();
        let drawn = letters.iter().map(|(letter, script)| {
            let faces = script.faces().iter().map(|font| {
                let style = Style {
                    font: *font,
                    script: *script,
                    capital: 11.5,
                };
                let lettering = set(&letter.to_string(), style).unwrap();
                (lettering.width, lettering.baseline, lettering.coverage)
            });
            (*letter, faces.collect::<Vec<_>>())
        });
        let drawn = drawn.collect::<Vec<_>>();
        for (first, shapes) in &drawn {
            for (second, others) in &drawn {
                let together = class_of(*first) == class_of(*second);
                assert_eq!(shapes == others, together, "{first} {second}");
            }
        }
    }

    fn item(glyphs: &[(char, [f32; 4])]) -> Rendered {
        let mut item = render(Task::General, Split::Train, VERSION, 0).unwrap();
        item.features.clear();
        item.glyphs = glyphs
            .iter()
            .map(|(character, [left, top, right, bottom])| GlyphBox {
                character: *character,
                ends_word: true,
                bounds: PixelBox {
                    left: *left,
                    top: *top,
                    right: *right,
                    bottom: *bottom,
                },
            })
            .collect();
        item
    }

    #[test]
    fn a_patch_takes_what_covers_or_centres_in_it_and_the_nearer_of_two() {
        let drawn = item(&[
            ('a', [4.0, 4.0, 13.0, 13.0]),
            // Too small to cover a patch's centre.
            ('.', [22.0, 1.0, 24.0, 3.0]),
            ('k', [32.0, 0.0, 41.0, 8.0]),
            ('o', [35.0, 0.0, 41.0, 8.0]),
        ]);
        let classes = patch_classes(&drawn, 8).unwrap().character;
        let class = |character| class_of(character).unwrap();
        let expected = [
            ((0, 0), class('a')),
            ((1, 1), class('a')),
            ((0, 2), class('.')),
            ((0, 3), BACKGROUND),
            // The centre of the patch is at 36, of `k` at 36.5, of `o` at 38.
            ((0, 4), class('k')),
            ((0, 5), BACKGROUND),
        ];
        for ((row, column), class) in expected {
            assert_eq!(
                classes[row * 16 + column],
                class,
                "row {row}, column {column}"
            );
        }
        assert_eq!(
            classes.iter().filter(|class| **class != BACKGROUND).count(),
            6
        );
    }

    /// Against the definition, patch by patch over all characters.
    #[test]
    fn patches_of_drawn_items_follow_the_definition() {
        for task in Task::ALL {
            for (index, patch) in [(0, 4), (1, 8), (2, 16), (3, 8), (4, 4)] {
                let item = render(task, Split::Test, VERSION, index).unwrap();
                let classes = patch_classes(&item, patch).unwrap().character;
                let (side, count) = (patch as f32, (CANVAS / patch) as usize);
                assert_eq!(classes.len(), count * count);
                for (place, class) in classes.into_iter().enumerate() {
                    let (left, top) =
                        ((place % count) as f32 * side, (place / count) as f32 * side);
                    let middle = (left + side / 2.0, top + side / 2.0);
                    let whole = PixelBox {
                        left,
                        top,
                        right: left + side,
                        bottom: top + side,
                    };
                    let away = |glyph: &&GlyphBox| {
                        let (x, y) = centre(glyph.bounds);
                        (x - middle.0).powi(2) + (y - middle.1).powi(2)
                    };
                    let nearest = item
                        .glyphs
                        .iter()
                        .filter(|glyph| {
                            covers(glyph.bounds, middle) || covers(whole, centre(glyph.bounds))
                        })
                        .min_by(|first, second| away(first).total_cmp(&away(second)));
                    let expected =
                        nearest.map_or(BACKGROUND, |glyph| class_of(glyph.character).unwrap());
                    assert_eq!(
                        class, expected,
                        "{task} {index}, patch {place} of {patch} pixels"
                    );
                }
            }
        }
    }

    #[test]
    fn neighbours_in_a_word_and_features_are_told() {
        let mut drawn = item(&[
            ('k', [0.0, 0.0, 8.0, 8.0]),
            ('o', [8.0, 0.0, 16.0, 8.0]),
            ('d', [40.0, 0.0, 48.0, 8.0]),
        ]);
        drawn.glyphs[0].ends_word = false;
        let around = PixelBox {
            left: 0.0,
            top: 0.0,
            right: 16.0,
            bottom: 8.0,
        };
        for feature in [Feature::Colour(2), Feature::Kind(9)] {
            drawn.features.push(FeatureBox {
                feature,
                bounds: around,
            });
        }
        let classes = patch_classes(&drawn, 8).unwrap();
        let class = |character| class_of(character).unwrap();
        assert_eq!(classes.next[..6], [class('o'), 0, 0, 0, 0, 0]);
        assert_eq!(classes.previous[..6], [0, class('k'), 0, 0, 0, 0]);
        assert_eq!(
            (&classes.colour[..3], &classes.kind[..3]),
            (&[3, 3, 0][..], &[10, 10, 0][..])
        );
    }

    #[test]
    fn features_have_their_classes() {
        let (mut colours, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        for task in Task::ALL {
            for index in 0..200 {
                let item = render(task, Split::Train, VERSION, index).unwrap();
                let classes = patch_classes(&item, 8).unwrap();
                colours.extend(classes.colour);
                kinds.extend(classes.kind);
            }
        }
        assert!(colours.into_iter().eq(0..COLOUR_COUNT as u8));
        assert!(kinds.into_iter().eq(0..KIND_COUNT as u8));
    }

    #[test]
    fn patches_that_do_not_tile_and_characters_without_a_class_are_refused() {
        for patch in [0, 5, 256] {
            let message = patch_classes(&item(&[]), patch).unwrap_err().to_string();
            assert!(message.contains(&format!("{patch} pixels")), "{message}");
        }
        let stray = item(&[('q', [0.0, 0.0, 9.0, 9.0])]);
        assert!(
            patch_classes(&stray, 8)
                .unwrap_err()
                .to_string()
                .contains("'q'")
        );
    }
}
