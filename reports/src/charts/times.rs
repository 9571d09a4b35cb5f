//! Where a sample's time goes, as recorded during the evaluation: a bar a variant, a stretch a phase.

use plotters::prelude::DrawingBackend;
use rave_results::Summary;
use rave_results::summary::{Cost, ModelNote};

use super::Chart;
use super::bands::Bands;
use super::canvas::{Align, Canvas, INK, Type, WIDTH};
use super::legend::{MARGIN, foot, foot_height, head, head_height, variants};
use super::palette::colour;
use super::scale::Scale;
use crate::tables::milliseconds;

/// Height of the line that names the phases.
const KEY: f64 = 22.0;
/// Room for a total and its ratio.
const VALUE: f64 = 96.0;
/// A phase: its name, and its time.
type Phase = (&'static str, fn(&Cost) -> Option<f64>);

const PHASES: [Phase; 3] = [
    ("vision", |cost| cost.vision_ms),
    ("prefill", |cost| cost.prefill_ms),
    ("decode", |cost| cost.decode_ms),
];

/// Mean over the suites of the median time of each phase; a suite without times is left out of the phase.
fn times(summary: &Summary, model: &ModelNote, variant: &str) -> [Option<f64>; 3] {
    PHASES.map(|(_, of)| {
        let cells = summary.cells.iter();
        let own = cells.filter(|cell| cell.model == model.name && cell.variant == variant);
        let times: Vec<f64> = own.filter_map(|cell| of(&cell.cost)).collect();
        (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64)
    })
}

/// The times in words.
pub(super) fn describe(summary: &Summary, model: &ModelNote) -> String {
    let mut text = String::new();
    for variant in variants(summary, model) {
        let phases = PHASES.iter().zip(times(summary, model, variant));
        let told: Vec<String> = phases
            .filter_map(|((name, _), time)| Some(format!("{name} {} ms", milliseconds(time?))))
            .collect();
        if !told.is_empty() {
            text += &format!("{variant}: {}. ", told.join(", "));
        }
    }
    text
}

/// Whether a time was recorded.
pub(super) fn has(summary: &Summary, model: &ModelNote) -> bool {
    let all = variants(summary, model);
    all.iter()
        .any(|variant| times(summary, model, variant).iter().any(Option::is_some))
}

/// Nominal height: it grows with the variants.
pub(super) fn height(summary: &Summary, model: &ModelNote) -> u32 {
    let bands = Bands::height(variants(summary, model).len(), 1);
    (head_height(model, &[]) + KEY + bands + foot_height(summary, model)).ceil() as u32
}

/// Draws the chart.
pub(super) fn draw<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
) {
    let all = variants(summary, model);
    let explanation = format!(
        "Median milliseconds a sample as recorded during the evaluation, mean over suites; in brackets over {}.",
        summary.baseline
    );
    head(canvas, model, Chart::Times, &explanation, &[]);
    let top = head_height(model, &[]);
    let mut x = MARGIN;
    for (number, (name, _)) in PHASES.iter().enumerate() {
        canvas.rectangle((x, top - 5.0), (x + 14.0, top + 6.0), colour(number + 1));
        canvas.text(name, (x + 20.0, top), Type::LABEL, Align::Left);
        x += Type::LABEL.width(name) + 44.0;
    }
    let rows: Vec<[Option<f64>; 3]> = all
        .iter()
        .map(|variant| times(summary, model, variant))
        .collect();
    let names = all
        .iter()
        .map(|variant| ((*variant).to_string(), String::new()));
    let frame = Bands::new(names.collect(), 1, top + KEY);
    let total = |times: &[Option<f64>; 3]| times.iter().flatten().sum::<f64>();
    let high = rows.iter().map(total).fold(0.0, f64::max);
    let (left, right) = frame.across(VALUE);
    let scale = Scale::new(0.0, high, 6, left, right);
    frame.draw(canvas, &scale, "milliseconds a sample");
    let base = all
        .iter()
        .position(|variant| *variant == summary.baseline)
        .map(|place| total(&rows[place]));
    for (index, times) in rows.iter().enumerate() {
        let y = frame.at(index, 0);
        let mut sum = 0.0;
        for (number, time) in times.iter().enumerate() {
            let Some(time) = time else { continue };
            let ends = (scale.position(sum), scale.position(sum + time));
            canvas.rectangle((ends.0, y - 8.0), (ends.1, y + 8.0), colour(number + 1));
            sum += time;
        }
        let text = match base {
            _ if times.iter().all(Option::is_none) => "no time recorded".into(),
            Some(base) if base > 0.0 => format!("{} ({:.2})", milliseconds(sum), sum / base),
            _ => milliseconds(sum),
        };
        let kind = Type {
            colour: INK,
            ..Type::SMALL
        };
        let at = (scale.position(sum) + 9.0).min(f64::from(WIDTH) - MARGIN - VALUE);
        canvas.text(&text, (at, y), kind, Align::Left);
    }
    foot(canvas, summary, model, f64::from(height(summary, model)));
}
