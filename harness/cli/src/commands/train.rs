//! `rave train`: weights for the embedded model, gates for a variant.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::bail;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use rave_engine::train::{Ended, Freeze, Plan, Source, TrainObserver, train};
use rave_hints::refusal;
use rave_lmm::GenerationKeys;
use rave_reports::charts;
use rave_results::training::{ROWS, Row, read_rows};

use super::eval::chosen_variants;
use super::hub::{HubArguments, Part};
use super::{code_version, command_line, write_file};
use crate::Outcome;
use crate::signals::stop_on_signals;

/// Options of `rave train`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The checkpoint to start from: a built-in model, a folder, or a hub repository (org/name[@revision])
    #[arg(long)]
    pub model: String,
    #[command(flatten)]
    pub hub: HubArguments,
    /// Begin a built-in model from random weights of this seed instead of those it has
    #[arg(long, value_name = "SEED")]
    pub init_seed: Option<u64>,
    /// Take the vision tower of this checkpoint instead of the model's own
    #[arg(long, value_name = "DIR")]
    pub vision: Option<PathBuf>,
    /// Attention variant to train with, or a preset file (.toml)
    #[arg(long, default_value = "standard")]
    pub variant: String,
    /// What to train on, separated by commas: embedded tasks (ocr, chart, document, scene, general, page), which are drawn
    /// without end, or published suites with a train split; they take turns, and one named twice has two
    #[arg(
        long,
        value_name = "IDS",
        value_delimiter = ',',
        default_value = "ocr,chart,document,scene,general"
    )]
    pub suite: Vec<String>,
    /// Data of suites that are not embedded, by default fetched from the hub: a folder, or org/name[@revision], which may be given
    /// several times
    #[arg(long, value_name = "DIR|REPOSITORY")]
    pub data: Vec<String>,
    /// Most extra questions about each drawn picture, in the same conversation
    #[arg(long, default_value_t = 0)]
    pub extra_questions: usize,
    /// Optimiser steps
    #[arg(long)]
    pub steps: u64,
    /// Examples a micro-batch
    #[arg(long, default_value_t = 64)]
    pub batch: usize,
    /// Micro-batches a step
    #[arg(long, default_value_t = 1)]
    pub accumulate: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 1e-3)]
    pub lr: f64,
    /// Highest learning rate of the variant's own parameters, on the same schedule; by default --lr
    #[arg(long, value_name = "LR")]
    pub gate_lr: Option<f64>,
    /// Steps of linear warmup
    #[arg(long, default_value_t = 100)]
    pub warmup: u64,
    /// Decoupled weight decay of matrices
    #[arg(long, default_value_t = 0.01)]
    pub weight_decay: f64,
    /// Decoupled weight decay of the variant's own parameters
    #[arg(long, default_value_t = 0.0)]
    pub gate_weight_decay: f64,
    /// Norm that gradients are clipped to; the variant's own parameters apart from the checkpoint's
    #[arg(long, default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Weight of the auxiliary loss of the vision tower: which character stands at each patch of an embedded picture
    #[arg(long, default_value_t = 0.0)]
    pub aux_loss: f64,
    /// Train the vision tower by the auxiliary loss alone, without questions
    #[arg(long)]
    pub no_answers: bool,
    /// What stays as it is
    #[arg(long, default_value = "none")]
    pub freeze: FreezeName,
    /// Seed of the order and choice of the items
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// Seed of the variant's own parameters
    #[arg(long, default_value_t = 0)]
    pub seed_gates: u64,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute type, f32 or bf16; weights are kept in f32
    #[arg(long, value_name = "D", default_value = "f32")]
    pub dtype: String,
    /// Validation items of each suite
    #[arg(long, default_value_t = 64)]
    pub validation_items: u64,
    /// Steps between two validations
    #[arg(long, default_value_t = 200)]
    pub validate_every: u64,
    /// Steps between two saved states
    #[arg(long, default_value_t = 100)]
    pub save_every: u64,
    /// The run's folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on with the interrupted run in --out; where none was begun yet, begin it, and where it has finished, say so
    #[arg(long)]
    pub resume: bool,
}

/// The names of [`Freeze`].
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FreezeName {
    /// Everything is trained
    None,
    /// The vision tower stays
    Vision,
    /// The whole checkpoint stays; only the variant's own parameters are trained
    Backbone,
}

/// `rave train`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let variants = chosen_variants(std::slice::from_ref(&arguments.variant))?;
    let [variant] = variants[..] else {
        bail!(refusal(
            "--variant takes one variant",
            "train each into a folder of its own",
        ));
    };
    let sources = arguments
        .suite
        .iter()
        .map(|name| name.parse::<Source>())
        .collect::<Result<Vec<_>, _>>()?;
    let published: Vec<_> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Published(suite) => Some(*suite),
            Source::Embedded(_) => None,
        })
        .collect();
    let data = arguments
        .hub
        .data(&arguments.data, &published, Part::Training)?;
    if arguments.init_seed.is_none() {
        arguments
            .hub
            .models([arguments.model.as_str()], GenerationKeys::ALL)?;
    }
    let plan = Plan {
        model: arguments.model.clone(),
        init_seed: arguments.init_seed,
        vision: arguments.vision.clone(),
        variant,
        sources,
        data,
        further: arguments.extra_questions,
        steps: arguments.steps,
        batch: arguments.batch,
        accumulate: arguments.accumulate,
        rate: arguments.lr,
        gate_rate: arguments.gate_lr,
        warm_up: arguments.warmup,
        weight_decay: arguments.weight_decay,
        gate_weight_decay: arguments.gate_weight_decay,
        clip: arguments.max_grad_norm,
        dense: arguments.aux_loss,
        answers: !arguments.no_answers,
        freeze: match arguments.freeze {
            FreezeName::None => Freeze::None,
            FreezeName::Vision => Freeze::Vision,
            FreezeName::Backbone => Freeze::Backbone,
        },
        seed_data: arguments.seed,
        seed_gates: arguments.seed_gates,
        dtype: arguments.dtype.clone(),
        device: arguments.device.clone(),
        validation_items: arguments.validation_items,
        validate_every: arguments.validate_every,
        save_every: arguments.save_every,
        out: arguments.out.clone(),
        resume: arguments.resume,
        command_line: command_line(),
        code: code_version(),
    };
    let stop = stop_on_signals()?;
    let mut progress = Progress::new(&plan);
    let ended = train(&plan, &mut progress, &stop)?;
    progress.bar.finish();
    let rows = read_rows(&plan.out.join(ROWS))?;
    let title = format!("Training {} with {}", arguments.model, plan.variant.id);
    for chart in charts::training(&rows, &title)? {
        let path = plan.out.join(&chart.name);
        write_file(&path, &chart.bytes)?;
    }
    let folder = plan.out.display();
    match ended {
        Ended::Finished => eprintln!("trained: {folder} ({ROWS}, and the result beside it)"),
        Ended::Stopped => {
            eprintln!("stopped and saved: go on with --resume --out {folder}");
            return Ok(Outcome::Stopped(stop.load(Ordering::Relaxed)));
        }
    }
    Ok(Outcome::Clean)
}

/// A bar with loss, rate and time left; lines at every validation.
struct Progress {
    bar: ProgressBar,
    examples: f64,
}

impl Progress {
    fn new(plan: &Plan) -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} steps  {eta} left  {msg}")
            .expect("the template is a constant");
        Self {
            bar: ProgressBar::new(plan.steps).with_style(style),
            examples: (plan.batch * plan.accumulate) as f64,
        }
    }
}

impl TrainObserver for Progress {
    fn ended_before(&mut self) {
        eprintln!("resume: the run has finished already, nothing is trained");
    }

    fn started(&mut self, step: u64, weights: i64) {
        self.bar.set_position(step);
        self.bar.reset_eta();
        eprintln!("{weights} weights move, from step {step}");
    }

    fn step(&mut self, row: &Row, operations: f64) {
        self.bar.set_position(row.step);
        self.bar.set_message(format!(
            "loss {:.3}  dense {:.3}  {:.0} examples/s  {:.0} GFLOP/s",
            row.loss,
            row.dense_loss,
            self.examples / row.seconds,
            operations / row.seconds / 1e9
        ));
    }

    fn validated(&mut self, row: &Row) {
        // What is not trained is 0 throughout.
        let mut line = format!("step {} {}:", row.step, row.split);
        if row.loss > 0.0 {
            line += &format!(
                " loss {:.3}, exact answers {:.1} %",
                row.loss,
                row.exact * 100.0
            );
        }
        if row.dense_loss > 0.0 {
            line += &format!(
                " dense loss {:.3}, characters {:.1} %",
                row.dense_loss,
                row.glyph_accuracy * 100.0
            );
        }
        self.bar.suspend(|| eprintln!("{line}"));
    }
}
