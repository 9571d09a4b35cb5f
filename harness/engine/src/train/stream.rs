//! The stream of training examples: which item comes when, and a thread that draws ahead of the model.
//!
//! Item n of a stream is a function of (data seed, n) alone, so a resumed run sees what it would have seen. Embedded tasks
//! draw from their train split, and for validation from indices of it that no seed reaches. A suite on disk gives the items
//! of its train split in an order that is shuffled anew each time through; for validation one picture in
//! [`HELD_OUT`], with all its questions, is never trained on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use image::RgbImage;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rave_benchmarks::render::classes::PatchClasses;
use rave_benchmarks::render::{Asked, Split, Task, VERSION, render};
use rave_benchmarks::{Dataset, suite};
use rave_lmm::{Example, Model, Processor, Turn};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::glyphs::Glyphs;
use super::plan::{Plan, Source};
use crate::Error;
use crate::item::{model_type, picture};

/// Validation items have indices from here on; a data seed is below 2^31, and its items are `seed * 2^32 + n`.
const VALIDATION: u64 = 1 << 63;
/// Mixed into the number of an item to choose its extra questions.
const FURTHER: u64 = 0x6675_7274_6865_7200;
/// Of so many pictures of a suite on disk one is for validation.
const HELD_OUT: u8 = 20;
/// Batches drawn ahead.
const AHEAD: usize = 2;

/// An example with what the renderer knows of its picture.
pub(super) struct Drawn {
    /// Number of its source among the plan's.
    pub(super) source: usize,
    pub(super) example: Example,
    /// What stands at each patch, when an auxiliary loss is trained.
    pub(super) glyphs: Option<PatchClasses>,
}

/// A source, opened.
enum Opened {
    Drawn {
        task: Task,
        /// What follows the question.
        suffix: String,
    },
    Published {
        dataset: Box<Dataset>,
        /// Rows to train on, in order of their turns.
        training: Vec<u32>,
        validation: Vec<u32>,
    },
}

/// Draws examples for one model.
#[derive(Clone)]
pub(super) struct Stream {
    /// Sources in turn; one may have several turns.
    sources: Arc<[(Source, Opened)]>,
    seed: u64,
    processor: Arc<dyn Processor>,
    end_tokens: Vec<i64>,
    /// By which a suite on disk chooses its words, as in an evaluation.
    model_type: Option<String>,
    glyphs: Option<Arc<Glyphs>>,
    /// Most extra questions a picture.
    extra_questions: usize,
}

impl Stream {
    pub(super) fn new(plan: &Plan, model: &Model) -> Result<Self, Error> {
        let sources = plan.sources.iter().map(|&source| {
            let opened = match source {
                Source::Embedded(Task::Page) => Opened::Drawn {
                    task: Task::Page,
                    suffix: String::new(),
                },
                Source::Embedded(task) => Opened::Drawn {
                    task,
                    suffix: suite(&format!("embedded-{task}"))?.prompt_suffix.clone(),
                },
                Source::Published(suite) => {
                    let dataset =
                        suite.open_training(plan.data.get(&suite.id).map(PathBuf::as_path))?;
                    published(dataset, plan)?
                }
            };
            Ok((source, opened))
        });
        Ok(Self {
            sources: sources.collect::<Result<_, Error>>()?,
            seed: u64::from(plan.seed_data),
            processor: model.processor(),
            end_tokens: model.end_tokens().to_vec(),
            model_type: model_type(&model.info().folder)?,
            glyphs: None,
            extra_questions: if plan.answers {
                plan.extra_questions
            } else {
                0
            },
        })
    }

    /// The same stream with what stands at each patch.
    pub(super) fn with_glyphs(self, glyphs: Glyphs) -> Self {
        Self {
            glyphs: Some(Arc::new(glyphs)),
            ..self
        }
    }

    /// The fingerprint of every data set on disk by its suite.
    pub(super) fn fingerprints(&self) -> BTreeMap<&str, &str> {
        let published = self.sources.iter().filter_map(|(source, opened)| {
            let Opened::Published { dataset, .. } = opened else {
                return None;
            };
            Some((source.name(), dataset.fingerprint()))
        });
        published.collect()
    }

    /// The `number`th training example.
    fn training(&self, number: u64) -> Result<Drawn, Error> {
        let (turn, place) = self.turn(number);
        match &self.sources[place].1 {
            Opened::Drawn { task, suffix } => self.draw(
                place,
                *task,
                suffix,
                (self.seed << 32) + turn,
                self.extra_questions,
            ),
            Opened::Published {
                dataset, training, ..
            } => self.read(place, dataset, training[turn as usize]),
        }
    }

    /// The `number`th validation example, the same for every seed; `None` when its source has no more.
    pub(super) fn validation(&self, number: u64) -> Result<Option<Drawn>, Error> {
        let (turn, place) = self.turn(number);
        match &self.sources[place].1 {
            Opened::Drawn { task, suffix } => self
                .draw(place, *task, suffix, VALIDATION + turn, 0)
                .map(Some),
            Opened::Published {
                dataset,
                validation,
                ..
            } => validation
                .get(turn as usize)
                .map(|&row| self.read(place, dataset, row))
                .transpose(),
        }
    }

    /// Sources take turns: which item of which source comes at this number.
    fn turn(&self, number: u64) -> (u64, usize) {
        let turns = self.sources.len() as u64;
        let place = (number % turns) as usize;
        let source = self.sources[place].0;
        let of_this = |sources: &[(Source, Opened)]| {
            sources.iter().filter(|(other, _)| *other == source).count() as u64
        };
        let item = number / turns * of_this(&self.sources) + of_this(&self.sources[..place]);
        (item, place)
    }

    fn draw(
        &self,
        source: usize,
        task: Task,
        suffix: &str,
        index: u64,
        extra_questions: usize,
    ) -> Result<Drawn, Error> {
        let rendered = render(task, Split::Train, VERSION, index)?;
        let mut asked = vec![(
            format!("{}{suffix}", rendered.question),
            rendered.answers[0].as_str(),
        )];
        let mut others: Vec<&Asked> = rendered.more.iter().collect();
        // Which of them, and in which order, is as random as the item.
        let mut random = ChaCha8Rng::seed_from_u64(index ^ FURTHER);
        let (chosen, _) = others.partial_shuffle(&mut random, extra_questions);
        let chosen = chosen.iter();
        asked.extend(
            chosen.map(|other| (format!("{}{suffix}", other.question), other.answer.as_str())),
        );
        let example = self.example(&rendered.picture, &asked)?;
        let glyphs = self.glyphs.as_ref();
        let glyphs = glyphs
            .map(|glyphs| glyphs.of(&rendered, &example.prompt))
            .transpose()?;
        Ok(Drawn {
            source,
            example,
            glyphs,
        })
    }

    /// An item on disk, to be answered as most of its annotators did.
    fn read(&self, source: usize, dataset: &Dataset, row: u32) -> Result<Drawn, Error> {
        let item = dataset.item(row as usize)?;
        let mut answer = "";
        let mut most = 0;
        for candidate in &item.answers {
            let votes = item.answers.iter().filter(|&other| other == candidate);
            let votes = votes.count();
            if votes > most {
                (answer, most) = (candidate.as_str(), votes);
            }
        }
        let asked = dataset
            .suite()
            .prompt(&item.question, self.model_type.as_deref());
        Ok(Drawn {
            source,
            example: self.example(&picture(&item)?, &[(asked, answer)])?,
            glyphs: None,
        })
    }

    /// The conversation of questions and answers about a picture.
    fn example(&self, picture: &RgbImage, asked: &[(String, &str)]) -> Result<Example, Error> {
        let prompt = self.processor.prepare(&[picture], &asked[0].0)?;
        let turns = asked
            .iter()
            .enumerate()
            .map(|(number, (question, answer))| {
                let next = asked.get(number + 1).map(|(question, _)| question.as_str());
                let (answer, next) =
                    self.processor
                        .answer(question, answer, next, &self.end_tokens)?;
                Ok(Turn { answer, next })
            });
        let turns = turns.collect::<Result<Vec<_>, Error>>()?;
        Ok(Example { prompt, turns })
    }

    /// A thread that draws the batches of `size` examples from example `first` on, in order, until the receiver is dropped.
    pub(super) fn spawn<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        first: u64,
        size: usize,
    ) -> (
        Receiver<Result<Vec<Drawn>, Error>>,
        ScopedJoinHandle<'scope, ()>,
    ) {
        let (sender, receiver): (SyncSender<_>, _) = sync_channel(AHEAD);
        let thread = scope.spawn(move || {
            for start in (first..).step_by(size) {
                let batch = (start..start + size as u64)
                    .into_par_iter()
                    .map(|number| self.training(number))
                    .collect();
                if sender.send(batch).is_err() {
                    return;
                }
            }
        });
        (receiver, thread)
    }
}

/// Sets pictures aside for validation and puts the rows of the others in the order in which a plan takes them.
fn published(dataset: Dataset, plan: &Plan) -> Result<Opened, Error> {
    // All questions about a picture go the same way; where no column names it, its bytes do.
    let is_held_out = |row: usize| -> Result<bool, Error> {
        let picture = match dataset.label(row).and_then(|label| label.image_id) {
            Some(picture) => picture,
            None => dataset.item(row)?.image_id,
        };
        Ok(Sha256::digest(picture)[0] % HELD_OUT == 0)
    };
    let held_out = (0..dataset.len())
        .into_par_iter()
        .map(is_held_out)
        .collect::<Result<Vec<_>, _>>()?;
    let rows = |wanted: bool| -> Vec<u32> {
        let numbered = (0_u32..).zip(&held_out);
        let wanted = numbered.filter(|&(_, &held_out)| held_out == wanted);
        wanted.map(|(row, _)| row).collect()
    };
    let (validation, own) = (rows(true), rows(false));
    if own.is_empty() {
        return Err(Error::request(
            format!(
                "{}: nothing to train on is left when one picture in {HELD_OUT} is set aside for validation",
                dataset.source()
            ),
            "give more items",
        ));
    }
    let needed = (plan.steps * plan.examples_a_step()) as usize;
    let mut training = Vec::with_capacity(needed);
    let mut random = ChaCha8Rng::seed_from_u64(u64::from(plan.seed_data));
    while training.len() < needed {
        let mut round = own.clone();
        round.shuffle(&mut random);
        training.extend(round);
    }
    training.truncate(needed);
    Ok(Opened::Published {
        dataset: Box::new(dataset),
        training,
        validation,
    })
}
