//! Prefill time and peak memory of a latency run against the length of the prompt: a line for each variant.

use rave_results::latency::{AGAIN, Arm, LatencySummary};

use super::{WORDS, provenance};
use crate::charts::canvas::{Align, Canvas, GRID, INK, MARGIN, Type, WIDTH};
use crate::charts::figure::Figure;
use crate::charts::legend::{entries, entries_height};
use crate::charts::palette::style;
use crate::charts::scale::Scale;

const PLOT: f64 = 260.0;

/// One of each length of the text; none where only one length was measured: one point is no line.
pub(super) fn figures(summary: &LatencySummary) -> Vec<Figure<'_>> {
    let model = &summary.record.model.name;
    let cells = summary.cells();
    let mut texts: Vec<u32> = cells.iter().map(|(_, text)| *text).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.retain(|text| cells.iter().filter(|(_, own)| own == text).count() > 1);
    let figure = |text: u32| {
        let title = format!("Prefill and memory against length: {model}, {text} text tokens");
        Figure {
            stem: format!("latency-length-{text}"),
            title: title.clone(),
            words: WORDS.to_owned(),
            size: (WIDTH, height(summary, text)),
            draw: Box::new(move |canvas| draw(canvas, summary, text, &title)),
        }
    };
    texts.into_iter().map(figure).collect()
}

/// The variants with a length to draw, in order.
fn variants(summary: &LatencySummary, text_tokens: u32) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for arm in &summary.arms {
        let name = arm.variant.as_str();
        if arm.text_tokens == text_tokens && name != AGAIN && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn top(summary: &LatencySummary, text_tokens: u32) -> f64 {
    45.0 + 18.0 + entries_height(&variants(summary, text_tokens)) + 34.0
}

fn height(summary: &LatencySummary, text_tokens: u32) -> u32 {
    (top(summary, text_tokens) + PLOT + 52.0).ceil() as u32
}

/// A panel: its heading, its values, its left and right end.
type Panel<'a> = (&'a str, &'a dyn Fn(&Arm) -> Option<f64>, (f64, f64));

fn draw(canvas: &mut Canvas, summary: &LatencySummary, text_tokens: u32, title: &str) {
    let room = f64::from(WIDTH) - 2.0 * MARGIN;
    let heading = Type::TITLE.fit(title, room);
    canvas.text(&heading, (MARGIN, 22.0), Type::TITLE, Align::Left);
    let line = Type::SMALL.fit(&provenance(summary), room);
    canvas.text(&line, (MARGIN, 45.0), Type::SMALL, Align::Left);
    let variants = variants(summary, text_tokens);
    entries(canvas, &variants, 66.0);
    let top = top(summary, text_tokens);
    let middle = f64::from(WIDTH) / 2.0;
    let right = f64::from(WIDTH) - MARGIN;
    let own = |arm: &&Arm| arm.text_tokens == text_tokens && arm.variant != AGAIN;
    let arms: Vec<&Arm> = summary.arms.iter().filter(own).collect();
    let longest = arms
        .iter()
        .filter_map(|arm| arm.prefill)
        .map(|time| time.median_ms)
        .fold(0.0, f64::max);
    let (unit, divisor) = if longest >= 1e4 {
        ("prefill, seconds (median)", 1e3)
    } else {
        ("prefill, milliseconds (median)", 1.0)
    };
    let panels: [Panel; 2] = [
        (
            unit,
            &|arm| Some(arm.prefill?.median_ms / divisor),
            (MARGIN, middle - 14.0),
        ),
        (
            "peak memory above the weights, MiB",
            &|arm| Some(arm.peak_bytes? as f64 / f64::from(1 << 20)),
            (middle + 14.0, right),
        ),
    ];
    for (name, value, across) in panels {
        let lines: Vec<(&str, Vec<(f64, f64)>)> = variants
            .iter()
            .map(|variant| {
                let own = arms.iter().filter(|arm| arm.variant == *variant);
                let point = |arm: &&Arm| {
                    let length = f64::from(arm.image_tokens + arm.text_tokens);
                    Some((length, value(arm)?))
                };
                let mut points: Vec<(f64, f64)> = own.filter_map(point).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                (*variant, points)
            })
            .collect();
        panel(canvas, name, &lines, across, (top, top + PLOT));
    }
}

fn panel(
    canvas: &mut Canvas,
    name: &str,
    lines: &[(&str, Vec<(f64, f64)>)],
    (from, to): (f64, f64),
    (top, bottom): (f64, f64),
) {
    canvas.text(name, (from, top - 18.0), Type::STRONG, Align::Left);
    let (left, right) = (from + 46.0, to - 14.0);
    let points = || lines.iter().flat_map(|(_, points)| points);
    if points().next().is_none() {
        let middle = (f64::midpoint(left, right), f64::midpoint(top, bottom));
        canvas.text(
            "Not measured on this device.",
            middle,
            Type::LABEL,
            Align::Centre,
        );
        return;
    }
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let across = Scale::new(0.0, most(|point| point.0), 5, left, right);
    let up = Scale::new(0.0, most(|point| point.1), 5, bottom, top);
    for (value, text) in up.ticks() {
        let y = up.position(value);
        canvas.line((left, y), (right, y), GRID, 1.0);
        canvas.text(&text, (left - 8.0, y), Type::SMALL, Align::Right);
    }
    for (value, text) in across.ticks() {
        let place = (across.position(value), bottom + 14.0);
        canvas.text(&text, place, Type::SMALL, Align::Centre);
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.0);
    canvas.text(
        "tokens of the prompt",
        (f64::midpoint(left, right), bottom + 34.0),
        Type::SMALL,
        Align::Centre,
    );
    // The baseline last, and so on top.
    for (variant, points) in lines.iter().rev() {
        let (colour, mark) = style(variant);
        let at = |&(x, y): &(f64, f64)| (across.position(x), up.position(y));
        for pair in points.windows(2) {
            canvas.line(at(&pair[0]), at(&pair[1]), colour, 1.5);
        }
        for point in points {
            canvas.mark(mark, at(point), 4.0, colour);
        }
    }
}
