//! Every number in full, one line a cell: for spreadsheets and scripts.
//!
//! Scores and differences are fractions of 1, times milliseconds; an empty field is "not measured", never zero.

use rave_results::Summary;
use rave_results::summary::{Cost, Difference, Estimate, Tokens};

use crate::Error;

const HEADER: [&str; 35] = [
    "model",
    "untrained",
    "suite",
    "variant",
    "baseline",
    "metric",
    "rows_used",
    "rows_total",
    "scored",
    "failed",
    "due",
    "failures",
    "score",
    "score_low",
    "score_high",
    "pairs",
    "difference",
    "difference_low",
    "difference_high",
    "test",
    "p",
    "holm_p",
    "p_by_image",
    "p_by_seed",
    "smallest_detectable",
    "preprocess_ms",
    "vision_ms",
    "prefill_ms",
    "decode_ms",
    "total_ms",
    "prompt_tokens",
    "visual_tokens",
    "new_tokens",
    "interrupted",
    "forced",
];

/// One line a model, suite and variant; the mean over suites has the suite `average`.
///
/// # Errors
/// None that the contents can cause.
pub(crate) fn csv(summary: &Summary) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).map_err(text_error)?;
    let interrupted = summary.runs.iter().any(|run| run.interrupted).to_string();
    let forced = (!summary.forced.is_empty()).to_string();
    for model in &summary.models {
        let begin = |suite: &str, variant: &str| {
            [
                model.name.clone(),
                model.untrained.to_string(),
                suite.into(),
                variant.into(),
                summary.baseline.clone(),
            ]
        };
        for cell in summary.cells.iter().filter(|cell| cell.model == model.name) {
            let suite = summary.suites.iter().find(|suite| suite.id == cell.suite);
            let failures: Vec<String> = cell
                .failures
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            let mut record = begin(&cell.suite, &cell.variant).to_vec();
            record.extend([
                suite.map(|suite| suite.metric.clone()).unwrap_or_default(),
                suite
                    .map(|suite| suite.rows_used.to_string())
                    .unwrap_or_default(),
                suite
                    .map(|suite| suite.rows_total.to_string())
                    .unwrap_or_default(),
                cell.scored.to_string(),
                cell.failed.to_string(),
                number((cell.due > 0).then_some(cell.due as f64)),
                failures.join("; "),
            ]);
            record.extend(estimate(cell.score.as_ref()));
            record.extend(difference(cell.difference.as_ref()));
            record.extend(cost(&cell.cost));
            record.extend(tokens(&cell.tokens, cell.scored));
            record.extend([interrupted.clone(), forced.clone()]);
            writer.write_record(record).map_err(text_error)?;
        }
        for cell in summary
            .macros
            .iter()
            .filter(|cell| cell.model == model.name)
        {
            let mut record = begin("average", &cell.variant).to_vec();
            record.extend(["mean over suites".into(), String::new(), String::new()]);
            record.extend([
                cell.scored.to_string(),
                cell.failed.to_string(),
                String::new(),
                String::new(),
            ]);
            record.extend(estimate(cell.score.as_ref()));
            record.extend(difference(cell.difference.as_ref()));
            record.extend(cost(&Cost {
                total_ms: cell.total_ms,
                ..Cost::default()
            }));
            record.extend(tokens(&Tokens::default(), 0));
            record.extend([interrupted.clone(), forced.clone()]);
            writer.write_record(record).map_err(text_error)?;
        }
    }
    finish(writer)
}

/// One line a category of each cell.
///
/// # Errors
/// None that the contents can cause.
pub(crate) fn categories_csv(summary: &Summary) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record([
            "model", "suite", "variant", "category", "scored", "failed", "score", "forced",
        ])
        .map_err(text_error)?;
    let forced = (!summary.forced.is_empty()).to_string();
    for cell in &summary.cells {
        for category in &cell.categories {
            let (scored, failed) = (category.scored.to_string(), category.failed.to_string());
            let score = number(category.mean);
            writer
                .write_record([
                    &cell.model,
                    &cell.suite,
                    &cell.variant,
                    &category.name,
                    &scored,
                    &failed,
                    &score,
                    &forced,
                ])
                .map_err(text_error)?;
        }
    }
    finish(writer)
}

/// One line a failed sample, with its whole reason.
///
/// # Errors
/// None that the contents can cause.
pub(crate) fn failures_csv(summary: &Summary) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(["model", "suite", "sample", "seed", "variants", "error"])
        .map_err(text_error)?;
    for failure in &summary.failures {
        let (seed, variants) = (failure.seed.to_string(), failure.variants.join("; "));
        writer
            .write_record([
                &failure.model,
                &failure.suite,
                &failure.sample,
                &seed,
                &variants,
                &failure.error.to_string(),
            ])
            .map_err(text_error)?;
    }
    finish(writer)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(super) fn text_error(error: csv::Error) -> Error {
    Error::Text(error.to_string())
}

pub(super) fn finish(writer: csv::Writer<Vec<u8>>) -> Result<String, Error> {
    let bytes = writer
        .into_inner()
        .map_err(|error| Error::Text(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Error::Text(error.to_string()))
}

pub(super) fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn estimate(estimate: Option<&Estimate>) -> [String; 3] {
    let interval = estimate.map(|estimate| estimate.interval);
    [
        number(estimate.map(|estimate| estimate.value)),
        number(interval.map(|interval| interval.low)),
        number(interval.map(|interval| interval.high)),
    ]
}

fn difference(difference: Option<&Difference>) -> [String; 10] {
    let Some(difference) = difference else {
        return Default::default();
    };
    [
        difference.pairs.to_string(),
        difference.value.to_string(),
        difference.interval.low.to_string(),
        difference.interval.high.to_string(),
        difference.test.name().to_string(),
        difference.p.to_string(),
        difference.holm_p.to_string(),
        number(difference.p_by_image),
        number(difference.p_by_seed),
        number(difference.smallest_detectable),
    ]
}

fn cost(cost: &Cost) -> [String; 5] {
    [
        cost.preprocess_ms,
        cost.vision_ms,
        cost.prefill_ms,
        cost.decode_ms,
        cost.total_ms,
    ]
    .map(number)
}

fn tokens(tokens: &Tokens, scored: usize) -> [String; 3] {
    [tokens.prompt, tokens.visual, tokens.new].map(|count| number((scored > 0).then_some(count)))
}
