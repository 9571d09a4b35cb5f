//! Tables as Markdown, with the charts that lie beside them.

use std::fmt::Write as _;

use rave_results::Summary;

use super::grid::Grid;
use super::provenance::provenance;
use super::summary::grids;
use crate::charts;

/// The whole report as one Markdown page.
pub(crate) fn markdown(summary: &Summary) -> String {
    let mut out = String::from("# Report\n");
    for note in summary.notes() {
        line(&mut out, &format!("\n> **Note**: {}", escape(&note)));
    }
    let drawings = charts::summary(summary);
    for model in &summary.models {
        if !summary.has_records(&model.name) {
            continue;
        }
        line(&mut out, &format!("\n## {}", escape(&model.name)));
        for drawing in &drawings {
            if drawing.model.name == model.name {
                let title = format!("{} of {}", drawing.chart.title(), model.name);
                let stem = &drawing.figure.stem;
                line(&mut out, &format!("\n![{}]({stem}.svg)", escape(&title)));
            }
        }
        for grid in grids(summary, model) {
            draw(&mut out, &grid);
        }
    }
    out.push_str("\n## Where the numbers come from\n\n");
    for text in provenance(summary) {
        line(&mut out, &format!("- {}", escape(&text)));
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

pub(super) fn draw(out: &mut String, grid: &Grid) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n### {}\n", escape(&grid.title));
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
        format!("| {} |", cells.join(" | "))
    };
    line(out, &row(&grid.header));
    let rule: Vec<&str> = (0..grid.header.len())
        .map(|column| if column < grid.names { "---" } else { "---:" })
        .collect();
    line(out, &format!("| {} |", rule.join(" | ")));
    for cells in &grid.rows {
        line(out, &row(cells));
    }
    line(out, &format!("\n{}", escape(&grid.legend)));
}

/// Text that no Markdown reader takes for markup of a table or of HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '*' | '<' | '`' | '\\' => out.extend(['\\', character]),
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
