//! What charts of a summary have at their top (heading, legend, the word "untrained") and, those of attention apart, at their
//! bottom (notes).

use rave_results::Summary;
use rave_results::summary::ModelNote;

use super::canvas::{Align, Canvas, MARGIN, Type, WIDTH};
use super::chart::Chart;
use super::footnotes::footnotes;
use super::palette::style;

/// Height of a line of the head.
const LINE: f64 = 20.0;

/// The variants with records of a model, in order.
pub(crate) fn variants<'a>(summary: &'a Summary, model: &ModelNote) -> Vec<&'a str> {
    let ids = summary.variants.iter().map(|variant| variant.id.as_str());
    ids.filter(|id| summary.macro_cell(&model.name, id).is_some())
        .collect()
}

/// Height of [`head`].
pub(super) fn head_height(model: &ModelNote, legend: &[&str]) -> f64 {
    let lines = 2 + usize::from(model.untrained) + lines(legend).len();
    22.0 + lines as f64 * LINE
}

/// Height of [`foot`].
pub(super) fn foot_height(summary: &Summary, model: &ModelNote) -> f64 {
    footnotes(summary, model).len() as f64 * 17.0 + 12.0
}

/// Heading, warning, explanation and legend, from the top.
pub(super) fn head(
    canvas: &mut Canvas,
    model: &ModelNote,
    chart: &dyn Chart,
    explanation: &str,
    legend: &[&str],
) {
    let width = f64::from(WIDTH) - 2.0 * MARGIN;
    let mut y = 22.0;
    canvas.text(
        &Type::TITLE.fit(&chart.heading(model), width),
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
    entries(canvas, legend, y + LINE);
}

/// Mark and name of each variant, from `y` downwards.
pub(super) fn entries(canvas: &mut Canvas, legend: &[&str], mut y: f64) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN - 20.0;
    for line in lines(legend) {
        for (x, variant) in line {
            let (colour, mark) = style(variant);
            canvas.mark(mark, (x + 5.0, y), 5.0, colour);
            let name = Type::LABEL.fit(variant, room);
            canvas.text(&name, (x + 16.0, y), Type::LABEL, Align::Left);
        }
        y += LINE;
    }
}

/// Height of [`entries`].
pub(super) fn entries_height(legend: &[&str]) -> f64 {
    lines(legend).len() as f64 * LINE
}

/// The notes, up to the bottom.
pub(super) fn foot(canvas: &mut Canvas, summary: &Summary, model: &ModelNote, height: f64) {
    let notes = footnotes(summary, model);
    let mut y = height - 12.0 - (notes.len() as f64 - 1.0) * 17.0;
    for note in notes {
        canvas.text(
            &note,
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

/// The entries of a legend with their left end, by line.
fn lines<'a>(legend: &[&'a str]) -> Vec<Vec<(f64, &'a str)>> {
    let right = f64::from(WIDTH) - MARGIN;
    let mut lines: Vec<Vec<(f64, &str)>> = Vec::new();
    let mut x = right;
    for variant in legend {
        let width = Type::LABEL.width(variant) + 34.0;
        if x + width > right || lines.is_empty() {
            lines.push(Vec::new());
            x = MARGIN;
        }
        if let Some(line) = lines.last_mut() {
            line.push((x, variant));
        }
        x += width;
    }
    lines
}
