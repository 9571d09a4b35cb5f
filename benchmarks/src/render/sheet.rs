//! A contact sheet: many items side by side with their boxes, questions and answers, for a person to look at.

use image::{Rgb, RgbImage, imageops};

use super::fonts::Script;
use super::text::{Style, set};
use super::{CANVAS, RenderError, Rendered, Split, Task, render};
use crate::item::PixelBox;

/// How much larger than life an item is shown.
const ZOOM: u32 = 2;
/// Rows of pixels under an item for its question, answer and difficulty.
const CAPTION: u32 = 34;
/// Free pixels around an item.
const GUTTER: u32 = 8;
/// Items in a row, at most.
const COLUMNS: u32 = 5;

const PAPER: Rgb<u8> = Rgb([250, 250, 250]);
const INK: Rgb<u8> = Rgb([20, 20, 20]);
const ANSWER: Rgb<u8> = Rgb([0, 158, 115]);
const DISTRACTOR: Rgb<u8> = Rgb([213, 94, 0]);

/// Draws the first `count` items of a task: answer boxes in green, distractor boxes in orange.
///
/// # Errors
/// Those of [`render`].
pub fn contact_sheet(
    task: Task,
    split: Split,
    version: u32,
    count: u32,
) -> Result<RgbImage, RenderError> {
    let columns = count.clamp(1, COLUMNS);
    let rows = count.div_ceil(columns).max(1);
    let (width, height) = (CANVAS * ZOOM + GUTTER, CANVAS * ZOOM + CAPTION + GUTTER);
    let mut sheet = RgbImage::from_pixel(columns * width + GUTTER, rows * height + GUTTER, PAPER);
    for index in 0..count {
        let item = render(task, split, version, u64::from(index))?;
        let (left, top) = (
            GUTTER + index % columns * width,
            GUTTER + index / columns * height,
        );
        show(&mut sheet, &item, left, top)?;
    }
    Ok(sheet)
}

fn show(sheet: &mut RgbImage, item: &Rendered, left: u32, top: u32) -> Result<(), RenderError> {
    let side = CANVAS * ZOOM;
    let large = imageops::resize(&item.picture, side, side, imageops::FilterType::Nearest);
    imageops::replace(sheet, &large, i64::from(left), i64::from(top));
    for (boxes, colour) in [
        (&item.distractor_boxes, DISTRACTOR),
        (&item.answer_boxes, ANSWER),
    ] {
        for bounds in boxes {
            outline(sheet, *bounds, (left, top), colour);
        }
    }
    let answer = item.answers.first().map_or("", String::as_str);
    let script = Script::ALL
        .into_iter()
        .find(|script| item.category.as_deref() == Some(script.name()))
        .unwrap_or(Script::Latin);
    let category = item.category.as_deref().unwrap_or("");
    let note = format!("{category}  {:.2}", item.difficulty);
    let line = top + side + 13;
    caption(sheet, &item.question, Script::Latin, (left, line), side)?;
    caption(sheet, answer, script, (left, line + 16), side / 2)?;
    caption(
        sheet,
        &note,
        Script::Latin,
        (left + side / 2, line + 16),
        side / 2,
    )
}

/// Outlines a box just outside its edges.
fn outline(sheet: &mut RgbImage, bounds: PixelBox, (left, top): (u32, u32), colour: Rgb<u8>) {
    let scaled = |edge: f32| (edge * ZOOM as f32).round() as i64;
    let (first, last) = (
        (scaled(bounds.left) - 1, scaled(bounds.top) - 1),
        (scaled(bounds.right), scaled(bounds.bottom)),
    );
    let mut mark = |x: i64, y: i64| {
        let (x, y) = (x + i64::from(left), y + i64::from(top));
        if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
            && let Some(pixel) = sheet.get_pixel_mut_checked(x, y)
        {
            *pixel = colour;
        }
    };
    for x in first.0..=last.0 {
        mark(x, first.1);
        mark(x, last.1);
    }
    for y in first.1..=last.1 {
        mark(first.0, y);
        mark(last.0, y);
    }
}

/// Writes a line under an item, smaller where it would be too wide.
fn caption(
    sheet: &mut RgbImage,
    text: &str,
    script: Script,
    (left, baseline): (u32, u32),
    room: u32,
) -> Result<(), RenderError> {
    let style = |capital| Style {
        font: 0,
        script,
        capital,
    };
    let mut lettering = set(text, style(8.5))?;
    if lettering.width > room {
        lettering = set(text, style(8.5 * room as f32 / lettering.width as f32))?;
    }
    let top = i64::from(baseline) - i64::from(lettering.baseline);
    for y in 0..lettering.height {
        for x in 0..lettering.width {
            let weight = u16::from(lettering.at(x as i32, y as i32));
            if let Ok(row) = u32::try_from(top + i64::from(y))
                && let Some(pixel) = sheet.get_pixel_mut_checked(left + x, row)
            {
                for (channel, ink) in pixel.0.iter_mut().zip(INK.0) {
                    *channel = ((u16::from(*channel) * (255 - weight) + u16::from(ink) * weight)
                        / 255) as u8;
                }
            }
        }
    }
    Ok(())
}
