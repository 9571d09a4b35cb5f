//! Share of the answers' attention that is on the picture, by layer: a line for each variant, a dot with its whisker for
//! each layer.

use rave_results::Summary;
use rave_results::summary::{AttentionCell, AttentionLayer, Estimate, Measured, ModelNote};

use crate::charts::canvas::{Align, Canvas, GRID, INK, MARGIN, Type, WIDTH};
use crate::charts::chart::Chart;
use crate::charts::legend::{head, head_height};
use crate::charts::palette::style;
use crate::charts::scale::Scale;
use crate::tables::numbers::percent;

/// Nominal height.
const HEIGHT: u32 = 440;
const AXIS: f64 = 46.0;

/// Share of attention on visual keys, by layer.
pub(super) struct AttentionByLayer;

impl Chart for AttentionByLayer {
    fn id(&self) -> &'static str {
        "attention-by-layer"
    }

    fn title(&self) -> &'static str {
        "Attention on the picture by layer"
    }

    fn has(&self, summary: &Summary, model: &ModelNote) -> bool {
        let mut cells = summary.attention.cells.iter();
        cells.any(|cell| cell.model == model.name)
    }

    fn height(&self, _: &Summary, _: &ModelNote) -> u32 {
        HEIGHT
    }

    fn describe(&self, summary: &Summary, model: &ModelNote) -> String {
        shares(summary, model, |cell| cell.visual_share.as_ref())
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        draw(canvas, self, summary, model);
    }
}

/// The mean shares of every suite and variant in words.
pub(super) fn shares(
    summary: &Summary,
    model: &ModelNote,
    share: impl Fn(&AttentionCell) -> Option<&Measured>,
) -> String {
    let mut text = String::new();
    for cell in &summary.attention.cells {
        if let Some(share) = share(cell).filter(|_| cell.model == model.name) {
            let percent = percent(share.mean.value);
            text += &format!("{}, {}: {percent} %. ", cell.suite, cell.variant);
        }
    }
    text
}

/// The variants with probes, in order.
pub(super) fn probed<'a>(summary: &'a Summary, model: &ModelNote) -> Vec<&'a str> {
    let ids = summary.variants.iter().map(|variant| variant.id.as_str());
    let mut cells = summary.attention.cells.iter();
    let all: Vec<&AttentionCell> = cells
        .by_ref()
        .filter(|cell| cell.model == model.name)
        .collect();
    ids.filter(|id| all.iter().any(|cell| cell.variant == *id))
        .collect()
}

/// How many answers stand behind the chart, and of what.
fn basis(summary: &Summary, model: &ModelNote) -> String {
    let own = |cell: &&AttentionCell| cell.model == model.name && cell.variant == summary.baseline;
    let cells: Vec<&AttentionCell> = summary.attention.cells.iter().filter(own).collect();
    let suites: Vec<&&AttentionCell> = cells
        .iter()
        .filter(|cell| cell.suite != "average")
        .collect();
    let answers: usize = suites.iter().map(|cell| cell.probed).sum();
    match suites.as_slice() {
        [] => "all suites".into(),
        [only] => format!("{answers} answers on {}", only.suite),
        _ => format!("{} suites, {answers} answers", suites.len()),
    }
}

fn draw(canvas: &mut Canvas, chart: &dyn Chart, summary: &Summary, model: &ModelNote) {
    let legend = probed(summary, model);
    let explanation = format!(
        "Percent of the answering tokens' attention that is on visual tokens, mean over heads; {}; {} % intervals.",
        basis(summary, model),
        summary.resampling.confidence * 100.0
    );
    head(canvas, model, chart, &explanation, &legend);
    let top = head_height(model, &legend) + 4.0;
    let bottom = f64::from(HEIGHT) - AXIS - 8.0;
    let (left, right) = (MARGIN + 44.0, f64::from(WIDTH) - MARGIN - 10.0);
    let own = |layer: &&AttentionLayer| layer.model == model.name;
    let layers: Vec<&AttentionLayer> = summary.attention.layers.iter().filter(own).collect();
    let last = layers.iter().map(|layer| layer.layer).max().unwrap_or(0);
    let high = layers
        .iter()
        .filter_map(|layer| layer.visual_share)
        .map(|share| share.interval.high.max(share.value))
        .fold(0.01, f64::max);
    let y = Scale::new(0.0, high * 100.0, 6, bottom, top);
    for (value, text) in y.ticks() {
        let y = y.position(value);
        canvas.line((left, y), (right, y), GRID, 1.0);
        canvas.text(&text, (left - 8.0, y), Type::SMALL, Align::Right);
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.0);
    // Every layer has a stretch of its own, in which the variants stand side by side.
    let stretch = (right - left) / (last + 1) as f64;
    let step = (last + 1).div_ceil(30);
    for layer in (0..=last).step_by(step) {
        let x = left + (layer as f64 + 0.5) * stretch;
        canvas.text(
            &layer.to_string(),
            (x, bottom + 14.0),
            Type::SMALL,
            Align::Centre,
        );
    }
    let middle = f64::midpoint(left, right);
    canvas.text("layer", (middle, bottom + 33.0), Type::SMALL, Align::Centre);
    for (place, variant) in legend.iter().enumerate() {
        let (colour, mark) = style(variant);
        let apart = (stretch * 0.5 / legend.len() as f64).min(9.0);
        let shift = (place as f64 - (legend.len() as f64 - 1.0) / 2.0) * apart;
        let mut points: Vec<(f64, Estimate)> = layers
            .iter()
            .filter(|layer| layer.variant == *variant)
            .filter_map(|layer| {
                let x = left + (layer.layer as f64 + 0.5) * stretch + shift;
                Some((x, layer.visual_share?))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = |value: f64| y.position(value * 100.0);
        for pair in points.windows(2) {
            let ends = [
                (pair[0].0, at(pair[0].1.value)),
                (pair[1].0, at(pair[1].1.value)),
            ];
            canvas.line(ends[0], ends[1], colour, 1.2);
        }
        for (x, share) in points {
            canvas.line(
                (x, at(share.interval.low)),
                (x, at(share.interval.high)),
                colour,
                1.5,
            );
            canvas.mark(mark, (x, at(share.value)), 4.0, colour);
        }
    }
}
