//! One colour and one mark a variant, everywhere and always.
//!
//! Colours: Okabe and Ito (2008), safe for the colour-blind; their yellow is darkened, since it vanishes on white.
//! Variants of the registry have fixed pairs of colour and mark, so that no two share both; any other name takes
//! its pair from a hash of the name. A variant does not change its look when others join or leave a chart.

/// Red, green, blue.
pub type Colour = (u8, u8, u8);

/// The shape of a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle, point up.
    Triangle,
    /// A square on its corner.
    Diamond,
}

const BLACK: Colour = (0x26, 0x26, 0x26);
const ORANGE: Colour = (0xE6, 0x9F, 0x00);
const SKY: Colour = (0x56, 0xB4, 0xE9);
const GREEN: Colour = (0x00, 0x9E, 0x73);
const YELLOW: Colour = (0xB8, 0xA9, 0x00);
const BLUE: Colour = (0x00, 0x72, 0xB2);
const VERMILION: Colour = (0xD5, 0x5E, 0x00);
const PURPLE: Colour = (0xCC, 0x79, 0xA7);

const COLOURS: [Colour; 8] = [BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE];
/// The colour of the line of this number, where lines are no variants.
pub(super) fn colour(number: usize) -> Colour {
    const LINES: [Colour; 8] = [BLACK, VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, YELLOW];
    LINES[number % LINES.len()]
}

const MARKS: [Mark; 4] = [Mark::Circle, Mark::Square, Mark::Triangle, Mark::Diamond];

/// The looks of the registry's variants.
static REGISTRY: [(&str, Colour, Mark); 28] = [
    ("standard", BLACK, Mark::Circle),
    ("rave", VERMILION, Mark::Circle),
    ("rave-post-rope", BLUE, Mark::Circle),
    ("rave-key-only", GREEN, Mark::Circle),
    ("rave-query-only", PURPLE, Mark::Circle),
    ("rave-gate", ORANGE, Mark::Circle),
    ("rave-scalar", SKY, Mark::Circle),
    ("rave-all-keys", YELLOW, Mark::Circle),
    ("rave-text-queries", BLUE, Mark::Square),
    ("rave-shared", GREEN, Mark::Square),
    ("rave-half-heads", PURPLE, Mark::Square),
    ("rave-rank-2", SKY, Mark::Triangle),
    ("rave-rank-4", BLUE, Mark::Triangle),
    ("rave-rank-16", VERMILION, Mark::Triangle),
    ("rave-rank-32", PURPLE, Mark::Triangle),
    ("pai", ORANGE, Mark::Square),
    ("vaf", SKY, Mark::Square),
    ("scaling-vis", YELLOW, Mark::Square),
    ("adapt-vis", GREEN, Mark::Triangle),
    ("vis-sink", YELLOW, Mark::Triangle),
    ("fastv-25", BLACK, Mark::Triangle),
    ("fastv-50", ORANGE, Mark::Triangle),
    ("fastv-75", BLACK, Mark::Diamond),
    ("gated-head", BLUE, Mark::Diamond),
    ("gated-element", SKY, Mark::Diamond),
    ("softmax-off-by-one", GREEN, Mark::Diamond),
    ("learned-sink", PURPLE, Mark::Diamond),
    ("dape", ORANGE, Mark::Diamond),
];

/// The colour and mark of a variant.
pub fn look(variant: &str) -> (Colour, Mark) {
    if let Some((_, colour, mark)) = REGISTRY.iter().find(|(id, ..)| *id == variant) {
        return (*colour, *mark);
    }
    // FNV-1a: short, and the same on every machine and in every version.
    let hash = variant
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // Black is the baseline's.
    let colour = COLOURS[1 + (hash % 7) as usize];
    (colour, MARKS[(hash / 7 % 4) as usize])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_variants_of_the_registry_look_alike() {
        let looks: HashSet<_> = REGISTRY
            .iter()
            .map(|(_, colour, mark)| (colour, mark))
            .collect();
        assert_eq!(looks.len(), REGISTRY.len());
        let names: HashSet<_> = REGISTRY.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), REGISTRY.len());
    }

    #[test]
    fn an_unknown_variant_keeps_its_look() {
        assert_eq!(look("my-own-preset"), look("my-own-preset"));
        assert_ne!(look("my-own-preset").0, BLACK);
        assert_eq!(look("rave").0, VERMILION);
    }
}
