//! Score with interval by suite and variant: a band a suite, a line a variant, a dot with its whisker.

use plotters::prelude::DrawingBackend;
use rave_results::Summary;
use rave_results::summary::{Estimate, MacroCell, ModelNote, SeedScore, SuiteNote};

use super::Chart;
use super::bands::Bands;
use super::canvas::{Align, Canvas, INK, Type};
use super::legend::{foot, foot_height, head, head_height, variants};
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
    /// And what is said of it.
    name: (String, String),
    lines: Vec<Line>,
}

/// Nominal height: it grows with suites and variants.
pub(super) fn height(summary: &Summary, model: &ModelNote) -> u32 {
    let legend = variants(summary, model);
    let bands = bands(summary, model, &legend).len();
    let height = head_height(model, &legend) + Bands::height(bands, legend.len());
    (height + foot_height(summary, model)).ceil() as u32
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
            name: (suite.id.clone(), detail(suite)),
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
            name: ("average".into(), "mean over suites".into()),
            lines: lines.collect(),
        });
    }
    bands
}

/// How many samples were taken.
pub(super) fn detail(suite: &SuiteNote) -> String {
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

    let names = bands.iter().map(|band| band.name.clone()).collect();
    let frame = Bands::new(names, legend.len(), head_height(model, &legend));
    let scale = score_scale(&bands, frame.across(0.0));
    frame.draw(canvas, &scale, "score, percent");
    let height = frame.line_height();
    for (index, band) in bands.iter().enumerate() {
        for (row, (line, variant)) in band.lines.iter().zip(&legend).enumerate() {
            draw_line(canvas, line, variant, &scale, frame.at(index, row), height);
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
            canvas.whisker((low, high), y, height * 0.22, colour);
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
fn score_scale(bands: &[Band], (left, right): (f64, f64)) -> Scale {
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
