//! Draws the data of a chart item and says where everything stands.

use std::sync::OnceLock;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::{
    BitMapBackend, ChartBuilder, Circle, Color as _, DrawingArea, IntoDrawingArea as _, LineSeries,
    PathElement, Pie, RGBColor, Rectangle,
};
use plotters::style::{FontStyle, register_font};

use super::boxes::grown;
use super::canvas::{Anchor, Canvas, Colour};
use super::chart_data::{Data, Kind};
use super::colours::{Paper, several};
use super::fonts::SANS;
use super::text::{Lettering, Style, set};
use super::{CANVAS, Random, RenderError};
use crate::item::PixelBox;

/// The value at the top of an axis.
const TOP: f64 = 100.0;
/// Rows of pixels that a legend takes at the top.
const LEGEND: i32 = 16;
/// Step of the grid.
const GRID: u32 = 20;
/// Width of a bar of a group as a share of the group's room.
pub(super) const BAR_OF_GROUP: f64 = 0.45;
/// Name under which plotters knows our font; it measures even the empty labels that it is given.
const FAMILY: &str = "rave-embedded-sans";

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Where everything stands after drawing.
pub(super) struct ChartBoxes {
    /// Bars, points or slices: `[series][label]`.
    pub(super) marks: Vec<Vec<PixelBox>>,
    /// Printed values, if they are printed: `[series][label]`.
    pub(super) values: Vec<Vec<PixelBox>>,
    /// Labels.
    pub(super) labels: Vec<PixelBox>,
}

/// Lets plotters draw on the picture.
fn plot<T>(
    picture: &mut RgbImage,
    draw: impl FnOnce(&Area<'_>) -> Result<T, Box<dyn std::error::Error>>,
) -> Result<T, RenderError> {
    let area = BitMapBackend::with_buffer(picture, (CANVAS, CANVAS)).into_drawing_area();
    draw(&area).map_err(|error| RenderError::Plot(error.to_string()))
}

fn rgb(colour: Colour) -> RGBColor {
    let [red, green, blue] = colour.0;
    RGBColor(red, green, blue)
}

/// Space that the axes leave free: left for ticks, right, top for a printed value, bottom for labels.
struct Margins {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

fn margins(data: &Data) -> Margins {
    let legend = if has_legend(data) { LEGEND } else { 0 };
    Margins {
        left: if data.printed { 3 } else { 21 },
        right: 3,
        top: legend
            + match (data.printed, data.kind) {
                (false, _) => 7,
                (true, Kind::Line) => 16,
                (true, _) => 12,
            },
        bottom: 18,
    }
}

fn has_legend(data: &Data) -> bool {
    data.series.iter().any(|series| series.name.is_some())
}

/// Pixels between the two ends of the label axis.
pub(super) fn axis_room(data: &Data) -> f32 {
    let margins = margins(data);
    (CANVAS as i32 - margins.left - margins.right) as f32
}

/// Draws bars or lines over a grid.
pub(super) fn axes(
    canvas: &mut Canvas,
    data: &Data,
    paper: Paper,
    style: Style,
) -> Result<ChartBoxes, RenderError> {
    let margins = margins(data);
    let (ticks, marks) = plot(&mut canvas.picture, |area| {
        grid_and_marks(area, data, paper)
    })?;

    let capital = style.capital.round() as i32;
    // Five numbers are enough to read the scale, and a sixth would need three digits.
    let read = |(level, _): &&(u32, i32)| !data.printed && f64::from(*level) < TOP;
    for (level, row) in ticks.iter().filter(read) {
        let place = (Anchor::Right, margins.left - 1, row + capital / 2);
        canvas.line(&level.to_string(), style, place, paper.ink)?;
    }
    let mut values = Vec::new();
    for (series, row) in data.values.iter().enumerate().filter(|_| data.printed) {
        let mut printed = Vec::new();
        for (label, value) in row.iter().enumerate() {
            let mark = marks[series][label];
            let below = data.kind == Kind::Line && series == 1;
            let baseline = if below {
                mark.bottom as i32 + 2 + capital
            } else {
                mark.top as i32 - 2
            };
            let column = f32::midpoint(mark.left, mark.right).round() as i32;
            let place = (column, baseline);
            printed.push(on_clear_ground(
                canvas,
                &value.to_string(),
                style,
                place,
                paper,
            )?);
        }
        values.push(printed);
    }
    if has_legend(data) {
        legend(canvas, data, paper, style)?;
    }
    let mut labels = Vec::new();
    let span = axis_room(data) / data.labels.len() as f32;
    for (label, name) in data.labels.iter().enumerate() {
        let column = margins.left as f32 + (label as f32 + 0.5) * span;
        let place = (Anchor::Centre, column.round() as i32, CANVAS as i32 - 4);
        labels.push(canvas.line(name, style, place, paper.ink)?);
    }
    Ok(ChartBoxes {
        marks,
        values,
        labels,
    })
}

/// Writes the name of each series beside a patch of its colour, in a row at the top.
fn legend(canvas: &mut Canvas, data: &Data, paper: Paper, style: Style) -> Result<(), RenderError> {
    const PATCH: i32 = 9;
    const BASELINE: i32 = 13;
    let pitch = CANVAS as i32 / data.series.len() as i32;
    for (index, series) in data.series.iter().enumerate() {
        let name = set(series.name.as_deref().unwrap_or_default(), style)?;
        let width = PATCH + 4 + name.width as i32;
        let left = index as i32 * pitch + (pitch - width) / 2;
        let patch = PixelBox {
            left: left as f32,
            top: (BASELINE - PATCH) as f32,
            right: (left + PATCH) as f32,
            bottom: BASELINE as f32,
        };
        canvas.fill_box(patch, series.colour.shade(paper.dark), 255);
        canvas.write(&name, left + PATCH + 4, BASELINE, paper.ink)?;
    }
    Ok(())
}

/// Rows of the grid, each with its value, and the box of every bar or point: `[series][label]`.
type Marks = (Vec<(u32, i32)>, Vec<Vec<PixelBox>>);

/// The part of [`axes`] that plotters draws; says where it put things.
fn grid_and_marks(
    area: &Area<'_>,
    data: &Data,
    paper: Paper,
) -> Result<Marks, Box<dyn std::error::Error>> {
    let margins = margins(data);
    let count = data.labels.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin_left(margins.left)
        .margin_right(margins.right)
        .margin_top(margins.top)
        .margin_bottom(margins.bottom)
        .build_cartesian_2d(0.0..count, 0.0..TOP)?;
    let levels = (0..=TOP as u32).step_by(GRID as usize);
    for level in levels.clone() {
        let shade = rgb(if level == 0 { paper.ink } else { paper.rule });
        let height = f64::from(level);
        chart.draw_series([PathElement::new(
            vec![(0.0, height), (count, height)],
            shade,
        )])?;
    }
    let width = if data.kind == Kind::GroupedBar {
        BAR_OF_GROUP
    } else {
        0.6
    };
    let spans = |series: usize, label: usize| {
        let start = (1.0 - width * data.series.len() as f64) / 2.0;
        let left = label as f64 + start + width * series as f64;
        (left, left + width)
    };
    let mut marks = Vec::new();
    for (series, values) in data.values.iter().enumerate() {
        let shade = rgb(data.series[series].colour.shade(paper.dark));
        let values = values.iter().map(|value| f64::from(*value)).enumerate();
        if data.kind == Kind::Line {
            let points = values.map(|(label, value)| (label as f64 + 0.5, value));
            chart.draw_series(LineSeries::new(points.clone(), shade.stroke_width(2)))?;
            chart.draw_series(
                points
                    .clone()
                    .map(|point| Circle::new(point, 3, shade.filled())),
            )?;
            let place = |point| {
                let (x, y) = chart.plotting_area().map_coordinate(&point);
                grown(pixel_box((x, y), (x + 1, y + 1)), 3.0)
            };
            marks.push(points.map(place).collect());
        } else {
            let bars = values.map(|(label, value)| {
                let (left, right) = spans(series, label);
                [(left, 0.0), (right, value)]
            });
            chart.draw_series(bars.clone().map(|bar| Rectangle::new(bar, shade.filled())))?;
            let place = |[first, second]: [(f64, f64); 2]| {
                let plane = chart.plotting_area();
                pixel_box(plane.map_coordinate(&first), plane.map_coordinate(&second))
            };
            marks.push(bars.map(place).collect());
        }
    }
    let plane = chart.plotting_area();
    let ticks = levels.map(|level| (level, plane.map_coordinate(&(0.0, f64::from(level))).1));
    Ok((ticks.collect(), marks))
}

/// Writes a value on a patch of bare paper, so that no line runs through it.
fn on_clear_ground(
    canvas: &mut Canvas,
    text: &str,
    style: Style,
    (column, baseline): (i32, i32),
    paper: Paper,
) -> Result<PixelBox, RenderError> {
    let lettering = set(text, style)?;
    let left = centred(&lettering, column);
    let top = (baseline - lettering.baseline) as f32;
    let ground = PixelBox {
        left: left as f32,
        top,
        right: (left + lettering.width as i32) as f32,
        bottom: top + lettering.height as f32,
    };
    canvas.fill_box(grown(ground, 1.0), paper.background, 255);
    canvas.write(&lettering, left, baseline, paper.ink)
}

/// The left edge of text that is centred on a column as far as the picture's edges allow.
fn centred(lettering: &Lettering, column: i32) -> i32 {
    (column - lettering.width as i32 / 2).clamp(0, (CANVAS - lettering.width) as i32)
}

/// Draws a pie with values in its slices and labels around it.
pub(super) fn pie(
    rng: &mut Random,
    canvas: &mut Canvas,
    data: &Data,
    paper: Paper,
    style: Style,
) -> Result<ChartBoxes, RenderError> {
    const RADIUS: f64 = 40.0;
    let middle = CANVAS as i32 / 2;
    let sizes = data.values[0]
        .iter()
        .map(|value| f64::from(*value))
        .collect::<Vec<_>>();
    let tints = several(rng, sizes.len())
        .into_iter()
        .map(|named| rgb(tint(named.on_light, paper)))
        .collect::<Vec<_>>();
    plot(&mut canvas.picture, |area| {
        if !font_is_known() {
            return Err("plotters refused the embedded font".into());
        }
        let names = vec![""; sizes.len()];
        let centre = (middle, middle);
        let mut pie = Pie::new(&centre, &RADIUS, &sizes, &tints, &names);
        pie.start_angle(-90.0);
        pie.label_style((FAMILY, 8.0));
        area.draw(&pie)?;
        Ok(())
    })?;

    let (mut marks, mut values, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    let mut start = -0.25;
    for (label, size) in sizes.iter().enumerate() {
        let angle = (start + size / 200.0) * std::f64::consts::TAU;
        start += size / 100.0;
        let at = |radius: f64| {
            let column = f64::from(middle) + radius * angle.cos();
            let baseline =
                f64::from(middle) + radius * angle.sin() + f64::from(style.capital) / 2.0;
            (column.round() as i32, baseline.round() as i32)
        };
        let mut write = |text: &str, (column, baseline)| {
            let lettering = set(text, style)?;
            canvas.write(&lettering, centred(&lettering, column), baseline, paper.ink)
        };
        let value = write(&data.values[0][label].to_string(), at(RADIUS * 0.64))?;
        values.push(value);
        marks.push(value);
        labels.push(write(&data.labels[label], at(RADIUS + 12.0))?);
    }
    Ok(ChartBoxes {
        marks: vec![marks],
        values: vec![values],
        labels,
    })
}

/// Makes our font known to plotters, once for the whole program.
fn font_is_known() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| register_font(FAMILY, FontStyle::Normal, SANS).is_ok())
}

/// A colour mixed two to one with the paper, so that ink is read on it.
fn tint(colour: Colour, paper: Paper) -> Colour {
    let mut mixed = colour;
    for (channel, background) in mixed.0.iter_mut().zip(paper.background.0) {
        *channel = ((u16::from(*channel) + 2 * u16::from(background)) / 3) as u8;
    }
    mixed
}

/// A box from corners as plotters gives them, of at least one pixel.
fn pixel_box(first: (i32, i32), second: (i32, i32)) -> PixelBox {
    PixelBox {
        left: first.0.min(second.0) as f32,
        top: first.1.min(second.1) as f32,
        right: first.0.max(second.0).max(first.0.min(second.0) + 1) as f32,
        bottom: first.1.max(second.1).max(first.1.min(second.1) + 1) as f32,
    }
}
