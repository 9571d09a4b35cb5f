//! Renderer of the embedded suites: tasks drawn in the program, so that a fresh machine without a network has something
//! to train and to measure on, with the box of the answer, of every distractor and of every character.
//!
//! **Determinism.** An item depends on (task, version, split, index) and on nothing else: a `ChaCha8` stream is seeded
//! with the SHA-256 of these four. The split is part of what is hashed, so training and test never share a stream, and a
//! test holds the content of thousands of items of both against each other ([`Rendered::content_hash`]).
//! Drawing is single-threaded arithmetic in a fixed order; the same program gives the same bytes on every run, and
//! `goldens.txt` pins the first items of each task. Between platforms the last bit of `sin` and `cos` (pie charts)
//! is the C library's and could differ; the rest is IEEE arithmetic.
//!
//! **Difficulty.** Reading one glyph is easy by design: real outline fonts at a capital height of 10 to 13 pixels, small
//! alphabets without look-alike letters, strong contrast. What is hard is finding the right place. Each item draws a
//! target in 0..1 that sets how many distractors there are and how alike they are, and then states what it got:
//! half the share of the most distractors that the task can place, half their likeness (see each task's header
//! for what likeness means there). A whole suite therefore spans the range, and a reader can bin by it.
//!
//! **Rate.** On one core of an AMD EPYC that other work shared, in November 2026, items a second: ocr 5,500, chart 6,300, document
//! 5,200, scene 1,800, general 13,000. Any index can be drawn from any thread, and the rates add up over cores (`cargo test --release --workspace --lib render_rate -- --ignored --nocapture`).
//!
//! **For training**, a [`Rendered`] has the box of every character drawn, and [`classes::patch_classes`] says which character
//! stands on each patch of the picture.
//!
//! **Adding a task**: a file with `draw`, an arm of [`Task`] and of `draw_task`, three lines in `goldens.txt`.

mod boxes;
mod canvas;
mod chart;
mod chart_data;
mod chart_draw;
pub mod classes;
mod colours;
mod document;
pub mod fonts;
mod general;
mod ocr;
mod outermost;
mod page;
mod scene;
mod sheet;
mod text;
mod texture;
mod warp;
mod words;

use image::RgbImage;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};
use strum::{Display, EnumString, IntoStaticStr};

pub use sheet::contact_sheet;

use crate::item::PixelBox;

/// Width and height of every embedded picture in pixels: small, because nano is.
pub const CANVAS: u32 = 128;

/// The version of all tasks: the one that this program draws. Raise it when a change moves any picture, question or answer.
pub const VERSION: u32 = 2;

/// How often the content of an item is drawn before [`render`] gives up on arranging it.
const DRAWS: u32 = 10;

/// The generator behind every item.
pub(crate) type Random = ChaCha8Rng;

/// What an item asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", parse_err_ty = RenderError, parse_err_fn = RenderError::unknown_task)]
pub enum Task {
    /// Read a marked word or line, in one of four scripts.
    Ocr,
    /// Read, compare or find a value in a chart.
    Chart,
    /// Look up the value of a key in a form, table or receipt.
    Document,
    /// Read the word at a place or of a colour on a cluttered background.
    Scene,
    /// Count and find coloured shapes; nothing to read.
    General,
    /// Read a page full of text: for training alone, without a suite.
    Page,
}

impl Task {
    /// Every task that has a suite.
    pub const ALL: [Self; 5] = [
        Self::Ocr,
        Self::Chart,
        Self::Document,
        Self::Scene,
        Self::General,
    ];

    /// The task's one-word name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Which stream an item comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", parse_err_ty = RenderError, parse_err_fn = RenderError::unknown_split)]
pub enum Split {
    /// Items that training may draw.
    Train,
    /// Items that are only ever evaluated.
    Test,
}

impl Split {
    /// The split's one-word name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A character and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GlyphBox {
    /// The character, as in the text (not its presentation form).
    pub character: char,
    /// The box around its ink, in pixels of the picture.
    pub bounds: PixelBox,
    /// Whether a word ends with it.
    pub ends_word: bool,
}

/// How a thing looks, as far as a question can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// One of the named colours, by its number.
    Colour(u8),
    /// One of the marks of the `ocr` task or forms of the `general` task, by its number in the list of both.
    Kind(u8),
}

/// Where a thing with a feature is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureBox {
    /// The feature.
    pub feature: Feature,
    /// The box around it, in pixels of the picture.
    pub bounds: PixelBox,
}

/// A question about a picture, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The question, without any prompt suffix.
    pub question: String,
    /// The answer.
    pub answer: String,
}

/// One drawn item.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The task that drew it.
    pub task: Task,
    /// The picture, [`CANVAS`] by [`CANVAS`].
    pub picture: RgbImage,
    /// The question, without any prompt suffix.
    pub question: String,
    /// The accepted answers, in logical order of their characters.
    pub answers: Vec<String>,
    /// Where the answer stands; several where several things make it up.
    pub answer_boxes: Vec<PixelBox>,
    /// Where the things stand that could be taken for the answer.
    pub distractor_boxes: Vec<PixelBox>,
    /// From 0 (nothing to confuse the answer with) to 1.
    pub difficulty: f64,
    /// The script of an `ocr` item; the kind of chart, document or question elsewhere.
    pub category: Option<String>,
    /// Further questions about the same picture, for training: what has been read for one is half the way to the next. The
    /// item's own question is not among them.
    pub more: Vec<Asked>,
    /// Colours, marks and forms that tell things apart, in the order of drawing.
    pub features: Vec<FeatureBox>,
    /// Every character drawn, whether part of the answer or not, in the order of drawing; spaces are not drawn.
    pub glyphs: Vec<GlyphBox>,
}

impl Rendered {
    /// SHA-256 over what makes an item one of its own for a model: the pixels, and the question.
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.picture.as_raw());
        hasher.update(&self.question);
        hasher.finalize().into()
    }

    /// SHA-256 over everything a model or a metric sees of the item: picture, question, answers, boxes; in
    /// hexadecimal.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.picture.as_raw());
        for text in std::iter::once(&self.question).chain(&self.answers) {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        let glyph_boxes = self.glyphs.iter().map(|glyph| &glyph.bounds);
        for bounds in self
            .answer_boxes
            .iter()
            .chain(&self.distractor_boxes)
            .chain(glyph_boxes)
        {
            for edge in [bounds.left, bounds.top, bounds.right, bounds.bottom] {
                hasher.update(edge.to_le_bytes());
            }
        }
        hasher.update(self.difficulty.to_le_bytes());
        format!("{:x}", hasher.finalize())
    }
}

/// What can go wrong in drawing.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// No such task.
    #[error("there is no embedded task `{0}`; the tasks are {names}, and for training page", names = Task::ALL.map(Task::name).join(", "))]
    UnknownTask(String),
    /// No such split.
    #[error("there is no split `{0}`; the splits are train and test")]
    UnknownSplit(String),
    /// A version that this program cannot draw.
    #[error("the embedded suites have no version {0}; this program draws version {VERSION}")]
    UnknownVersion(u32),
    /// A font lacks a character: a fault of an alphabet.
    #[error("the embedded font {font} lacks a character of {text:?}")]
    MissingGlyph {
        /// What was to be drawn.
        text: String,
        /// The font's name.
        font: &'static str,
    },
    /// Text without any ink.
    #[error("{0:?} has nothing to draw")]
    NoInk(String),
    /// Something would be cut off by the edge.
    #[error("the box {0:?} leaves the picture of {CANVAS} pixels a side")]
    OutsideCanvas(PixelBox),
    /// No arrangement was found in the number of tries allowed.
    #[error("no arrangement of the {task} item fits after {tries} tries")]
    NoLayout {
        /// The task being drawn.
        task: &'static str,
        /// How many arrangements were tried.
        tries: u32,
    },
    /// Patches that leave a part of the picture uncovered.
    #[error("patches of {0} pixels do not tile the picture of {CANVAS} pixels a side")]
    PatchSize(u32),
    /// A character without a class.
    #[error("the character {0:?} has no class: no item of this version draws it")]
    NoClass(char),
    /// The plotting library failed.
    #[error("drawing a chart failed: {0}")]
    Plot(String),
}

impl RenderError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownTask(_) | Self::UnknownSplit(_) => "choose one of these",
            Self::UnknownVersion(_) => "use the release that drew it, or drop the version",
            Self::MissingGlyph { .. } => "take it out of the alphabet or draw it with another font",
            Self::NoLayout { .. } => "report the index, with the version",
            Self::PatchSize(_) => "choose a divisor",
            Self::NoInk(_) | Self::OutsideCanvas(_) | Self::NoClass(_) | Self::Plot(_) => {
                return None;
            }
        };
        Some(hint.to_owned())
    }

    fn unknown_task(name: &str) -> Self {
        Self::UnknownTask(name.to_owned())
    }

    fn unknown_split(name: &str) -> Self {
        Self::UnknownSplit(name.to_owned())
    }
}

/// Draws one item; the same arguments always give the same item.
///
/// # Errors
/// [`RenderError::UnknownVersion`] for a version other than [`VERSION`]; any other error is a fault of the renderer.
pub fn render(task: Task, split: Split, version: u32, index: u64) -> Result<Rendered, RenderError> {
    if version != VERSION {
        return Err(RenderError::UnknownVersion(version));
    }
    let mut rng = stream(task, split, version, index);
    // A few things in a hundred thousand are too wide to be arranged: other ones are drawn from the same stream.
    for _ in 1..DRAWS {
        match draw_task(task, &mut rng) {
            Err(RenderError::NoLayout { .. }) => {}
            done => return done,
        }
    }
    draw_task(task, &mut rng)
}

fn draw_task(task: Task, rng: &mut Random) -> Result<Rendered, RenderError> {
    match task {
        Task::Ocr => ocr::draw(rng),
        Task::Chart => chart::draw(rng),
        Task::Document => document::draw(rng),
        Task::Scene => scene::draw(rng),
        Task::General => general::draw(rng),
        Task::Page => page::draw(rng),
    }
}

/// The random stream of an item.
fn stream(task: Task, split: Split, version: u32, index: u64) -> Random {
    let mut hasher = Sha256::new();
    hasher.update(format!("rave embedded {task} {version} {split} {index}"));
    Random::from_seed(hasher.finalize().into())
}

/// Tries arrangements until one fits.
fn attempt<T>(
    task: Task,
    rng: &mut Random,
    arrange: impl Fn(&mut Random) -> Result<Option<T>, RenderError>,
) -> Result<T, RenderError> {
    const TRIES: u32 = 200;
    for _ in 0..TRIES {
        match arrange(rng) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) | Err(RenderError::OutsideCanvas(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Err(RenderError::NoLayout {
        task: task.name(),
        tries: TRIES,
    })
}

/// Those of the questions that occur once, the item's own left out: what two answers fit is no question.
fn extra_questions(own: &str, asked: impl IntoIterator<Item = (String, String)>) -> Vec<Asked> {
    let mut found: Vec<(Asked, usize)> = Vec::new();
    for (question, answer) in asked {
        match found
            .iter_mut()
            .find(|(known, _)| known.question == question)
        {
            Some((_, times)) => *times += 1,
            None => found.push((Asked { question, answer }, 1)),
        }
    }
    found
        .into_iter()
        .filter(|(asked, times)| *times == 1 && asked.question != own)
        .map(|(asked, _)| asked)
        .collect()
}

/// A number of things between two bounds, by the target of difficulty in 0..1.
fn between(least: usize, most: usize, target: f64) -> usize {
    least + (target * (most - least) as f64).round() as usize
}

/// Difficulty from what was drawn: half for the number of distractors against the most a task places, half for how alike
/// they are (0 to 1).
fn difficulty(distractors: usize, most: usize, likeness: f64) -> f64 {
    let share = (distractors as f64 / most as f64).min(1.0);
    (0.5 * share + 0.5 * likeness).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
