//! The `scene` task: words in perspective on textured, slightly blurred backgrounds among strewn shapes; asked for by place
//! or by colour, and scored as VQA (ten equal answers).
//!
//! Likeness of the distractors is the mean of two shares: how close their spelling is to the answer's, and how narrow the
//! lead is by which the answer is told from them: for a place, the distance to the runner-up along the axis (see
//! [`super::outermost`]); for a colour, how many of the other words are coloured at all.

use rand::Rng;
use rand::seq::IndexedRandom as _;

use super::boxes::{centre, grown, inside, overlap};
use super::canvas::{Canvas, Colour};
use super::colours::{Named, several};
use super::fonts::Script;
use super::outermost::{outermost, outermost_of_all};
use super::text::{Lettering, Style, set};
use super::texture::paint;
use super::warp::{Homography, Point, bounding_box};
use super::words::{Alphabet, WordPlan, distinct, likeness};
use super::{
    CANVAS, Random, RenderError, Rendered, Task, attempt, between, difficulty, extra_questions,
};
use crate::item::PixelBox;

/// The most words, of which one is the answer.
const MAX_WORDS: usize = 6;

/// Where a word goes: the corners of its ink, and the upright box of it and its plate.
struct WordBox {
    quad: [Point; 4],
    around: PixelBox,
}

/// How the answer is told from the other words.
enum Clue {
    /// The words for its place, and the likeness of the runner-up.
    Position(&'static str, f64),
    /// The name of its colour.
    Colour(&'static str),
}

/// Draws one item.
pub(super) fn draw(rng: &mut Random) -> Result<Rendered, RenderError> {
    let target = rng.random::<f64>();
    let count = between(2, MAX_WORDS, target);
    let words = distinct(
        rng,
        WordPlan {
            alphabet: Alphabet::Plain,
            lengths: &[3, 4],
            count,
            alike: target * 0.6,
        },
    );
    let by_place = rng.random_bool(0.5);
    let letterings = words
        .iter()
        .map(|word| {
            let style = Style {
                font: *Script::Latin.faces().choose(rng).unwrap_or(&0),
                script: Script::Latin,
                capital: rng.random_range(11.0..13.0),
            };
            set(word, style)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (places, found) = attempt(Task::Scene, rng, |rng| {
        let places = arrange(rng, &letterings);
        Ok(match (places, by_place) {
            (Some(places), true) => {
                let centres = places.iter().map(|place| centre(place.around));
                outermost(rng, &centres.collect::<Vec<_>>())
                    .map(|(words, near)| (places, Some(Clue::Position(words, near))))
            }
            (places, _) => places.map(|places| (places, None)),
        })
    })?;

    let (mut canvas, ground_is_dark) = paint(rng, 2 + (target * 8.0) as usize);
    // The first colour is the answer's alone; by place, the answer is as likely to be coloured as any other word.
    let palette = several(rng, 5);
    let clue = found.unwrap_or(Clue::Colour(palette[0].name));
    let mut answer_boxes = Vec::new();
    let mut distractor_boxes = Vec::new();
    let mut coloured = 0;
    let mut asked: Vec<(String, String)> = Vec::new();
    let mut features = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let named = if index == 0 && !by_place {
            Some(palette[0])
        } else if rng.random_bool(0.35 + 0.6 * target) {
            coloured += usize::from(index > 0);
            palette[1..].choose(rng).copied()
        } else {
            None
        };
        asked.extend(named.map(|named| (question_by_colour(named.name), words[index].clone())));
        let ink = raise(
            rng,
            &mut canvas,
            (&letterings[index], place),
            named,
            ground_is_dark,
        )?;
        features.extend(named.map(|named| named.feature(ink)));
        if index == 0 {
            answer_boxes.push(ink);
        } else {
            distractor_boxes.push(ink);
        }
    }
    canvas.blur((40.0 + 140.0 * rng.random::<f64>()) as u32);

    let (question, near) = match clue {
        Clue::Position(words, near) => (question_by_place(words), near),
        Clue::Colour(name) => {
            let share = coloured as f64 / (words.len() - 1) as f64;
            (question_by_colour(name), share)
        }
    };
    let centres: Vec<_> = places.iter().map(|place| centre(place.around)).collect();
    asked.extend(
        outermost_of_all(&centres)
            .map(|(side, word)| (question_by_place(side), words[word].clone())),
    );
    let alike = f64::midpoint(likeness(&words[0], &words[1..]), near);
    Ok(Rendered {
        task: Task::Scene,
        features,
        more: extra_questions(&question, asked),
        question,
        answers: vec![words[0].clone(); 10],
        difficulty: difficulty(distractor_boxes.len(), MAX_WORDS - 1, alike),
        answer_boxes,
        distractor_boxes,
        category: Some(if by_place { "place" } else { "colour" }.to_owned()),
        picture: canvas.picture,
        glyphs: canvas.glyphs,
    })
}

fn question_by_place(side: &str) -> String {
    format!("What is the word {side}?")
}

fn question_by_colour(colour: &str) -> String {
    format!("What is the {colour} word?")
}

/// Finds room for every word; `None` when one finds none.
fn arrange(rng: &mut Random, letterings: &[Lettering]) -> Option<Vec<WordBox>> {
    const TRIES: usize = 40;
    let mut places: Vec<WordBox> = Vec::with_capacity(letterings.len());
    for lettering in letterings {
        let (width, height) = (f64::from(lettering.width), f64::from(lettering.height));
        let found = (0..TRIES).find_map(|_| {
            let quad = quadrilateral(rng, width, height);
            let around = grown(bounding_box(&quad), 3.0);
            let free =
                inside(around).is_ok() && !places.iter().any(|place| overlap(place.around, around));
            free.then_some(WordBox { quad, around })
        });
        places.push(found?);
    }
    Some(places)
}

/// A place for a rectangle, turned by up to 14 degrees and seen a little from the side.
fn quadrilateral(rng: &mut Random, width: f64, height: f64) -> [Point; 4] {
    let side = f64::from(CANVAS);
    let (x, y) = (rng.random_range(0.0..side), rng.random_range(0.0..side));
    // The slope stands for the angle, so that no library function decides a pixel.
    let slope = rng.random_range(-0.25..0.25_f64);
    let length = (1.0 + slope * slope).sqrt();
    let (cosine, sine) = (1.0 / length, slope / length);
    // One end, or one edge, is nearer to the eye.
    let (near_right, near_top) = (rng.random_range(-0.14..0.14), rng.random_range(-0.06..0.06));
    let corner = |right: f64, down: f64| {
        let stretch_x = 1.0 - near_top * down;
        let stretch_y = 1.0 + near_right * right;
        let (u, v) = (
            right * width / 2.0 * stretch_x,
            down * height / 2.0 * stretch_y,
        );
        (x + u * cosine - v * sine, y + u * sine + v * cosine)
    };
    [
        corner(-1.0, -1.0),
        corner(1.0, -1.0),
        corner(1.0, 1.0),
        corner(-1.0, 1.0),
    ]
}

/// Draws one word, half of the time on a plate of its own; returns the box of its ink.
fn raise(
    rng: &mut Random,
    canvas: &mut Canvas,
    (lettering, place): (&Lettering, &WordBox),
    named: Option<Named>,
    ground_is_dark: bool,
) -> Result<PixelBox, RenderError> {
    let mut dark = ground_is_dark;
    if rng.random_bool(0.5) {
        dark = !dark;
        let plate: Colour = if dark {
            image::Rgb([30, 32, 38])
        } else {
            image::Rgb([238, 236, 228])
        };
        let quad = place.quad.map(|(x, y)| (x as f32, y as f32));
        let (middle_x, middle_y) = centre(place.around);
        let outer = quad.map(|(x, y)| {
            (
                x + (x - middle_x).signum() * 3.0,
                y + (y - middle_y).signum() * 2.5,
            )
        });
        canvas.fill_polygon(&outer, plate, 255);
    }
    let plain = if dark {
        image::Rgb([248, 248, 244])
    } else {
        image::Rgb([12, 12, 16])
    };
    let colour = named.map_or(plain, |named| named.shade(dark));
    let frame = lettering.frame();
    let there = Homography::onto(f64::from(frame.right), f64::from(frame.bottom), place.quad);
    canvas.write_warped(lettering, &there, colour)
}
