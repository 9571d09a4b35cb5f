//! Share of the attention on the picture that lies inside the answer box, by suite: a band for each suite, a line for each
//! variant.

use rave_results::Summary;
use rave_results::summary::{Measured, ModelNote};

use super::attention_by_layer::{probed, shares};
use crate::charts::bands::Bands;
use crate::charts::canvas::{Canvas, MUTED};
use crate::charts::chart::Chart;
use crate::charts::forest::Line;
use crate::charts::legend::{head, head_height};
use crate::charts::scale::Scale;

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
        let bands = Bands::height(suites(summary, model).len(), legend.len());
        (head_height(model, &legend) + bands + 8.0).ceil() as u32
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
    let names = suites
        .iter()
        .map(|suite| ((*suite).to_owned(), String::new()));
    let frame = Bands::new(names.collect(), legend.len(), head_height(model, &legend));
    let (left, right) = frame.across(0.0);
    let ends = suites.iter().flat_map(|suite| {
        legend.iter().flat_map(move |variant| {
            let own = measured(suite, variant);
            let high = own.map(|own| own.mean.interval.high.max(own.mean.value));
            [high, cell(suite, variant).and_then(|cell| cell.box_uniform)]
        })
    });
    let high = ends.flatten().fold(0.01, f64::max);
    let scale = Scale::new(0.0, high * 100.0, 6, left, right);
    let axis = "percent of the visual mass inside the answer box";
    frame.draw(canvas, &scale, axis);
    for (band, suite) in suites.iter().enumerate() {
        // Of the first variant that has it: they differ only where tokens are dropped.
        let uniform = legend
            .iter()
            .find_map(|variant| cell(suite, variant)?.box_uniform);
        if let Some(uniform) = uniform {
            let x = scale.position(uniform * 100.0);
            let (begin, end) = frame.ends(band);
            canvas.line((x, begin + 4.0), (x, end - 4.0), MUTED, 1.5);
        }
        for (row, variant) in legend.iter().enumerate() {
            let Some(own) = measured(suite, variant) else {
                continue;
            };
            let line = Line {
                estimate: Some(own.mean),
                seeds: own.by_seed.iter().filter_map(|seed| seed.value).collect(),
                text: format!("{:.1}", own.mean.value * 100.0),
            };
            let place = (frame.at(band, row), frame.line_height());
            line.draw(canvas, variant, &scale, place);
            line.write_value(canvas, &scale, place);
        }
    }
}
