//! Two panels of lines over training steps, which every chart of training is made of.

use rave_results::training::Row;

use crate::charts::canvas::{Align, Canvas, GRID, INK, MARGIN, Type, WIDTH};
use crate::charts::palette::{Colour, Mark};
use crate::charts::scale::Scale;

/// Nominal height of two panels under a title.
pub(super) const HEIGHT: u32 = 380;
/// Most points of a line: longer runs are drawn as means of so many stretches.
const POINTS: usize = 120;
/// Height of a panel's plot.
pub(super) const PLOT: f64 = 240.0;
/// Where the panels begin under a title alone.
pub(super) const TOP: f64 = 96.0;

/// What a line shows of a row.
pub(super) type Value = fn(&Row) -> f64;

/// A line of a panel: steps and values.
pub(super) struct Line {
    /// Its name in the panel's legend; empty where the chart has one for all panels.
    pub name: String,
    pub colour: Colour,
    pub points: Vec<(f64, f64)>,
    /// The mark of each point, where it is a measurement of its own.
    pub mark: Option<Mark>,
}

/// The title of a chart.
pub(super) fn heading(canvas: &mut Canvas, title: &str) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let heading = Type::TITLE.fit(title, room);
    canvas.text(&heading, (MARGIN, 22.0), Type::TITLE, Align::Left);
}

/// Two panels from `top` on: their lines, unit and largest value.
pub(super) fn side_by_side(
    canvas: &mut Canvas,
    top: f64,
    panels: [(Vec<Line>, &str, Option<f64>); 2],
) {
    let middle = f64::from(WIDTH) / 2.0;
    let right = f64::from(WIDTH) - MARGIN;
    let places = [(MARGIN, middle - 14.0), (middle + 14.0, right)];
    for ((lines, unit, most), place) in panels.into_iter().zip(places) {
        panel(canvas, &lines, unit, most, place, (top, top + PLOT));
    }
}

/// The means of stretches of equal length.
pub(super) fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let length = points.len().div_ceil(POINTS).max(1);
    points
        .chunks(length)
        .map(|chunk| {
            let count = chunk.len() as f64;
            let (x, y) = chunk
                .iter()
                .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
            (x / count, y / count)
        })
        .collect()
}

/// The finite values of a split's rows by step.
pub(super) fn of(rows: &[Row], split: &str, value: Value) -> Vec<(f64, f64)> {
    let own = rows.iter().filter(|row| row.split == split);
    own.map(|row| (row.step as f64, value(row)))
        .filter(|(_, value)| value.is_finite())
        .collect()
}

/// One plot with its own axes, between `from` and `to` and between `top` and `bottom`.
fn panel(
    canvas: &mut Canvas,
    lines: &[Line],
    unit: &str,
    most: Option<f64>,
    (from, to): (f64, f64),
    (top, bottom): (f64, f64),
) {
    let mut x = from;
    let mut y = 48.0;
    for line in lines.iter().filter(|line| !line.name.is_empty()) {
        let width = Type::SMALL.width(&line.name) + 26.0;
        if x + width > to {
            (x, y) = (from, y + 16.0);
        }
        canvas.line((x, y), (x + 14.0, y), line.colour, 2.0);
        canvas.text(&line.name, (x + 18.0, y), Type::SMALL, Align::Left);
        x += width + 6.0;
    }
    let (left, right) = (from + 44.0, to - 6.0);
    let points = || lines.iter().flat_map(|line| &line.points);
    if points().next().is_none() {
        let place = (f64::midpoint(left, right), f64::midpoint(top, bottom));
        canvas.text("Nothing was measured.", place, Type::LABEL, Align::Centre);
        return;
    }
    let high = points().map(|point| point.1).fold(0.0, f64::max);
    let last = points().map(|point| point.0).fold(0.0, f64::max);
    let across = Scale::new(0.0, last, 5, left, right);
    let up = Scale::new(
        0.0,
        most.map_or(high, |most| high.clamp(most / 10.0, most)),
        5,
        bottom,
        top,
    );
    for (value, text) in up.ticks() {
        let y = up.position(value);
        canvas.line((left, y), (right, y), GRID, 1.0);
        canvas.text(&text, (left - 8.0, y), Type::SMALL, Align::Right);
    }
    for (value, text) in across.ticks() {
        canvas.text(
            &text,
            (across.position(value), bottom + 14.0),
            Type::SMALL,
            Align::Centre,
        );
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.0);
    canvas.text(unit, (from, top - 14.0), Type::SMALL, Align::Left);
    canvas.text(
        "steps",
        (f64::midpoint(left, right), bottom + 32.0),
        Type::SMALL,
        Align::Centre,
    );
    for line in lines {
        let at = |&(step, value): &(f64, f64)| (across.position(step), up.position(value));
        for pair in line.points.windows(2) {
            canvas.line(at(&pair[0]), at(&pair[1]), line.colour, 2.0);
        }
        if let Some(mark) = line.mark {
            for point in &line.points {
                canvas.mark(mark, at(point), 2.5, line.colour);
            }
        }
    }
}
