//! The `ocr` task: several words in one script, or several lines of two or three short words, each possibly marked, and a
//! question that names one of the marks.
//!
//! Every item is of one script (its category), so that a score can be stated for each language family. Likeness of the
//! distractors is the mean of two shares: how close their spelling is to the answer's, and how many of them bear a mark
//! of another kind, which must be told from the one that is asked for.

use rand::Rng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::boxes::{grown, overlap};
use super::canvas::Canvas;
use super::colours::{NAMED, Named, Paper, paper};
use super::text::{Lettering, Style, set};
use super::words::{Alphabet, WordPlan, distinct, likeness, phrases};
use super::{
    CANVAS, Feature, FeatureBox, Random, RenderError, Rendered, Task, attempt, between, difficulty,
    extra_questions,
};
use crate::item::PixelBox;

/// Free columns left of the first word and between words, so that an arrow fits.
const GAP: i32 = 14;
/// The most words that stand side by side, wherever their number is free.
const WORDS_IN_A_ROW: usize = 3;
/// Pixels around a word or line that its mark may use.
const REACH: f32 = 3.0;
/// The most distractors that an item can have: words, and lines, of which each takes the width of the picture.
const MAX_WORDS: usize = 9;
const MAX_LINES: usize = 4;

/// What sets a word apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Underline,
    Frame,
    Arrow,
    Highlight,
    Colour(Named),
}

impl Mark {
    fn draw(rng: &mut Random) -> Self {
        match rng.random_range(0..5) {
            0 => Self::Underline,
            1 => Self::Frame,
            2 => Self::Arrow,
            3 => Self::Highlight,
            _ => Self::Colour(*NAMED.choose(rng).unwrap_or(&NAMED[0])),
        }
    }

    /// That something so marked stands in a box.
    fn feature(self, bounds: PixelBox) -> FeatureBox {
        let kind = match self {
            Self::Colour(named) => return named.feature(bounds),
            Self::Underline => 0,
            Self::Frame => 1,
            Self::Arrow => 2,
            Self::Highlight => 3,
        };
        FeatureBox {
            feature: Feature::Kind(kind),
            bounds,
        }
    }

    /// Asks for the marked `thing`, a word or a line.
    fn question(self, thing: &str) -> String {
        match self {
            Self::Underline => format!("What is the underlined {thing}?"),
            Self::Frame => format!("What is the {thing} in the box?"),
            Self::Arrow => format!("What is the {thing} at the arrow?"),
            Self::Highlight => format!("What is the highlighted {thing}?"),
            Self::Colour(named) => format!("What is the {} {thing}?", named.name),
        }
    }
}

/// A word or line with its place.
struct Placed {
    /// Its position in the drawn list of texts; 0 is the answer.
    text: usize,
    lettering: Lettering,
    left: i32,
    baseline: i32,
    ink: PixelBox,
}

/// Draws one item.
pub(super) fn draw(rng: &mut Random) -> Result<Rendered, RenderError> {
    let alphabet = *Alphabet::SCRIPTS.choose(rng).unwrap_or(&Alphabet::Latin);
    let target = rng.random::<f64>();
    let paper = paper(rng);
    let script = alphabet.script();
    let as_lines = rng.random_bool(0.3);
    let style = Style {
        font: *script.faces().choose(rng).unwrap_or(&0),
        script,
        // Arabic letters are lower than Latin capitals of the same em; a line is longer than a word.
        capital: match (alphabet, as_lines) {
            (Alphabet::Arabic, false) => rng.random_range(14.0..16.0),
            (Alphabet::Arabic, true) => rng.random_range(13.0..14.0),
            (_, false) => rng.random_range(11.0..13.0),
            (_, true) => rng.random_range(10.5..11.5),
        },
    };
    let alike = target * 0.7;
    let (texts, most) = if as_lines {
        let count = between(3, MAX_LINES + 1, target);
        (phrases(rng, alphabet, count, alike), MAX_LINES)
    } else {
        let plan = WordPlan {
            alphabet,
            lengths: &[3, 4],
            count: between(3, MAX_WORDS + 1, target),
            alike,
        };
        (distinct(rng, plan), MAX_WORDS)
    };
    let in_a_row = if as_lines { 1 } else { WORDS_IN_A_ROW };
    let placed = attempt(Task::Ocr, rng, |rng| arrange(rng, &texts, style, in_a_row))?;

    let mark = Mark::draw(rng);
    let mut marks = vec![None; placed.len()];
    for (placed, slot) in placed.iter().zip(&mut marks) {
        if placed.text == 0 {
            *slot = Some(mark);
        } else if rng.random_bool(target * 0.8) {
            // A distractor may bear any mark but the one asked for.
            *slot = Some(Mark::draw(rng)).filter(|other| *other != mark);
        }
    }

    let mut canvas = Canvas::new(paper.background);
    let mut answer_boxes = Vec::new();
    let mut distractor_boxes = Vec::new();
    let mut distractors = Vec::new();
    let mut decoys = 0;
    let thing = if as_lines { "line" } else { "word" };
    let (mut asked, mut features) = (Vec::new(), Vec::new());
    for (placed, mark) in placed.iter().zip(marks) {
        asked.extend(mark.map(|mark| (mark.question(thing), texts[placed.text].clone())));
        let ink = put(&mut canvas, placed, mark, paper)?;
        features.extend(mark.map(|mark| mark.feature(ink)));
        if placed.text == 0 {
            answer_boxes.push(ink);
        } else {
            distractor_boxes.push(ink);
            distractors.push(texts[placed.text].as_str());
            decoys += usize::from(mark.is_some());
        }
    }
    let marked = decoys as f64 / distractors.len().max(1) as f64;
    let alike = f64::midpoint(likeness(&texts[0], &distractors), marked);
    Ok(Rendered {
        task: Task::Ocr,
        features,
        more: extra_questions(&mark.question(thing), asked),
        question: mark.question(thing),
        difficulty: difficulty(distractors.len(), most, alike),
        answers: vec![texts[0].clone()],
        answer_boxes,
        distractor_boxes,
        category: Some(script.name().to_owned()),
        picture: canvas.picture,
        glyphs: canvas.glyphs,
    })
}

/// Spreads the texts over rows of the picture, `in_a_row` side by side at most; `None` when the answer found no room or two
/// texts come too close.
fn arrange(
    rng: &mut Random,
    texts: &[String],
    style: Style,
    in_a_row: usize,
) -> Result<Option<Vec<Placed>>, RenderError> {
    let side = CANVAS as i32;
    let reach = REACH as i32;
    let letterings = texts
        .iter()
        .map(|text| set(text, style))
        .collect::<Result<Vec<_>, _>>()?;
    let rise = letterings
        .iter()
        .map(|text| text.baseline)
        .max()
        .unwrap_or(0);
    let drop = letterings
        .iter()
        .map(|text| text.height as i32 - text.baseline)
        .max()
        .unwrap_or(0);
    // A row takes its ink and the marks above and below it; what is left over moves the rows about.
    let need = rise + drop + 2 * reach;
    let max_rows = (side / need) as usize;
    let min_rows = texts.len().div_ceil(in_a_row).min(max_rows);
    let rows = rng.random_range(min_rows..=max_rows.min(texts.len()));
    let quota = texts.len().div_ceil(rows);
    let pitch = side / rows as i32;

    let mut order = letterings.into_iter().enumerate().collect::<Vec<_>>();
    order.shuffle(rng);
    let mut queue = order.into_iter().peekable();
    let mut placed: Vec<Placed> = Vec::with_capacity(texts.len());
    for row in 0..rows as i32 {
        let top_of_row = row * pitch + rng.random_range(0..=pitch - need);
        let baseline = top_of_row + reach + rise;
        let mut left = GAP + rng.random_range(0..12);
        for _ in 0..quota {
            let fits = |lettering: &Lettering| left + lettering.width as i32 + reach <= side;
            let Some((text, lettering)) = queue.next_if(|(_, lettering)| fits(lettering)) else {
                break;
            };
            let width = lettering.width as i32;
            let top = baseline - lettering.baseline;
            let ink = PixelBox {
                left: left as f32,
                top: top as f32,
                right: (left + width) as f32,
                bottom: (top + lettering.height as i32) as f32,
            };
            placed.push(Placed {
                text,
                lettering,
                left,
                baseline,
                ink,
            });
            left += width + GAP + rng.random_range(0..10);
        }
    }
    let crowded = placed.iter().enumerate().any(|(index, first)| {
        placed[..index]
            .iter()
            .any(|second| overlap(grown(first.ink, REACH), grown(second.ink, REACH)))
    });
    let complete = placed.len() >= 3 && placed.iter().any(|placed| placed.text == 0);
    Ok((complete && !crowded).then_some(placed))
}

/// Draws a text with its mark and returns the box of its ink.
fn put(
    canvas: &mut Canvas,
    placed: &Placed,
    mark: Option<Mark>,
    paper: Paper,
) -> Result<PixelBox, RenderError> {
    let around = grown(placed.ink, REACH);
    let mut ink_colour = paper.ink;
    match mark {
        Some(Mark::Highlight) => {
            let marker = if paper.dark {
                [104, 96, 0]
            } else {
                [255, 226, 64]
            };
            canvas.fill_box(around, image::Rgb(marker), 255);
        }
        Some(Mark::Colour(named)) => ink_colour = named.shade(paper.dark),
        Some(Mark::Frame) => canvas.outline_box(around, 1.0, paper.ink),
        Some(Mark::Underline) => {
            let rule = PixelBox {
                top: around.bottom - 2.0,
                ..around
            };
            canvas.fill_box(rule, paper.ink, 255);
        }
        Some(Mark::Arrow) => {
            let (tip, middle) = (
                placed.ink.left - 2.0,
                f32::midpoint(placed.ink.top, placed.ink.bottom).round(),
            );
            let shaft = PixelBox {
                left: tip - 10.0,
                top: middle - 1.0,
                right: tip - 4.0,
                bottom: middle + 1.0,
            };
            canvas.fill_box(shaft, paper.ink, 255);
            let head = [
                (tip - 5.0, middle - 4.0),
                (tip, middle),
                (tip - 5.0, middle + 4.0),
            ];
            canvas.fill_polygon(&head, paper.ink, 255);
        }
        None => {}
    }
    canvas.write(&placed.lettering, placed.left, placed.baseline, ink_colour)
}
