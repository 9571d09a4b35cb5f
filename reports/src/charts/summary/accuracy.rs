//! Score with interval by suite and variant: a band for each suite, a line for each variant, a dot with its whisker.

use rave_results::Summary;
use rave_results::summary::{Estimate, MacroCell, ModelNote, SeedScore};

use crate::charts::canvas::{Align, Canvas, Type};
use crate::charts::chart::Chart;
use crate::charts::forest::{Forest, Line};
use crate::charts::legend::{foot, head, variants};
use crate::charts::palette::style;
use crate::charts::scale::Scale;
use crate::tables::numbers::percent;

/// Score by suite and variant.
pub(super) struct Accuracy;

impl Chart for Accuracy {
    fn id(&self) -> &'static str {
        "accuracy"
    }

    fn title(&self) -> &'static str {
        "Accuracy by suite and variant"
    }

    fn height(&self, summary: &Summary, model: &ModelNote) -> u32 {
        forest(summary, model).height(summary, model)
    }

    fn describe(&self, summary: &Summary, model: &ModelNote) -> String {
        means(summary, model)
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        let forest = forest(summary, model);
        let explanation = explanation(summary, model);
        head(canvas, model, self, &explanation, &forest.variants);
        let (frame, scale) = forest.frame(model, (0.0, 0.05), 0.0);
        frame.draw(canvas, &scale, "score, percent");
        let height = frame.line_height();
        forest.each(&frame, |line, variant, y| {
            draw_line(canvas, line, variant, &scale, (y, height));
        });
        let bottom = f64::from(forest.height(summary, model));
        foot(canvas, summary, model, bottom);
    }
}

/// The mean scores in words.
pub(super) fn means(summary: &Summary, model: &ModelNote) -> String {
    let cells = summary.macros.iter();
    let texts = cells
        .filter(|cell| cell.model == model.name)
        .map(|cell| match cell.score {
            Some(score) => format!("{}: {} %. ", cell.variant, percent(score.value)),
            None => format!("{}: no score. ", cell.variant),
        });
    texts.collect()
}

fn forest<'a>(summary: &'a Summary, model: &ModelNote) -> Forest<'a> {
    let line = |score: Option<Estimate>, seeds: &[SeedScore], failed: usize| match score {
        Some(score) => Line {
            estimate: Some(score),
            seeds: seeds.iter().filter_map(|seed| seed.value).collect(),
            text: percent(score.value),
        },
        None if failed > 0 => words(&format!("no score: {failed} failed")),
        None => words("no score: not every suite has one"),
    };
    Forest::new(
        summary,
        model,
        variants(summary, model),
        |cell| match cell {
            Some(cell) => line(cell.score, &cell.by_seed, cell.failed),
            None => words(""),
        },
        |cell| match cell {
            Some(cell) => line(cell.score, &cell.by_seed, 0),
            None => words(""),
        },
    )
}

/// A line without a score.
fn words(text: &str) -> Line {
    Line {
        estimate: None,
        seeds: Vec::new(),
        text: text.to_owned(),
    }
}

fn explanation(summary: &Summary, model: &ModelNote) -> String {
    let confidence = summary.resampling.confidence * 100.0;
    let own = |cell: &&MacroCell| cell.model == model.name;
    let seeds = summary
        .macros
        .iter()
        .filter(own)
        .map(|cell| cell.by_seed.len())
        .max();
    match seeds {
        Some(seeds @ 2..) => format!(
            "Mean score in percent over {seeds} training seeds (small dots); whiskers: {confidence} % bootstrap intervals over \
             images and seeds."
        ),
        _ => format!(
            "Mean score in percent; whiskers: {confidence} % bootstrap intervals over whole images."
        ),
    }
}

fn draw_line(
    canvas: &mut Canvas,
    line: &Line,
    variant: &str,
    scale: &Scale,
    (y, height): (f64, f64),
) {
    line.draw(canvas, variant, scale, (y, height));
    if line.estimate.is_some() {
        line.write_value(canvas, scale, (y, height));
    } else if !line.text.is_empty() {
        let (colour, mark) = style(variant);
        let left = scale.position(0.0);
        canvas.mark(mark, (left + 9.0, y), (height * 0.2).min(3.5), colour);
        let kind = Type {
            size: Type::SMALL.size.min(height),
            ..Type::SMALL
        };
        canvas.text(&line.text, (left + 18.0, y), kind, Align::Left);
    }
}
