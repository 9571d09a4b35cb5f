//! `rave train`: a model or the gates of a variant, on the embedded stream or on a suite's train split from disk.
//!
//! **Exact resume.** Everything that a step depends on is either in the plan or in the saved state (weights and moments in
//! f32, number of the step); examples are functions of their number. A run that is killed and resumed therefore ends at
//! the weights of an uninterrupted one on the same machine with the same number of threads.
//!
//! Files in the run's folder: `train.json` (plan and provenance), `state.safetensors` (for the resume), `training.parquet`
//! (a row a step, and a few rows a validation), and at the end `checkpoint/` with the adapter of a trained variant beside the
//! weights, or, with a frozen backbone, the adapter alone.

mod glyphs;
mod losses;
mod optimizer;
mod plan;
mod state;
mod stream;
mod trainer;
mod validation;

use std::sync::atomic::{AtomicUsize, Ordering};

use rave_lmm::built_in;
use rave_results::store::{Claim, Opened};
use rave_results::training::{Row, TrainingRecord};

pub use self::plan::{Plan, Source};
pub use rave_results::training::Freeze;

use self::trainer::Trainer;
use crate::Error;
use crate::record::{libraries, run_name};

/// Hears how training goes.
pub trait TrainObserver {
    /// The run that was to be resumed has finished, and nothing is trained.
    fn ended_before(&mut self) {}
    /// Training begins at this step, with so many weights that move.
    fn started(&mut self, _step: u64, _weights: i64) {}
    /// A step was made, with so many floating-point operations in its matrix products.
    fn step(&mut self, _row: &Row, _operations: f64) {}
    /// Validation was measured.
    fn validated(&mut self, _row: &Row) {}
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All steps were made and the result was written.
    Finished,
    /// It was asked to stop; the state is saved and `--resume` goes on.
    Stopped,
}

/// Trains to the end of the plan, or until `stop` is no longer 0.
///
/// # Errors
/// Bad input; a folder that cannot be written; a loss that is not finite (the last saved state is kept).
pub fn train(
    plan: &Plan,
    observer: &mut dyn TrainObserver,
    stop: &AtomicUsize,
) -> Result<Ended, Error> {
    plan.check()?;
    // Whatever can be wrong with the plan is found before the run begins.
    let mut claim = Claim::take(&plan.out, plan.resume)?;
    let base = match plan.init_seed {
        None => plan.model.clone(),
        Some(seed) => {
            let folder = claim.provisional("initial");
            built_in::write(&plan.model, seed, &folder)?;
            folder.to_string_lossy().into_owned()
        }
    };
    let mut trainer = Trainer::new(plan, &base)?;
    let validation = trainer.validation_batches()?;
    let record = TrainingRecord::new(
        run_name(&plan.out),
        plan.command_line.clone(),
        plan.code.clone(),
        libraries(),
        trainer.settings.clone(),
    );
    let folder = match claim.open(&record)? {
        Opened::New(folder) => folder,
        Opened::Resumed(folder) => {
            trainer.restore()?;
            folder
        }
        Opened::Finished(_) => {
            observer.ended_before();
            return Ok(Ended::Finished);
        }
    };
    let mut rows = trainer.rows()?;
    observer.started(trainer.step, trainer.optimizer.len());
    let ended = std::thread::scope(|scope| {
        let first = trainer.step * plan.examples_a_step();
        let (receiver, thread) = trainer.stream.clone().spawn(scope, first, plan.batch);
        let mut work = || -> Result<Ended, Error> {
            while trainer.step < plan.steps {
                if stop.load(Ordering::Relaxed) != 0 {
                    trainer.save(&rows)?;
                    return Ok(Ended::Stopped);
                }
                let (row, operations) = trainer.advance(&receiver)?;
                observer.step(&row, operations);
                rows.push(row);
                if trainer.step % plan.validate_every == 0 || trainer.step == plan.steps {
                    for row in trainer.validate(&validation)? {
                        observer.validated(&row);
                        rows.push(row);
                    }
                }
                if trainer.step % plan.save_every == 0 || trainer.step == plan.steps {
                    trainer.save(&rows)?;
                }
            }
            Ok(Ended::Finished)
        };
        let ended = work();
        drop(receiver);
        // It ends once its next batch finds no receiver.
        let _ = thread.join();
        ended
    })?;
    if ended == Ended::Finished {
        trainer.write_result()?;
        folder.finish(TrainingRecord::end)?;
    }
    Ok(ended)
}
