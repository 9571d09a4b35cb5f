//! What each variant gains over the baseline, by suite: a forest plot, a band for each suite, a line for each variant.

use rave_results::Summary;
use rave_results::summary::{Difference, Estimate, ModelNote, SeedScore};

use crate::charts::canvas::{Align, Canvas, Type};
use crate::charts::chart::Chart;
use crate::charts::forest::{Forest, Line};
use crate::charts::legend::{foot, head, variants};
use crate::tables::numbers::{points, signed, star};

/// Room for `+10.0 [-10.0, +10.0] *`.
const VALUE: f64 = 112.0;

/// Difference to the baseline by suite and variant.
pub(super) struct Gain;

impl Chart for Gain {
    fn id(&self) -> &'static str {
        "gain"
    }

    fn title(&self) -> &'static str {
        "Difference to the baseline by suite and variant"
    }

    fn has(&self, summary: &Summary, model: &ModelNote) -> bool {
        let mut cells = summary.cells.iter();
        cells.any(|cell| cell.model == model.name && cell.difference.is_some())
    }

    fn height(&self, summary: &Summary, model: &ModelNote) -> u32 {
        forest(summary, model).height(summary, model)
    }

    fn describe(&self, summary: &Summary, model: &ModelNote) -> String {
        let cells = summary.macros.iter();
        let own = cells.filter(|cell| cell.model == model.name);
        let texts = own.filter_map(|cell| {
            let difference = cell.difference?;
            let interval = difference.interval;
            Some(format!(
                "{}: {} points, {} to {}. ",
                cell.variant,
                signed(difference.value),
                signed(interval.low),
                signed(interval.high)
            ))
        });
        texts.collect()
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        let forest = forest(summary, model);
        let explanation = format!(
            "Score minus that of {} on the same samples; whiskers: {} % intervals{}; *: Holm-corrected p below 0.05 and an interval without 0.",
            summary.baseline,
            summary.resampling.confidence * 100.0,
            if forest.has_seeds() {
                "; small dots: seeds"
            } else {
                ""
            }
        );
        head(canvas, model, self, &explanation, &forest.variants);
        // At least one point to either side of zero.
        let (frame, scale) = forest.frame(model, (-0.01, 0.01), VALUE);
        frame.draw(canvas, &scale, "difference, percentage points");
        frame.upright(canvas, scale.position(0.0));
        let height = frame.line_height();
        let kind = Type {
            size: Type::SMALL.size.min(height),
            ..Type::VALUE
        };
        forest.each(&frame, |line, variant, y| {
            line.draw(canvas, variant, &scale, (y, height));
            let at = (scale.ends().1 + 8.0, y);
            canvas.text(&line.text, at, kind, Align::Left);
        });
        let bottom = f64::from(forest.height(summary, model));
        foot(canvas, summary, model, bottom);
    }
}

fn forest<'a>(summary: &'a Summary, model: &ModelNote) -> Forest<'a> {
    let mut compared = variants(summary, model);
    compared.retain(|variant| *variant != summary.baseline);
    let words = |own: Difference| format!("{}{}", points(&own), star(&own));
    let line = |difference: Option<Difference>, seeds: &[SeedScore]| Line {
        estimate: difference.map(|own| Estimate {
            value: own.value,
            interval: own.interval,
        }),
        seeds: seeds.iter().filter_map(|seed| seed.difference).collect(),
        text: difference.map_or("no pair of scores".to_owned(), words),
    };
    Forest::new(
        summary,
        model,
        compared,
        |cell| match cell {
            Some(cell) => line(cell.difference, &cell.by_seed),
            None => line(None, &[]),
        },
        |cell| match cell {
            Some(cell) => line(cell.difference, &cell.by_seed),
            None => line(None, &[]),
        },
    )
}
