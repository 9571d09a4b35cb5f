//! The `document` task: forms, tables and receipts with many key-value pairs; the question names one key.
//!
//! Likeness of the distractors is how close their keys are spelt to the key asked for (for a table, the mean over its row
//! and its column names), since it is by the key that the value is found.

use rand::Rng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::boxes::{grown, overlap};
use super::canvas::{Anchor, Canvas};
use super::colours::{Paper, paper};
use super::fonts::Script;
use super::text::{Style, set};
use super::words::{Alphabet, WordPlan, distinct, likeness, word};
use super::{
    CANVAS, Random, RenderError, Rendered, Task, attempt, between, difficulty, extra_questions,
};
use crate::item::PixelBox;

/// The most distractors that an item can have.
const MOST: usize = 14;
/// Rows from one baseline to the next, at least.
const PITCH: i32 = 15;
/// The question for the sum of a receipt.
const TOTAL: &str = "What is the total?";
/// Free columns at the left and right edge.
const MARGIN: i32 = 4;

/// What the kinds of documents have in common.
#[derive(Debug, Clone, Copy)]
struct Design {
    paper: Paper,
    key: Style,
    value: Style,
    /// Draw rules and boxes.
    ruled: bool,
}

/// What a kind of document draws.
struct Page {
    canvas: Canvas,
    question: String,
    answer: String,
    /// Everything that can be asked, this question too.
    asked: Vec<(String, String)>,
    answer_box: PixelBox,
    distractor_boxes: Vec<PixelBox>,
    likeness: f64,
}

/// Draws one item.
pub(super) fn draw(rng: &mut Random) -> Result<Rendered, RenderError> {
    let target = rng.random::<f64>();
    let capital = rng.random_range(10.0..10.8);
    let style = |font| Style {
        font,
        script: Script::Latin,
        capital,
    };
    // Keys and values in pairs of faces that go together; the bold of a family stands for keys.
    let (key, value) = *[(0, 0), (1, 0), (2, 2), (4, 4), (5, 2), (3, 3), (5, 4)]
        .choose(rng)
        .unwrap_or(&(0, 0));
    let design = Design {
        paper: paper(rng),
        key: style(key),
        value: style(value),
        ruled: rng.random_bool(0.5),
    };
    let kind = rng.random_range(0..3);
    let (category, page) = match kind {
        0 => (
            "form",
            attempt(Task::Document, rng, |rng| form(rng, target, design))?,
        ),
        1 => (
            "table",
            attempt(Task::Document, rng, |rng| table(rng, target, design))?,
        ),
        _ => (
            "receipt",
            attempt(Task::Document, rng, |rng| receipt(rng, target, design))?,
        ),
    };
    Ok(Rendered {
        task: Task::Document,
        picture: page.canvas.picture,
        glyphs: page.canvas.glyphs,
        features: Vec::new(),
        more: extra_questions(&page.question, page.asked),
        question: page.question,
        answers: vec![page.answer],
        answer_boxes: vec![page.answer_box],
        difficulty: difficulty(page.distractor_boxes.len(), MOST, page.likeness),
        distractor_boxes: page.distractor_boxes,
        category: Some(category.to_owned()),
    })
}

/// Keys of which the first is the one asked for, and the order in which they stand on the page.
fn keys(
    rng: &mut Random,
    target: f64,
    count: usize,
    lengths: &[usize],
) -> (Vec<String>, Vec<usize>) {
    let plan = WordPlan {
        alphabet: Alphabet::Plain,
        lengths,
        count,
        alike: target * 0.7,
    };
    let words = distinct(rng, plan);
    let mut order = (0..count).collect::<Vec<_>>();
    order.shuffle(rng);
    (words, order)
}

/// Values, all different and none of them a key: numbers or words for the whole page.
fn values(rng: &mut Random, count: usize, length: usize, keys: &[String]) -> Vec<String> {
    let words = rng.random_bool(0.4);
    let mut drawn: Vec<String> = Vec::with_capacity(count);
    while drawn.len() < count {
        let value = if words {
            word(rng, Alphabet::Plain, length)
        } else {
            let ten = 10_u32.pow(length as u32);
            rng.random_range(ten / 10..ten).to_string()
        };
        if !drawn.contains(&value) && !keys.contains(&value) {
            drawn.push(value);
        }
    }
    drawn
}

/// The baseline of the first of `rows` rows that fill the page from `top`, and the step to the next.
fn rows_from(top: i32, rows: usize, capital: f32) -> (i32, i32) {
    let room = CANVAS as i32 - top;
    let step = (room / rows as i32).clamp(PITCH - 1, PITCH + 4);
    (top + i32::midpoint(step, capital as i32), step)
}

/// Whether any two of the boxes touch.
fn crowded(boxes: &[PixelBox]) -> bool {
    boxes.iter().enumerate().any(|(index, first)| {
        boxes[..index]
            .iter()
            .any(|second| overlap(grown(*first, 1.0), *second))
    })
}

/// Removes the answer's box from the list.
fn take(mut boxes: Vec<PixelBox>, answer: usize) -> (PixelBox, Vec<PixelBox>) {
    let answer_box = boxes.remove(answer);
    (answer_box, boxes)
}

fn form(rng: &mut Random, target: f64, design: Design) -> Result<Option<Page>, RenderError> {
    let count = between(4, 14, target);
    let columns = if count > 7 || rng.random_bool(0.3) {
        2
    } else {
        1
    };
    let lengths: &[usize] = match columns {
        1 => &[3, 4, 5],
        _ if rng.random_bool(0.5) => &[2],
        _ => &[2, 3],
    };
    let (names, order) = keys(rng, target, count, lengths);
    let digits = if columns == 1 {
        rng.random_range(3..=4)
    } else {
        2
    };
    let values = values(rng, count, digits, &names);
    let labels = names
        .iter()
        .map(|name| set(&format!("{name}:"), design.key))
        .collect::<Result<Vec<_>, _>>()?;

    let mut canvas = Canvas::new(design.paper.background);
    let rows = count.div_ceil(columns);
    let top = (CANVAS as i32 - rows as i32 * (PITCH + 2)).max(0) / 2;
    let (first, step) = rows_from(top, rows, design.key.capital);
    let width = CANVAS as i32 / columns as i32;
    // The values of a column stand in line, a little right of the widest key.
    let widest = labels.iter().map(|label| label.width).max().unwrap_or(0) as i32;
    let indent = MARGIN
        + widest
        + if columns == 1 {
            rng.random_range(6..20)
        } else {
            4
        };
    let (mut boxes, mut all) = (Vec::new(), Vec::new());
    for (position, name) in order.iter().enumerate() {
        let left = (position / rows) as i32 * width;
        let baseline = first + (position % rows) as i32 * step;
        all.push(canvas.write(&labels[*name], left + MARGIN, baseline, design.paper.ink)?);
        let place = (Anchor::Left, left + indent, baseline);
        let value = canvas.line(&values[position], design.value, place, design.paper.ink)?;
        if value.right > (left + width) as f32 {
            return Ok(None);
        }
        if design.ruled {
            let rule = PixelBox {
                left: (left + indent - 1) as f32,
                top: (baseline + 3) as f32,
                right: (left + width - MARGIN) as f32,
                bottom: (baseline + 4) as f32,
            };
            canvas.fill_box(rule, design.paper.rule, 255);
        }
        boxes.push(value);
        all.push(value);
    }
    if crowded(&all) {
        return Ok(None);
    }
    let asked = order.iter().position(|name| *name == 0).unwrap_or(0);
    let (answer_box, distractor_boxes) = take(boxes, asked);
    let question = |name: &str| format!("What is the value of {name}?");
    let pairs = order.iter().zip(&values);
    Ok(Some(Page {
        canvas,
        question: question(&names[0]),
        asked: pairs
            .map(|(name, value)| (question(&names[*name]), value.clone()))
            .collect(),
        answer: values[asked].clone(),
        answer_box,
        distractor_boxes,
        likeness: likeness(&names[0], &names[1..]),
    }))
}

fn table(rng: &mut Random, target: f64, design: Design) -> Result<Option<Page>, RenderError> {
    let columns = if target > 0.3 {
        rng.random_range(2..=3)
    } else {
        2
    };
    let rows = between(2, 5, target);
    let (names, order) = keys(rng, target, columns + rows, &[2, 3]);
    // The first drawn word is the row asked for and the second the column; the rest go where the order says.
    let (row_names, column_names) = (
        order.iter().filter(|name| **name != 1).take(rows),
        order.iter().filter(|name| **name != 0),
    );
    let mut row_names = row_names.copied().collect::<Vec<_>>();
    if !row_names.contains(&0) {
        row_names[0] = 0;
        row_names.shuffle(rng);
    }
    let column_names = column_names
        .copied()
        .filter(|name| !row_names.contains(name))
        .collect::<Vec<_>>();
    let values = values(rng, rows * columns, 2, &names);

    let mut canvas = Canvas::new(design.paper.background);
    let lines = rows + 1;
    let step = (CANVAS as i32 / lines as i32).min(PITCH + 6);
    let top = (CANVAS as i32 - step * lines as i32) / 2;
    let width = (CANVAS as i32 - 4) / (columns as i32 + 1);
    let baseline =
        |line: usize| top + line as i32 * step + i32::midpoint(step, design.key.capital as i32);
    let middle = |column: usize| 2 + column as i32 * width + width / 2;
    if design.ruled {
        for line in 0..=lines {
            let row = (top + line as i32 * step).clamp(0, CANVAS as i32 - 1) as f32;
            let rule = PixelBox {
                left: 2.0,
                top: row,
                right: CANVAS as f32 - 2.0,
                bottom: row + 1.0,
            };
            canvas.fill_box(rule, design.paper.rule, 255);
        }
    }
    let mut all = Vec::new();
    for (column, name) in column_names.iter().enumerate() {
        let place = (Anchor::Centre, middle(column + 1), baseline(0));
        all.push(canvas.line(&names[*name], design.key, place, design.paper.ink)?);
    }
    let mut boxes = Vec::new();
    for (row, name) in row_names.iter().enumerate() {
        let place = (Anchor::Left, MARGIN, baseline(row + 1));
        all.push(canvas.line(&names[*name], design.key, place, design.paper.ink)?);
        for column in 0..columns {
            let place = (Anchor::Centre, middle(column + 1), baseline(row + 1));
            boxes.push(canvas.line(
                &values[row * columns + column],
                design.value,
                place,
                design.paper.ink,
            )?);
        }
    }
    all.extend_from_slice(&boxes);
    if crowded(&all) {
        return Ok(None);
    }
    let row = row_names.iter().position(|name| *name == 0).unwrap_or(0);
    let column = rng.random_range(0..columns);
    let others = |list: &[usize], asked: usize| {
        let rest = list
            .iter()
            .filter(|name| **name != asked)
            .map(|name| names[*name].as_str());
        likeness(&names[asked], &rest.collect::<Vec<_>>())
    };
    let likeness = f64::midpoint(
        others(&row_names, 0),
        others(&column_names, column_names[column]),
    );
    let question = |row: usize, column: usize| {
        let (row, column) = (&names[row_names[row]], &names[column_names[column]]);
        format!("What is the {column} of {row}?")
    };
    let cells = (0..rows * columns).map(|cell| {
        (
            question(cell / columns, cell % columns),
            values[cell].clone(),
        )
    });
    let all_asked = cells.collect();
    let question = question(row, column);
    let asked = row * columns + column;
    let (answer_box, distractor_boxes) = take(boxes, asked);
    Ok(Some(Page {
        canvas,
        question,
        asked: all_asked,
        answer: values[asked].clone(),
        answer_box,
        distractor_boxes,
        likeness,
    }))
}

fn receipt(rng: &mut Random, target: f64, design: Design) -> Result<Option<Page>, RenderError> {
    let count = between(3, 6, target);
    let (names, order) = keys(rng, target, count, &[3, 4, 5]);
    let mut prices: Vec<u32> = Vec::with_capacity(count);
    while prices.len() < count {
        let price = rng.random_range(101..1000);
        if !prices.contains(&price) {
            prices.push(price);
        }
    }
    let total = prices.iter().sum::<u32>();
    let money = |cents: u32| format!("{}.{:02}", cents / 100, cents % 100);

    let mut canvas = Canvas::new(design.paper.background);
    let (first, step) = rows_from(0, count + 2, design.key.capital);
    let right = CANVAS as i32 - MARGIN;
    let length = rng.random_range(4..=6);
    let title = word(rng, Alphabet::Plain, length);
    let place = (Anchor::Centre, CANVAS as i32 / 2, first);
    let mut all = vec![canvas.line(&title, design.key, place, design.paper.ink)?];
    let mut boxes = Vec::new();
    let lines = order
        .iter()
        .zip(&prices)
        .map(|(name, price)| (names[*name].as_str(), *price))
        .chain([("total", total)]);
    for (line, (name, price)) in lines.enumerate() {
        let baseline = first + (line as i32 + 1) * step;
        let key = canvas.line(
            name,
            design.key,
            (Anchor::Left, MARGIN, baseline),
            design.paper.ink,
        )?;
        let value = canvas.line(
            &money(price),
            design.value,
            (Anchor::Right, right, baseline),
            design.paper.ink,
        )?;
        if design.ruled && line < count {
            dots(
                &mut canvas,
                key.right as i32 + 3,
                value.left as i32 - 3,
                baseline,
                design.paper,
            );
        }
        all.extend([key, value]);
        boxes.push(value);
    }
    let row = (first + (count as i32 + 1) * step - design.key.capital as i32 - 3) as f32;
    let rule = PixelBox {
        left: MARGIN as f32,
        top: row,
        right: right as f32,
        bottom: row + 1.0,
    };
    canvas.fill_box(rule, design.paper.rule, 255);
    if crowded(&all) {
        return Ok(None);
    }
    let price_of = |name: &str| format!("What is the price of {name}?");
    let (question, asked) = if rng.random_bool(0.15) {
        (TOTAL.to_owned(), count)
    } else {
        let asked = order.iter().position(|name| *name == 0).unwrap_or(0);
        (price_of(&names[0]), asked)
    };
    let pairs = order.iter().zip(&prices);
    let all_asked = pairs
        .map(|(name, price)| (price_of(&names[*name]), money(*price)))
        .chain([(TOTAL.to_owned(), money(total))])
        .collect();
    let answer = money(prices.get(asked).copied().unwrap_or(total));
    let (answer_box, distractor_boxes) = take(boxes, asked);
    let likeness = if asked == count {
        likeness("total", &names)
    } else {
        likeness(&names[0], &names[1..])
    };
    Ok(Some(Page {
        canvas,
        question,
        asked: all_asked,
        answer,
        answer_box,
        distractor_boxes,
        likeness,
    }))
}

/// A dotted leader between two columns.
fn dots(canvas: &mut Canvas, from: i32, to: i32, baseline: i32, paper: Paper) {
    for column in (from..to).step_by(4) {
        let dot = PixelBox {
            left: column as f32,
            top: (baseline - 1) as f32,
            right: (column + 1) as f32,
            bottom: baseline as f32,
        };
        canvas.fill_box(dot, paper.rule, 255);
    }
}
