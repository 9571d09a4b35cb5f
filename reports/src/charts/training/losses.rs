//! How a training run went: its losses on the left, on the right what it got right, over steps.

use rave_results::training::Row;

use super::panels::{HEIGHT, Line, TOP, Value, heading, of, side_by_side, thinned};
use crate::charts::canvas::{Canvas, GRID, MUTED, WIDTH};
use crate::charts::figure::Figure;
use crate::charts::palette::{Mark, colour};

/// `training.svg` and `training.png`, of every run.
pub(super) fn figures<'a>(rows: &'a [Row], title: &'a str) -> Vec<Figure<'a>> {
    let last = rows.iter().rfind(|row| row.split == "validation");
    let words = last.map_or(String::new(), |row| {
        format!(
            "After {} steps: answers' loss {:.3}, {:.1} % exactly right.",
            row.step,
            row.loss,
            row.exact * 100.0
        )
    });
    vec![Figure {
        stem: "training".into(),
        title: title.to_owned(),
        words,
        size: (WIDTH, HEIGHT),
        draw: Box::new(|canvas| draw(canvas, rows, title)),
    }]
}

fn draw(canvas: &mut Canvas, rows: &[Row], title: &str) {
    let panels = [
        (losses(rows), "loss, nats", None),
        (hits(rows), "right, %", Some(100.0)),
    ];
    heading(canvas, title);
    side_by_side(canvas, TOP, panels);
}

fn losses(rows: &[Row]) -> Vec<Line> {
    let kinds: [(&str, usize, Value); 2] = [
        ("answers", 0, |row| row.loss),
        ("characters on patches", 1, |row| row.aux_loss),
    ];
    let mut lines = Vec::new();
    for (name, number, value) in kinds {
        let train = of(rows, "train", value);
        // A loss that is not trained is 0 throughout.
        if train.iter().all(|(_, value)| *value == 0.0) {
            continue;
        }
        lines.push(Line {
            name: format!("{name}, training"),
            colour: if number == 0 { MUTED } else { GRID },
            points: thinned(&train),
            mark: None,
        });
        lines.push(Line {
            name: format!("{name}, validation"),
            colour: colour(number),
            points: of(rows, "validation", value),
            mark: Some(Mark::Circle),
        });
    }
    lines
}

fn hits(rows: &[Row]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: &str, points: Vec<(f64, f64)>| {
        if points.iter().any(|(_, value)| *value > 0.0) {
            let points = points
                .into_iter()
                .map(|(step, value)| (step, value * 100.0));
            lines.push(Line {
                name: name.to_owned(),
                colour: colour(lines.len()),
                points: points.collect(),
                mark: Some(Mark::Circle),
            });
        }
    };
    add("all answers", of(rows, "validation", |row| row.exact));
    let mut tasks: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.split.strip_prefix("validation "))
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    for task in tasks {
        add(
            task,
            of(rows, &format!("validation {task}"), |row| row.exact),
        );
    }
    add(
        "characters",
        of(rows, "validation", |row| row.glyph_accuracy),
    );
    lines
}
