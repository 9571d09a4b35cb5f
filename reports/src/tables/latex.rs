//! The table of scores as LaTeX: booktabs, the highest of a column in bold, significant differences marked.

use rave_results::Summary;
use rave_results::summary::{Difference, Estimate, ModelNote};

use super::grid::{Grid, NOTHING};
use super::numbers::percent;
use super::provenance::provenance;
use crate::charts::variants as of_model;

/// Text of more characters than this may take several lines.
const SENTENCE: usize = 50;
/// Marks what does not have all of its samples.
const PARTIAL: &str = "\\dagger";

/// One entry of the table before it is known whether it is the highest.
struct Entry {
    score: Option<Estimate>,
    difference: Option<Difference>,
    partial: bool,
}

/// The part of a document that holds a table for each model; it needs `\usepackage{booktabs}`.
pub(crate) fn latex(summary: &Summary) -> String {
    let mut out = comments(summary.notes().iter().chain(&provenance(summary)));
    for model in &summary.models {
        if summary.has_records(&model.name) {
            out += &table(summary, model);
        }
    }
    out
}

fn table(summary: &Summary, model: &ModelNote) -> String {
    let variants = of_model(summary, model);
    let average = summary.suites.len() > 1;
    let columns: Vec<Vec<Entry>> = summary
        .suites
        .iter()
        .map(|suite| {
            variants
                .iter()
                .map(|variant| entry(summary, model, &suite.id, variant))
                .collect()
        })
        .chain(average.then(|| {
            variants
                .iter()
                .map(|variant| mean(summary, model, variant))
                .collect()
        }))
        .collect();
    let cells: Vec<Vec<String>> = columns.iter().map(|column| texts(column)).collect();
    let mut head = vec!["variant".to_owned()];
    let mut counts = vec!["samples".to_owned()];
    for suite in &summary.suites {
        head.push(escape(&suite.id));
        counts.push(if suite.is_subset() {
            format!("{} of {}", suite.rows_used, suite.rows_total)
        } else {
            suite.rows_used.to_string()
        });
    }
    if average {
        head.push("average".into());
        counts.push(String::new());
    }
    let rows = variants.iter().enumerate().map(|(index, variant)| {
        let own = cells.iter().map(|column| column[index].clone());
        [escape(variant)].into_iter().chain(own).collect()
    });
    let caption = caption(summary, model, &columns);
    let widths = format!("l{}", "r".repeat(head.len() - 1));
    tabular(
        &caption,
        &widths,
        &[head, counts],
        &rows.collect::<Vec<_>>(),
    )
}

/// A grid as it is.
pub(super) fn plain(grid: &Grid) -> String {
    let escaped = |cells: &Vec<String>| cells.iter().map(|cell| escape(cell)).collect();
    let rows: Vec<Vec<String>> = grid.rows.iter().map(escaped).collect();
    let legend = grid.legend.trim_end_matches('.');
    let caption = format!("{}. {}.", escape(&grid.title), escape(legend));
    tabular(&caption, &widths(grid), &[escaped(&grid.header)], &rows)
}

/// A grid's columns: names flush left, sentences broken into lines, numbers flush right.
fn widths(grid: &Grid) -> String {
    let longest = |column: usize| {
        let cells = grid.rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let sentences: Vec<usize> = (0..grid.names)
        .map(longest)
        .map(|length| if length > SENTENCE { length } else { 0 })
        .collect();
    let total: usize = sentences.iter().sum();
    let mut widths = String::new();
    for column in 0..grid.header.len() {
        match sentences.get(column) {
            None => widths.push('r'),
            Some(0) => widths.push('l'),
            // At least a quarter of what is left to them all, which the names beside them leave of the line.
            Some(length) => {
                let share = (*length as f64 / total as f64).clamp(0.25, 0.75);
                widths += &format!("p{{{:.2}\\linewidth}}", 0.7 * share);
            }
        }
    }
    widths
}

/// Lines that a document leaves out; one each, or the rest would be typeset.
pub(super) fn comments<'a>(lines: impl IntoIterator<Item = &'a String>) -> String {
    let mut out = String::from("% Made by rave. Needs \\usepackage{booktabs}.\n");
    for line in lines {
        out += &format!("% {}\n", line.replace(['\n', '\r'], " "));
    }
    out
}

/// A floating table with columns as LaTeX names them; every cell is LaTeX already.
fn tabular(caption: &str, columns: &str, heads: &[Vec<String>], rows: &[Vec<String>]) -> String {
    let row = |cells: &Vec<String>| format!("    {} \\\\\n", cells.join(" & "));
    let mut out = format!(
        "\n\\begin{{table}}\n  \\centering\n  \\caption{{{caption}}}\n  \\begin{{tabular}}{{{columns}}}\n    \\toprule\n"
    );
    out.extend(heads.iter().map(row));
    out += "    \\midrule\n";
    out.extend(rows.iter().map(row));
    out + "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
}

fn entry(summary: &Summary, model: &ModelNote, suite: &str, variant: &str) -> Entry {
    let cell = summary.cell(&model.name, suite, variant);
    Entry {
        score: cell.and_then(|cell| cell.score),
        difference: cell.and_then(|cell| cell.difference),
        partial: cell.is_some_and(|cell| cell.failed > 0 || cell.is_incomplete()),
    }
}

fn mean(summary: &Summary, model: &ModelNote, variant: &str) -> Entry {
    let cell = summary.macro_cell(&model.name, variant);
    Entry {
        score: cell.and_then(|cell| cell.score),
        difference: cell.and_then(|cell| cell.difference),
        partial: cell.is_some_and(|cell| cell.failed > 0),
    }
}

/// A column's cells. Those that read the same as the highest are all bold; of one score alone none is.
fn texts(column: &[Entry]) -> Vec<String> {
    let scores: Vec<String> = column
        .iter()
        .map(|entry| {
            entry
                .score
                .map_or(NOTHING.into(), |score| percent(score.value))
        })
        .collect();
    let values = column.iter().filter_map(|entry| entry.score);
    let highest = values
        .clone()
        .map(|score| score.value)
        .fold(f64::NEG_INFINITY, f64::max);
    let highest = (values.count() > 1).then(|| percent(highest));
    let text = |(entry, text): (&Entry, &String)| {
        let mut marks = String::new();
        if let Some(own) = entry.difference.filter(|own| own.decided().is_ne()) {
            marks += if own.value > 0.0 {
                "\\uparrow"
            } else {
                "\\downarrow"
            };
        }
        if entry.partial {
            marks += PARTIAL;
        }
        // One superscript: two in a row would open displayed mathematics.
        let raised = if marks.is_empty() {
            String::new()
        } else {
            format!("$^{{{marks}}}$")
        };
        let Some(score) = entry.score else {
            return format!("{text}{raised}");
        };
        let value = if Some(text) == highest.as_ref() {
            format!("\\textbf{{{text}}}")
        } else {
            text.clone()
        };
        let width = percent(score.interval.half_width());
        format!("{value}{raised} {{\\scriptsize $\\pm${width}}}")
    };
    column.iter().zip(&scores).map(text).collect()
}

fn caption(summary: &Summary, model: &ModelNote, columns: &[Vec<Entry>]) -> String {
    let mut text = format!(
        "Scores of {} in percent, $\\pm$ half the width of the {}\\,\\% bootstrap interval. Bold: the highest of a column.",
        escape(&model.name),
        summary.resampling.confidence * 100.0
    );
    if summary.variants.len() > 1 {
        text += &format!(
            " $\\uparrow$, $\\downarrow$: above or below {} on the same samples, Holm-corrected $p < 0.05$ and an interval without 0.",
            escape(&summary.baseline)
        );
    }
    if columns.iter().flatten().any(|entry| entry.partial) {
        text += &format!(" ${PARTIAL}$: samples without a score are left out.");
    }
    if model.untrained {
        text += " The weights are seeded random ones: the scores say nothing about a method.";
    }
    if summary.runs.iter().any(|run| run.interrupted) {
        text += " From an interrupted run.";
    }
    if !summary.forced.is_empty() {
        text += " A forced comparison of unequal runs.";
    }
    text
}

/// Text that LaTeX typesets as it stands.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            // In LaTeX's own encoding of fonts these are other signs.
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '|' => out += "\\textbar{}",
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => out.extend(['\\', character]),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
