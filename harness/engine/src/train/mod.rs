//! `rave train`: a model or the gates of a variant, on the embedded stream or on a suite's train split from disk.
//!
//! **Exact resume.** Everything that a step depends on is either in the plan or in the saved state (weights and moments in
//! f32, number of the step); examples are functions of their number. A run that is killed and resumed therefore ends at
//! the weights of an uninterrupted one on the same machine with the same number of threads.
//!
//! Files in the run's folder: `train.json` (plan and provenance), `state.safetensors` (for the resume), `training.parquet`
//! (a row a logged step and a validation), and at the end `checkpoint/` with the adapter of a trained variant beside the
//! weights, or, with a frozen backbone, the adapter alone.

mod glyphs;
mod optimizer;
mod plan;
mod state;
mod stream;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use rave_lmm::{
    Batch, Checkpoint, Error as ModelError, GenerationKeys, LoadOptions, Model, adapter, built_in,
    kind, libtorch,
};
use rave_methods::{Attention, Build};
use rave_results::store::{Claim, Opened};
use rave_results::training::{ROWS, Row, TrainingRecord, TrainingSettings, read_rows, write_rows};
use serde_json::json;
use tch::{Device, Kind, Reduction, Tensor, no_grad};

pub use self::plan::{Plan, Source};
pub use rave_results::training::Freeze;

use self::glyphs::Glyphs;
use self::optimizer::{AdamW, Group, Norms};
use self::plan::Origins;
use self::state::State;
use self::stream::{Drawn, Stream};
use crate::Error;
use crate::evaluate::{libraries, run_name};

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
    let base = match plan.fresh {
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

struct Trainer<'a> {
    plan: &'a Plan,
    model: Model,
    attention: Box<dyn Attention>,
    /// The dense heads, `[classes, W]` and `[classes]` each, when a dense loss is trained.
    head: Vec<Tensor>,
    optimizer: AdamW,
    stream: Stream,
    /// Everything that decides the result.
    settings: TrainingSettings,
    /// Steps made.
    step: u64,
}

impl<'a> Trainer<'a> {
    fn new(plan: &'a Plan, base: &str) -> Result<Self, Error> {
        let options = LoadOptions {
            device: libtorch::device(&plan.device)?,
            kind: kind(&plan.dtype).ok_or_else(|| {
                Error::request(
                    format!("dtype `{}` is unknown", plan.dtype),
                    "use f32 or bf16",
                )
            })?,
            // Nothing is generated.
            ignored: GenerationKeys::ALL,
        };
        let model = Model::load(base, options)?;
        let mut vision = None;
        if let Some(folder) = &plan.vision {
            model.take_vision(folder)?;
            vision = Some(Checkpoint::open(folder)?.sha256());
        }
        let mut stream = Stream::new(plan, &model)?;
        let settings = plan.settings(
            base,
            &Origins {
                base: &model.info().sha256,
                vision: vision.as_deref(),
                data: &stream.fingerprints(),
            },
        );
        let attention = plan
            .variant
            .build(&Build {
                geometry: model.info().geometry,
                device: options.device,
                kind: options.kind,
                seed: plan.seed_gates,
            })
            .map_err(ModelError::from)?;
        let mut moving: Vec<(String, Tensor)> = model
            .parameters()
            .iter()
            .filter(|(name, _)| match plan.freeze {
                Freeze::None => true,
                Freeze::Vision => !model.is_vision(name),
                Freeze::Backbone => false,
            })
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect();
        let mut gates = Vec::new();
        if plan.answers {
            gates = attention.parameters();
        } else {
            moving.retain(|(name, _)| model.is_vision(name));
        }
        let mut head = Vec::new();
        if plan.dense > 0.0 {
            let width = no_grad(|| -> Result<i64, Error> {
                let sample = stream.validation(0)?.map(|drawn| drawn.example);
                let pixels = model.batch(&Vec::from_iter(sample))?.pixels;
                Ok(model.look(&pixels)?.features.size()[2])
            })?;
            stream = stream.with_glyphs(Glyphs::new(model.patch_size()));
            let parameters = glyphs::heads(width, options.device)?;
            head = parameters
                .iter()
                .map(|(_, tensor)| tensor.shallow_clone())
                .collect();
            moving.extend(parameters);
        }
        if moving.is_empty() && gates.is_empty() {
            return Err(Error::refused(format!(
                "nothing would be trained: `{}` has no parameters of its own and the backbone is frozen",
                plan.variant.id
            )));
        }
        Ok(Self {
            plan,
            attention,
            head,
            optimizer: AdamW::new(vec![
                Group {
                    parameters: moving,
                    weight_decay: plan.weight_decay,
                },
                Group {
                    parameters: gates,
                    weight_decay: plan.gate_weight_decay,
                },
            ])?,
            stream,
            settings,
            step: 0,
            model,
        })
    }

    /// Takes up the saved state; killed before its first save, a run begins again.
    fn restore(&mut self) -> Result<(), Error> {
        if let Some(state) = State::read(&self.plan.out)? {
            state.restore(&mut self.optimizer)?;
            self.step = state.step;
        }
        Ok(())
    }

    /// The rows up to the state that was taken up.
    fn rows(&self) -> Result<Vec<Row>, Error> {
        if self.step == 0 {
            return Ok(Vec::new());
        }
        let mut rows = read_rows(&self.plan.out.join(ROWS))?;
        rows.retain(|row| row.step <= self.step);
        Ok(rows)
    }

    /// One step over the plan's micro-batches: its row, and the floating-point operations of its matrix products.
    fn advance(
        &mut self,
        drawn: &Receiver<Result<Vec<Drawn>, Error>>,
    ) -> Result<(Row, f64), Error> {
        let start = Instant::now();
        let plan = self.plan;
        let mut operations = 0.0;
        let share = 1.0 / plan.accumulate as f64;
        let mut row = Row {
            step: self.step + 1,
            ..Row::default()
        };
        let mut gradient = self
            .optimizer
            .master
            .f_zeros_like()
            .map_err(ModelError::from)?;
        for _ in 0..plan.accumulate {
            let Ok(drawn) = drawn.recv() else {
                return Err(Error::Fault("the thread that draws examples is gone"));
            };
            let drawn = drawn?;
            let (losses, own_operations) = self.losses(&drawn)?;
            let total = losses.total(plan.dense)?;
            let own = self.optimizer.gradient(&total)? * share;
            gradient += own;
            row.loss += number(losses.answer.as_ref())? * share;
            row.dense_loss += number(losses.dense.as_ref())? * share;
            row.glyph_accuracy += losses.glyphs * share;
            row.exact += losses.exact_share() * share;
            operations += own_operations;
        }
        row.rate = plan.rate(self.step);
        row.gate_rate = plan.gate_rate(self.step);
        let rates = [row.rate, row.gate_rate];
        let norms = self
            .optimizer
            .step(&gradient, self.step + 1, &rates, plan.clip)?;
        if let [backbone, gate] = norms[..] {
            let Norms { gradient, weights } = backbone;
            (row.gradient_norm, row.weight_norm) = (gradient, weights);
            let Norms { gradient, weights } = gate;
            (row.gate_gradient_norm, row.gate_weight_norm) = (gradient, weights);
        }
        if !row.gradient_norm.is_finite()
            || !row.gate_gradient_norm.is_finite()
            || !row.loss.is_finite()
        {
            return Err(Error::Diverged {
                step: self.step + 1,
                loss: row.loss,
                folder: plan.out.clone(),
            });
        }
        self.step += 1;
        row.seconds = start.elapsed().as_secs_f64();
        Ok((row, operations))
    }

    /// The losses of some examples, with a gradient where one is wanted, and the floating-point operations of the matrix
    /// products of a step on them.
    fn losses(&self, drawn: &[Drawn]) -> Result<(Losses, f64), Error> {
        let examples: Vec<_> = drawn.iter().map(|drawn| drawn.example.clone()).collect();
        let batch = self.model.batch(&examples)?;
        let losses = self.batch_losses(&batch, self.classes(drawn)?.as_ref(), examples.len())?;
        let (vision, decoder) = match self.plan.freeze {
            Freeze::None => (3.0, 3.0),
            Freeze::Vision => (1.0, 3.0),
            Freeze::Backbone => (1.0, 2.0),
        };
        let decoder = if self.plan.answers { decoder } else { 0.0 };
        Ok((losses, self.model.step_operations(&batch, vision, decoder)))
    }

    /// The classes of every patch of some examples, `[heads, B x P]`, when a dense loss is trained.
    fn classes(&self, drawn: &[Drawn]) -> Result<Option<Tensor>, Error> {
        if self.head.is_empty() {
            return Ok(None);
        }
        let classes: Vec<_> = drawn
            .iter()
            .filter_map(|drawn| drawn.glyphs.as_ref())
            .collect();
        Ok(Some(glyphs::targets(&classes, self.optimizer.device())?))
    }

    fn batch_losses(
        &self,
        batch: &Batch,
        classes: Option<&Tensor>,
        examples: usize,
    ) -> Result<Losses, Error> {
        let seen = if self.plan.freeze == Freeze::None {
            self.model.look(&batch.pixels)?
        } else {
            no_grad(|| self.model.look(&batch.pixels))?
        };
        let mut losses = Losses {
            answer: None,
            dense: None,
            glyphs: 0.0,
            exact: Vec::new(),
            tokens: None,
        };
        if let Some(classes) = classes {
            let (loss, glyphs) = glyphs::loss(&self.head, &seen.features, classes)?;
            losses.dense = Some(loss);
            losses.glyphs = glyphs;
        }
        if self.plan.answers {
            let logits = self
                .model
                .answer_logits(self.attention.as_ref(), batch, &seen)?;
            let each = logits
                .f_cross_entropy_loss(&batch.targets, None::<&Tensor>, Reduction::None, -100, 0.0)
                .map_err(ModelError::from)?;
            losses.exact = exact(&logits, batch, examples)?;
            losses.answer = Some(each.f_mean(Kind::Float).map_err(ModelError::from)?);
            losses.tokens = Some(each);
        }
        Ok(losses)
    }

    /// Batches of the validation items, which no training stream draws.
    fn validation_batches(&self) -> Result<Vec<Validation>, Error> {
        let items = self.plan.validation_items * self.plan.sources.len() as u64;
        let numbers: Vec<u64> = (0..items).collect();
        numbers
            .chunks(self.plan.batch)
            .map(|chunk| {
                let drawn = chunk
                    .iter()
                    .filter_map(|&number| self.stream.validation(number).transpose())
                    .collect::<Result<Vec<_>, _>>()?;
                let examples: Vec<_> = drawn.iter().map(|drawn| drawn.example.clone()).collect();
                Ok(Validation {
                    batch: self.model.batch(&examples)?,
                    classes: self.classes(&drawn)?,
                    sources: drawn.iter().map(|drawn| drawn.source).collect(),
                })
            })
            .collect()
    }

    /// Loss and exact answers over the validation items: a row for all of them, then, where answers are trained, one a source.
    fn validate(&self, batches: &[Validation]) -> Result<Vec<Row>, Error> {
        let mut by_source: BTreeMap<&str, Tally> = BTreeMap::new();
        let mut all = Row {
            step: self.step,
            split: "validation".into(),
            ..Row::default()
        };
        let mut seen = 0;
        no_grad(|| -> Result<(), Error> {
            for Validation {
                batch,
                classes,
                sources,
            } in batches
            {
                let name = |place: usize| self.plan.sources[sources[place]].name();
                let losses = self.batch_losses(batch, classes.as_ref(), sources.len())?;
                for (place, &exact) in losses.exact.iter().enumerate() {
                    let tally = by_source.entry(name(place)).or_default();
                    tally.hits += usize::from(exact);
                    tally.items += 1;
                }
                if let Some(tokens) = &losses.tokens {
                    let tokens: Vec<f32> = tokens
                        .f_to_device(Device::Cpu)
                        .and_then(|tokens| Vec::try_from(&tokens))
                        .map_err(ModelError::from)?;
                    for (owner, loss) in batch.owners.iter().zip(tokens) {
                        // Validation items have one question each.
                        let Some(owner) = owner else { continue };
                        let tally = by_source.entry(name(*owner)).or_default();
                        tally.loss += f64::from(loss);
                        tally.tokens += 1;
                    }
                }
                let count = sources.len() as f64;
                all.loss += number(losses.answer.as_ref())? * count;
                all.dense_loss += number(losses.dense.as_ref())? * count;
                all.glyph_accuracy += losses.glyphs * count;
                seen += sources.len();
            }
            Ok(())
        })?;
        let count = seen.max(1) as f64;
        all.loss /= count;
        all.dense_loss /= count;
        all.glyph_accuracy /= count;
        all.exact = by_source.values().map(|tally| tally.hits).sum::<usize>() as f64 / count;
        let by_source = by_source.iter().map(|(source, tally)| Row {
            step: self.step,
            split: format!("validation {source}"),
            exact: tally.hits as f64 / tally.items as f64,
            loss: tally.loss / tally.tokens as f64,
            ..Row::default()
        });
        let by_source: Vec<Row> = by_source.collect();
        Ok(std::iter::once(all).chain(by_source).collect())
    }

    fn save(&self, rows: &[Row]) -> Result<(), Error> {
        // The rows first: rows past the state are dropped on resume, a state past its rows would leave a gap.
        write_rows(&self.plan.out.join(ROWS), rows)?;
        State::save(&self.plan.out, self.step, &self.optimizer)
    }

    /// Writes what was trained for others to load.
    fn write_result(&self) -> Result<(), Error> {
        let plan = self.plan;
        // The master weights, not their rounded copies in the compute type.
        let weights = self.optimizer.weights()?;
        let gates = |folder: &Path, sha256: &str| -> Result<(), Error> {
            if plan.variant.is_trained() {
                let names = self.attention.parameters();
                let gates: Vec<_> = weights
                    .iter()
                    .filter(|(name, _)| names.iter().any(|(own, _)| own == name))
                    .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
                    .collect();
                let path = folder.join(adapter::file_name(plan.variant.id));
                adapter::save(&path, plan.variant, sha256, &gates)?;
            }
            Ok(())
        };
        if plan.freeze == Freeze::Backbone {
            return gates(&plan.out, &self.model.info().sha256);
        }
        let folder = plan.out.join("checkpoint");
        self.model.save(
            &folder,
            &weights,
            plan.freeze == Freeze::Vision,
            &json!({ "untrained": !plan.answers, "training": self.settings }),
        )?;
        let sha256 = Checkpoint::open(&folder)?.sha256();
        gates(&folder, &sha256)
    }
}

/// What a source's validation items gave.
#[derive(Default)]
struct Tally {
    hits: usize,
    items: usize,
    /// Sum over the answers' tokens.
    loss: f64,
    tokens: usize,
}

/// A batch of validation items.
struct Validation {
    batch: Batch,
    classes: Option<Tensor>,
    /// Numbers of the sources they are from.
    sources: Vec<usize>,
}

/// The losses of one micro-batch.
struct Losses {
    /// Mean cross entropy of the answers' tokens.
    answer: Option<Tensor>,
    dense: Option<Tensor>,
    /// Share of the characters that the dense head recognises.
    glyphs: f64,
    /// Which examples are answered exactly.
    exact: Vec<bool>,
    /// Cross entropy of each of the answers' tokens, `[M]`.
    tokens: Option<Tensor>,
}

impl Losses {
    fn total(&self, dense_weight: f64) -> Result<Tensor, ModelError> {
        Ok(match (&self.answer, &self.dense) {
            (Some(answer), Some(dense)) => answer.f_add(&(dense * dense_weight))?,
            (Some(loss), None) | (None, Some(loss)) => loss.shallow_clone(),
            (None, None) => unreachable!("a plan trains on answers, the dense loss or both"),
        })
    }

    fn exact_share(&self) -> f64 {
        let right = self.exact.iter().filter(|&&exact| exact).count();
        right as f64 / self.exact.len().max(1) as f64
    }
}

/// The value of a loss; 0 for one that is not trained.
fn number(loss: Option<&Tensor>) -> Result<f64, ModelError> {
    loss.map_or(Ok(0.0), |loss| Ok(f64::try_from(loss)?))
}

/// Which examples get the likeliest token right at every place of their first answer: those that greedy decoding answers exactly.
fn exact(logits: &Tensor, batch: &Batch, examples: usize) -> Result<Vec<bool>, ModelError> {
    let right = logits
        .f_argmax(-1, false)?
        .f_eq_tensor(&batch.targets)?
        .f_to_device(Device::Cpu)?;
    let right: Vec<bool> = Vec::try_from(&right)?;
    let mut exact = vec![true; examples];
    for (owner, right) in batch.owners.iter().zip(right) {
        if let Some(owner) = owner {
            exact[*owner] &= right;
        }
    }
    Ok(exact)
}
