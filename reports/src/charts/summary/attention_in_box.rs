//! Share of the attention on the picture that lies inside the answer box, by suite: a band for each suite, a line for each
//! variant.

use rave_results::Summary;
use rave_results::summary::{Estimate, Measured, ModelNote};

use super::attention_by_layer::{probed, shares};
use crate::charts::canvas::{Align, BAND, Canvas, GRID, INK, MARGIN, MUTED, Type, WIDTH};
use crate::charts::chart::Chart;
use crate::charts::legend::{head, head_height};
use crate::charts::palette::{Mark, look};
use crate::charts::scale::Scale;

const AXIS: f64 = 46.0;
const BAND_PADDING: f64 = 8.0;

/// Share of the visual mass inside the answer box, by suite.
pub(super) struct AttentionInBox;

impl Chart for AttentionInBox {
    fn id(&self) -> &'static str {
        "attention-in-box"
    }

    fn title(&self) -> &'static str {
        "Attention inside the answer box"
    }

    fn has(&self, summary: &Summary, model: &ModelNote) -> bool {
        let mut cells = summary.attention.cells.iter();
        cells.any(|cell| cell.model == model.name && cell.box_share.is_some())
    }

    fn height(&self, summary: &Summary, model: &ModelNote) -> u32 {
        let legend = probed(summary, model);
        let bands = suites(summary, model).len() as f64 * band_height(legend.len());
        (head_height(model, &legend) + bands + AXIS + 8.0).ceil() as u32
    }

    fn describe(&self, summary: &Summary, model: &ModelNote) -> String {
        shares(summary, model, |cell| cell.box_share.as_ref())
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        draw(canvas, self, summary, model);
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

fn draw(canvas: &mut Canvas, chart: &dyn Chart, summary: &Summary, model: &ModelNote) {
    let (legend, suites) = (probed(summary, model), suites(summary, model));
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
    head(canvas, model, chart, &explanation, &legend);
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

fn line(canvas: &mut Canvas, measured: &Measured, variant: &str, scale: &Scale, y: f64) {
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
    let kind = Type::VALUE;
    canvas.text(&text, (high.max(at) + 9.0, y), kind, Align::Left);
}
