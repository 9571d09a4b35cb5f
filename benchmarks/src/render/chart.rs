//! The `chart` task: bar, grouped bar, line and pie charts drawn with plotters, labels set with our own text routine.
//!
//! Plotters neither shapes text nor tells where its characters went, so it draws the grid, bars, lines and slices only.
//! Of two series, a question names the colour, or half of the time the name in a legend. Three quarters of the charts with axes print each
//! value; the others are read from the axis. What likeness means is in [`super::chart_data`].

use rand::Rng;
use rand::seq::IndexedRandom as _;

use super::canvas::Canvas;
use super::chart_data::{Ask, Data, Kind, Target, ask, data, questions};
use super::chart_draw::{BAR_OF_GROUP, ChartBoxes, axes, axis_room, pie};
use super::colours::paper;
use super::fonts::Script;
use super::text::{Style, set};
use super::{FeatureBox, Random, RenderError, Rendered, Task, difficulty, extra_questions};
use crate::item::PixelBox;

/// The most distractors that an item can have.
const MOST: usize = 7;

/// Draws one item.
pub(super) fn draw(rng: &mut Random) -> Result<Rendered, RenderError> {
    let target = rng.random::<f64>();
    let data = data(rng, target);
    let ask = ask(rng, &data);
    let paper = paper(rng);
    let style = Style {
        font: *[0, 2, 4].choose(rng).unwrap_or(&0),
        script: Script::Latin,
        capital: rng.random_range(10.0..11.0),
    };
    let style = narrowed(&data, style)?;
    let mut canvas = Canvas::new(paper.background);
    let places = match data.kind {
        Kind::Pie => pie(rng, &mut canvas, &data, paper, style)?,
        _ => axes(&mut canvas, &data, paper, style)?,
    };
    let (answer_boxes, distractor_boxes) = boxes(&data, &ask, &places);
    Ok(Rendered {
        task: Task::Chart,
        features: features(&data, &places),
        more: extra_questions(&ask.question, questions(&data)),
        question: ask.question,
        answers: vec![ask.answer],
        difficulty: difficulty(distractor_boxes.len(), MOST, ask.likeness),
        answer_boxes,
        distractor_boxes,
        category: Some(data.kind.name().to_owned()),
        picture: canvas.picture,
        glyphs: canvas.glyphs,
    })
}

/// The style, or where labels or printed values would touch each other the narrowest face, at last in a smaller size.
fn narrowed(data: &Data, wanted: Style) -> Result<Style, RenderError> {
    const NARROWEST: usize = 4;
    if data.kind == Kind::Pie {
        return Ok(wanted);
    }
    let span = axis_room(data) / data.labels.len() as f32;
    let value_room = match data.kind {
        Kind::GroupedBar => span * BAR_OF_GROUP as f32,
        _ => span,
    };
    // Digits are as wide as each other, so that any number stands for all.
    let labels = data.labels.iter().map(|label| (label.as_str(), span));
    let texts = labels.chain(data.printed.then_some(("88", value_room)));
    // How many times wider than its room, less a gap, the widest text is.
    let excess = |style: Style| -> Result<f32, RenderError> {
        texts.clone().try_fold(0.0_f32, |widest, (text, room)| {
            let width = set(text, style)?.width;
            Ok(widest.max(width as f32 / (room - 2.0)))
        })
    };
    if excess(wanted)? <= 1.0 {
        return Ok(wanted);
    }
    let style = Style {
        font: NARROWEST,
        ..wanted
    };
    let excess = excess(style)?.max(1.0);
    Ok(Style {
        capital: style.capital / excess,
        ..style
    })
}

/// The colours of several series: on their bars, points and printed values.
fn features(data: &Data, places: &ChartBoxes) -> Vec<FeatureBox> {
    if data.series.len() == 1 {
        return Vec::new();
    }
    let all = places.marks.iter().zip(&data.series);
    let printed = places.values.iter().zip(&data.series);
    all.chain(printed)
        .flat_map(|(boxes, series)| boxes.iter().map(|bounds| series.colour.feature(*bounds)))
        .collect()
}

/// Splits the places into those that answer and those of the same kind that do not.
fn boxes(data: &Data, ask: &Ask, places: &ChartBoxes) -> (Vec<PixelBox>, Vec<PixelBox>) {
    let seen = if data.printed {
        &places.values
    } else {
        &places.marks
    };
    let cells = || {
        seen.iter().enumerate().flat_map(|(series, row)| {
            row.iter()
                .enumerate()
                .map(move |(label, bounds)| ((series, label), *bounds))
        })
    };
    let split = |answers: &dyn Fn((usize, usize)) -> bool| {
        let (yes, no): (Vec<_>, Vec<_>) = cells().partition(|(cell, _)| answers(*cell));
        let strip = |side: Vec<((usize, usize), PixelBox)>| {
            side.into_iter().map(|(_, bounds)| bounds).collect()
        };
        (strip(yes), strip(no))
    };
    match &ask.target {
        Target::Value(series, label) => split(&|cell| cell == (*series, *label)),
        Target::Count(counted) => split(&|cell| counted.contains(&cell)),
        Target::Label(answer) => {
            let others = places
                .labels
                .iter()
                .enumerate()
                .filter(|(label, _)| label != answer);
            (
                vec![places.labels[*answer]],
                others.map(|(_, bounds)| *bounds).collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn text_that_gives_way_to_its_neighbours_stays_large_enough_to_read() {
        for seed in 0..3000 {
            let mut rng = Random::seed_from_u64(seed);
            let data = data(&mut rng, 1.0);
            let wanted = Style {
                font: 2,
                script: Script::Latin,
                capital: 10.0,
            };
            let capital = narrowed(&data, wanted).unwrap().capital;
            assert!(capital > 8.5, "{capital} {data:?}");
        }
    }
}
