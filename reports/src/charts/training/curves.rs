//! How the variants were trained: validation loss on the left, answers that are right on the right, over steps; a line for
//! each training seed, in the colour and with the mark of its variant.

use rave_results::training::Row;

use super::panels::{Line, PLOT, Value, heading, of, side_by_side};
use crate::charts::canvas::{Align, Canvas, MARGIN, Type, WIDTH};
use crate::charts::figure::Figure;
use crate::charts::legend::{entries, entries_height};
use crate::charts::palette::style;

/// The heading of the chart.
const TITLE: &str = "How the variants were trained";

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
    45.0 + entries_height(&variants(curves)) + 46.0
}

/// `training-curves.svg` and `training-curves.png`; `None` without curves.
pub(crate) fn figure(curves: &[Curve]) -> Option<Figure<'_>> {
    let last = |curve: &Curve| {
        let mut rows = curve.rows.iter();
        let row = rows.rfind(|row| row.split == "validation")?;
        Some(format!(
            "{}, {}: loss {:.3} after {} steps. ",
            curve.variant, curve.seed, row.loss, row.step
        ))
    };
    (!curves.is_empty()).then(|| Figure {
        stem: "training-curves".into(),
        title: TITLE.to_owned(),
        words: curves.iter().filter_map(last).collect(),
        size: (WIDTH, (top(curves) + PLOT + 46.0).ceil() as u32),
        draw: Box::new(|canvas| draw(canvas, curves)),
    })
}

fn draw(canvas: &mut Canvas, curves: &[Curve]) {
    heading(canvas, TITLE);
    let explanation = "On the validation items of training; a line a training seed.";
    canvas.text(explanation, (MARGIN, 45.0), Type::SMALL, Align::Left);
    entries(canvas, &variants(curves), 66.0);
    let lines = |value: Value, factor: f64| -> Vec<Line> {
        let line = |curve: &Curve| {
            let (colour, mark) = style(&curve.variant);
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
    let panels = [
        (lines(|row| row.loss, 1.0), "loss, nats", None),
        (
            lines(|row| row.exact, 100.0),
            "exactly right, %",
            Some(100.0),
        ),
    ];
    side_by_side(canvas, top(curves), panels);
}
