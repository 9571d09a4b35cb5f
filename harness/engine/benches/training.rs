//! How fast nano trains: pictures a second in f32 and in bf16, and the share that this is of what the machine's matrix
//! products reach.
//!
//! `cargo bench --bench training [-- --dtype f32,bf16] [--seconds N] [--out FILE.json]`
//!
//! Every one of three rounds trains in each type for a while as `rave train` does (drawing, vision, decoder, optimiser: the
//! continuation of results/PROTOCOL.md), and measures a square product beside it. Reported are medians over all steps but
//! the first of each round; raw times are kept.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rave_engine::train::{Freeze, Plan, TrainObserver, train};
use rave_lmm::libtorch::matrix_rate;
use rave_lmm::{built_in, kind};
use rave_methods::variant;
use rave_results::schema::CodeVersion;
use rave_results::statistics;
use rave_results::training::Row;
use serde_json::json;
use tch::{Device, Kind};

const ROUNDS: usize = 3;
/// Rows of the matrices that show what products reach.
const SIDE: i64 = 1_024;

fn main() {
    // cargo runs it in its package's folder; --out is meant from where `just` runs.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .expect("the workspace is there");
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|own| own == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let seconds: u64 =
        value("--seconds").map_or(60, |text| text.parse().expect("--seconds takes a number"));
    let dtypes: Vec<&str> = value("--dtype").unwrap_or("f32,bf16").split(',').collect();
    let turn = Duration::from_secs(seconds) / (ROUNDS * dtypes.len()) as u32;
    let folder = tempfile::tempdir().expect("a folder for the runs");
    let model = folder.path().join("nano");
    built_in::write("nano", 0, &model).expect("the model is written");

    let mut measured: Vec<Measured> = dtypes.iter().map(|_| Measured::default()).collect();
    for round in 0..ROUNDS {
        for (dtype, measured) in dtypes.iter().zip(&mut measured) {
            let kind = kind(dtype).expect("--dtype takes f32 and bf16");
            // A type that the processor has no instructions for takes minutes: one round says enough.
            if round > 0 && is_slow(kind) {
                continue;
            }
            measured
                .peaks
                .push(matrix_rate(SIDE, kind, Device::Cpu).expect("a product"));
            let out = folder.path().join(format!("{dtype}-{round}"));
            train_for(turn, &plan(&model, dtype, &out), measured);
        }
    }
    let mut report = Vec::new();
    for (dtype, measured) in dtypes.iter().zip(&measured) {
        let pictures = median(
            measured
                .steps
                .iter()
                .map(|&(seconds, _)| BATCH as f64 / seconds),
        );
        let rate = median(
            measured
                .steps
                .iter()
                .map(|&(seconds, operations)| operations / seconds),
        );
        let peak = median(measured.peaks.iter().copied());
        println!(
            "{dtype}: {pictures:.2} pictures/s ({} steps), {:.1} GFLOP/s in matrix products, {:.0} % of the {:.1} that a product of side {SIDE} reaches",
            measured.steps.len(),
            rate / 1e9,
            100.0 * rate / peak,
            peak / 1e9
        );
        report.push(json!({
            "dtype": dtype, "pictures_per_second": pictures, "operations_per_second": rate, "peak": peak,
            "step_seconds_and_operations": measured.steps, "peaks": measured.peaks,
        }));
    }
    if let Some(path) = value("--out") {
        let record = json!({
            "bench": "training", "machine": rave_results::schema::Machine::detect(), "threads": tch::get_num_threads(),
            "batch": BATCH, "extra_questions": EXTRA_QUESTIONS, "results": report,
        });
        let text = serde_json::to_string_pretty(&record).expect("JSON values can be written");
        std::fs::write(path, text).expect("--out can be written");
        println!("raw times in {path}");
    }
}

const BATCH: usize = 16;
const EXTRA_QUESTIONS: usize = 6;

fn plan(model: &Path, dtype: &str, out: &Path) -> Plan {
    Plan {
        model: model.to_string_lossy().into_owned(),
        init_seed: None,
        vision: None,
        variant: variant("standard").expect("it is registered"),
        sources: ["ocr", "chart", "document", "scene", "general"]
            .iter()
            .map(|name| name.parse().expect("an embedded task"))
            .collect(),
        data: std::collections::BTreeMap::new(),
        extra_questions: EXTRA_QUESTIONS,
        steps: 100_000,
        batch: BATCH,
        accumulate: 1,
        lr: 1e-3,
        gate_lr: None,
        warmup_steps: 100,
        weight_decay: 0.01,
        gate_weight_decay: 0.0,
        max_grad_norm: 1.0,
        aux_loss: 0.0,
        answers: true,
        freeze: Freeze::Vision,
        seed_data: 0,
        seed_gates: 0,
        dtype: dtype.to_owned(),
        device: "cpu".into(),
        validation_items: 1,
        validate_every: 100_000,
        save_every: 100_000,
        out: out.to_owned(),
        resume: false,
        command_line: Vec::new(),
        code: CodeVersion::default(),
    }
}

/// Seconds and operations of every step that counts, and what products reached meanwhile.
#[derive(Default)]
struct Measured {
    steps: Vec<(f64, f64)>,
    peaks: Vec<f64>,
}

struct Stopwatch<'a> {
    start: Instant,
    turn: Duration,
    stop: &'a AtomicUsize,
    measured: &'a mut Measured,
}

impl TrainObserver for Stopwatch<'_> {
    fn started(&mut self, _step: u64, _weights: i64) {
        self.start = Instant::now();
    }

    fn step(&mut self, row: &Row, operations: f64) {
        // The first one warms up.
        if row.step > 1 {
            self.measured.steps.push((row.seconds, operations));
        }
        let enough = row.step > 1 && self.start.elapsed() > self.turn;
        self.stop.store(usize::from(enough), Ordering::Relaxed);
    }
}

fn train_for(turn: Duration, plan: &Plan, measured: &mut Measured) {
    let stop = AtomicUsize::new(0);
    let mut stopwatch = Stopwatch {
        start: Instant::now(),
        turn,
        stop: &stop,
        measured,
    };
    train(plan, &mut stopwatch, &stop).expect("nano trains");
}

fn is_slow(kind: Kind) -> bool {
    let rate = |kind| matrix_rate(256, kind, Device::Cpu).expect("a small product");
    rate(Kind::Float) > 20.0 * rate(kind)
}

/// The median; there is at least one value of everything that is measured.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    statistics::median(&mut values).expect("at least one value")
}
