//! What every chart has at its top and bottom: heading, legend, notes, and the word "untrained".

use plotters::prelude::DrawingBackend;
use rave_results::Summary;
use rave_results::summary::ModelNote;

use super::canvas::{Align, Canvas, Type, WIDTH};
use super::palette::look;
use super::words::footnotes;
use super::{Chart, heading};

/// Free space at the left and right.
pub(super) const MARGIN: f64 = 20.0;
const LINE: f64 = 20.0;

/// The variants with records of a model, in order.
pub(crate) fn variants<'a>(summary: &'a Summary, model: &ModelNote) -> Vec<&'a str> {
    let ids = summary.variants.iter().map(|variant| variant.id.as_str());
    ids.filter(|id| summary.macro_cell(&model.name, id).is_some())
        .collect()
}

/// Height of [`head`].
pub(super) fn head_height(model: &ModelNote, legend: &[&str]) -> f64 {
    let lines = 2 + usize::from(model.untrained) + rows(legend).len();
    22.0 + lines as f64 * LINE
}

/// Height of [`foot`].
pub(super) fn foot_height(summary: &Summary, model: &ModelNote) -> f64 {
    footnotes(summary, model).len() as f64 * 17.0 + 12.0
}

/// Heading, warning, explanation and legend, from the top.
pub(super) fn head<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    model: &ModelNote,
    chart: Chart,
    explanation: &str,
    legend: &[&str],
) {
    let width = f64::from(WIDTH) - 2.0 * MARGIN;
    let mut y = 22.0;
    canvas.text(
        &Type::TITLE.fit(&heading(model, chart), width),
        (MARGIN, y),
        Type::TITLE,
        Align::Left,
    );
    y += LINE + 3.0;
    if model.untrained {
        let warning = "UNTRAINED: seeded random weights; the scores say nothing about a method.";
        canvas.text(warning, (MARGIN, y), Type::WARNING, Align::Left);
        y += LINE;
    }
    canvas.text(
        &Type::SMALL.fit(explanation, width),
        (MARGIN, y),
        Type::SMALL,
        Align::Left,
    );
    for row in rows(legend) {
        y += LINE;
        for (x, variant) in row {
            let (colour, mark) = look(variant);
            canvas.mark(mark, (x + 5.0, y), 5.0, colour);
            let name = Type::LABEL.fit(variant, width - 20.0);
            canvas.text(&name, (x + 16.0, y), Type::LABEL, Align::Left);
        }
    }
}

/// The notes, up to the bottom.
pub(super) fn foot<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
    height: f64,
) {
    let lines = footnotes(summary, model);
    let mut y = height - 12.0 - (lines.len() as f64 - 1.0) * 17.0;
    for line in lines {
        canvas.text(
            &line,
            (MARGIN, y),
            Type {
                bold: true,
                ..Type::SMALL
            },
            Align::Left,
        );
        y += 17.0;
    }
}

/// Legend entries with their left end, by line.
pub(super) fn rows<'a>(legend: &[&'a str]) -> Vec<Vec<(f64, &'a str)>> {
    let right = f64::from(WIDTH) - MARGIN;
    let mut rows: Vec<Vec<(f64, &str)>> = Vec::new();
    let mut x = right;
    for variant in legend {
        let width = Type::LABEL.width(variant) + 34.0;
        if x + width > right || rows.is_empty() {
            rows.push(Vec::new());
            x = MARGIN;
        }
        if let Some(row) = rows.last_mut() {
            row.push((x, variant));
        }
        x += width;
    }
    rows
}
