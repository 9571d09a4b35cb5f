//! The `page` task: a picture full of text in every script, face, size and colour of the other tasks, to be read from top
//! to bottom. It belongs to no suite: models are trained on it alone.
//!
//! A suite's picture holds a few dozen characters and asks for four of them; a page holds about a hundred and
//! asks for all, so that a model sees many times more characters, and learns to go from one to the next, in the same time.

use rand::Rng;
use rand::seq::IndexedRandom as _;

use super::canvas::Canvas;
use super::colours::{NAMED, paper};
use super::text::{Lettering, Style, set};
use super::texture::paint;
use super::words::{Alphabet, word};
use super::{CANVAS, Random, RenderError, Rendered, Task};
use crate::item::PixelBox;

/// Shapes strewn over a textured ground.
const CLUTTER: usize = 4;
/// Free columns at the left and right edge.
const MARGIN: u32 = 2;

/// Draws one item.
pub(super) fn draw(rng: &mut Random) -> Result<Rendered, RenderError> {
    let paper = paper(rng);
    let (mut canvas, dark) = if rng.random_bool(0.25) {
        paint(rng, CLUTTER)
    } else {
        (Canvas::new(paper.background), paper.dark)
    };
    // The paper's ink is the light or the dark one as the ground needs.
    let ink = if dark == paper.dark {
        paper.ink
    } else {
        paper.background
    };
    let mut lines = Vec::new();
    let mut features = Vec::new();
    let mut boxes: Vec<PixelBox> = Vec::new();
    let mut top = rng.random_range(0..10);
    loop {
        let (text, lettering) = line(rng)?;
        if top + lettering.height > CANVAS {
            break;
        }
        let left = rng.random_range(0..=CANVAS - lettering.width);
        let named = NAMED.choose(rng).filter(|_| rng.random_bool(0.25));
        let colour = named.map_or(ink, |named| named.shade(dark));
        let baseline = top as i32 + lettering.baseline;
        let bounds = canvas.write(&lettering, left as i32, baseline, colour)?;
        features.extend(named.map(|named| named.feature(bounds)));
        boxes.push(bounds);
        lines.push(text);
        top += lettering.height + rng.random_range(2..8);
    }
    if rng.random_bool(0.3) {
        canvas.blur(rng.random_range(40..180));
    }
    Ok(Rendered {
        task: Task::Page,
        question: "What is the text?".to_owned(),
        answers: vec![lines.join(" ")],
        answer_boxes: boxes,
        distractor_boxes: Vec::new(),
        more: Vec::new(),
        features,
        difficulty: 0.0,
        category: None,
        picture: canvas.picture,
        glyphs: canvas.glyphs,
    })
}

/// A line of words and numbers in one script, as long as the picture is wide or shorter.
fn line(rng: &mut Random) -> Result<(String, Lettering), RenderError> {
    let alphabet = *[
        Alphabet::Plain,
        Alphabet::Latin,
        Alphabet::Greek,
        Alphabet::Cyrillic,
        Alphabet::Arabic,
    ]
    .choose(rng)
    .unwrap_or(&Alphabet::Plain);
    let script = alphabet.script();
    let style = Style {
        font: *script.faces().choose(rng).unwrap_or(&0),
        script,
        capital: match alphabet {
            Alphabet::Arabic => rng.random_range(12.5..16.0),
            _ => rng.random_range(9.0..13.5),
        },
    };
    let mut text = piece(rng, alphabet);
    let mut lettering = set(&text, style)?;
    for _ in 0..rng.random_range(1..8) {
        let longer = format!("{text} {}", piece(rng, alphabet));
        let wider = set(&longer, style)?;
        if wider.width > CANVAS - 2 * MARGIN {
            break;
        }
        (text, lettering) = (longer, wider);
    }
    Ok((text, lettering))
}

/// A word, or with Latin letters sometimes a number.
fn piece(rng: &mut Random, alphabet: Alphabet) -> String {
    if alphabet != Alphabet::Plain || rng.random_bool(0.4) {
        let length = rng.random_range(2..=5);
        return word(rng, alphabet, length);
    }
    let digits = rng.random_range(1..=4);
    let number = rng.random_range(1..10_u32.pow(digits));
    match rng.random_range(0..5) {
        0 => format!("{}.{}", number, rng.random_range(0..10)),
        _ => number.to_string(),
    }
}
