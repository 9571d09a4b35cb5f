//! The stream of training examples: which item comes when, and a thread that draws ahead of the model.
//!
//! Item n of a stream is a function of (data seed, n) alone, so a resumed run sees what it would have seen. Training draws
//! from the train split of the embedded tasks; validation from indices of the same split that no seed reaches.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use rave_benchmarks::render::{Rendered, Split, Task, VERSION, render};
use rave_benchmarks::suite;
use rave_lmm::{Example, Processor};
use rayon::prelude::*;

use super::glyphs::Glyphs;
use crate::Error;

/// Validation items have indices from here on; a data seed is below 2^31, and its items are `seed * 2^32 + n`.
const VALIDATION: u64 = 1 << 63;
/// Batches drawn ahead.
const AHEAD: usize = 2;

/// An example with what the renderer knows of its picture.
pub(super) struct Drawn {
    /// The task it belongs to: an index into the stream's tasks.
    pub(super) task: usize,
    pub(super) example: Example,
    /// The class of the character at each patch, row by row; empty when no dense loss is trained.
    pub(super) glyphs: Vec<i64>,
}

/// Draws examples for one model.
#[derive(Clone)]
pub(super) struct Stream {
    tasks: Vec<Task>,
    /// What follows the question, a task.
    suffixes: Vec<String>,
    seed: u64,
    processor: Arc<dyn Processor>,
    end_tokens: Vec<i64>,
    glyphs: Option<Glyphs>,
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
            .map(|task| Ok(suite(&format!("embedded-{task}"))?.prompt_suffix.clone()))
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            tasks: tasks.to_vec(),
            suffixes,
            seed: u64::from(seed),
            processor,
            end_tokens: end_tokens.to_vec(),
            glyphs,
        })
    }

    /// Names of the tasks.
    pub(super) fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The `number`th training example.
    fn training(&self, number: u64) -> Result<Drawn, Error> {
        let (turn, task) = self.turn(number);
        self.draw(task, (self.seed << 32) + turn)
    }

    /// The `number`th validation example, the same for every seed.
    pub(super) fn validation(&self, number: u64) -> Result<Drawn, Error> {
        let (turn, task) = self.turn(number);
        self.draw(task, VALIDATION + turn)
    }

    /// Tasks take turns.
    fn turn(&self, number: u64) -> (u64, usize) {
        let tasks = self.tasks.len() as u64;
        (number / tasks, (number % tasks) as usize)
    }

    fn draw(&self, task: usize, index: u64) -> Result<Drawn, Error> {
        let rendered = render(self.tasks[task], Split::Train, VERSION, index)?;
        let Rendered {
            picture,
            question,
            answers,
            ..
        } = &rendered;
        let question = format!("{question}{}", self.suffixes[task]);
        let prompt = self.processor.prepare(&[picture], &question)?;
        let answer = self
            .processor
            .answer(&question, &answers[0], &self.end_tokens)?;
        let glyphs = match &self.glyphs {
            Some(glyphs) => glyphs.of(&rendered, &prompt)?,
            None => Vec::new(),
        };
        Ok(Drawn {
            task,
            example: Example { prompt, answer },
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
