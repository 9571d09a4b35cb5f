//! Where the attention behind the answers went: levels, differences to the baseline, and every number as CSV.

use rave_results::Summary;
use rave_results::statistics::Interval;
use rave_results::summary::{AttentionCell, Estimate, Measured};

use super::csv::{finish, number, text_error};
use super::grid::{Grid, NOTHING};
use crate::Error;

/// A measure: its name, its value in a cell, and what it is multiplied with to be shown.
type Measure = (&'static str, fn(&AttentionCell) -> Option<&Measured>, f64);

const MEASURES: [Measure; 6] = [
    ("visual_share", |cell| cell.visual_share.as_ref(), 100.0),
    ("entropy", |cell| cell.entropy.as_ref(), 1.0),
    ("effective", |cell| cell.effective.as_ref(), 1.0),
    ("top_share", |cell| cell.top_share.as_ref(), 100.0),
    ("box_share", |cell| cell.box_share.as_ref(), 100.0),
    ("pointing", |cell| cell.pointing.as_ref(), 100.0),
];
const VISUAL: Measure = MEASURES[0];
const EFFECTIVE: Measure = MEASURES[2];
const TOP: Measure = MEASURES[3];
const BOX: Measure = MEASURES[4];
const POINTING: Measure = MEASURES[5];

/// The cells of a model, variant by variant.
fn cells<'a>(summary: &'a Summary, model: &'a str) -> impl Iterator<Item = &'a AttentionCell> {
    summary.variants.iter().flat_map(move |variant| {
        let own = move |cell: &&AttentionCell| cell.model == model && cell.variant == variant.id;
        summary.attention.cells.iter().filter(own)
    })
}

/// Levels and differences of a model; nothing where it was not probed. `estimate` writes a level.
pub(super) fn attention(
    summary: &Summary,
    model: &str,
    estimate: fn(&Estimate) -> String,
) -> Vec<Grid> {
    let mut levels = Vec::new();
    let mut differences = Vec::new();
    for cell in cells(summary, model) {
        // An estimate's text is in percent; a number of keys is brought there first.
        let level = |(_, of, factor): Measure| {
            let text = |mean: &Estimate| estimate(&scaled(mean, factor / 100.0));
            of(cell).map_or(NOTHING.into(), |measured| text(&measured.mean))
        };
        let plain = |value: Option<f64>| {
            value.map_or(NOTHING.into(), |value| format!("{:.1}", value * 100.0))
        };
        let failed: usize = cell.failures.values().sum();
        let answers = if failed > 0 {
            format!("{} ({failed} failed)", cell.probed)
        } else {
            cell.probed.to_string()
        };
        levels.push(vec![
            cell.variant.clone(),
            cell.suite.clone(),
            answers,
            level(VISUAL),
            level(BOX),
            plain(cell.box_uniform),
            level(POINTING),
            plain(cell.pointing_uniform),
            level(EFFECTIVE),
            level(TOP),
        ]);
        let gap = |(_, of, factor): Measure| {
            let gap = of(cell).and_then(|measured| measured.difference);
            gap.map_or(NOTHING.into(), |gap| {
                let text = |value: f64| signed_finely(value * factor);
                let Interval { low, high } = gap.interval;
                format!("{} [{}, {}]", text(gap.value), text(low), text(high))
            })
        };
        if cell.variant != summary.baseline {
            differences.push(vec![
                cell.variant.clone(),
                cell.suite.clone(),
                gap(VISUAL),
                gap(BOX),
                gap(POINTING),
                gap(EFFECTIVE),
            ]);
        }
    }
    let header = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let mut grids = Vec::new();
    if !levels.is_empty() {
        grids.push(Grid {
            title: format!("{model}: attention behind the answers"),
            legend: "mean over answers, layers and heads; visual: percent of the attention that is on the picture; in box: percent of \
                     that inside the answer box, beside what even weights would give; pointing: percent of times that the most \
                     attended visual token touches the box, beside chance; keys: effective number of visual keys, exp(entropy); \
                     top: percent of the visual mass on the top 1 % of the keys"
                .into(),
            header: header(&[
                "variant", "suite", "answers", "visual", "in box", "even", "pointing", "chance", "keys", "top",
            ]),
            rows: levels,
            names: 2,
        });
    }
    if !differences.is_empty() {
        grids.push(Grid {
            title: format!("{model}: attention, difference to {}", summary.baseline),
            legend:
                "on the same samples, with paired intervals; percentage points, and numbers of keys"
                    .into(),
            header: header(&["variant", "suite", "visual", "in box", "pointing", "keys"]),
            rows: differences,
            names: 2,
        });
    }
    grids
}

/// A small difference with its sign; no minus before a zero.
fn signed_finely(value: f64) -> String {
    let text = format!("{value:+.2}");
    if text == "-0.00" {
        "+0.00".into()
    } else {
        text
    }
}

fn scaled(estimate: &Estimate, factor: f64) -> Estimate {
    Estimate {
        value: estimate.value * factor,
        interval: Interval {
            low: estimate.interval.low * factor,
            high: estimate.interval.high * factor,
        },
    }
}

/// One line a model, suite, variant and measure; `None` where nothing was probed. Shares are fractions of 1.
///
/// # Errors
/// None that the contents can cause.
pub(crate) fn attention_csv(summary: &Summary) -> Result<Option<String>, Error> {
    if summary.attention.is_empty() {
        return Ok(None);
    }
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer
        .write_record([
            "model",
            "suite",
            "variant",
            "baseline",
            "probed",
            "failed",
            "measure",
            "mean",
            "low",
            "high",
            "uniform",
            "pairs",
            "difference",
            "difference_low",
            "difference_high",
        ])
        .map_err(text_error)?;
    for cell in &summary.attention.cells {
        for (name, of, _) in MEASURES {
            let Some(measured) = of(cell) else { continue };
            let uniform = match name {
                "box_share" => cell.box_uniform,
                "pointing" => cell.pointing_uniform,
                _ => None,
            };
            let (mean, gap) = (measured.mean, measured.difference);
            writer
                .write_record([
                    cell.model.clone(),
                    cell.suite.clone(),
                    cell.variant.clone(),
                    summary.baseline.clone(),
                    cell.probed.to_string(),
                    cell.failures.values().sum::<usize>().to_string(),
                    name.to_owned(),
                    mean.value.to_string(),
                    mean.interval.low.to_string(),
                    mean.interval.high.to_string(),
                    number(uniform),
                    gap.map_or(String::new(), |gap| gap.pairs.to_string()),
                    number(gap.map(|gap| gap.value)),
                    number(gap.map(|gap| gap.interval.low)),
                    number(gap.map(|gap| gap.interval.high)),
                ])
                .map_err(text_error)?;
        }
    }
    finish(writer).map(Some)
}
