//! Scores by a suite's own categories: a band for each category, a dot for each variant.

use rave_results::Summary;
use rave_results::summary::ModelNote;

use crate::charts::bands::Bands;
use crate::charts::canvas::{Align, Canvas, Type};
use crate::charts::chart::Chart;
use crate::charts::legend::{foot, foot_height, head, head_height, variants};
use crate::charts::palette::style;
use crate::charts::scale::Scale;

/// One category of one suite.
struct Band {
    name: (String, String),
    /// The mean of each variant.
    means: Vec<Option<f64>>,
}

/// Mean score by category.
pub(super) struct AccuracyByCategory;

impl Chart for AccuracyByCategory {
    fn id(&self) -> &'static str {
        "accuracy-by-category"
    }

    fn title(&self) -> &'static str {
        "Accuracy by category"
    }

    /// Whether a suite has at least two categories.
    fn has(&self, summary: &Summary, model: &ModelNote) -> bool {
        let mut cells = summary.cells.iter();
        cells.any(|cell| cell.model == model.name && cell.categories.len() > 1)
    }

    fn height(&self, summary: &Summary, model: &ModelNote) -> u32 {
        let legend = variants(summary, model);
        let bands = bands(summary, model, &legend).len();
        let height = head_height(model, &legend) + Bands::height(bands, legend.len());
        (height + foot_height(summary, model)).ceil() as u32
    }

    fn describe(&self, _: &Summary, _: &ModelNote) -> String {
        "The tables by category have every number.".to_owned()
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        draw(canvas, self, summary, model);
    }
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

fn draw(canvas: &mut Canvas, chart: &dyn Chart, summary: &Summary, model: &ModelNote) {
    let legend = variants(summary, model);
    let bands = bands(summary, model, &legend);
    let explanation = "Mean score in percent over the answers of each category that have a score; without intervals: the parts are small.";
    head(canvas, model, chart, explanation, &legend);
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
            let (Some(mean), (colour, mark)) = (mean, style(variant)) else {
                continue;
            };
            let (x, y) = (scale.position(mean * 100.0), frame.at(index, row));
            canvas.line((left, y), (x, y), colour, 1.0);
            canvas.mark(mark, (x, y), (height * 0.28).min(5.0), colour);
            if height >= 14.0 {
                let kind = Type::VALUE;
                canvas.text(
                    &format!("{:.1}", mean * 100.0),
                    (x + 9.0, y),
                    kind,
                    Align::Left,
                );
            }
        }
    }
    let bottom = f64::from(chart.height(summary, model));
    foot(canvas, summary, model, bottom);
}
