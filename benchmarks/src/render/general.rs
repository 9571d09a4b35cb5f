//! The `general` task: coloured shapes to count, to find and to place, and nothing to read. It is the contrast to the
//! other tasks: a method that helps reading need not help here.
//!
//! Shapes come in six forms, five colours and two sizes, and a question names two of these features at once ("How many red
//! circles are there?", "What colour is the large star?", "Where is the blue cross?"), so that no single feature singles
//! out the answer; a fourth kind asks which shape lies furthest to a side. Scored as VQA (ten equal answers).
//!
//! Likeness of the distractors is the share of them that has one of the two features asked for; for the outermost shape,
//! how narrow its lead is (see [`super::outermost`]).

use rand::Rng;
use rand::seq::IndexedRandom as _;

use super::boxes::{centre, grown, overlap};
use super::canvas::{Canvas, Colour};
use super::colours::{NAMED, Named, paper};
use super::outermost::{outermost, outermost_of_all};
use super::texture::paint;
use super::{
    CANVAS, Feature, FeatureBox, Random, RenderError, Rendered, Task, attempt, between, difficulty,
    extra_questions,
};
use crate::item::PixelBox;

/// Number of the first form among the kinds of things, after the marks of the `ocr` task.
const FIRST_FORM: u8 = 4;
/// The most distractors that an item can have.
const MOST: usize = 7;
/// The most shapes that a question counts.
const MAX_COUNTED: usize = 5;
/// Free pixels between two shapes, and between a shape and the edge.
const GAP: f32 = 2.0;
/// Least distance in pixels between the picture's middle lines and the centre of a shape whose corner is asked for.
const OFF_MIDDLE: f32 = 12.0;

/// The outline of a shape; it fills its box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Star,
}

impl Form {
    const ALL: [Self; 6] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Diamond,
        Self::Cross,
        Self::Star,
    ];

    /// The word for one, and for several.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Circle => ("circle", "circles"),
            Self::Square => ("square", "squares"),
            Self::Triangle => ("triangle", "triangles"),
            Self::Diamond => ("diamond", "diamonds"),
            Self::Cross => ("cross", "crosses"),
            Self::Star => ("star", "stars"),
        }
    }

    fn draw(self, canvas: &mut Canvas, bounds: PixelBox, colour: Colour) {
        // From the unit square to the box.
        let at = |(x, y): (f32, f32)| {
            (
                bounds.left + x * bounds.width(),
                bounds.top + y * bounds.height(),
            )
        };
        match self {
            Self::Circle => canvas.fill_ellipse(bounds, colour, 255),
            Self::Square => canvas.fill_box(bounds, colour, 255),
            Self::Triangle => {
                let corners = [(0.5, 0.0), (1.0, 1.0), (0.0, 1.0)].map(at);
                canvas.fill_polygon(&corners, colour, 255);
            }
            Self::Diamond => {
                let corners = [(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)].map(at);
                canvas.fill_polygon(&corners, colour, 255);
            }
            Self::Cross => {
                for (from, to) in [((0.34, 0.0), (0.66, 1.0)), ((0.0, 0.34), (1.0, 0.66))] {
                    let ((left, top), (right, bottom)) = (at(from), at(to));
                    let bar = PixelBox {
                        left,
                        top,
                        right,
                        bottom,
                    };
                    canvas.fill_box(bar, colour, 255);
                }
            }
            Self::Star => {
                for arm in 0..TIPS.len() {
                    let corners = [
                        TIPS[arm],
                        NOTCHES[(arm + 1) % TIPS.len()],
                        NOTCHES[(arm + 3) % TIPS.len()],
                    ];
                    canvas.fill_polygon(&corners.map(at), colour, 255);
                }
            }
        }
    }
}

/// The tips of a regular five-pointed star that fills the unit square, clockwise from the top. Each arm is drawn as the
/// convex triangle from its tip to the two notches across; the five together are the star.
const TIPS: [(f32, f32); 5] = [
    (0.5, 0.0),
    (1.0, 0.381_966),
    (0.809_017, 1.0),
    (0.190_983, 1.0),
    (0.0, 0.381_966),
];
/// The notches of that star, each clockwise of its tip.
const NOTCHES: [(f32, f32); 5] = [
    (0.618_034, 0.381_966),
    (0.690_983, 0.618_034),
    (0.5, 0.763_932),
    (0.309_017, 0.618_034),
    (0.381_966, 0.381_966),
];

/// A shape, apart from where it lies.
#[derive(Debug, Clone, Copy)]
struct Shape {
    form: Form,
    colour: Named,
    large: bool,
}

impl Shape {
    fn draw(rng: &mut Random) -> Self {
        Self {
            form: *Form::ALL.choose(rng).unwrap_or(&Form::Circle),
            colour: *NAMED.choose(rng).unwrap_or(&NAMED[0]),
            large: rng.random_bool(0.5),
        }
    }
}

/// What is asked about the shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// How many have a colour and a form.
    Count,
    /// The colour of the one with a size and a form.
    Colour,
    /// The corner of the one with a colour and a form.
    Corner,
    /// The form of the one that lies furthest to a side.
    Outermost,
}

impl Ask {
    /// How many of the two features named in the question a shape shares with the one asked for.
    fn shared(self, asked: Shape, other: Shape) -> u32 {
        let first = match self {
            Self::Colour => asked.large == other.large,
            _ => asked.colour == other.colour,
        };
        u32::from(first) + u32::from(asked.form == other.form)
    }
}

/// Draws one item.
pub(super) fn draw(rng: &mut Random) -> Result<Rendered, RenderError> {
    let target = rng.random::<f64>();
    let ask = *[Ask::Count, Ask::Colour, Ask::Corner, Ask::Outermost]
        .choose(rng)
        .unwrap_or(&Ask::Count);
    let (shapes, answers) = shapes(rng, ask, target);
    let (places, side) = attempt(Task::General, rng, |rng| Ok(arrange(rng, &shapes, ask)))?;

    let (mut canvas, dark) = if rng.random_bool(0.5) {
        let paper = paper(rng);
        (Canvas::new(paper.background), paper.dark)
    } else {
        paint(rng, 0)
    };
    let mut features = Vec::new();
    for (shape, place) in shapes.iter().zip(&places) {
        features.push(shape.colour.feature(*place));
        features.push(FeatureBox {
            feature: Feature::Kind(FIRST_FORM + shape.form as u8),
            bounds: *place,
        });
        shape
            .form
            .draw(&mut canvas, *place, shape.colour.shade(dark));
    }

    let asked = shapes[0];
    let (category, question, answer) = match ask {
        Ask::Count => ("count", question_of_count(asked), answers.to_string()),
        Ask::Colour => (
            "colour",
            question_of_colour(asked),
            asked.colour.name.to_owned(),
        ),
        Ask::Corner => (
            "position",
            question_of_corner(asked),
            corner(places[0]).to_owned(),
        ),
        Ask::Outermost => (
            "position",
            question_of_side(side.0),
            asked.form.names().0.to_owned(),
        ),
    };
    let mut more = extra_questions(&question, questions(&shapes, &places));
    more.retain(|asked| !asked.answer.is_empty());
    let (answer_boxes, distractor_boxes) = places.split_at(answers);
    let near = shapes[answers..]
        .iter()
        .filter(|other| ask.shared(asked, **other) == 1)
        .count();
    let alike = match ask {
        Ask::Outermost => side.1,
        _ => near as f64 / distractor_boxes.len() as f64,
    };
    Ok(Rendered {
        task: Task::General,
        question,
        answers: vec![answer; 10],
        more,
        features,
        difficulty: difficulty(distractor_boxes.len(), MOST, alike),
        answer_boxes: answer_boxes.to_vec(),
        distractor_boxes: distractor_boxes.to_vec(),
        category: Some(category.to_owned()),
        picture: canvas.picture,
        glyphs: canvas.glyphs,
    })
}

fn question_of_count(shape: Shape) -> String {
    format!(
        "How many {} {} are there?",
        shape.colour.name,
        shape.form.names().1
    )
}

fn question_of_colour(shape: Shape) -> String {
    let size = if shape.large { "large" } else { "small" };
    format!("What colour is the {size} {}?", shape.form.names().0)
}

fn question_of_corner(shape: Shape) -> String {
    format!(
        "Where is the {} {}?",
        shape.colour.name,
        shape.form.names().0
    )
}

fn question_of_side(side: &str) -> String {
    format!("Which shape is {side}?")
}

/// Everything that can be asked about the shapes; a question that several of them answer comes several times.
fn questions(shapes: &[Shape], places: &[PixelBox]) -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for (index, (shape, place)) in shapes.iter().zip(places).enumerate() {
        let counts = |other: &&Shape| other.colour == shape.colour && other.form == shape.form;
        let count = shapes.iter().filter(counts).count();
        if count <= MAX_COUNTED && shapes.iter().position(|other| counts(&other)) == Some(index) {
            asked.push((question_of_count(*shape), count.to_string()));
        }
        asked.push((question_of_colour(*shape), shape.colour.name.to_owned()));
        // Whether clear of the middle or not: two crosses must not become one question.
        let at = if is_clear(*place) { corner(*place) } else { "" };
        asked.push((question_of_corner(*shape), at.to_owned()));
    }
    let centres: Vec<_> = places.iter().map(|place| centre(*place)).collect();
    let sides = outermost_of_all(&centres);
    asked.extend(sides.map(|(side, shape)| {
        (
            question_of_side(side),
            shapes[shape].form.names().0.to_owned(),
        )
    }));
    asked
}

/// Whether a shape is clearly in one quarter of the picture.
fn is_clear(place: PixelBox) -> bool {
    let (x, y) = centre(place);
    let middle = CANVAS as f32 / 2.0;
    (x - middle).abs() >= OFF_MIDDLE && (y - middle).abs() >= OFF_MIDDLE
}

/// The shapes of an item, those that make up the answer first, and how many these are.
fn shapes(rng: &mut Random, ask: Ask, target: f64) -> (Vec<Shape>, usize) {
    let asked = Shape::draw(rng);
    let answers = match ask {
        Ask::Count => rng.random_range(1..=MAX_COUNTED),
        _ => 1,
    };
    let mut shapes = vec![asked];
    while shapes.len() < answers {
        // What is counted may be of either size.
        shapes.push(Shape {
            large: rng.random_bool(0.5),
            ..asked
        });
    }
    let total = answers + between(2, MOST, target);
    while shapes.len() < total {
        let alike = u32::from(rng.random_bool(target * 0.9));
        let other = loop {
            let other = Shape::draw(rng);
            if ask == Ask::Outermost || ask.shared(asked, other) == alike {
                break other;
            }
        };
        shapes.push(other);
    }
    (shapes, answers)
}

/// The boxes of the shapes, and for [`Ask::Outermost`] the words for the side with the likeness of the runner-up.
type Arrangement = (Vec<PixelBox>, (&'static str, f64));

/// Finds room for every shape; `None` when one finds none, or when the answer would not be clear.
fn arrange(rng: &mut Random, shapes: &[Shape], ask: Ask) -> Option<Arrangement> {
    const TRIES: usize = 40;
    let mut places: Vec<PixelBox> = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let found = (0..TRIES).find_map(|_| {
            let side = if shape.large {
                rng.random_range(23..=27)
            } else {
                rng.random_range(13..=15)
            };
            let room = CANVAS - side - 2 * GAP as u32;
            let mut edge = || (GAP as u32 + rng.random_range(0..=room)) as f32;
            let (left, top) = (edge(), edge());
            let place = PixelBox {
                left,
                top,
                right: left + side as f32,
                bottom: top + side as f32,
            };
            let free = places
                .iter()
                .all(|other| !overlap(grown(place, GAP), *other));
            free.then_some(place)
        });
        places.push(found?);
    }
    let side = match ask {
        Ask::Outermost => {
            let centres = places
                .iter()
                .map(|place| centre(*place))
                .collect::<Vec<_>>();
            outermost(rng, &centres)?
        }
        _ => ("", 0.0),
    };
    (ask != Ask::Corner || is_clear(places[0])).then_some((places, side))
}

/// The words for the quarter of the picture in which a box has its centre.
fn corner(place: PixelBox) -> &'static str {
    let (x, y) = centre(place);
    let middle = CANVAS as f32 / 2.0;
    match (y < middle, x < middle) {
        (true, true) => "top left",
        (true, false) => "top right",
        (false, true) => "bottom left",
        (false, false) => "bottom right",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn the_named_features_single_out_the_answer_and_nothing_else() {
        for seed in 0..400 {
            let mut rng = Random::seed_from_u64(seed);
            for ask in [Ask::Count, Ask::Colour, Ask::Corner] {
                let (shapes, answers) = shapes(&mut rng, ask, 0.8);
                for (index, shape) in shapes.iter().enumerate() {
                    let is_answer = match ask {
                        Ask::Colour => {
                            shape.large == shapes[0].large && shape.form == shapes[0].form
                        }
                        _ => shape.colour == shapes[0].colour && shape.form == shapes[0].form,
                    };
                    assert_eq!(is_answer, index < answers, "{ask:?} {shapes:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_written_and_no_answer_is_far_more_common_than_another() {
        let mut found: HashMap<(String, String), usize> = HashMap::new();
        for seed in 0..2000 {
            let item = draw(&mut Random::seed_from_u64(seed)).unwrap();
            assert!(item.glyphs.is_empty());
            let category = item.category.unwrap();
            if category == "count" {
                assert_eq!(item.answers[0], item.answer_boxes.len().to_string());
            } else {
                assert_eq!(item.answer_boxes.len(), 1);
            }
            // The two kinds of question by place have answers of their own.
            let kind = item.question.split(' ').next().unwrap().to_owned() + &category;
            *found.entry((kind, item.answers[0].clone())).or_default() += 1;
        }
        let mut kinds: HashMap<&str, Vec<usize>> = HashMap::new();
        for ((kind, _), count) in &found {
            kinds.entry(kind).or_default().push(*count);
        }
        assert_eq!(kinds.len(), 4);
        for (kind, counts) in kinds {
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(least.unwrap() * 2 > *most.unwrap(), "{kind}: {counts:?}");
        }
    }

    #[test]
    fn every_form_fills_its_box_and_no_two_look_alike() {
        let bounds = PixelBox {
            left: 20.0,
            top: 30.0,
            right: 33.0,
            bottom: 43.0,
        };
        let masks = Form::ALL.map(|form| {
            let mut canvas = Canvas::new(image::Rgb([255; 3]));
            form.draw(&mut canvas, bounds, image::Rgb([0; 3]));
            let inked = |x: u32, y: u32| canvas.picture.get_pixel(x, y).0[0] < 128;
            let row = |y| (20..33).any(|x| inked(x, y));
            let column = |x| (30..43).any(|y| inked(x, y));
            assert!(row(31) && row(41) && column(21) && column(31), "{form:?}");
            let around = (0..CANVAS).flat_map(|x| [(x, 29), (x, 43), (19, x), (33, x)]);
            assert!(around.into_iter().all(|(x, y)| !inked(x, y)), "{form:?}");
            (30..43)
                .flat_map(|y| (20..33).map(move |x| (x, y)))
                .map(|(x, y)| inked(x, y))
                .collect::<Vec<_>>()
        });
        for (index, first) in masks.iter().enumerate() {
            for second in &masks[..index] {
                let differing = first.iter().zip(second).filter(|(a, b)| a != b).count();
                assert!(differing > 12, "{:?}: {differing}", Form::ALL[index]);
            }
        }
    }
}
