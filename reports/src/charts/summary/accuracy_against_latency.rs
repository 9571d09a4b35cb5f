//! Mean score against time a sample: a point a variant, named where it lies.

use rave_results::Summary;
use rave_results::summary::{Estimate, ModelNote};

use super::accuracy::means;
use crate::charts::canvas::{Align, Canvas, GRID, INK, MARGIN, MUTED, Type, WIDTH};
use crate::charts::chart::Chart;
use crate::charts::labels::{Rect, place};
use crate::charts::legend::{foot, foot_height, head, head_height, variants};
use crate::charts::palette::style;
use crate::charts::scale::Scale;

/// Nominal height.
const HEIGHT: u32 = 520;
const RADIUS: f64 = 6.0;

struct Point<'a> {
    variant: &'a str,
    score: Estimate,
    time: f64,
}

/// Mean score against time a sample.
pub(super) struct AccuracyAgainstLatency;

impl Chart for AccuracyAgainstLatency {
    fn id(&self) -> &'static str {
        "accuracy-against-latency"
    }

    fn title(&self) -> &'static str {
        "Accuracy against latency"
    }

    /// Samples that were answered in batches have no times of their own.
    fn has(&self, summary: &Summary, model: &ModelNote) -> bool {
        !points(summary, model, &variants(summary, model)).is_empty()
    }

    fn height(&self, _: &Summary, _: &ModelNote) -> u32 {
        HEIGHT
    }

    fn describe(&self, summary: &Summary, model: &ModelNote) -> String {
        means(summary, model)
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        draw(canvas, self, summary, model);
    }
}

/// The variants that have both a score on every suite and times of their own.
fn points<'a>(summary: &Summary, model: &ModelNote, variants: &[&'a str]) -> Vec<Point<'a>> {
    let point = |variant: &&'a str| {
        let cell = summary.macro_cell(&model.name, variant)?;
        Some(Point {
            variant,
            score: cell.score?,
            time: cell.total_ms?,
        })
    };
    variants.iter().filter_map(point).collect()
}

fn draw(canvas: &mut Canvas, chart: &dyn Chart, summary: &Summary, model: &ModelNote) {
    let all = variants(summary, model);
    let points = points(summary, model, &all);
    let what = match summary.suites.as_slice() {
        [suite] => format!("Score on {}", suite.id),
        suites => format!("Mean score over {} suites", suites.len()),
    };
    let explanation = format!(
        "{what}, {} % intervals; median time as recorded during the evaluation; grey: the Pareto front, which no variant beats in both.",
        summary.resampling.confidence * 100.0
    );
    // The points carry their names: no legend.
    head(canvas, model, chart, &explanation, &[]);
    // The axis has its name above it.
    let top = head_height(model, &[]) + 18.0;
    let bottom = f64::from(HEIGHT) - 54.0 - foot_height(summary, model);
    let (left, right) = (MARGIN + 60.0, f64::from(WIDTH) - MARGIN - 10.0);
    foot(canvas, summary, model, f64::from(HEIGHT));
    let missing: Vec<&str> = all
        .iter()
        .copied()
        .filter(|variant| points.iter().all(|point| point.variant != *variant))
        .collect();

    let (x, y) = scales(&points, (left, right), (top, bottom));
    for (value, text) in y.ticks() {
        let y = y.position(value);
        canvas.line((left, y), (right, y), GRID, 1.0);
        canvas.text(&text, (left - 8.0, y), Type::SMALL, Align::Right);
    }
    for (value, text) in x.ticks() {
        let x = x.position(value);
        canvas.line((x, top), (x, bottom), GRID, 1.0);
        canvas.text(&text, (x, bottom + 14.0), Type::SMALL, Align::Centre);
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.0);
    canvas.line((left, top), (left, bottom), INK, 1.0);
    canvas.text(
        "milliseconds a sample, median",
        (f64::midpoint(left, right), bottom + 34.0),
        Type::SMALL,
        Align::Centre,
    );
    canvas.text("score, %", (MARGIN, top - 16.0), Type::SMALL, Align::Left);
    if !missing.is_empty() {
        let text = format!(
            "Not drawn, for want of a score or of times: {}",
            missing.join(", ")
        );
        let text = Type::SMALL.fit(&text, right - left - 20.0);
        canvas.text(
            &text,
            (left + 10.0, bottom - 12.0),
            Type::SMALL,
            Align::Left,
        );
    }
    draw_points(
        canvas,
        &points,
        &x,
        &y,
        Rect {
            left,
            top,
            right,
            bottom,
        },
    );
}

fn draw_points(canvas: &mut Canvas, points: &[Point], x: &Scale, y: &Scale, frame: Rect) {
    let centres: Vec<(f64, f64)> = points
        .iter()
        .map(|point| {
            (
                x.position(point.time),
                y.position(point.score.value * 100.0),
            )
        })
        .collect();
    let mut taken: Vec<Rect> = Vec::new();
    for ends in steps(points, (x, y)).windows(2) {
        canvas.line(ends[0], ends[1], MUTED, 1.0);
        // Little pieces: a name is to lie on none, not on the shortest stretch.
        let length = (ends[1].0 - ends[0].0).hypot(ends[1].1 - ends[0].1);
        let pieces = (length / 4.0).ceil();
        for piece in 0..pieces as usize {
            let part = (piece as f64 + 0.5) / pieces;
            let middle = (
                ends[0].0 + part * (ends[1].0 - ends[0].0),
                ends[0].1 + part * (ends[1].1 - ends[0].1),
            );
            taken.push(Rect::around(middle, 4.0, 4.0));
        }
    }
    for (point, &(px, py)) in points.iter().zip(&centres) {
        let (colour, _) = style(point.variant);
        let [low, high] = [point.score.interval.low, point.score.interval.high]
            .map(|end| y.position(end * 100.0));
        canvas.line((px, low), (px, high), colour, 1.5);
        for end in [low, high] {
            canvas.line((px - 4.0, end), (px + 4.0, end), colour, 1.5);
        }
        taken.push(Rect {
            left: px - 2.0,
            top: high,
            right: px + 2.0,
            bottom: low,
        });
        taken.push(Rect::around(
            (px, py),
            2.0 * RADIUS + 2.0,
            2.0 * RADIUS + 2.0,
        ));
    }
    // A name longer than this would cover half of the chart; the tables have it in full.
    let names: Vec<String> = points
        .iter()
        .map(|point| Type::LABEL.fit(point.variant, 250.0))
        .collect();
    let sizes: Vec<(f64, f64)> = names
        .iter()
        .map(|name| (Type::LABEL.width(name), Type::LABEL.size + 3.0))
        .collect();
    let labels = place(&centres, &sizes, &taken, frame);
    for ((label, name), &centre) in labels.iter().zip(&names).zip(&centres) {
        if let Some(from) = label.leader {
            canvas.line(from, centre, MUTED, 0.5);
        }
        canvas.text(name, label.area.centre(), Type::LABEL, Align::Centre);
    }
    for (point, &centre) in points.iter().zip(&centres) {
        let (colour, mark) = style(point.variant);
        canvas.mark(mark, centre, RADIUS, colour);
    }
}

/// The points that no other beats: none is as fast with a higher score, and none as good in less time. By time.
fn front<'a>(points: &'a [Point<'a>]) -> Vec<&'a Point<'a>> {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|a, b| {
        let by_score = b.score.value.total_cmp(&a.score.value);
        a.time.total_cmp(&b.time).then(by_score)
    });
    let mut best = f64::NEG_INFINITY;
    sorted.retain(|point| {
        let beats = point.score.value > best;
        best = best.max(point.score.value);
        beats
    });
    sorted
}

/// The corners of the front's steps, to the right end: what is below and to the right of them is beaten.
fn steps(points: &[Point], (x, y): (&Scale, &Scale)) -> Vec<(f64, f64)> {
    let front = front(points);
    let mut corners = Vec::new();
    for (index, point) in front.iter().enumerate() {
        let level = y.position(point.score.value * 100.0);
        let next = front.get(index + 1);
        corners.push((x.position(point.time), level));
        corners.push((next.map_or(x.ends().1, |next| x.position(next.time)), level));
    }
    corners
}

/// Both axes, with room around the points. Neither begins at zero, but a span of times below a quarter of the longest
/// is not blown up further: noise should look like noise.
fn scales(points: &[Point], across: (f64, f64), down: (f64, f64)) -> (Scale, Scale) {
    let low = points
        .iter()
        .map(|point| point.time)
        .fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.time).fold(0.0, f64::max);
    let span = (high - low).max(0.25 * high).max(1e-3);
    let middle = f64::midpoint(low, high);
    let x = Scale::new(
        (middle - 0.62 * span).max(0.0),
        middle + 0.62 * span,
        7,
        across.0,
        across.1,
    );

    let low = points
        .iter()
        .map(|point| point.score.interval.low.min(point.score.value))
        .fold(f64::INFINITY, f64::min);
    let high = points
        .iter()
        .map(|point| point.score.interval.high.max(point.score.value))
        .fold(0.0, f64::max);
    let span = (high - low).max(0.05);
    // Room around the points, but none where no score can be.
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let ceiling = if high <= 1.0 { 1.0 } else { f64::INFINITY };
    let y = Scale::new(
        (low - 0.08 * span).max(floor) * 100.0,
        (high + 0.08 * span).max(0.05).min(ceiling) * 100.0,
        6,
        down.1,
        down.0,
    );
    (x, y)
}

#[cfg(test)]
mod tests {
    use rave_results::statistics::Interval;

    use super::*;

    #[test]
    fn the_front_holds_what_no_point_beats() {
        let point = |variant, time, value| Point {
            variant,
            time,
            score: Estimate {
                value,
                interval: Interval {
                    low: value,
                    high: value,
                },
            },
        };
        let points = [
            point("slow and good", 9.0, 0.7),
            point("fast", 5.0, 0.5),
            point("as fast and worse", 5.0, 0.4),
            point("slower and no better", 6.0, 0.5),
            point("between", 7.0, 0.6),
            point("slowest", 10.0, 0.65),
        ];
        let names: Vec<&str> = front(&points).iter().map(|point| point.variant).collect();
        assert_eq!(names, ["fast", "between", "slow and good"]);
    }
}
