//! How a variant's own parameters moved in a training run: the norms of their gradients and weights over steps.

use rave_results::training::Row;

use super::panels::{HEIGHT, Line, TOP, heading, of, side_by_side, thinned};
use crate::charts::canvas::{Canvas, WIDTH};
use crate::charts::figure::Figure;
use crate::charts::palette::colour;

/// `training-gates.svg` and `training-gates.png`; none where the variant has no parameters, or the table is older than
/// their norms.
pub(super) fn figures<'a>(rows: &'a [Row], title: &'a str) -> Vec<Figure<'a>> {
    let moved = |row: &&Row| row.split == "train" && row.gate_weight_norm > 0.0;
    let Some(last) = rows.iter().rfind(moved) else {
        return Vec::new();
    };
    vec![Figure {
        stem: "training-gates".into(),
        title: title.to_owned(),
        words: format!(
            "After {} steps the variant's own parameters have a norm of {:.3}.",
            last.step, last.gate_weight_norm
        ),
        size: (WIDTH, HEIGHT),
        draw: Box::new(|canvas| draw(canvas, rows, title)),
    }]
}

fn draw(canvas: &mut Canvas, rows: &[Row], title: &str) {
    let line = |name: &str, number, value| Line {
        name: name.to_owned(),
        colour: colour(number),
        points: thinned(&of(rows, "train", value)),
        mark: None,
    };
    let gradients = vec![
        line("the variant's own", 1, |row| row.gate_gradient_norm),
        line("the checkpoint's", 0, |row| row.gradient_norm),
    ];
    let weights = vec![line("the variant's own", 1, |row| row.gate_weight_norm)];
    let panels = [
        (gradients, "norm of the gradient before clipping", None),
        (weights, "norm of the weights", None),
    ];
    heading(canvas, title);
    side_by_side(canvas, TOP, panels);
}
