//! What each variant takes in one cell of a latency run: a line for each variant, three panels of its ratio to standard.
//!
//! The ratio axis is logarithmic, since half and double are equally far from 1. The shaded range is that of standard against
//! itself: what this machine cannot tell from 1.

use rave_results::latency::{AGAIN, Arm, LatencySummary, Noise, Time};

use super::{WORDS, provenance};
use crate::charts::canvas::{Align, Canvas, GRID, INK, MARGIN, MUTED, Type, WIDTH};
use crate::charts::figure::Figure;
use crate::charts::palette::{Colour, Mark, style};

const LINE: f64 = 21.0;
const AXIS: f64 = 50.0;
const NAMES: f64 = 158.0;
/// Room for a time at the right of a panel.
const TIMES: f64 = 66.0;
const SHADE: Colour = (0xE4, 0xE4, 0xE4);
const TICKS: [f64; 17] = [
    0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0,
];
const LATE_TICKS: [f64; 4] = [20.0, 50.0, 100.0, 500.0];

/// A panel: its heading, its times, and the smallest ratio that the noise resolves.
type Panel = (
    &'static str,
    fn(&Arm) -> Option<Time>,
    fn(&Noise) -> Option<f64>,
);

const PANELS: [Panel; 3] = [
    ("prefill", |arm| arm.prefill, |noise| noise.prefill),
    (
        "first token, vision included",
        |arm| arm.first_token,
        |noise| noise.first_token,
    ),
    ("each further token", |arm| arm.decode, |noise| noise.decode),
];

/// One of each cell.
pub(super) fn figures(summary: &LatencySummary) -> Vec<Figure<'_>> {
    let model = &summary.record.model.name;
    let figure = |cell: (u32, u32)| {
        let (image, text) = cell;
        let title = format!("Latency by variant: {model}, {image} image + {text} text tokens");
        Figure {
            stem: format!("latency-{image}-{text}"),
            title: title.clone(),
            words: WORDS.to_owned(),
            size: (WIDTH, height(summary, cell)),
            draw: Box::new(move |canvas| draw(canvas, summary, cell, &title)),
        }
    };
    summary.cells().into_iter().map(figure).collect()
}

fn height(summary: &LatencySummary, cell: (u32, u32)) -> u32 {
    let lines = summary.arms_of(cell).count() as f64;
    (top(summary) + lines * LINE + AXIS + 14.0).ceil() as u32
}

/// Where the first line's band begins.
fn top(summary: &LatencySummary) -> f64 {
    let notes = warning(summary).is_some();
    112.0 + if notes { 18.0 } else { 0.0 }
}

fn warning(summary: &LatencySummary) -> Option<&'static str> {
    match (summary.record.finished, summary.noise.is_empty()) {
        (None, _) => Some("From an interrupted run."),
        (_, true) => {
            Some("Without --check-noise: how small a ratio this machine resolves was not measured.")
        }
        _ => None,
    }
}

/// A logarithmic axis.
struct Ratios {
    low: f64,
    high: f64,
}

impl Ratios {
    fn of(summary: &LatencySummary, cell: (u32, u32)) -> Self {
        let (mut low, mut high) = (0.95_f64, 1.05_f64);
        for arm in summary.arms_of(cell) {
            for (_, time, _) in PANELS {
                if let Some(ratio) = time(arm).and_then(|time| time.ratio) {
                    low = low.min(ratio.interval.low);
                    high = high.max(ratio.interval.high);
                }
            }
        }
        for (_, _, bound) in PANELS {
            if let Some(bound) = summary.noise_of(cell).and_then(bound) {
                high = high.max(bound);
                low = low.min(1.0 / bound);
            }
        }
        let room = (high / low).powf(0.06);
        Self {
            low: low / room,
            high: high * room,
        }
    }

    fn position(&self, ratio: f64, (from, to): (f64, f64)) -> f64 {
        from + (ratio / self.low).ln() / (self.high / self.low).ln() * (to - from)
    }

    /// Ticks that leave each other room, 1 first.
    fn ticks(&self, across: (f64, f64)) -> Vec<f64> {
        let mut chosen: Vec<f64> = Vec::new();
        let coarse = [1.0, 0.5, 2.0, 10.0, 5.0, 0.2, 0.1, 100.0];
        for tick in coarse.iter().chain(&TICKS).chain(&LATE_TICKS) {
            let at = self.position(*tick, across);
            let free = chosen
                .iter()
                .all(|other| (self.position(*other, across) - at).abs() >= 32.0);
            if (self.low..=self.high).contains(tick) && free {
                chosen.push(*tick);
            }
        }
        chosen
    }
}

fn draw(canvas: &mut Canvas, summary: &LatencySummary, cell: (u32, u32), title: &str) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let heading = Type::TITLE.fit(title, room);
    canvas.text(&heading, (MARGIN, 22.0), Type::TITLE, Align::Left);
    let mut y = 45.0;
    for text in [explanation(summary, cell), provenance(summary)] {
        canvas.text(
            &Type::SMALL.fit(&text, room),
            (MARGIN, y),
            Type::SMALL,
            Align::Left,
        );
        y += 18.0;
    }
    if let Some(warning) = warning(summary) {
        let kind = Type {
            bold: true,
            ..Type::SMALL
        };
        canvas.text(warning, (MARGIN, y), kind, Align::Left);
    }
    let top = top(summary);
    let arms: Vec<&Arm> = summary.arms_of(cell).collect();
    let bottom = top + arms.len() as f64 * LINE;
    for (row, arm) in arms.iter().enumerate() {
        let y = top + (row as f64 + 0.5) * LINE;
        let (colour, mark) = own_style(&arm.variant);
        canvas.mark(mark, (MARGIN + 5.0, y), 4.5, colour);
        let name = Type::LABEL.fit(&arm.variant, NAMES - 24.0);
        canvas.text(&name, (MARGIN + 16.0, y), Type::LABEL, Align::Left);
    }
    let ratios = Ratios::of(summary, cell);
    let width = (f64::from(WIDTH) - MARGIN - NAMES - MARGIN) / PANELS.len() as f64;
    for (number, (name, time, bound)) in PANELS.into_iter().enumerate() {
        let from = MARGIN + NAMES + number as f64 * width;
        let across = (from, from + width - TIMES - 8.0);
        canvas.text(name, (from, top - 12.0), Type::STRONG, Align::Left);
        let bound = summary.noise_of(cell).and_then(bound);
        if let Some(bound) = bound {
            let ends = [1.0 / bound, bound].map(|ratio| ratios.position(ratio, across));
            canvas.rectangle((ends[0], top), (ends[1], bottom), SHADE);
        }
        for tick in ratios.ticks(across) {
            let x = ratios.position(tick, across);
            let (colour, width) = if (tick - 1.0).abs() < 1e-9 {
                (MUTED, 1.0)
            } else {
                (GRID, 1.0)
            };
            canvas.line((x, top), (x, bottom), colour, width);
            canvas.text(
                &tick.to_string(),
                (x, bottom + 13.0),
                Type::SMALL,
                Align::Centre,
            );
        }
        canvas.line((across.0, bottom), (across.1, bottom), INK, 1.0);
        let label = bound.map_or("of standard".to_owned(), |bound| {
            format!("of standard; resolves {bound:.3}")
        });
        canvas.text(&label, (across.0, bottom + 31.0), Type::SMALL, Align::Left);
        for (row, arm) in arms.iter().enumerate() {
            let y = top + (row as f64 + 0.5) * LINE;
            draw_line(canvas, arm, time(arm), (&ratios, across), y);
        }
    }
}

fn draw_line(
    canvas: &mut Canvas,
    arm: &Arm,
    time: Option<Time>,
    (ratios, across): (&Ratios, (f64, f64)),
    y: f64,
) {
    let Some(time) = time else {
        let text = if arm.errors.is_empty() {
            "not measured"
        } else {
            "failed"
        };
        canvas.text(text, (across.1 + 4.0, y), Type::SMALL, Align::Left);
        return;
    };
    let (colour, mark) = own_style(&arm.variant);
    if let Some(ratio) = time.ratio {
        let [low, value, high] = [ratio.interval.low, ratio.value, ratio.interval.high]
            .map(|ratio| ratios.position(ratio, across));
        canvas.line((low, y), (high, y), colour, 2.0);
        for end in [low, high] {
            canvas.line((end, y - 4.0), (end, y + 4.0), colour, 2.0);
        }
        canvas.mark(mark, (value, y), 4.5, colour);
    }
    let kind = Type::VALUE;
    canvas.text(
        &duration(time.median_ms),
        (across.1 + 4.0, y),
        kind,
        Align::Left,
    );
}

/// The look of a variant; the second measurement of standard has one of its own.
fn own_style(variant: &str) -> (Colour, Mark) {
    if variant == AGAIN {
        (MUTED, Mark::Diamond)
    } else {
        style(variant)
    }
}

/// A time with three digits and its unit.
fn duration(milliseconds: f64) -> String {
    let (value, unit) = if milliseconds >= 1e4 {
        (milliseconds / 1e3, "s")
    } else {
        (milliseconds, "ms")
    };
    let decimals = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.decimals$} {unit}")
}

fn explanation(summary: &LatencySummary, cell: (u32, u32)) -> String {
    let rounds = summary.arms_of(cell).map(|arm| arm.rounds).max();
    let mut text = format!(
        "Ratio to standard: median within {} interleaved rounds, whiskers: 95 % intervals; medians of the times beside.",
        rounds.unwrap_or(0)
    );
    if summary.noise_of(cell).is_some() {
        text += " Shaded: not to be told from 1.";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_keep_apart_and_one_is_among_them() {
        for (low, high) in [(0.9, 1.1), (0.4, 20.0), (0.99, 1.3)] {
            let axis = Ratios { low, high };
            let ticks = axis.ticks((0.0, 160.0));
            assert!(ticks.contains(&1.0) && ticks.len() > 1, "{ticks:?}");
            for (at, tick) in ticks.iter().enumerate() {
                for other in &ticks[..at] {
                    let [a, b] = [tick, other].map(|tick| axis.position(*tick, (0.0, 160.0)));
                    assert!((a - b).abs() >= 32.0, "{tick} on {other}");
                }
            }
        }
    }

    #[test]
    fn times_have_three_digits() {
        let texts = [0.1234, 12.34, 1_234.5, 12_345.0].map(duration);
        assert_eq!(texts, ["0.12 ms", "12.3 ms", "1234 ms", "12.3 s"]);
    }
}
