//! The grids of a summary, which every format of tables draws.

use rave_results::Summary;
use rave_results::summary::{Cell, Difference, Estimate, ModelNote, SeedScore};

use super::attention::attention;
use super::grid::{Grid, NOTHING};
use super::numbers::{detectable, milliseconds, p_value, percent, signed, star, with_interval};

/// Failed samples that a page lists; all of them are in `failures.csv`.
const FAILURES: usize = 20;
/// Characters of a failure's reason on a page.
const REASON: usize = 300;

/// Every grid of a model's page, in order.
pub(crate) fn grids(summary: &Summary, model: &ModelNote) -> Vec<Grid> {
    let name = &model.name;
    let mut score_grid = scores(summary, name, with_interval);
    score_grid.legend += ", with 95 % intervals";
    [
        Some(score_grid),
        differences(summary, name),
        seeds(summary, name),
        costs(summary, name),
    ]
    .into_iter()
    .flatten()
    .chain(attention(summary, name, with_interval))
    .chain(categories(summary, name))
    .chain(failures(summary, name))
    .collect()
}

/// Scores in percent: rows variants, columns suites and their mean.
pub(super) fn scores(summary: &Summary, model: &str, estimate: fn(&Estimate) -> String) -> Grid {
    let cell_text = |cell: &Cell| {
        let score = match (&cell.score, cell.failed) {
            (Some(score), _) => estimate(score),
            (None, 0) => return NOTHING.to_string(),
            (None, _) => "no score".to_string(),
        };
        let mut remarks = Vec::new();
        if cell.failed > 0 {
            remarks.push(format!("{} failed", cell.failed));
        }
        if cell.is_incomplete() {
            remarks.push(format!("{} of {}", cell.scored + cell.failed, cell.due));
        }
        if remarks.is_empty() {
            return score;
        }
        format!("{score} ({})", remarks.join(", "))
    };
    let average = summary.suites.len() > 1;
    let mut header = vec!["variant".to_string()];
    header.extend(summary.suites.iter().map(|suite| suite.id.clone()));
    header.extend(average.then(|| "average".to_string()));
    let rows = summary.variants.iter().filter_map(|variant| {
        let mean = summary.macro_cell(model, &variant.id)?;
        let mut row = vec![variant.id.clone()];
        for suite in &summary.suites {
            let cell = summary.cell(model, &suite.id, &variant.id);
            row.push(cell.map_or(NOTHING.into(), cell_text));
        }
        row.extend(average.then(|| mean.score.as_ref().map_or(NOTHING.into(), estimate)));
        Some(row)
    });
    Grid {
        title: format!("{model}: scores"),
        legend: "percent".into(),
        rows: rows.collect(),
        header,
        names: 1,
    }
}

/// Differences to the baseline, a line for each variant and suite; `None` if there is nothing to compare.
pub(super) fn differences(summary: &Summary, model: &str) -> Option<Grid> {
    let row = |variant: &str, suite: &str, difference: &Difference| {
        let Difference {
            pairs,
            value,
            interval,
            p,
            holm_p,
            ..
        } = *difference;
        vec![
            variant.to_string(),
            suite.to_string(),
            pairs.to_string(),
            signed(value),
            format!("[{}, {}]", signed(interval.low), signed(interval.high)),
            p_value(p),
            format!("{}{}", p_value(holm_p), star(difference)),
            difference.test.name().to_string(),
            detectable(difference.smallest_detectable),
        ]
    };
    let mut rows = Vec::new();
    for variant in summary
        .variants
        .iter()
        .filter(|variant| variant.id != summary.baseline)
    {
        for suite in &summary.suites {
            if let Some(difference) = summary
                .cell(model, &suite.id, &variant.id)
                .and_then(|cell| cell.difference)
            {
                rows.push(row(&variant.id, &suite.id, &difference));
            }
        }
        let average = summary
            .macro_cell(model, &variant.id)
            .and_then(|cell| cell.difference);
        if let Some(difference) = average.filter(|_| summary.suites.len() > 1) {
            rows.push(row(&variant.id, "average", &difference));
        }
        let contrast = summary
            .macro_cell(model, &variant.id)
            .and_then(|cell| cell.reading_contrast);
        if let Some(Difference {
            value,
            interval,
            smallest_detectable,
            ..
        }) = contrast.map(|contrast| contrast.between)
        {
            let mut row = vec![variant.id.clone(), CONTRAST.into(), NOTHING.into()];
            row.push(signed(value));
            row.push(format!(
                "[{}, {}]",
                signed(interval.low),
                signed(interval.high)
            ));
            row.resize(8, NOTHING.into());
            row.push(detectable(smallest_detectable));
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return None;
    }
    let mut legend = "percentage points on the same samples; * decided: Holm-corrected p below 0.05 and an interval without 0; \
                      detectable: the smallest true difference that this comparison, taken alone, finds four times in five"
        .to_owned();
    if rows.iter().any(|row| row[1] == CONTRAST) {
        legend += &format!(
            "; {CONTRAST}: the mean gain over suites whose answers are read off the picture minus that over the others"
        );
    }
    let header = [
        "variant",
        "suite",
        "pairs",
        "difference",
        "95 % interval",
        "p",
        "Holm p",
        "test",
        "detectable",
    ];
    Some(Grid {
        title: format!("{model}: difference to {}", summary.baseline),
        legend,
        header: header.map(str::to_string).to_vec(),
        rows,
        names: 2,
    })
}

/// The name of the difference between the gains on both kinds of suites.
const CONTRAST: &str = "reading - others";

/// Scores of each training seed by itself, a line for each variant and suite; `None` where there is only one.
pub(super) fn seeds(summary: &Summary, model: &str) -> Option<Grid> {
    let text = |score: &SeedScore| match (score.value, score.difference) {
        (Some(value), Some(difference)) => format!("{} ({})", percent(value), signed(difference)),
        (Some(value), None) => percent(value),
        (None, _) => NOTHING.into(),
    };
    let mut rows = Vec::new();
    let mut names: Vec<u64> = Vec::new();
    for variant in &summary.variants {
        let cells = summary
            .suites
            .iter()
            .filter_map(|suite| summary.cell(model, &suite.id, &variant.id))
            .map(|cell| (cell.suite.as_str(), &cell.by_seed));
        let average = summary
            .macro_cell(model, &variant.id)
            .filter(|_| summary.suites.len() > 1)
            .map(|cell| ("average", &cell.by_seed));
        for (suite, scores) in cells.chain(average) {
            if names.is_empty() {
                names = scores.iter().map(|score| score.seed).collect();
            }
            let mut row = vec![variant.id.clone(), suite.to_owned()];
            row.extend(names.iter().map(|seed| {
                let found = scores.iter().find(|score| score.seed == *seed);
                found.map_or(NOTHING.into(), text)
            }));
            rows.push(row);
        }
    }
    if names.is_empty() {
        return None;
    }
    let mut header = vec!["variant".to_owned(), "suite".to_owned()];
    header.extend(names.iter().map(|seed| format!("seed {seed}")));
    Some(Grid {
        title: format!("{model}: each training seed"),
        legend: format!(
            "percent; in brackets against {} of the same seed",
            summary.baseline
        ),
        header,
        rows,
        names: 2,
    })
}

/// Median times, a line for each variant and suite; `None` if no time was recorded.
pub(super) fn costs(summary: &Summary, model: &str) -> Option<Grid> {
    let cells: Vec<&Cell> = summary
        .cells
        .iter()
        .filter(|cell| cell.model == model && cell.scored > 0)
        .collect();
    let cost = |cell: &Cell| {
        [
            cell.cost.vision_ms,
            cell.cost.prefill_ms,
            cell.cost.decode_ms,
            cell.cost.total_ms,
        ]
    };
    if cells
        .iter()
        .all(|cell| cost(cell).iter().all(Option::is_none))
    {
        return None;
    }
    let mut rows = Vec::new();
    for variant in &summary.variants {
        for cell in cells.iter().filter(|cell| cell.variant == variant.id) {
            let base = summary
                .cell(model, &cell.suite, &summary.baseline)
                .and_then(|cell| cell.cost.total_ms);
            let ratio = cell.cost.total_ms.zip(base).filter(|(_, base)| *base > 0.0);
            let mut row = vec![variant.id.clone(), cell.suite.clone()];
            row.extend(cost(cell).map(|time| time.map_or(NOTHING.into(), milliseconds)));
            row.push(ratio.map_or(NOTHING.into(), |(total, base)| {
                format!("{:.2}", total / base)
            }));
            row.push(format!("{:.0}", cell.tokens.prompt));
            row.push(format!("{:.1}", cell.tokens.new));
            rows.push(row);
        }
    }
    let header = [
        "variant",
        "suite",
        "vision",
        "prefill",
        "decode",
        "total",
        "ratio",
        "prompt tokens",
        "new tokens",
    ];
    let mut legend = format!(
        "median milliseconds as recorded during the evaluation, not an interleaved benchmark; total: vision, prefill and decode of \
         a sample; ratio: total over that of {}; tokens: means",
        summary.baseline
    );
    if cells.iter().any(|cell| cell.cost.total_ms.is_none()) {
        legend += &format!(
            "; {NOTHING}: answered in batches, of which no sample has a time of its own (`rave latency` measures; --batch 1 records)"
        );
    }
    Some(Grid {
        title: format!("{model}: time a sample"),
        legend,
        header: header.map(str::to_string).to_vec(),
        rows,
        names: 2,
    })
}

/// Scores by a suite's own categories, a grid for each suite that has at least two.
fn categories(summary: &Summary, model: &str) -> Vec<Grid> {
    let mut grids = Vec::new();
    for suite in &summary.suites {
        let cells: Vec<&Cell> = summary
            .variants
            .iter()
            .filter_map(|variant| summary.cell(model, &suite.id, &variant.id))
            .collect();
        let Some(first) = cells.first().filter(|cell| cell.categories.len() > 1) else {
            continue;
        };
        let mut header = vec!["category".to_string()];
        header.extend(cells.iter().map(|cell| cell.variant.clone()));
        let rows = first
            .categories
            .iter()
            .enumerate()
            .map(|(index, category)| {
                let mut row = vec![category.name.clone()];
                row.extend(cells.iter().map(|cell| match &cell.categories[index] {
                    category if category.failed > 0 => format!(
                        "{} ({} failed)",
                        category.mean.map_or("no score".into(), percent),
                        category.failed
                    ),
                    category => category.mean.map_or(NOTHING.into(), percent),
                }));
                row
            });
        grids.push(Grid {
            title: format!("{model}: {} by category", suite.id),
            legend: "percent".into(),
            rows: rows.collect(),
            header,
            names: 1,
        });
    }
    grids
}

/// The failed samples of a model, one line for each; `None` if there are none.
fn failures(summary: &Summary, model: &str) -> Option<Grid> {
    let own: Vec<_> = summary
        .failures
        .iter()
        .filter(|failure| failure.model == model)
        .collect();
    if own.is_empty() {
        return None;
    }
    let rows = own.iter().take(FAILURES).map(|failure| {
        let whole = failure.error.to_string();
        let mut reason: String = whole.chars().take(REASON).collect();
        if reason.len() < whole.len() {
            reason.push('…');
        }
        vec![
            failure.suite.clone(),
            failure.sample.clone(),
            failure.variants.join(", "),
            reason,
        ]
    });
    let more = own.len().saturating_sub(FAILURES);
    let mut legend = "without a score, and left out of every number above".to_string();
    if more > 0 {
        legend += &format!("; {more} more in failures.csv (--format csv)");
    }
    Some(Grid {
        title: format!("{model}: failed samples"),
        legend,
        rows: rows.collect(),
        header: ["suite", "sample", "variants", "reason"]
            .map(str::to_string)
            .to_vec(),
        names: 4,
    })
}
