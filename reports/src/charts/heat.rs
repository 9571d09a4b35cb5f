//! Attention over a picture: a row for each variant, with the picture beside the same picture under its heat.
//!
//! A token's weight is spread evenly over the part of the picture that it stands for. Where several tokens stand for one place (a
//! crop and a view of the whole picture), their weights are added. The heat is a density: its mean over the picture is 1 when all
//! of the visual mass lies on it, and even weights give 1 everywhere. It is drawn in the tokens' own rectangles and not smoothed,
//! since a model resolves no more. All rows share one scale.
//!
//! Letters that must be joined (Arabic) are drawn unjoined in the labels; the picture itself is not touched.

use image::codecs::png::FilterType;
use image::imageops::{self, FilterType as Resize};
use image::{Rgb, RgbImage};

use super::canvas::{Align, Canvas, MARGIN, MUTED, PIXELS, Type, WIDTH};
use super::figure::{encoded, raster};
use crate::Error;

/// What all rows have in common.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// The heading.
    pub title: &'a str,
    /// Lines under it, each cut where it is too wide.
    pub lines: &'a [String],
    /// The picture.
    pub picture: &'a RgbImage,
    /// Where the answer stands: left, top, right and bottom as shares of the picture's width and height.
    pub boxes: &'a [[f32; 4]],
}

/// One variant.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub variant: String,
    /// What is said beside the pictures, a paragraph each.
    pub lines: Vec<String>,
    /// The part of the picture that each token stands for, as shares, and its share of the visual mass.
    pub tokens: Vec<([f32; 4], f64)>,
}

/// Width of the text, and the left ends and the width of both pictures.
const TEXT: f64 = 214.0;
const LEFT: [f64; 2] = [250.0, 573.0];
const WIDE: f64 = 307.0;
/// Most of a picture's height.
const HIGH: f64 = 420.0;
const LINE: f64 = 17.0;
const GAP: f64 = 16.0;
const FOOT: f64 = 48.0;
const ID: &str = "attention map";
const ANSWER: Rgb<u8> = Rgb([0, 158, 115]);

/// The colours of heat from none to the most: yellow over orange to dark red, which darken on the way.
const RAMP: [[f64; 3]; 4] = [
    [255.0, 255.0, 204.0],
    [254.0, 178.0, 76.0],
    [240.0, 59.0, 32.0],
    [128.0, 0.0, 38.0],
];

/// Draws the rows as one PNG file.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn png(sheet: &Sheet, rows: &[Row]) -> Result<Vec<u8>, Error> {
    let scale =
        (WIDE / f64::from(sheet.picture.width())).min(HIGH / f64::from(sheet.picture.height()));
    let side = |length: u32| {
        (f64::from(length) * scale * f64::from(PIXELS))
            .round()
            .max(1.0) as u32
    };
    let (width, height) = (side(sheet.picture.width()), side(sheet.picture.height()));
    let large = imageops::resize(sheet.picture, width, height, Resize::CatmullRom);
    let maps: Vec<Vec<f32>> = rows
        .iter()
        .map(|row| density(&row.tokens, width, height))
        .collect();
    let most = maps.iter().flatten().copied().fold(1.0_f32, f32::max);
    let texts: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.lines
                .iter()
                .flat_map(|line| wrapped(line, TEXT))
                .collect()
        })
        .collect();
    let shown = f64::from(height) / f64::from(PIXELS);
    let heights: Vec<f64> = texts
        .iter()
        .map(|lines| shown.max((lines.len() + 1) as f64 * LINE + 6.0) + GAP)
        .collect();
    let top = 22.0 + 23.0 + sheet.lines.len() as f64 * LINE + 14.0;
    let total = (top + heights.iter().sum::<f64>() + FOOT).ceil() as u32;
    let mut drawn = raster(ID, (WIDTH, total), |canvas| {
        label(canvas, sheet, rows, &texts, &heights, top);
        legend(canvas, f64::from(total) - FOOT + 12.0, most);
    })?;
    let mut y = top;
    for (map, height) in maps.iter().zip(&heights) {
        let mut heated = large.clone();
        heat(&mut heated, map, most);
        for (left, mut picture) in LEFT.into_iter().zip([large.clone(), heated]) {
            for bounds in sheet.boxes {
                outline(&mut picture, *bounds);
            }
            let at = |value: f64| (value * f64::from(PIXELS)).round() as i64;
            imageops::replace(&mut drawn, &picture, at(left), at(y));
        }
        y += height;
    }
    encoded(ID, &drawn, FilterType::Adaptive)
}

fn label(
    canvas: &mut Canvas,
    sheet: &Sheet,
    rows: &[Row],
    texts: &[Vec<String>],
    heights: &[f64],
    top: f64,
) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let title = Type::TITLE.fit(sheet.title, room);
    canvas.text(&title, (MARGIN, 22.0), Type::TITLE, Align::Left);
    for (number, line) in sheet.lines.iter().enumerate() {
        let y = 45.0 + number as f64 * LINE;
        canvas.text(
            &Type::SMALL.fit(line, room),
            (MARGIN, y),
            Type::SMALL,
            Align::Left,
        );
    }
    let mut y = top;
    for ((row, lines), height) in rows.iter().zip(texts).zip(heights) {
        let name = Type::STRONG.fit(&row.variant, TEXT);
        canvas.text(&name, (MARGIN, y + 8.0), Type::STRONG, Align::Left);
        for (number, line) in lines.iter().enumerate() {
            let place = (MARGIN, y + 8.0 + (number + 1) as f64 * LINE);
            let kind = Type::VALUE;
            canvas.text(line, place, kind, Align::Left);
        }
        y += height;
    }
}

/// The scale of the heat.
fn legend(canvas: &mut Canvas, y: f64, most: f32) {
    const STEPS: usize = 76;
    let (left, wide) = (LEFT[1], WIDE);
    let note = "heat: attention by area, as a multiple of even weights";
    canvas.text(note, (left - 14.0, y), Type::SMALL, Align::Right);
    for step in 0..STEPS {
        let share = (step as f64 + 0.5) / STEPS as f64;
        let (colour, weight) = shade(share);
        // As it looks on white.
        let on_white = colour.map(|channel| (channel * weight + 255.0 * (1.0 - weight)) as u8);
        let [red, green, blue] = on_white;
        let x = left + step as f64 / STEPS as f64 * wide;
        canvas.rectangle(
            (x, y - 6.0),
            (x + wide / STEPS as f64, y + 6.0),
            (red, green, blue),
        );
    }
    let most = f64::from(most);
    let even = left + wide / most;
    canvas.line((even, y - 8.0), (even, y + 8.0), MUTED, 1.0);
    let text = |value: f64| {
        if value < 10.0 {
            format!("{value:.1}")
        } else {
            format!("{value:.0}")
        }
    };
    canvas.text("0", (left, y + 18.0), Type::SMALL, Align::Left);
    canvas.text(
        &text(most),
        (left + wide, y + 18.0),
        Type::SMALL,
        Align::Right,
    );
    if (14.0..wide - 40.0).contains(&(even - left)) {
        canvas.text("1", (even, y + 18.0), Type::SMALL, Align::Centre);
    }
}

/// A text in lines that are no wider than `room`.
fn wrapped(text: &str, room: f64) -> Vec<String> {
    const MOST: usize = 5;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let longer = format!("{} {word}", lines[last]).trim_start().to_owned();
        if lines[last].is_empty() || Type::SMALL.width(&longer) <= room {
            lines[last] = longer;
        } else if lines.len() == MOST {
            lines[last] += " …";
            break;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
        .iter()
        .map(|line| Type::SMALL.fit(line, room))
        .collect()
}

/// The heat of every pixel, row by row.
fn density(tokens: &[([f32; 4], f64)], width: u32, height: u32) -> Vec<f32> {
    let mut map = vec![0.0; width as usize * height as usize];
    for ([left, top, right, bottom], weight) in tokens {
        let area = f64::from(right - left) * f64::from(bottom - top);
        if area <= 0.0 {
            continue;
        }
        let heat = (weight / area) as f32;
        let along = |share: f32, length: u32| {
            (share * length as f32).round().clamp(0.0, length as f32) as usize
        };
        let columns = along(*left, width)..along(*right, width);
        for y in along(*top, height)..along(*bottom, height) {
            let row = y * width as usize;
            for value in &mut map[row + columns.start..row + columns.end] {
                *value += heat;
            }
        }
    }
    map
}

/// Colour and weight of a heat in [0, 1].
fn shade(heat: f64) -> ([f64; 3], f64) {
    let place = heat.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let below = (place as usize).min(RAMP.len() - 2);
    let part = place - below as f64;
    let mix =
        |channel: usize| RAMP[below][channel] * (1.0 - part) + RAMP[below + 1][channel] * part;
    (
        [mix(0), mix(1), mix(2)],
        0.8 * heat.clamp(0.0, 1.0).powf(0.6),
    )
}

/// Lays heat over a picture, whose colours fade so that they are not taken for it.
fn heat(picture: &mut RgbImage, map: &[f32], most: f32) {
    for (pixel, value) in picture.pixels_mut().zip(map) {
        let (colour, weight) = shade(f64::from(value / most));
        let [red, green, blue] = pixel.0.map(f64::from);
        let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
        for ((channel, own), hot) in pixel.0.iter_mut().zip([red, green, blue]).zip(colour) {
            let faded = 0.25 * own + 0.75 * grey;
            *channel = (faded * (1.0 - weight) + hot * weight).round() as u8;
        }
    }
}

/// Outlines an answer box, three pixels wide with a white rim.
fn outline(picture: &mut RgbImage, bounds: [f32; 4]) {
    let (width, height) = picture.dimensions();
    let along = |share: f32, length: u32| (share * length as f32).round() as i64;
    let [left, top] = [along(bounds[0], width), along(bounds[1], height)];
    let [right, bottom] = [along(bounds[2], width), along(bounds[3], height)];
    for (out, colour) in [
        (4, Rgb([255; 3])),
        (3, ANSWER),
        (2, ANSWER),
        (1, ANSWER),
        (0, Rgb([255; 3])),
    ] {
        let mut mark = |x: i64, y: i64| {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && let Some(pixel) = picture.get_pixel_mut_checked(x, y)
            {
                *pixel = colour;
            }
        };
        for x in left - out..right + out {
            mark(x, top - out);
            mark(x, bottom + out - 1);
        }
        for y in top - out..bottom + out {
            mark(left - out, y);
            mark(right + out - 1, y);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn even_weights_are_one_everywhere_and_views_add() {
        let quarter = |x: f32, y: f32| [x, y, x + 0.5, y + 0.5];
        let mut tokens: Vec<_> = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)]
            .into_iter()
            .map(|(x, y)| (quarter(x, y), 0.2))
            .collect();
        tokens.push(([0.0, 0.0, 1.0, 1.0], 0.2));
        let map = density(&tokens, 10, 8);
        assert!(map.iter().all(|heat| (heat - 1.0).abs() < 1e-6), "{map:?}");
        tokens[0].1 = 0.4;
        let map = density(&tokens, 10, 8);
        assert!((map[0] - 1.8).abs() < 1e-6 && (map[79] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_long_text_is_cut_after_some_lines() {
        let lines = wrapped(&"word ".repeat(200), TEXT);
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|line| Type::SMALL.width(line) <= TEXT));
    }

    #[test]
    fn a_sheet_has_the_stated_size_and_its_heat_where_the_weight_is() {
        let picture = RgbImage::from_pixel(128, 128, Rgb([255; 3]));
        let sheet = Sheet {
            title: "a title",
            lines: &["a question".into()],
            picture: &picture,
            boxes: &[[0.5, 0.5, 0.75, 0.75]],
        };
        let row = Row {
            variant: "standard".into(),
            lines: vec!["an answer".into()],
            tokens: vec![([0.0, 0.0, 0.25, 0.25], 1.0)],
        };
        let bytes = png(&sheet, &[row.clone(), row]).unwrap();
        let drawn = image::load_from_memory(&bytes).unwrap().to_rgb8();
        let top = 22.0 + 23.0 + 17.0 + 14.0;
        let height = (top + 2.0 * (WIDE + GAP) + FOOT).ceil() as u32;
        assert_eq!(drawn.dimensions(), (WIDTH * PIXELS, height * PIXELS));
        let at = |x: f64, y: f64| drawn.get_pixel((x * 2.0) as u32, (y * 2.0) as u32).0;
        let [red, green, _] = at(LEFT[1] + 20.0, top + 20.0);
        assert!(red < 200 && green < 100, "the hot corner is dark red");
        assert_eq!(
            at(LEFT[0] + 20.0, top + 20.0),
            [255; 3],
            "the plain picture is plain"
        );
        assert_eq!(
            at(LEFT[1] + 250.0, top + 20.0),
            [255; 3],
            "the cold corner is plain"
        );
    }
}
