//! What to train, on what, for how long.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use rave_benchmarks::render::Task;
use rave_benchmarks::{Suite, suites};
use rave_methods::Variant;
use rave_results::schema::CodeVersion;
use rave_results::training::{Freeze, TrainingSettings};

use crate::Error;

/// Where training examples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Drawn by the renderer, without end.
    Embedded(Task),
    /// The train split of a suite's published data, in [`Plan::data`].
    Published(&'static Suite),
}

impl Source {
    /// The embedded task's name, or the suite's id.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded(task) => task.name(),
            Self::Published(suite) => &suite.id,
        }
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let task = name.strip_prefix("embedded-").unwrap_or(name);
        if let Ok(task) = task.parse() {
            return Ok(Self::Embedded(task));
        }
        let published = || suites().iter().filter(|suite| !suite.is_embedded());
        let found = published().find(|suite| suite.id == name);
        found.map(Self::Published).ok_or_else(|| {
            Error::request(
                format!("nothing to train on is called `{name}`"),
                format!(
                    "drawn here: {}, {}; from published data: {}",
                    Task::ALL.map(Task::name).join(", "),
                    Task::Page,
                    published()
                        .map(|suite| suite.id.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            )
        })
    }
}

/// What the files that a run begins from hold.
pub(super) struct Origins<'a> {
    /// SHA-256 of the base checkpoint's weight files.
    pub base: &'a str,
    /// The same of the checkpoint whose tower is taken.
    pub vision: Option<&'a str>,
    /// The fingerprint of every data set on disk by its suite.
    pub data: &'a BTreeMap<&'a str, &'a str>,
}

/// A training run. Every field but those from `validation_items` on decides the result.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The checkpoint to start from: a built-in name or a folder.
    pub model: String,
    /// Draw weights under this seed for that built-in model, into the run's folder, instead of taking those it has.
    pub init_seed: Option<u64>,
    /// A checkpoint whose vision tower is taken instead of the model's own.
    pub vision: Option<PathBuf>,
    /// The attention to train with.
    pub variant: &'static Variant,
    /// What is trained on; they take turns, and one named twice has two turns in a round.
    pub sources: Vec<Source>,
    /// The folder of the data of each suite among them, by the suite's id.
    pub data: BTreeMap<String, PathBuf>,
    /// Most questions about each training picture after the first, in the same conversation.
    pub extra_questions: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Examples a micro-batch.
    pub batch: usize,
    /// Micro-batches a step.
    pub accumulate: usize,
    /// Highest learning rate.
    pub lr: f64,
    /// Highest learning rate of the variant's own parameters, on the same schedule; [`Self::lr`] when left out.
    pub gate_lr: Option<f64>,
    /// Steps of linear warm-up; a cosine to a tenth of the highest rate follows.
    pub warmup_steps: u64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// The same of the variant's own parameters.
    pub gate_weight_decay: f64,
    /// Norm above which a gradient is clipped.
    pub max_grad_norm: f64,
    /// Weight of the auxiliary loss (which character stands at each patch) against the answers'; 0 for none.
    pub aux_loss: f64,
    /// Whether the answers are trained at all; without them only the vision tower is, by the auxiliary loss.
    pub answers: bool,
    /// What stays as it is.
    pub freeze: Freeze,
    /// Which items come in which order.
    pub seed_data: u32,
    /// Initial values of the variant's own parameters.
    pub seed_gates: u64,
    /// Compute type: `f32` or `bf16`; weights and moments are kept in f32.
    pub dtype: String,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Validation items a task.
    pub validation_items: u64,
    /// Steps between two validations.
    pub validate_every: u64,
    /// Steps between two saved states.
    pub save_every: u64,
    /// The run's folder.
    pub out: PathBuf,
    /// Go on with the interrupted run in `out`; where none was begun, begin it.
    pub resume: bool,
    /// The command line, for the record.
    pub command_line: Vec<String>,
    /// Version of the program, for the record.
    pub code: CodeVersion,
}

impl Plan {
    /// Refuses what cannot be meant.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |reason: &str| Err(Error::refused(reason));
        let advise = |reason: &str, hint: &str| Err(Error::request(reason, hint));
        if self.sources.is_empty() || self.steps == 0 || self.batch == 0 || self.accumulate == 0 {
            return refuse(
                "--steps, --batch and --accumulate must be at least 1, and --suite must name one",
            );
        }
        if self.validate_every == 0 || self.save_every == 0 || self.validation_items == 0 {
            return refuse(
                "--validate-every, --save-every and --validation-items must be at least 1",
            );
        }
        let decays = [self.weight_decay, self.gate_weight_decay];
        if !(self.lr > 0.0 && self.max_grad_norm > 0.0 && self.aux_loss >= 0.0)
            || decays.iter().any(|decay| decay.is_nan() || *decay < 0.0)
        {
            return refuse(
                "--lr and --max-grad-norm must be positive; --aux-loss, --weight-decay and --gate-weight-decay not negative",
            );
        }
        if self
            .gate_lr
            .is_some_and(|rate| rate.is_nan() || rate <= 0.0)
        {
            return refuse("--gate-lr must be positive");
        }
        if self.gate_lr.is_some() && !self.variant.is_trained() {
            return advise(
                "--gate-lr is the rate of a variant's own parameters, and this variant has none",
                "leave it out",
            );
        }
        if self.freeze != Freeze::None && self.aux_loss > 0.0 {
            return advise(
                "the auxiliary loss trains the vision tower, which is frozen",
                "give --aux-loss 0",
            );
        }
        let published = |source: &Source| matches!(source, Source::Published(_));
        if self.aux_loss > 0.0 && self.sources.iter().any(published) {
            return advise(
                "the auxiliary loss needs pictures that are drawn here, since nobody says what stands where in others",
                "give --aux-loss 0, or embedded suites alone",
            );
        }
        if !self.answers && self.aux_loss == 0.0 {
            return advise(
                "without answers there is only the auxiliary loss",
                "give --aux-loss a weight",
            );
        }
        Ok(())
    }

    /// Examples that one step takes from the stream.
    pub(super) fn examples_a_step(&self) -> u64 {
        (self.batch * self.accumulate) as u64
    }

    /// The learning rate of the step after `done` ones, as a share of the highest.
    fn schedule(&self, done: u64) -> f64 {
        if done < self.warmup_steps {
            return (done + 1) as f64 / self.warmup_steps as f64;
        }
        let length = (self.steps - self.warmup_steps).max(1) as f64;
        let progress = (done - self.warmup_steps) as f64 / length;
        0.1 + 0.45 * (1.0 + (std::f64::consts::PI * progress).cos())
    }

    /// The learning rate of the checkpoint's parameters in the step after `done` ones.
    pub(super) fn lr(&self, done: u64) -> f64 {
        self.lr * self.schedule(done)
    }

    /// The same of the variant's own parameters.
    pub(super) fn gate_lr(&self, done: u64) -> f64 {
        self.gate_lr.unwrap_or(self.lr) * self.schedule(done)
    }

    /// Everything that decides the result, for `train.json` and to compare at a resume; `base` is where the model was loaded
    /// from.
    pub(super) fn settings(&self, base: &str, origins: &Origins) -> TrainingSettings {
        TrainingSettings {
            base: base.to_owned(),
            base_sha256: origins.base.to_owned(),
            vision: self.vision.clone(),
            vision_sha256: origins.vision.map(str::to_owned),
            variant: self.variant.id.to_owned(),
            variant_version: self.variant.version,
            suites: self
                .sources
                .iter()
                .map(|source| source.name().to_owned())
                .collect(),
            data_sha256: origins
                .data
                .iter()
                .map(|(suite, sha256)| ((*suite).to_owned(), (*sha256).to_owned()))
                .collect(),
            renderer_version: rave_benchmarks::render::VERSION,
            extra_questions: self.extra_questions,
            steps: self.steps,
            batch: self.batch,
            accumulate: self.accumulate,
            lr: self.lr,
            gate_lr: self.gate_lr,
            warmup_steps: self.warmup_steps,
            weight_decay: self.weight_decay,
            gate_weight_decay: self.gate_weight_decay,
            max_grad_norm: self.max_grad_norm,
            aux_loss: self.aux_loss,
            answers: self.answers,
            freeze: self.freeze,
            seed_data: self.seed_data,
            seed_gates: self.seed_gates,
            dtype: self.dtype.clone(),
            device: self.device.clone(),
            threads: tch::get_num_threads() as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            model: "nano".into(),
            init_seed: None,
            vision: None,
            variant: rave_methods::variant("standard").unwrap(),
            sources: vec![Source::Embedded(Task::Ocr)],
            data: BTreeMap::new(),
            extra_questions: 0,
            steps: 110,
            batch: 4,
            accumulate: 2,
            lr: 1e-3,
            gate_lr: None,
            warmup_steps: 10,
            weight_decay: 0.01,
            gate_weight_decay: 0.0,
            max_grad_norm: 1.0,
            aux_loss: 0.0,
            answers: true,
            freeze: Freeze::None,
            seed_data: 0,
            seed_gates: 0,
            dtype: "f32".into(),
            device: "cpu".into(),
            validation_items: 1,
            validate_every: 1,
            save_every: 1,
            out: PathBuf::new(),
            resume: false,
            command_line: Vec::new(),
            code: CodeVersion::default(),
        }
    }

    #[test]
    fn the_rate_rises_then_falls_to_a_tenth() {
        let plan = plan();
        let rates: Vec<f64> = (0..plan.steps).map(|done| plan.lr(done)).collect();
        assert!((rates[0] - 1e-4).abs() < 1e-12);
        assert!((rates[9] - 1e-3).abs() < 1e-12);
        assert!((rates[60] - 0.55e-3).abs() < 1e-9, "{}", rates[60]);
        assert!(rates[10..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!((rates[109] - 1e-4).abs() < 1e-6);
    }

    #[test]
    fn gates_follow_the_schedule_at_their_own_rate() {
        let plan = Plan {
            gate_lr: Some(2e-2),
            ..plan()
        };
        for done in [0, 9, 60, 109] {
            assert!((plan.gate_lr(done) - 20.0 * plan.lr(done)).abs() < 1e-12);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(plan().check().is_ok());
        let frozen = Plan {
            freeze: Freeze::Vision,
            aux_loss: 1.0,
            ..plan()
        };
        let elsewhere = Plan {
            aux_loss: 1.0,
            sources: vec!["chartqa".parse().unwrap()],
            ..plan()
        };
        let nothing = Plan {
            answers: false,
            ..plan()
        };
        let no_steps = Plan { steps: 0, ..plan() };
        let no_gates = Plan {
            gate_lr: Some(1e-2),
            ..plan()
        };
        for (wrong, word) in [
            (no_gates, "gate-lr"),
            (frozen, "frozen"),
            (elsewhere, "embedded suites alone"),
            (nothing, "--aux-loss"),
            (no_steps, "steps"),
        ] {
            let error = wrong.check().unwrap_err();
            let told = error.with_hint();
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn sources_by_their_names() {
        for (name, source) in [
            ("chart", "chart"),
            ("embedded-chart", "chart"),
            ("page", "page"),
            ("chartqa", "chartqa"),
        ] {
            assert_eq!(name.parse::<Source>().unwrap().name(), source);
        }
        let error = "charts".parse::<Source>().unwrap_err();
        assert!(error.to_string().contains("`charts`"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("page") && hint.contains("mtvqa"), "{hint}");
    }
}
