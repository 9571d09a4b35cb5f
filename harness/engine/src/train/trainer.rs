//! One training run under way: the model, what moves in it, and its steps.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use rave_lmm::{
    Checkpoint, Error as ModelError, GenerationKeys, LoadOptions, Model, adapter, kind, libtorch,
};
use rave_methods::{Attention, Build};
use rave_results::training::{Freeze, ROWS, Row, TrainingSettings, read_rows, write_rows};
use serde_json::json;
use tch::{Tensor, no_grad};

use super::glyphs::{self, Glyphs};
use super::losses::number;
use super::optimizer::{AdamW, Group, Norms};
use super::plan::{Origins, Plan};
use super::state::State;
use super::stream::{Drawn, Stream};
use crate::Error;

pub(super) struct Trainer<'a> {
    pub(super) plan: &'a Plan,
    pub(super) model: Model,
    pub(super) attention: Box<dyn Attention>,
    /// The auxiliary heads, `[classes, W]` and `[classes]` each, when an auxiliary loss is trained.
    pub(super) head: Vec<Tensor>,
    pub(super) optimizer: AdamW,
    pub(super) stream: Stream,
    /// Everything that decides the result.
    pub(super) settings: TrainingSettings,
    /// Steps made.
    pub(super) step: u64,
}

impl<'a> Trainer<'a> {
    pub(super) fn new(plan: &'a Plan, base: &str) -> Result<Self, Error> {
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
        if plan.aux_loss > 0.0 {
            let width = no_grad(|| -> Result<i64, Error> {
                let sample = stream.validation(0)?.map(|drawn| drawn.example);
                let pixels = model.batch(&Vec::from_iter(sample))?.pixels;
                Ok(model.run_tower_on(&pixels)?.hidden_states.size()[2])
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
    pub(super) fn restore(&mut self) -> Result<(), Error> {
        if let Some(state) = State::read(&self.plan.out)? {
            state.restore(&mut self.optimizer)?;
            self.step = state.step;
        }
        Ok(())
    }

    /// The rows up to the state that was taken up.
    pub(super) fn rows(&self) -> Result<Vec<Row>, Error> {
        if self.step == 0 {
            return Ok(Vec::new());
        }
        let mut rows = read_rows(&self.plan.out.join(ROWS))?;
        rows.retain(|row| row.step <= self.step);
        Ok(rows)
    }

    /// One step over the plan's micro-batches: its row, and the floating-point operations of its matrix products.
    pub(super) fn advance(
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
            let total = losses.total(plan.aux_loss)?;
            let own = self.optimizer.gradient(&total)? * share;
            gradient += own;
            row.loss += number(losses.answer.as_ref())? * share;
            row.aux_loss += number(losses.aux.as_ref())? * share;
            row.glyph_accuracy += losses.glyphs * share;
            row.exact += losses.exact_share() * share;
            operations += own_operations;
        }
        row.lr = plan.lr(self.step);
        row.gate_lr = plan.gate_lr(self.step);
        let rates = [row.lr, row.gate_lr];
        let norms = self
            .optimizer
            .step(&gradient, self.step + 1, &rates, plan.max_grad_norm)?;
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

    pub(super) fn save(&self, rows: &[Row]) -> Result<(), Error> {
        // The rows first: rows past the state are dropped on resume, a state past its rows would leave a gap.
        write_rows(&self.plan.out.join(ROWS), rows)?;
        State::save(&self.plan.out, self.step, &self.optimizer)
    }

    /// Writes what was trained for others to load.
    pub(super) fn write_result(&self) -> Result<(), Error> {
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
