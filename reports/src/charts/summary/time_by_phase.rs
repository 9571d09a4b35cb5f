//! Where a sample's time goes, as recorded during the evaluation: a bar for each variant, a part of it for each phase.

use rave_results::Summary;
use rave_results::summary::{Cost, ModelNote};

use crate::charts::bands::Bands;
use crate::charts::canvas::{Align, Canvas, MARGIN, Type, WIDTH};
use crate::charts::chart::Chart;
use crate::charts::legend::{foot, foot_height, head, head_height, variants};
use crate::charts::palette::colour;
use crate::charts::scale::Scale;
use crate::tables::numbers::milliseconds;

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

/// The suites whose times every timed variant has, all phases of them, so that all bars are of the same work.
fn shared<'a>(summary: &'a Summary, model: &ModelNote) -> Vec<&'a str> {
    let timed = |variant: &str, suite: &str| {
        let cell = summary.cell(&model.name, suite, variant);
        cell.is_some_and(|cell| PHASES.iter().all(|(_, of)| of(&cell.cost).is_some()))
    };
    let suites: Vec<&str> = summary
        .suites
        .iter()
        .map(|suite| suite.id.as_str())
        .collect();
    let mut variants = variants(summary, model);
    variants.retain(|variant| suites.iter().any(|suite| timed(variant, suite)));
    let all = |suite: &&str| variants.iter().all(|variant| timed(variant, suite));
    suites.into_iter().filter(all).collect()
}

/// Mean over `suites` of the median time of each phase; none where one of them lacks it.
fn times(summary: &Summary, model: &ModelNote, variant: &str, suites: &[&str]) -> [Option<f64>; 3] {
    PHASES.map(|(_, of)| {
        let time = |suite: &&str| of(&summary.cell(&model.name, suite, variant)?.cost);
        let times: Option<Vec<f64>> = suites.iter().map(time).collect();
        let times = times.filter(|times| !times.is_empty())?;
        Some(times.iter().sum::<f64>() / times.len() as f64)
    })
}

/// Time a sample by phase.
pub(super) struct TimeByPhase;

impl Chart for TimeByPhase {
    fn id(&self) -> &'static str {
        "time-by-phase"
    }

    fn title(&self) -> &'static str {
        "Time a sample by phase"
    }

    /// Whether there is a suite whose times every timed variant has.
    fn has(&self, summary: &Summary, model: &ModelNote) -> bool {
        let suites = shared(summary, model);
        let all = variants(summary, model);
        let mut times = all
            .iter()
            .map(|variant| times(summary, model, variant, &suites));
        times.any(|times| times.iter().any(Option::is_some))
    }

    fn height(&self, summary: &Summary, model: &ModelNote) -> u32 {
        let bands = Bands::height(variants(summary, model).len(), 1);
        (head_height(model, &[]) + KEY + bands + foot_height(summary, model)).ceil() as u32
    }

    fn describe(&self, summary: &Summary, model: &ModelNote) -> String {
        let suites = shared(summary, model);
        let mut text = String::new();
        for variant in variants(summary, model) {
            let phases = PHASES.iter().zip(times(summary, model, variant, &suites));
            let known: Vec<String> = phases
                .filter_map(|((name, _), time)| Some(format!("{name} {} ms", milliseconds(time?))))
                .collect();
            if !known.is_empty() {
                text += &format!("{variant}: {}. ", known.join(", "));
            }
        }
        text
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        draw(canvas, self, summary, model);
    }
}

fn draw(canvas: &mut Canvas, chart: &dyn Chart, summary: &Summary, model: &ModelNote) {
    let all = variants(summary, model);
    let suites = shared(summary, model);
    let over = match suites.as_slice() {
        [only] => format!("on {only}"),
        all if all.len() == summary.suites.len() => "mean over suites".into(),
        some => format!(
            "mean over the {} suites that all variants have times of",
            some.len()
        ),
    };
    let explanation = format!(
        "Median milliseconds a sample as recorded during the evaluation, {over}; in brackets over {}.",
        summary.baseline
    );
    head(canvas, model, chart, &explanation, &[]);
    let top = head_height(model, &[]);
    let mut x = MARGIN;
    for (number, (name, _)) in PHASES.iter().enumerate() {
        canvas.rectangle((x, top - 5.0), (x + 14.0, top + 6.0), colour(number + 1));
        canvas.text(name, (x + 20.0, top), Type::LABEL, Align::Left);
        x += Type::LABEL.width(name) + 44.0;
    }
    let rows: Vec<[Option<f64>; 3]> = all
        .iter()
        .map(|variant| times(summary, model, variant, &suites))
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
        let kind = Type::VALUE;
        let at = (scale.position(sum) + 9.0).min(f64::from(WIDTH) - MARGIN - VALUE);
        canvas.text(&text, (at, y), kind, Align::Left);
    }
    foot(
        canvas,
        summary,
        model,
        f64::from(chart.height(summary, model)),
    );
}
