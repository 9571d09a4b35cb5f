//! Colours with names that a question can use, and readable pairs of ink and paper.

use rand::Rng;
use rand::seq::IndexedRandom as _;

use super::canvas::Colour;
use super::{Feature, FeatureBox, Random};
use crate::item::PixelBox;

/// A colour that a question may name, in a shade for light and one for dark backgrounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// The word for it.
    pub(super) name: &'static str,
    /// The shade that stands out on light paper.
    pub(super) on_light: Colour,
    /// The shade that stands out on dark paper.
    pub(super) on_dark: Colour,
}

impl Named {
    /// That something of this colour stands in a box.
    pub(super) fn feature(self, bounds: PixelBox) -> FeatureBox {
        let number = NAMED.iter().position(|named| *named == self).unwrap_or(0);
        FeatureBox {
            feature: Feature::Colour(number as u8),
            bounds,
        }
    }

    /// The shade for a background.
    pub(super) fn shade(self, dark_background: bool) -> Colour {
        if dark_background {
            self.on_dark
        } else {
            self.on_light
        }
    }
}

/// The named colours, far apart in hue for normal sight.
pub(super) const NAMED: [Named; 5] = [
    Named {
        name: "red",
        on_light: image::Rgb([196, 16, 24]),
        on_dark: image::Rgb([255, 92, 92]),
    },
    Named {
        name: "green",
        on_light: image::Rgb([0, 112, 40]),
        on_dark: image::Rgb([96, 224, 112]),
    },
    Named {
        name: "blue",
        on_light: image::Rgb([20, 56, 200]),
        on_dark: image::Rgb([116, 172, 255]),
    },
    Named {
        name: "purple",
        on_light: image::Rgb([140, 24, 156]),
        on_dark: image::Rgb([226, 130, 246]),
    },
    Named {
        name: "orange",
        on_light: image::Rgb([196, 92, 0]),
        on_dark: image::Rgb([255, 168, 56]),
    },
];

/// Paper and the ink that is read on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paper {
    /// Colour of the background.
    pub(super) background: Colour,
    /// Colour of plain text.
    pub(super) ink: Colour,
    /// Colour of rules and grids: visible, but no rival of the ink.
    pub(super) rule: Colour,
    /// Whether the background is the darker of the two.
    pub(super) dark: bool,
}

/// Draws a pair of paper and ink; one in five is light on dark.
pub(super) fn paper(rng: &mut Random) -> Paper {
    let dark = rng.random_bool(0.2);
    let mut shade =
        |low: u8, high: u8| image::Rgb([0; 3].map(|_: u8| rng.random_range(low..=high)));
    if dark {
        Paper {
            background: shade(16, 48),
            ink: shade(225, 255),
            rule: shade(84, 104),
            dark,
        }
    } else {
        Paper {
            background: shade(232, 255),
            ink: shade(0, 48),
            rule: shade(168, 192),
            dark,
        }
    }
}

/// Distinct named colours in random order.
pub(super) fn several(rng: &mut Random, count: usize) -> Vec<Named> {
    NAMED.choose_multiple(rng, count).copied().collect()
}

#[cfg(test)]
/// Brightness as the eye weighs it (Rec. 601), 0 to 255.
pub(super) fn brightness(colour: Colour) -> f32 {
    let [red, green, blue] = colour.0.map(f32::from);
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn ink_and_named_colours_stand_out_from_the_paper() {
        let mut rng = Random::seed_from_u64(1);
        for _ in 0..200 {
            let paper = paper(&mut rng);
            let background = brightness(paper.background);
            assert!((brightness(paper.ink) - background).abs() > 150.0);
            for named in NAMED {
                let contrast = (brightness(named.shade(paper.dark)) - background).abs();
                assert!(contrast > 80.0, "{} {contrast}", named.name);
            }
        }
    }
}
