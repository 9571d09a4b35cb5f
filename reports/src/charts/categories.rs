//! Scores by a suite's own categories: a band a category, a dot a variant.

use plotters::prelude::DrawingBackend;
use rave_results::Summary;
use rave_results::summary::ModelNote;

use super::Chart;
use super::bands::Bands;
use super::canvas::{Align, Canvas, INK, Type};
use super::legend::{foot, foot_height, head, head_height, variants};
use super::palette::look;
use super::scale::Scale;

/// One category of one suite.
struct Band {
    name: (String, String),
    /// A mean a variant.
    means: Vec<Option<f64>>,
}

/// Whether a suite has at least two categories.
pub(super) fn has(summary: &Summary, model: &ModelNote) -> bool {
    let mut cells = summary.cells.iter();
    cells.any(|cell| cell.model == model.name && cell.categories.len() > 1)
}

fn bands(summary: &Summary, model: &ModelNote, variants: &[&str]) -> Vec<Band> {
    let mut bands = Vec::new();
    for suite in &summary.suites {
        let cells: Vec<_> = variants
            .iter()
            .map(|variant| summary.cell(&model.name, &suite.id, variant))
            .collect();
        let Some(first) = cells.iter().flatten().next() else {
            continue;
        };
        if first.categories.len() < 2 {
            continue;
        }
        for (index, category) in first.categories.iter().enumerate() {
            let samples = category.scored + category.failed;
            bands.push(Band {
                name: (
                    category.name.clone(),
                    format!("{}, {samples} answers", suite.id),
                ),
                means: cells
                    .iter()
                    .map(|cell| cell.and_then(|cell| cell.categories.get(index)?.mean))
                    .collect(),
            });
        }
    }
    bands
}

/// Nominal height: it grows with categories and variants.
pub(super) fn height(summary: &Summary, model: &ModelNote) -> u32 {
    let legend = variants(summary, model);
    let bands = bands(summary, model, &legend).len();
    let height = head_height(model, &legend) + Bands::height(bands, legend.len());
    (height + foot_height(summary, model)).ceil() as u32
}

/// Draws the chart.
pub(super) fn draw<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
) {
    let legend = variants(summary, model);
    let bands = bands(summary, model, &legend);
    let explanation = "Mean score in percent over the answers of each category that have a score; without intervals: the parts are small.";
    head(canvas, model, Chart::Categories, explanation, &legend);
    let names = bands.iter().map(|band| band.name.clone()).collect();
    let frame = Bands::new(names, legend.len(), head_height(model, &legend));
    let means = bands.iter().flat_map(|band| &band.means).flatten();
    let high = means.copied().fold(0.05, f64::max);
    let (left, right) = frame.across(0.0);
    let scale = Scale::new(0.0, high * 100.0, 6, left, right);
    frame.draw(canvas, &scale, "score, percent");
    let height = frame.line_height();
    for (index, band) in bands.iter().enumerate() {
        for (row, (mean, variant)) in band.means.iter().zip(&legend).enumerate() {
            let (Some(mean), (colour, mark)) = (mean, look(variant)) else {
                continue;
            };
            let (x, y) = (scale.position(mean * 100.0), frame.at(index, row));
            canvas.line((left, y), (x, y), colour, 1.0);
            canvas.mark(mark, (x, y), (height * 0.28).min(5.0), colour);
            if height >= 14.0 {
                let kind = Type {
                    colour: INK,
                    ..Type::SMALL
                };
                canvas.text(
                    &format!("{:.1}", mean * 100.0),
                    (x + 9.0, y),
                    kind,
                    Align::Left,
                );
            }
        }
    }
    foot(
        canvas,
        summary,
        model,
        f64::from(self::height(summary, model)),
    );
}
