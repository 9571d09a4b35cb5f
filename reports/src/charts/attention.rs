//! Where the attention behind the answers went: the share on the picture by layer, and the share of that inside the answer
//! box by suite.

use plotters::prelude::DrawingBackend;
use rave_results::Summary;
use rave_results::summary::{AttentionCell, AttentionLayer, Estimate, Measured, ModelNote};

use super::Chart;
use super::canvas::{Align, BAND, Canvas, GRID, INK, MUTED, Type, WIDTH};
use super::legend::{MARGIN, head, head_height};
use super::palette::{Mark, look};
use super::scale::Scale;

/// Nominal height of the chart by layer.
pub(super) const HEIGHT: u32 = 440;
const AXIS: f64 = 46.0;
const BAND_PADDING: f64 = 8.0;

/// Whether there is anything of a model to draw in a chart.
pub(super) fn has(summary: &Summary, model: &ModelNote, chart: Chart) -> bool {
    let mut cells = summary.attention.cells.iter();
    cells
        .any(|cell| cell.model == model.name && (chart != Chart::InBox || cell.box_share.is_some()))
}

/// The variants with probes, in order.
fn variants<'a>(summary: &'a Summary, model: &ModelNote) -> Vec<&'a str> {
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

/// Draws the share of attention on visual keys, by layer.
pub(super) fn by_layer<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
) {
    let legend = variants(summary, model);
    let explanation = format!(
        "Percent of the answering tokens' attention that is on visual tokens, mean over heads; {}; {} % intervals.",
        basis(summary, model),
        summary.resampling.confidence * 100.0
    );
    head(canvas, model, Chart::VisualShare, &explanation, &legend);
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
        let (colour, mark) = look(variant);
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

/// The suites with answer boxes, in order, the average last.
fn suites<'a>(summary: &'a Summary, model: &ModelNote) -> Vec<&'a str> {
    let has = |suite: &str| {
        let mut cells = summary.attention.cells.iter();
        cells
            .any(|cell| cell.model == model.name && cell.suite == suite && cell.box_share.is_some())
    };
    let ids = summary.suites.iter().map(|suite| suite.id.as_str());
    ids.chain(["average"]).filter(|id| has(id)).collect()
}

fn band_height(variants: usize) -> f64 {
    (variants as f64 * 18.0).max(34.0) + 2.0 * BAND_PADDING
}

/// Nominal height of the chart by suite.
pub(super) fn height(summary: &Summary, model: &ModelNote) -> u32 {
    let legend = variants(summary, model);
    let bands = suites(summary, model).len() as f64 * band_height(legend.len());
    (head_height(model, &legend) + bands + AXIS + 8.0).ceil() as u32
}

/// Draws the share of the visual mass inside the answer box, by suite.
pub(super) fn in_box<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
) {
    let (legend, suites) = (variants(summary, model), suites(summary, model));
    let cell =
        |suite: &str, variant: &str| {
            summary.attention.cells.iter().find(|cell| {
                cell.model == model.name && cell.suite == suite && cell.variant == variant
            })
        };
    let measured = |suite: &str, variant: &str| -> Option<&Measured> {
        cell(suite, variant)?.box_share.as_ref()
    };
    let many = suites.iter().any(|suite| {
        let mut own = legend.iter().filter_map(|variant| measured(suite, variant));
        own.any(|own| own.by_seed.len() > 1)
    });
    let explanation = format!(
        "Percent of the visual attention inside the answer box, over layers and heads; {} % intervals{}; grey: even weights.",
        summary.resampling.confidence * 100.0,
        if many { "; small dots: seeds" } else { "" }
    );
    head(canvas, model, Chart::InBox, &explanation, &legend);
    let widest = suites
        .iter()
        .map(|suite| Type::STRONG.width(suite))
        .fold(90.0, f64::max)
        .min(230.0);
    let (left, right) = (MARGIN + widest + 16.0, f64::from(WIDTH) - MARGIN - 44.0);
    let top = head_height(model, &legend);
    let band = band_height(legend.len());
    let bottom = top + suites.len() as f64 * band;
    let ends = suites.iter().flat_map(|suite| {
        legend.iter().flat_map(move |variant| {
            let own = measured(suite, variant);
            let high = own.map(|own| own.mean.interval.high.max(own.mean.value));
            [high, cell(suite, variant).and_then(|cell| cell.box_uniform)]
        })
    });
    let high = ends.flatten().fold(0.01, f64::max);
    let scale = Scale::new(0.0, high * 100.0, 6, left, right);
    for index in (0..suites.len()).step_by(2) {
        let y = top + index as f64 * band;
        canvas.rectangle((MARGIN, y), (f64::from(WIDTH) - MARGIN, y + band), BAND);
    }
    for (value, text) in scale.ticks() {
        let x = scale.position(value);
        canvas.line((x, top), (x, bottom), GRID, 1.0);
        canvas.text(&text, (x, bottom + 14.0), Type::SMALL, Align::Centre);
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.0);
    let middle = f64::midpoint(left, right);
    let axis = "percent of the visual mass inside the answer box";
    canvas.text(axis, (middle, bottom + 33.0), Type::SMALL, Align::Centre);
    for (index, suite) in suites.iter().enumerate() {
        let begin = top + index as f64 * band;
        let middle = begin + band / 2.0;
        let name = Type::STRONG.fit(suite, widest);
        canvas.text(&name, (MARGIN + 6.0, middle), Type::STRONG, Align::Left);
        // Of the first variant that has it: they differ only where tokens are dropped.
        let uniform = legend
            .iter()
            .find_map(|variant| cell(suite, variant)?.box_uniform);
        if let Some(uniform) = uniform {
            let x = scale.position(uniform * 100.0);
            canvas.line((x, begin + 4.0), (x, begin + band - 4.0), MUTED, 1.5);
        }
        let first = middle - (legend.len() as f64 - 1.0) / 2.0 * 18.0;
        for (row, variant) in legend.iter().enumerate() {
            if let Some(own) = measured(suite, variant) {
                line(canvas, own, variant, &scale, first + row as f64 * 18.0);
            }
        }
    }
}

fn line<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    measured: &Measured,
    variant: &str,
    scale: &Scale,
    y: f64,
) {
    let (colour, mark) = look(variant);
    for seed in measured.by_seed.iter().filter_map(|seed| seed.value) {
        canvas.mark(
            Mark::Circle,
            (scale.position(seed * 100.0), y + 5.4),
            2.0,
            colour,
        );
    }
    let Estimate { value, interval } = measured.mean;
    let [low, at, high] =
        [interval.low, value, interval.high].map(|end| scale.position(end * 100.0));
    canvas.whisker((low, high), y, 4.0, colour);
    canvas.mark(mark, (at, y), 5.0, colour);
    let text = format!("{:.1}", value * 100.0);
    let kind = Type {
        colour: INK,
        ..Type::SMALL
    };
    canvas.text(&text, (high.max(at) + 9.0, y), kind, Align::Left);
}
