//! How the variants were trained: validation loss on the left, answers that are right on the right, over steps; a line a
//! training seed, in the colour and with the mark of its variant.

use plotters::prelude::DrawingBackend;
use rave_results::training::Row;

use super::canvas::{Align, Canvas, Type, WIDTH};
use super::legend::{MARGIN, rows};
use super::palette::look;
use super::training::{Line, PLOT, Value, of, panel};

/// The rows of one training run.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The variant that was trained.
    pub variant: String,
    /// The seed that it was trained under, as its folder is called.
    pub seed: String,
    /// What was measured.
    pub rows: Vec<Row>,
}

/// The variants, each once, in the order of the curves.
fn variants(curves: &[Curve]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for curve in curves {
        if !names.contains(&curve.variant.as_str()) {
            names.push(&curve.variant);
        }
    }
    names
}

fn top(curves: &[Curve]) -> f64 {
    45.0 + rows(&variants(curves)).len() as f64 * 20.0 + 46.0
}

/// Nominal height.
pub(super) fn height(curves: &[Curve]) -> u32 {
    (top(curves) + PLOT + 46.0).ceil() as u32
}

/// Draws both panels.
pub(super) fn draw<B: DrawingBackend>(canvas: &mut Canvas<B>, curves: &[Curve], title: &str) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let heading = Type::TITLE.fit(title, room);
    canvas.text(&heading, (MARGIN, 22.0), Type::TITLE, Align::Left);
    let explanation = "On the validation items of training; a line a training seed.";
    canvas.text(explanation, (MARGIN, 45.0), Type::SMALL, Align::Left);
    let mut y = 66.0;
    for row in rows(&variants(curves)) {
        for (x, variant) in row {
            let (colour, mark) = look(variant);
            canvas.mark(mark, (x + 5.0, y), 5.0, colour);
            canvas.text(variant, (x + 16.0, y), Type::LABEL, Align::Left);
        }
        y += 20.0;
    }
    let lines = |value: Value, factor: f64| -> Vec<Line> {
        let line = |curve: &Curve| {
            let (colour, mark) = look(&curve.variant);
            let points = of(&curve.rows, "validation", value).into_iter();
            Line {
                name: String::new(),
                colour,
                points: points.map(|(step, value)| (step, value * factor)).collect(),
                mark: Some(mark),
            }
        };
        // The baseline, which comes first, on top.
        curves.iter().rev().map(line).collect()
    };
    let middle = f64::from(WIDTH) / 2.0;
    let right = f64::from(WIDTH) - MARGIN;
    let down = (top(curves), top(curves) + PLOT);
    panel(
        canvas,
        &lines(|row| row.loss, 1.0),
        "loss, nats",
        None,
        (MARGIN, middle - 14.0),
        down,
    );
    panel(
        canvas,
        &lines(|row| row.exact, 100.0),
        "exactly right, %",
        Some(100.0),
        (middle + 14.0, right),
        down,
    );
}
