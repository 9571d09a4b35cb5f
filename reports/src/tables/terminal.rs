//! Tables for a terminal, or for a pipe: no colour, and no box drawing where nobody sees it.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use rave_results::Summary;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

use super::attention::attention;
use super::grid::Grid;
use super::numbers::with_half_width;
use super::provenance::provenance;
use super::summary::{costs, differences, scores, seeds};

/// How tables are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalStyle {
    /// Box-drawing characters; plain ASCII rules otherwise.
    pub boxes: bool,
    /// Columns of text that fit; wider tables are split between suites.
    pub width: usize,
}

impl TerminalStyle {
    /// For files, pipes and `NO_COLOR`.
    pub const PLAIN: Self = Self {
        boxes: false,
        width: 120,
    };

    /// What standard output can show.
    pub fn detect() -> Self {
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if no_color || !io::stdout().is_terminal() {
            return Self::PLAIN;
        }
        let width = env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        Self {
            boxes: true,
            width: width.unwrap_or(Self::PLAIN.width),
        }
    }
}

/// Notes, scores, differences and times of every model.
pub(crate) fn terminal(summary: &Summary, style: TerminalStyle) -> String {
    let mut out = String::new();
    for note in summary.notes() {
        push(&mut out, &format!("! {note}"));
    }
    for model in &summary.models {
        if !summary.has_records(&model.name) {
            continue;
        }
        let mut scores = scores(summary, &model.name, with_half_width);
        scores.legend += ", ± half the width of the 95 % interval";
        let grids = [
            Some(scores),
            differences(summary, &model.name),
            seeds(summary, &model.name),
            costs(summary, &model.name),
        ];
        let probed = attention(summary, &model.name, with_half_width);
        for grid in grids.iter().flatten().chain(&probed) {
            if !out.is_empty() {
                out.push('\n');
            }
            draw(&mut out, grid, style);
        }
    }
    out.push('\n');
    for line in provenance(summary) {
        push(&mut out, &line);
    }
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

pub(super) fn draw(out: &mut String, grid: &Grid, style: TerminalStyle) {
    push(out, &grid.title);
    for columns in blocks(grid, style.width) {
        let pick = |row: &Vec<String>| {
            columns
                .iter()
                .map(|&column| row[column].clone())
                .collect::<Vec<_>>()
        };
        let mut builder = Builder::default();
        builder.push_record(pick(&grid.header));
        for row in &grid.rows {
            builder.push_record(pick(row));
        }
        let mut table = builder.build();
        if style.boxes {
            table.with(Style::rounded());
        } else {
            table.with(Style::psql());
        }
        table.modify(Columns::new(grid.names..), Alignment::right());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{table}");
    }
    push(out, &format!("({})", grid.legend));
}

/// The columns of each part of a grid that is too wide; the naming columns come in each.
fn blocks(grid: &Grid, width: usize) -> Vec<Vec<usize>> {
    let column_width = |column: usize| {
        let cells = grid
            .rows
            .iter()
            .chain([&grid.header])
            .map(|row| row[column].chars().count());
        cells.max().unwrap_or(0) + 3
    };
    let names: Vec<usize> = (0..grid.names).collect();
    let names_width: usize = names
        .iter()
        .map(|&column| column_width(column))
        .sum::<usize>()
        + 1;
    let mut blocks = vec![names.clone()];
    let mut used = names_width;
    for column in grid.names..grid.header.len() {
        let wide = column_width(column);
        let last = blocks.last().map_or(0, Vec::len);
        if used + wide > width && last > grid.names {
            blocks.push(names.clone());
            used = names_width;
        }
        used += wide;
        if let Some(block) = blocks.last_mut() {
            block.push(column);
        }
    }
    blocks
}
