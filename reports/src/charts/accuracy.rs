//! Score with interval by suite and variant: a band a suite, a line a variant, a dot with its whisker.
//!
//! Lying on its side, so that suite names of any length are read without turning the head.

use plotters::prelude::DrawingBackend;
use rave_results::Summary;
use rave_results::summary::{Estimate, MacroCell, ModelNote, SeedScore, SuiteNote};

use super::Chart;
use super::canvas::{Align, BAND, Canvas, GRID, INK, Type, WIDTH};
use super::legend::{MARGIN, foot, foot_height, head, head_height, variants};
use super::palette::{Mark, look};
use super::scale::Scale;

/// One line of the chart.
enum Line {
    /// The score, and that of each training seed where there are several.
    Score(Estimate, Vec<f64>),
    NoScore(usize),
    Absent,
}

/// One band of the chart.
struct Band {
    name: String,
    detail: String,
    lines: Vec<Line>,
}

const AXIS: f64 = 46.0;
const BAND_PADDING: f64 = 8.0;

/// Nominal height: it grows with suites and variants.
pub(super) fn height(summary: &Summary, model: &ModelNote) -> u32 {
    let legend = variants(summary, model);
    let bands = bands(summary, model, &legend).len() as f64 * band_height(legend.len());
    (head_height(model, &legend) + bands + AXIS + foot_height(summary, model)).ceil() as u32
}

fn line_height(variants: usize) -> f64 {
    match variants {
        0..=6 => 18.0,
        7..=12 => 14.0,
        _ => 10.0,
    }
}

fn band_height(variants: usize) -> f64 {
    // Two lines of text stand at the left of each band.
    (variants as f64 * line_height(variants)).max(34.0) + 2.0 * BAND_PADDING
}

fn bands(summary: &Summary, model: &ModelNote, variants: &[&str]) -> Vec<Band> {
    let line = |score: Option<Estimate>, seeds: &[SeedScore], failed: usize| {
        score.map_or(Line::NoScore(failed), |score| {
            Line::Score(score, seeds.iter().filter_map(|seed| seed.value).collect())
        })
    };
    let mut bands: Vec<Band> = summary
        .suites
        .iter()
        .map(|suite| Band {
            name: suite.id.clone(),
            detail: detail(suite),
            lines: variants
                .iter()
                .map(|variant| {
                    summary
                        .cell(&model.name, &suite.id, variant)
                        .map_or(Line::Absent, |cell| {
                            line(cell.score, &cell.by_seed, cell.failed)
                        })
                })
                .collect(),
        })
        .collect();
    if bands.len() > 1 {
        let lines = variants.iter().map(|variant| {
            summary
                .macro_cell(&model.name, variant)
                .map_or(Line::Absent, |cell| line(cell.score, &cell.by_seed, 0))
        });
        bands.push(Band {
            name: "average".into(),
            detail: "mean over suites".into(),
            lines: lines.collect(),
        });
    }
    bands
}

fn detail(suite: &SuiteNote) -> String {
    if suite.is_subset() {
        format!("{} of {} samples", suite.rows_used, suite.rows_total)
    } else {
        format!("{} samples", suite.rows_used)
    }
}

/// Draws the chart.
pub(super) fn draw<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
) {
    let legend = variants(summary, model);
    let bands = bands(summary, model, &legend);
    let confidence = summary.resampling.confidence * 100.0;
    let own = |cell: &&MacroCell| cell.model == model.name;
    let seeds = summary
        .macros
        .iter()
        .filter(own)
        .map(|cell| cell.by_seed.len())
        .max();
    let explanation = match seeds {
        Some(seeds @ 2..) => format!(
            "Mean score in percent over {seeds} training seeds (small dots); whiskers: {confidence} % bootstrap intervals over \
             images and seeds."
        ),
        _ => format!(
            "Mean score in percent; whiskers: {confidence} % bootstrap intervals over whole images."
        ),
    };
    head(canvas, model, Chart::Accuracy, &explanation, &legend);

    let widest = bands
        .iter()
        .map(|band| {
            Type::STRONG
                .width(&band.name)
                .max(Type::SMALL.width(&band.detail))
        })
        .fold(70.0, f64::max)
        .min(230.0);
    let (left, right) = (MARGIN + widest + 16.0, f64::from(WIDTH) - MARGIN - 44.0);
    let top = head_height(model, &legend);
    let bottom = top + bands.len() as f64 * band_height(legend.len());
    let scale = score_scale(&bands, left, right);

    for index in 0..bands.len() {
        let y = top + index as f64 * band_height(legend.len());
        if index % 2 == 0 {
            canvas.rectangle(
                (MARGIN, y),
                (f64::from(WIDTH) - MARGIN, y + band_height(legend.len())),
                BAND,
            );
        }
    }
    for (value, text) in scale.ticks() {
        let x = scale.position(value);
        canvas.line((x, top), (x, bottom), GRID, 1.0);
        canvas.text(&text, (x, bottom + 14.0), Type::SMALL, Align::Centre);
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.0);
    canvas.text(
        "score, percent",
        (f64::midpoint(left, right), bottom + 33.0),
        Type::SMALL,
        Align::Centre,
    );

    for (index, band) in bands.iter().enumerate() {
        let begin = top + index as f64 * band_height(legend.len());
        let middle = begin + band_height(legend.len()) / 2.0;
        let name = Type::STRONG.fit(&band.name, widest);
        canvas.text(
            &name,
            (MARGIN + 6.0, middle - 9.0),
            Type::STRONG,
            Align::Left,
        );
        let detail = Type::SMALL.fit(&band.detail, widest);
        canvas.text(
            &detail,
            (MARGIN + 6.0, middle + 9.0),
            Type::SMALL,
            Align::Left,
        );
        let height = line_height(legend.len());
        let first = middle - (legend.len() as f64 - 1.0) / 2.0 * height;
        for (row, (line, variant)) in band.lines.iter().zip(&legend).enumerate() {
            draw_line(
                canvas,
                line,
                variant,
                &scale,
                first + row as f64 * height,
                height,
            );
        }
    }
    foot(canvas, summary, model, f64::from(height(summary, model)));
}

fn draw_line<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    line: &Line,
    variant: &str,
    scale: &Scale,
    y: f64,
    height: f64,
) {
    let (colour, mark) = look(variant);
    match line {
        Line::Score(score, seeds) => {
            for seed in seeds {
                let at = (scale.position(seed * 100.0), y + height * 0.3);
                canvas.mark(Mark::Circle, at, 2.0, colour);
            }
            let [low, value, high] = [score.interval.low, score.value, score.interval.high]
                .map(|value| scale.position(value * 100.0));
            canvas.line((low, y), (high, y), colour, 2.0);
            for end in [low, high] {
                canvas.line(
                    (end, y - height * 0.22),
                    (end, y + height * 0.22),
                    colour,
                    2.0,
                );
            }
            canvas.mark(mark, (value, y), (height * 0.28).min(5.0), colour);
            if height >= 14.0 {
                let text = format!("{:.1}", score.value * 100.0);
                canvas.text(
                    &text,
                    (high.max(value) + 9.0, y),
                    Type {
                        colour: INK,
                        ..Type::SMALL
                    },
                    Align::Left,
                );
            }
        }
        Line::NoScore(failed) => {
            let text = if *failed > 0 {
                format!("no score: {failed} failed")
            } else {
                "no score: not every suite has one".into()
            };
            canvas.mark(
                mark,
                (scale.position(0.0) + 9.0, y),
                (height * 0.2).min(3.5),
                colour,
            );
            let kind = Type {
                size: Type::SMALL.size.min(height),
                ..Type::SMALL
            };
            canvas.text(&text, (scale.position(0.0) + 18.0, y), kind, Align::Left);
        }
        Line::Absent => {}
    }
}

/// From zero to the highest whisker.
fn score_scale(bands: &[Band], left: f64, right: f64) -> Scale {
    let ends = bands
        .iter()
        .flat_map(|band| &band.lines)
        .filter_map(|line| match line {
            Line::Score(score, seeds) => {
                let every = seeds.iter().copied();
                Some((
                    every
                        .clone()
                        .fold(score.interval.low.min(score.value), f64::min),
                    every.fold(score.interval.high.max(score.value), f64::max),
                ))
            }
            _ => None,
        });
    let (low, high) = ends.fold((0.0_f64, 0.05_f64), |(low, high), end| {
        (low.min(end.0), high.max(end.1))
    });
    Scale::new(low * 100.0, high * 100.0, 6, left, right)
}
