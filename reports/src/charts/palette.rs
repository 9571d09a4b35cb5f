//! One colour and one mark a variant, everywhere and always.
//!
//! A look follows from a variant's number, its place in [`NUMBERED`]. The numbers are not the registry's order, which is that of
//! tables: a row put between others there would give published charts other colours. Any other name takes its look from a hash of
//! the name, with marks that no number has. So a variant does not change its look when others join or leave a chart, and a new one
//! has a look at once; `harness/cli/tests/binary/styles.rs` holds this against the registry.
//!
//! Colours: the first six are Okabe and Ito's (2008), safe for the colour-blind, without their yellow: it vanishes on white, and
//! darkened it is orange to the red-blind. The others were searched for among 3,275 (steps of 15, neither near white nor near the
//! page's black), one after the other. Each lies as far as possible from those before: first from those with the same mark, as the
//! red-, green- and blue-blind see them (Machado, Oliveira and Fernandes, 2009), then from all. The tests below hold these distances.

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
    /// A triangle, point down.
    Down,
    /// An upright cross.
    Plus,
    /// A cross on its corner.
    Cross,
}

impl Mark {
    /// Its corners in turn, in radii from its middle, y downwards; none of a circle.
    pub fn corners(self) -> Vec<(f64, f64)> {
        /// Half of an arm's width.
        const ARM: f64 = 0.38;
        /// Length of an arm.
        const END: f64 = 1.15;
        let plus = [
            (-ARM, -END),
            (ARM, -END),
            (ARM, -ARM),
            (END, -ARM),
            (END, ARM),
            (ARM, ARM),
            (ARM, END),
            (-ARM, END),
            (-ARM, ARM),
            (-END, ARM),
            (-END, -ARM),
            (-ARM, -ARM),
        ];
        match self {
            Self::Circle => Vec::new(),
            Self::Square => vec![(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Triangle => vec![(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
            Self::Down => vec![(0.0, 1.2), (1.15, -0.85), (-1.15, -0.85)],
            Self::Diamond => vec![(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Self::Plus => plus.into(),
            Self::Cross => {
                let half = std::f64::consts::FRAC_1_SQRT_2;
                let turned = plus.map(|(x, y)| ((x - y) * half, (x + y) * half));
                turned.into()
            }
        }
    }
}

const BLACK: Colour = (0x26, 0x26, 0x26);
const VERMILION: Colour = (0xD5, 0x5E, 0x00);
const BLUE: Colour = (0x00, 0x72, 0xB2);
const GREEN: Colour = (0x00, 0x9E, 0x73);
const PURPLE: Colour = (0xCC, 0x79, 0xA7);
const ORANGE: Colour = (0xE6, 0x9F, 0x00);
const SKY: Colour = (0x56, 0xB4, 0xE9);
const VIOLET: Colour = (0xA5, 0x00, 0xFF);

/// The colours of numbered variants and their marks. Black is the baseline's.
#[rustfmt::skip] // One line a mark.
const STYLES: [(Mark, [Colour; 7]); 4] = [
    (Mark::Circle, [VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, VIOLET]),
    (Mark::Square, [(0xE1, 0x69, 0xFF), (0x00, 0xC3, 0x5A), (0x87, 0x1E, 0x87), (0xA5, 0x00, 0x0F), (0x0F, 0x1E, 0xFF), (0xFF, 0x5A, 0xC3), (0xB4, 0xA5, 0x96)]),
    (Mark::Triangle, [(0xA5, 0x5A, 0x2D), (0x69, 0x69, 0xF0), (0xF0, 0x87, 0xE1), (0x87, 0xB4, 0x78), (0xC3, 0x1E, 0xA5), (0xB4, 0xA5, 0x3C), (0xFF, 0x2D, 0x96)]),
    (Mark::Diamond, [(0x87, 0x0F, 0xC3), (0x4B, 0x96, 0x00), (0x69, 0x4B, 0x0F), (0x96, 0x96, 0xC3), (0xB4, 0x87, 0x5A), (0x4B, 0x96, 0xF0), (0x3C, 0x5A, 0x78)]),
];

/// The marks of names without a number.
const OTHER_MARKS: [Mark; 3] = [Mark::Down, Mark::Plus, Mark::Cross];

/// The variants that have a number, which is their place here. A number is never given again, so the list only grows at its end; it
/// has room for 29.
pub const NUMBERED: [&str; 28] = [
    "standard",
    "rave",
    "rave-post-rope",
    "rave-key-only",
    "rave-query-only",
    "rave-gate",
    "rave-scalar",
    "rave-all-keys",
    "rave-text-queries",
    "rave-shared",
    "rave-half-heads",
    "rave-rank-2",
    "rave-rank-4",
    "rave-rank-16",
    "rave-rank-32",
    "pai",
    "vaf",
    "scaling-vis",
    "adapt-vis",
    "vis-sink",
    "fastv-25",
    "fastv-50",
    "fastv-75",
    "gated-head",
    "gated-element",
    "softmax-off-by-one",
    "learned-sink",
    "dape",
];

/// The colour of the line of this number, where lines are no variants.
pub(super) fn colour(number: usize) -> Colour {
    const LINES: [Colour; 8] = [BLACK, VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, VIOLET];
    LINES[number % LINES.len()]
}

/// The colour and mark of a variant.
pub fn style(variant: &str) -> (Colour, Mark) {
    let mut styles = STYLES
        .iter()
        .flat_map(|(mark, colours)| colours.iter().map(|colour| (*colour, *mark)));
    match NUMBERED.iter().position(|id| *id == variant) {
        Some(0) => return (BLACK, Mark::Circle),
        Some(number) => {
            if let Some(style) = styles.nth(number - 1) {
                return style;
            }
        }
        None => {}
    }
    // FNV-1a: short, and the same on every machine and in every version.
    let hash = variant
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let hash = hash as usize;
    let (_, colours) = STYLES[hash % STYLES.len()];
    let hash = hash / STYLES.len();
    let colour = colours[hash % colours.len()];
    let hash = hash / colours.len();
    (colour, OTHER_MARKS[hash % OTHER_MARKS.len()])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// How people see a colour in linear light: all of them, the red-blind, the green-blind, the blue-blind (Machado, Oliveira and
    /// Fernandes 2009, severity 1).
    const SIGHTS: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ];

    /// Linear light of sRGB (IEC 61966-2-1).
    fn linear((red, green, blue): Colour) -> [f64; 3] {
        [red, green, blue].map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.040_45 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        })
    }

    fn times(matrix: &[[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
    }

    /// CIELAB of linear light, white at D65.
    fn lab(light: [f64; 3]) -> [f64; 3] {
        const XYZ: [[f64; 3]; 3] = [
            [0.4124, 0.3576, 0.1805],
            [0.2126, 0.7152, 0.0722],
            [0.0193, 0.1192, 0.9505],
        ];
        let [x, y, z] = times(&XYZ, light);
        let [x, y, z] = [x / 0.9505, y, z / 1.089].map(|part| {
            if part > 0.008_856 {
                part.cbrt()
            } else {
                7.787 * part + 16.0 / 116.0
            }
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// The distance of two colours in CIELAB for a sight; about 2 is the least that is seen side by side.
    fn distance(sight: &[[f64; 3]; 3], one: Colour, other: Colour) -> f64 {
        let [a, b] = [one, other].map(|colour| {
            let seen = times(sight, linear(colour)).map(|channel| channel.clamp(0.0, 1.0));
            lab(seen)
        });
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    /// Contrast as the web's guidelines have it, 1 to 21.
    fn contrast(one: Colour, other: Colour) -> f64 {
        let [a, b] = [one, other].map(|colour| {
            let [red, green, blue] = linear(colour);
            0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
        });
        a.max(b) / a.min(b)
    }

    fn numbered() -> Vec<(Colour, Mark)> {
        NUMBERED.iter().map(|id| style(id)).collect()
    }

    #[test]
    fn every_number_has_a_colour_of_its_own() {
        let colours: HashSet<Colour> = numbered().iter().map(|(colour, _)| *colour).collect();
        assert_eq!(colours.len(), NUMBERED.len());
        let names: HashSet<&str> = NUMBERED.into();
        assert_eq!(names.len(), NUMBERED.len());
        assert!(
            numbered()
                .iter()
                .all(|(_, mark)| !OTHER_MARKS.contains(mark))
        );
    }

    #[test]
    fn colours_are_told_apart_by_the_colour_blind() {
        let styles = numbered();
        for (place, &(one, mark)) in styles.iter().enumerate() {
            for &(other, other_mark) in &styles[..place] {
                let distances = SIGHTS.map(|sight| distance(&sight, one, other));
                let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
                assert!(
                    distances[0] > 19.0 && least > if mark == other_mark { 16.0 } else { 7.0 },
                    "{one:02X?} {mark:?} and {other:02X?} {other_mark:?}: {distances:.1?}"
                );
            }
        }
    }

    /// A page shows the charts on white or on its dark ground, where the baseline's black turns (`html/page.css`).
    #[test]
    fn colours_stand_out_on_a_white_and_on_a_dark_page() {
        for (_, colours) in STYLES {
            for colour in colours {
                for page in [(0xFF, 0xFF, 0xFF), (0x16, 0x16, 0x16)] {
                    let contrast = contrast(colour, page);
                    assert!(
                        contrast > 2.0,
                        "{colour:02X?} on {page:02X?}: {contrast:.2}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_name_without_a_number_keeps_a_look_that_no_number_has() {
        for name in ["my-own-preset", "another", "rave2", ""] {
            let (colour, mark) = style(name);
            assert!(OTHER_MARKS.contains(&mark) && colour != BLACK, "{name}");
        }
        let names = (0..10_000).map(|number| style(&format!("preset-{number}")));
        assert_eq!(names.collect::<HashSet<_>>().len(), 28 * OTHER_MARKS.len());
    }

    #[test]
    fn the_variants_of_published_charts_keep_their_looks() {
        let expected = [
            ("standard", BLACK),
            ("rave", VERMILION),
            ("rave-post-rope", BLUE),
            ("rave-key-only", GREEN),
            ("rave-query-only", PURPLE),
            ("rave-gate", ORANGE),
        ];
        for (variant, colour) in expected {
            assert_eq!(style(variant), (colour, Mark::Circle), "{variant}");
        }
    }
}
