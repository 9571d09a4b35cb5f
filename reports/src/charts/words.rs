//! What charts say in words: to a screen reader, and in the lines under them.

use rave_results::Summary;
use rave_results::summary::{Cell, ModelNote};

use super::{Chart, times};
use crate::tables::{percent, signed};

/// The chart's content in words.
pub(super) fn describe(summary: &Summary, model: &ModelNote, chart: Chart) -> String {
    let mut text = if model.untrained {
        "Untrained weights. ".to_string()
    } else {
        String::new()
    };
    match chart {
        Chart::Accuracy | Chart::AccuracyAgainstLatency => text += &scores(summary, model),
        Chart::Gain => text += &gains(summary, model),
        Chart::Times => text += &times::describe(summary, model),
        Chart::Categories => text += "The tables by category have every number.",
        Chart::VisualShare | Chart::InBox => text += &shares(summary, model, chart),
    }
    text
}

fn scores(summary: &Summary, model: &ModelNote) -> String {
    let cells = summary.macros.iter();
    let texts = cells
        .filter(|cell| cell.model == model.name)
        .map(|cell| match cell.score {
            Some(score) => format!("{}: {} %. ", cell.variant, percent(score.value)),
            None => format!("{}: no score. ", cell.variant),
        });
    texts.collect()
}

fn gains(summary: &Summary, model: &ModelNote) -> String {
    let cells = summary.macros.iter();
    let own = cells.filter(|cell| cell.model == model.name);
    let texts = own.filter_map(|cell| {
        let difference = cell.difference?;
        let interval = difference.interval;
        Some(format!(
            "{}: {} points, {} to {}. ",
            cell.variant,
            signed(difference.value),
            signed(interval.low),
            signed(interval.high)
        ))
    });
    texts.collect()
}

fn shares(summary: &Summary, model: &ModelNote, chart: Chart) -> String {
    let mut text = String::new();
    for cell in &summary.attention.cells {
        let share = if chart == Chart::InBox {
            cell.box_share.as_ref()
        } else {
            cell.visual_share.as_ref()
        };
        if let Some(share) = share.filter(|_| cell.model == model.name) {
            let percent = percent(share.mean.value);
            text += &format!("{}, {}: {percent} %. ", cell.suite, cell.variant);
        }
    }
    text
}

/// The lines under a chart: what was left out, and what the data are.
pub(super) fn footnotes(summary: &Summary, model: &ModelNote) -> Vec<String> {
    let mut lines = Vec::new();
    let failed: usize = summary
        .cells
        .iter()
        .filter(|cell| cell.model == model.name)
        .map(|cell| cell.failed)
        .sum();
    if failed > 0 {
        lines.push(format!("{failed} failed samples have no score and are left out; the tables list them by reason."));
    }
    let incomplete = |cell: &Cell| cell.model == model.name && cell.is_incomplete();
    if summary.cells.iter().any(incomplete) {
        lines.push(
            "Some cells do not hold the samples that the run was to take; the tables count them."
                .into(),
        );
    }
    if summary.runs.iter().any(|run| run.interrupted) {
        lines.push("From an interrupted run: the samples up to there.".into());
    }
    if !summary.forced.is_empty() {
        lines.push("Forced comparison of unequal runs: the tables list what differs.".into());
    }
    lines
}
