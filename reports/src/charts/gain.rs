//! What each variant gains over the baseline, by suite: a forest plot, a band a suite, a line a variant.

use plotters::prelude::DrawingBackend;
use rave_results::Summary;
use rave_results::summary::{Difference, ModelNote, SeedScore};

use super::Chart;
use super::accuracy::detail;
use super::bands::Bands;
use super::canvas::{Align, Canvas, INK, Type};
use super::legend::{foot, foot_height, head, head_height, variants};
use super::palette::{Mark, look};
use super::scale::Scale;
use crate::tables::signed;

/// Room for `+10.0 [-10.0, +10.0] *`.
const VALUE: f64 = 112.0;

/// A difference, with that of each training seed where there are several.
struct Line {
    difference: Option<Difference>,
    seeds: Vec<f64>,
}

struct Band {
    name: (String, String),
    lines: Vec<Line>,
}

/// Whether there is a difference to draw.
pub(super) fn has(summary: &Summary, model: &ModelNote) -> bool {
    let mut cells = summary.cells.iter();
    cells.any(|cell| cell.model == model.name && cell.difference.is_some())
}

fn compared<'a>(summary: &'a Summary, model: &ModelNote) -> Vec<&'a str> {
    let mut all = variants(summary, model);
    all.retain(|variant| *variant != summary.baseline);
    all
}

fn bands(summary: &Summary, model: &ModelNote, variants: &[&str]) -> Vec<Band> {
    let line = |difference: Option<Difference>, seeds: &[SeedScore]| Line {
        difference,
        seeds: seeds.iter().filter_map(|seed| seed.difference).collect(),
    };
    let mut bands: Vec<Band> = summary
        .suites
        .iter()
        .map(|suite| Band {
            name: (suite.id.clone(), detail(suite)),
            lines: variants
                .iter()
                .map(|variant| {
                    let cell = summary.cell(&model.name, &suite.id, variant);
                    line(
                        cell.and_then(|cell| cell.difference),
                        cell.map_or(&[], |cell| &cell.by_seed),
                    )
                })
                .collect(),
        })
        .collect();
    if bands.len() > 1 {
        let lines = variants.iter().map(|variant| {
            let cell = summary.macro_cell(&model.name, variant);
            line(
                cell.and_then(|cell| cell.difference),
                cell.map_or(&[], |cell| &cell.by_seed),
            )
        });
        bands.push(Band {
            name: ("average".into(), "mean over suites".into()),
            lines: lines.collect(),
        });
    }
    bands
}

/// Nominal height: it grows with suites and variants.
pub(super) fn height(summary: &Summary, model: &ModelNote) -> u32 {
    let legend = compared(summary, model);
    let bands = summary.suites.len() + usize::from(summary.suites.len() > 1);
    let height = head_height(model, &legend) + Bands::height(bands, legend.len());
    (height + foot_height(summary, model)).ceil() as u32
}

/// Draws the chart.
pub(super) fn draw<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
) {
    let legend = compared(summary, model);
    let bands = bands(summary, model, &legend);
    let several = bands
        .iter()
        .flat_map(|band| &band.lines)
        .any(|line| line.seeds.len() > 1);
    let explanation = format!(
        "Score minus that of {} on the same samples; whiskers: {} % intervals{}; *: Holm-corrected p below 0.05 and an interval without 0.",
        summary.baseline,
        summary.resampling.confidence * 100.0,
        if several { "; small dots: seeds" } else { "" }
    );
    head(canvas, model, Chart::Gain, &explanation, &legend);
    let names = bands.iter().map(|band| band.name.clone()).collect();
    let frame = Bands::new(names, legend.len(), head_height(model, &legend));
    let scale = scale(&bands, frame.across(VALUE));
    frame.draw(canvas, &scale, "difference, percentage points");
    frame.upright(canvas, scale.position(0.0));
    let height = frame.line_height();
    for (index, band) in bands.iter().enumerate() {
        for (row, (line, variant)) in band.lines.iter().zip(&legend).enumerate() {
            draw_line(
                canvas,
                line,
                variant,
                &scale,
                (frame.at(index, row), height),
            );
        }
    }
    foot(
        canvas,
        summary,
        model,
        f64::from(self::height(summary, model)),
    );
}

fn draw_line<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    line: &Line,
    variant: &str,
    scale: &Scale,
    (y, height): (f64, f64),
) {
    let (colour, mark) = look(variant);
    for seed in &line.seeds {
        let at = (scale.position(seed * 100.0), y + height * 0.3);
        canvas.mark(Mark::Circle, at, 2.0, colour);
    }
    let text_at = scale.ends().1 + 8.0;
    let kind = Type {
        colour: INK,
        size: Type::SMALL.size.min(height),
        ..Type::SMALL
    };
    let Some(difference) = line.difference else {
        canvas.text("no pair of scores", (text_at, y), kind, Align::Left);
        return;
    };
    let interval = difference.interval;
    let [low, value, high] =
        [interval.low, difference.value, interval.high].map(|end| scale.position(end * 100.0));
    canvas.whisker((low, high), y, height * 0.22, colour);
    canvas.mark(mark, (value, y), (height * 0.28).min(5.0), colour);
    let text = format!(
        "{} [{}, {}]{}",
        signed(difference.value),
        signed(interval.low),
        signed(interval.high),
        if difference.decided().is_ne() {
            " *"
        } else {
            ""
        }
    );
    canvas.text(&text, (text_at, y), kind, Align::Left);
}

/// Wide enough for every whisker and seed, and at least one point to either side of zero.
fn scale(bands: &[Band], (left, right): (f64, f64)) -> Scale {
    let ends = bands.iter().flat_map(|band| &band.lines).flat_map(|line| {
        let interval = line
            .difference
            .map(|own| [own.interval.low, own.interval.high, own.value]);
        line.seeds
            .iter()
            .copied()
            .chain(interval.into_iter().flatten())
    });
    let (low, high) = ends.fold((-0.01_f64, 0.01_f64), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    Scale::new(low * 100.0, high * 100.0, 6, left, right)
}
