//! The stream of training examples: which item comes when, and a thread that draws ahead of the model.
//!
//! Item n of a stream is a function of (data seed, n) alone, so a resumed run sees what it would have seen. Training draws
//! from the train split of the embedded tasks; validation from indices of the same split that no seed reaches.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rave_benchmarks::render::classes::PatchClasses;
use rave_benchmarks::render::{Asked, Split, Task, VERSION, render};
use rave_benchmarks::suite;
use rave_lmm::{Example, Processor, Turn};
use rayon::prelude::*;

use super::glyphs::Glyphs;
use crate::Error;

/// Validation items have indices from here on; a data seed is below 2^31, and its items are `seed * 2^32 + n`.
const VALIDATION: u64 = 1 << 63;
/// Mixed into the number of an item to choose its further questions.
const FURTHER: u64 = 0x6675_7274_6865_7200;
/// Batches drawn ahead.
const AHEAD: usize = 2;

/// An example with what the renderer knows of its picture.
pub(super) struct Drawn {
    /// The task it belongs to.
    pub(super) task: Task,
    pub(super) example: Example,
    /// What stands at each patch, when a dense loss is trained.
    pub(super) glyphs: Option<PatchClasses>,
}

/// Draws examples for one model.
#[derive(Clone)]
pub(super) struct Stream {
    /// Tasks in turn; one may have several turns.
    tasks: Vec<Task>,
    /// What follows the question, a task.
    suffixes: Vec<String>,
    seed: u64,
    processor: Arc<dyn Processor>,
    end_tokens: Vec<i64>,
    glyphs: Option<Glyphs>,
    /// Most further questions a picture.
    further: usize,
}

impl Stream {
    pub(super) fn new(
        tasks: &[Task],
        seed: u32,
        processor: Arc<dyn Processor>,
        end_tokens: &[i64],
        glyphs: Option<Glyphs>,
    ) -> Result<Self, Error> {
        let suffixes = tasks
            .iter()
            .map(|&task| match task {
                Task::Page => Ok(String::new()),
                _ => Ok(suite(&format!("embedded-{task}"))?.prompt_suffix.clone()),
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            tasks: tasks.to_vec(),
            suffixes,
            seed: u64::from(seed),
            processor,
            end_tokens: end_tokens.to_vec(),
            glyphs,
            further: 0,
        })
    }

    /// The same stream with up to so many further questions about each training picture.
    pub(super) fn with_further(self, further: usize) -> Self {
        Self { further, ..self }
    }

    /// The tasks in turn.
    pub(super) fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The `number`th training example.
    fn training(&self, number: u64) -> Result<Drawn, Error> {
        let (turn, task) = self.turn(number);
        self.draw(task, (self.seed << 32) + turn, self.further)
    }

    /// The `number`th validation example, the same for every seed.
    pub(super) fn validation(&self, number: u64) -> Result<Drawn, Error> {
        let (turn, task) = self.turn(number);
        self.draw(task, VALIDATION + turn, 0)
    }

    /// Tasks take turns: which item of which task comes at this number.
    fn turn(&self, number: u64) -> (u64, usize) {
        let turns = self.tasks.len() as u64;
        let place = (number % turns) as usize;
        let of_this = |tasks: &[Task]| {
            tasks
                .iter()
                .filter(|&&task| task == self.tasks[place])
                .count() as u64
        };
        let item = number / turns * of_this(&self.tasks) + of_this(&self.tasks[..place]);
        (item, place)
    }

    fn draw(&self, task: usize, index: u64, further: usize) -> Result<Drawn, Error> {
        let rendered = render(self.tasks[task], Split::Train, VERSION, index)?;
        let suffix = &self.suffixes[task];
        let mut asked = vec![(
            format!("{}{suffix}", rendered.question),
            &rendered.answers[0],
        )];
        let mut others: Vec<&Asked> = rendered.more.iter().collect();
        // Which of them, and in which order, is as random as the item.
        let mut random = ChaCha8Rng::seed_from_u64(index ^ FURTHER);
        let (chosen, _) = others.partial_shuffle(&mut random, further);
        let chosen = chosen.iter();
        asked.extend(chosen.map(|other| (format!("{}{suffix}", other.question), &other.answer)));
        let prompt = self.processor.prepare(&[&rendered.picture], &asked[0].0)?;
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
        let glyphs = self.glyphs.as_ref();
        let glyphs = glyphs
            .map(|glyphs| glyphs.of(&rendered, &prompt))
            .transpose()?;
        Ok(Drawn {
            task: self.tasks[task],
            example: Example { prompt, turns },
            glyphs,
        })
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
