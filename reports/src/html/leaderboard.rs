//! Who wins, by how much, how sure, at what cost: one line for each variant, and the sentences above them.

use std::cmp::Ordering;

use rave_results::Summary;
use rave_results::excerpt::{Excerpt, Tally};
use rave_results::summary::{Difference, MacroCell, ModelNote};
use serde::Serialize;

use super::text::show_hidden;
use crate::charts::palette::style;
use crate::tables::grid::NOTHING;
use crate::tables::numbers::{p_value, percent, points, signed, with_interval};

/// A variant in one line.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    variant: String,
    /// Its mark in every chart, as SVG.
    mark: String,
    score: String,
    difference: String,
    p: String,
    verdict: &'static str,
    time: String,
    /// Answers won and lost against the baseline; `None` for the baseline itself.
    won: Option<usize>,
    lost: Option<usize>,
}

/// [`Difference::decided`] in a word.
fn verdict(difference: &Difference) -> &'static str {
    match difference.decided() {
        Ordering::Greater => "better",
        Ordering::Less => "worse",
        Ordering::Equal => "undecided",
    }
}

/// Time a sample over the baseline's.
fn ratio(summary: &Summary, model: &str, cell: &MacroCell) -> Option<f64> {
    let base = summary.macro_cell(model, &summary.baseline)?.total_ms?;
    cell.total_ms.filter(|_| base > 0.0).map(|time| time / base)
}

/// The mark of a variant in every chart.
fn mark(variant: &str) -> String {
    let ((red, green, blue), mark) = style(variant);
    let fill = format!("fill=\"#{red:02X}{green:02X}{blue:02X}\"");
    let corners = mark.corners();
    let shape = if corners.is_empty() {
        format!("<circle cx=\"8\" cy=\"8\" r=\"6\" {fill}/>")
    } else {
        let at = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", 8.0 + 6.0 * x, 8.0 + 6.0 * y);
        let points: Vec<String> = corners.iter().map(at).collect();
        format!("<polygon points=\"{}\" {fill}/>", points.join(" "))
    };
    format!("<svg class=\"mark\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">{shape}</svg>")
}

/// The variants of a model, in order.
pub(super) fn leaderboard(
    summary: &Summary,
    model: &ModelNote,
    excerpt: Option<&Excerpt>,
) -> Vec<Entry> {
    let tally = |variant: &str| -> Option<&Tally> {
        let mut tallies = excerpt?.tallies.iter();
        tallies.find(|own| own.model == model.name && own.variant == variant)
    };
    let cells = summary
        .variants
        .iter()
        .filter_map(|variant| summary.macro_cell(&model.name, &variant.id));
    let entry = |cell: &MacroCell| Entry {
        variant: show_hidden(&cell.variant),
        mark: mark(&cell.variant),
        score: match &cell.score {
            Some(score) => with_interval(score),
            None => "not every suite has a score".into(),
        },
        difference: cell.difference.as_ref().map_or(NOTHING.into(), points),
        p: cell
            .difference
            .map_or(NOTHING.into(), |own| p_value(own.holm_p)),
        verdict: match &cell.difference {
            Some(difference) => verdict(difference),
            None if cell.variant == summary.baseline => "baseline",
            None => "not compared",
        },
        time: ratio(summary, &model.name, cell)
            .map_or(NOTHING.into(), |ratio| format!("{ratio:.2}×")),
        won: tally(&cell.variant).map(|own| own.won),
        lost: tally(&cell.variant).map(|own| own.lost),
    };
    cells.map(entry).collect()
}

/// The answers to a reader's first questions, in sentences.
pub(super) fn headline(summary: &Summary, model: &ModelNote) -> Vec<String> {
    let mut lines = Vec::new();
    if model.untrained {
        lines.push(
            "The weights are seeded random ones: nothing here says anything about a method."
                .to_owned(),
        );
    }
    let cells: Vec<&MacroCell> = summary
        .macros
        .iter()
        .filter(|cell| cell.model == model.name)
        .collect();
    let mut compared: Vec<(&MacroCell, Difference)> = cells
        .iter()
        .filter_map(|cell| Some((*cell, cell.difference?)))
        .collect();
    if cells.is_empty() {
        lines.push("No sample was recorded, so there is nothing to say.".into());
        return lines;
    }
    if compared.is_empty() {
        lines.push(match cells.as_slice() {
            [only] => format!(
                "One variant, {}: there is nothing to compare it with.{}",
                only.variant,
                only.score.map_or(String::new(), |score| format!(" It scores {} %.", percent(score.value)))
            ),
            _ => format!("No variant has a score on every suite together with {}, so none is compared on average.", summary.baseline),
        });
        return lines;
    }
    compared.sort_by(|a, b| b.1.value.total_cmp(&a.1.value));
    let base = &summary.baseline;
    let with_verdict = |kind: &str| -> Vec<&(&MacroCell, Difference)> {
        compared
            .iter()
            .filter(|(_, difference)| verdict(difference) == kind)
            .collect()
    };
    let sentence = |(cell, difference): &(&MacroCell, Difference)| {
        let cost = ratio(summary, &model.name, cell).map_or(String::new(), |ratio| {
            format!(", at {ratio:.2} times its time a sample")
        });
        format!(
            "{} percentage points (Holm p {}){cost}",
            points(difference),
            p_value(difference.holm_p)
        )
    };
    let better = with_verdict("better");
    if let [first, others @ ..] = better.as_slice() {
        lines.push(format!(
            "{} beats {base} by {}.",
            first.0.variant,
            sentence(first)
        ));
        if !others.is_empty() {
            let names: Vec<&str> = others
                .iter()
                .map(|(cell, _)| cell.variant.as_str())
                .collect();
            lines.push(format!("Better than {base} as well: {}.", names.join(", ")));
        }
    } else {
        let largest = &compared[0];
        lines.push(format!(
            "No variant is better than {base} by more than chance. The highest, {}, differs by {}.",
            largest.0.variant,
            sentence(largest)
        ));
    }
    let worse = with_verdict("worse");
    if !worse.is_empty() {
        let names: Vec<String> = worse
            .iter()
            .map(|(cell, difference)| format!("{} ({})", cell.variant, signed(difference.value)))
            .collect();
        lines.push(format!("Worse than {base}: {}.", names.join(", ")));
    }
    let undecided = with_verdict("undecided");
    if better.is_empty() && undecided.len() == compared.len() {
        let ends = compared
            .iter()
            .flat_map(|(_, own)| [own.interval.low, own.interval.high]);
        let widest = ends.map(f64::abs).fold(0.0, f64::max);
        lines.push(format!(
            "Undecided does not mean equal: differences of up to {} points lie within the intervals.{}",
            percent(widest),
            found(&undecided)
        ));
    }
    lines
}

/// What the undecided comparisons could have found.
fn found(undecided: &[&(&MacroCell, Difference)]) -> String {
    let smallest = undecided
        .iter()
        .filter_map(|(_, own)| own.smallest_detectable);
    let (least, most) = smallest.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), own| {
        (least.min(own), most.max(own))
    });
    if most <= 0.0 {
        return String::new();
    }
    let range = match (percent(least), percent(most)) {
        (least, most) if least == most => most,
        (least, most) => format!("{least} to {most}"),
    };
    format!(
        " A true difference would have been found four times in five from {range} points on, by each comparison taken alone."
    )
}
