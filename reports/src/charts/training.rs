//! How a training run went: its losses on the left, on the right what it got right, over steps.

use plotters::prelude::DrawingBackend;
use rave_results::training::Row;

use super::canvas::{Align, Canvas, GRID, INK, MUTED, Type, WIDTH};
use super::legend::MARGIN;
use super::palette::{Colour, Mark, colour};
use super::scale::Scale;

/// Nominal height.
pub(super) const HEIGHT: u32 = 380;
/// Most points of a line: longer runs are drawn as means of so many stretches.
const POINTS: usize = 120;
/// Height of a panel's plot.
pub(super) const PLOT: f64 = 240.0;
const TOP: f64 = 96.0;

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

/// Draws the losses and what was right.
pub(super) fn draw<B: DrawingBackend>(canvas: &mut Canvas<B>, rows: &[Row], title: &str) {
    let panels = [
        (losses(rows), "loss, nats", None),
        (hits(rows), "right, %", Some(100.0)),
    ];
    side_by_side(canvas, title, panels);
}

/// Draws the norms of the gradients and of the variant's own weights.
pub(super) fn draw_gates<B: DrawingBackend>(canvas: &mut Canvas<B>, rows: &[Row], title: &str) {
    let line = |name: &str, number, value| Line {
        name: name.to_owned(),
        colour: colour(number),
        points: thinned(&of(rows, "train", value)),
        mark: None,
    };
    let gradients = vec![
        line("the variant's own", 1, |row| row.gate_gradient_norm),
        line("the checkpoint's", 0, |row| row.gradient_norm),
    ];
    let weights = vec![line("the variant's own", 1, |row| row.gate_weight_norm)];
    let panels = [
        (gradients, "norm of the gradient before clipping", None),
        (weights, "norm of the weights", None),
    ];
    side_by_side(canvas, title, panels);
}

/// Two panels under a title: their lines, unit and largest value.
fn side_by_side<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    title: &str,
    panels: [(Vec<Line>, &str, Option<f64>); 2],
) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let heading = Type::TITLE.fit(title, room);
    canvas.text(&heading, (MARGIN, 22.0), Type::TITLE, Align::Left);
    let middle = f64::from(WIDTH) / 2.0;
    let right = f64::from(WIDTH) - MARGIN;
    let places = [(MARGIN, middle - 14.0), (middle + 14.0, right)];
    for ((lines, unit, most), place) in panels.into_iter().zip(places) {
        panel(canvas, &lines, unit, most, place, (TOP, TOP + PLOT));
    }
}

/// The means of stretches of equal length.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
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

fn losses(rows: &[Row]) -> Vec<Line> {
    let kinds: [(&str, usize, Value); 2] = [
        ("answers", 0, |row| row.loss),
        ("characters on patches", 1, |row| row.dense_loss),
    ];
    let mut lines = Vec::new();
    for (name, number, value) in kinds {
        let train = of(rows, "train", value);
        // A loss that is not trained is 0 throughout.
        if train.iter().all(|(_, value)| *value == 0.0) {
            continue;
        }
        lines.push(Line {
            name: format!("{name}, training"),
            colour: if number == 0 { MUTED } else { GRID },
            points: thinned(&train),
            mark: None,
        });
        lines.push(Line {
            name: format!("{name}, validation"),
            colour: colour(number),
            points: of(rows, "validation", value),
            mark: Some(Mark::Circle),
        });
    }
    lines
}

fn hits(rows: &[Row]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: &str, points: Vec<(f64, f64)>| {
        if points.iter().any(|(_, value)| *value > 0.0) {
            let points = points
                .into_iter()
                .map(|(step, value)| (step, value * 100.0));
            lines.push(Line {
                name: name.to_owned(),
                colour: colour(lines.len()),
                points: points.collect(),
                mark: Some(Mark::Circle),
            });
        }
    };
    add("all answers", of(rows, "validation", |row| row.exact));
    let mut tasks: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.split.strip_prefix("validation "))
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    for task in tasks {
        add(
            task,
            of(rows, &format!("validation {task}"), |row| row.exact),
        );
    }
    add(
        "characters",
        of(rows, "validation", |row| row.glyph_accuracy),
    );
    lines
}

/// One plot with its own axes, between `from` and `to` and between `top` and `bottom`.
pub(super) fn panel<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
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
