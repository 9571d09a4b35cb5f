//! Training: exact resume, refusals, and that it learns at all. Every run is a few steps of `nano` on tiny batches.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rave_benchmarks::render::Task;
use rave_engine::train::{Ended, Freeze, Plan, Source, TrainObserver, train};
use rave_lmm::{LoadOptions, Model, built_in};
use rave_methods::variant;
use rave_results::schema::CodeVersion;
use rave_results::training::{ROWS, Row, TrainingRecord, read_rows};
use safetensors::SafeTensors;

/// A fresh nano, made once for all tests.
fn nano() -> String {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        built_in::write("nano", 3, &folder.path().join("nano")).unwrap();
        folder
    });
    folder.path().join("nano").to_string_lossy().into_owned()
}

fn plan(out: PathBuf) -> Plan {
    Plan {
        model: nano(),
        init_seed: None,
        vision: None,
        variant: variant("standard").unwrap(),
        sources: vec![Source::Embedded(Task::Ocr), Source::Embedded(Task::Chart)],
        data: BTreeMap::new(),
        extra_questions: 2,
        steps: 4,
        batch: 2,
        accumulate: 2,
        lr: 1e-3,
        gate_lr: None,
        warmup_steps: 2,
        weight_decay: 0.01,
        gate_weight_decay: 0.0,
        max_grad_norm: 1.0,
        aux_loss: 0.5,
        answers: true,
        freeze: Freeze::None,
        seed_data: 1,
        seed_gates: 2,
        dtype: "f32".into(),
        device: "cpu".into(),
        validation_items: 1,
        validate_every: 2,
        save_every: 1,
        out,
        resume: false,
        command_line: Vec::new(),
        code: CodeVersion::default(),
    }
}

/// Sets the flag to stop after so many steps.
struct StopAfter<'a>(u64, &'a AtomicUsize);

impl TrainObserver for StopAfter<'_> {
    fn step(&mut self, row: &Row, _operations: f64) {
        if row.step >= self.0 {
            self.1.store(1, Ordering::Relaxed);
        }
    }
}

fn run(plan: &Plan, stop_after: u64) -> Result<Ended, rave_engine::Error> {
    let stop = AtomicUsize::new(0);
    train(plan, &mut StopAfter(stop_after, &stop), &stop)
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("checkpoint/model.safetensors")).unwrap()
}

#[test]
fn a_stopped_and_resumed_run_ends_at_the_same_weights_as_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = plan(folder.path().join("whole"));
    assert_eq!(run(&whole, 99).unwrap(), Ended::Finished);
    let mut cut = plan(folder.path().join("cut"));
    assert_eq!(run(&cut, 3).unwrap(), Ended::Stopped);
    cut.resume = true;
    assert_eq!(run(&cut, 99).unwrap(), Ended::Finished);
    assert_eq!(weights(&whole.out), weights(&cut.out));
    let steps = |plan: &Plan| -> Vec<(u64, String, u64)> {
        let rows = read_rows(&plan.out.join(ROWS)).unwrap();
        rows.iter()
            .map(|row| (row.step, row.split.clone(), row.loss.to_bits()))
            .collect()
    };
    assert_eq!(steps(&whole), steps(&cut));
    let fresh = std::fs::read(Path::new(&nano()).join("model.safetensors")).unwrap();
    assert_ne!(fresh, weights(&whole.out));
}

/// The files of a run by their paths in its folder, without what differs from run to run: its name, where and when it ran, and how
/// long its steps took.
fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(out).unwrap().display().to_string();
            let bytes = match name.as_str() {
                "train.json" => {
                    let bytes = std::fs::read(&path).unwrap();
                    let mut record: TrainingRecord = serde_json::from_slice(&bytes).unwrap();
                    assert!(record.finished.take() >= record.created.take());
                    record.run.clear();
                    serde_json::to_vec(&record).unwrap()
                }
                ROWS => {
                    let mut rows = read_rows(&path).unwrap();
                    for row in &mut rows {
                        row.seconds = 0.0;
                    }
                    format!("{rows:?}").into()
                }
                _ => std::fs::read(&path).unwrap(),
            };
            files.insert(name, bytes);
        }
    }
    files
}

#[test]
fn equal_runs_write_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str| {
        let mut plan = plan(folder.path().join(name));
        (plan.freeze, plan.aux_loss, plan.steps) = (Freeze::Vision, 0.0, 2);
        plan.variant = variant("rave").unwrap();
        assert_eq!(run(&plan, 99).unwrap(), Ended::Finished);
        files(&plan.out)
    };
    let (one, other) = (train("one"), train("other"));
    assert!(one.contains_key("checkpoint/rave.adapter.safetensors"));
    assert!(one.contains_key("state.safetensors"));
    assert!(one.keys().eq(other.keys()));
    for (name, bytes) in &one {
        assert!(*bytes == other[name], "{name} differs");
    }
}

#[test]
fn a_finished_run_is_not_trained_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut once = plan(folder.path().join("run"));
    (once.steps, once.resume) = (1, true);
    assert_eq!(run(&once, 99).unwrap(), Ended::Finished);
    std::fs::remove_dir_all(once.out.join("checkpoint")).unwrap();
    assert_eq!(run(&once, 99).unwrap(), Ended::Finished);
    assert!(!once.out.join("checkpoint").exists());
    assert!(!once.out.join("run.lock").exists());
}

#[test]
fn a_changed_plan_a_used_folder_and_a_diverged_loss_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = plan(folder.path().join("run"));
    first.steps = 2;
    run(&first, 99).unwrap();
    let again = run(&first, 99).unwrap_err().with_hint();
    assert!(again.contains("holds the finished run 'run'"), "{again}");
    let mut changed = first.clone();
    (changed.resume, changed.lr) = (true, 0.5);
    let changed = run(&changed, 99).unwrap_err().with_hint();
    assert!(changed.contains("lr: 0.001 before, 0.5 now"), "{changed}");
    let mut wild = plan(folder.path().join("wild"));
    (wild.lr, wild.max_grad_norm, wild.steps) = (1e30, 1e30, 20);
    let diverged = run(&wild, 99).unwrap_err();
    let hint = diverged.hint().unwrap();
    assert!(hint.contains("lower --lr"), "{diverged}: {hint}");
    assert!(wild.out.join("state.safetensors").is_file());
}

#[test]
fn gates_train_on_a_chat_template_that_ends_no_answer() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lmm/tests/fixtures/llava");
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(fixture).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("chat_template.json") {
            std::fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
        }
    }
    // In the shape of LLaVA-1.5's.
    let template = "{% for message in messages %}{{ message.role.upper() + ': ' }}{% for part in message.content %}\
                    {% if part.type == 'image' %}{{ '<image>\n' }}{% else %}{% generation %}{{ part.text + ' ' }}\
                    {% endgeneration %}{% endif %}{% endfor %}{% endfor %}\
                    {% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}";
    std::fs::write(model.join("chat_template.jinja"), template).unwrap();
    let mut gates = plan(folder.path().join("gates"));
    gates.model = model.to_string_lossy().into_owned();
    gates.variant = variant("rave").unwrap();
    (gates.freeze, gates.aux_loss, gates.steps) = (Freeze::Backbone, 0.0, 2);
    run(&gates, 99).unwrap();
    assert!(gates.out.join("rave.adapter.safetensors").is_file());
}

#[test]
fn with_a_frozen_backbone_only_an_adapter_is_written_and_it_loads_beside_its_base() {
    let folder = tempfile::tempdir().unwrap();
    let mut gates = plan(folder.path().join("gates"));
    (gates.freeze, gates.aux_loss) = (Freeze::Backbone, 0.0);
    let nothing = run(&gates, 99).unwrap_err().with_hint();
    assert!(nothing.contains("nothing would be trained"), "{nothing}");
    assert!(!gates.out.exists(), "a refused run left its folder");
    gates.variant = variant("rave").unwrap();
    run(&gates, 99).unwrap();
    assert!(!gates.out.join("checkpoint").exists());
    let adapter = gates.out.join("rave.adapter.safetensors");
    let bytes = std::fs::read(&adapter).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    // The side that starts at zero has moved.
    let key = file.tensor("rave.layers.0.key").unwrap();
    assert!(key.data().iter().any(|&byte| byte != 0));
    let model = Model::load(&nano(), LoadOptions::default()).unwrap();
    let built = model.build(gates.variant, 0, Some(&adapter)).unwrap();
    assert_eq!(built.adapter.unwrap().path, adapter);
}

#[test]
fn gates_move_at_their_own_rate_and_the_table_has_their_norms() {
    let folder = tempfile::tempdir().unwrap();
    let mut slow = plan(folder.path().join("slow"));
    (slow.freeze, slow.aux_loss, slow.steps) = (Freeze::Vision, 0.0, 8);
    slow.variant = variant("rave").unwrap();
    let mut fast = slow.clone();
    (fast.gate_lr, fast.out) = (Some(2e-2), folder.path().join("fast"));
    let rows = |plan: &Plan| -> Vec<Row> {
        run(plan, 99).unwrap();
        let rows = read_rows(&plan.out.join(ROWS)).unwrap();
        rows.into_iter()
            .filter(|row| row.split == "train")
            .collect()
    };
    let (slow, fast) = (rows(&slow), rows(&fast));
    // The first step is taken along the same gradient, by warm-up at half the rates.
    let bits =
        |row: &Row| [row.gradient_norm, row.gate_gradient_norm, row.weight_norm].map(f64::to_bits);
    assert_eq!(bits(&slow[0]), bits(&fast[0]));
    let rates = |row: &Row| [row.lr, row.gate_lr].map(f64::to_bits);
    assert_eq!(rates(&slow[0]), [5e-4, 5e-4].map(f64::to_bits));
    assert_eq!(rates(&fast[0]), [5e-4, 1e-2].map(f64::to_bits));
    // Adam's first step moves every weight by the rate, wherever its gradient is not zero: of nano's 6,144 only the
    // 2,048 of the key side, which starts at zero, have one.
    let moved = |row: &Row, rate: f64| row.gate_weight_norm.powi(2) - (2048.0 * rate * rate);
    let (start, same) = (moved(&slow[0], 5e-4), moved(&fast[0], 1e-2));
    assert!((start - same).abs() < 2e-3 * start, "{start} {same}");
    assert!(fast[7].gate_weight_norm > slow[7].gate_weight_norm);
}

#[test]
fn what_is_frozen_stays_and_the_loss_falls() {
    let folder = tempfile::tempdir().unwrap();
    let mut frozen = plan(folder.path().join("frozen"));
    (frozen.freeze, frozen.aux_loss) = (Freeze::Vision, 0.0);
    (frozen.steps, frozen.validate_every, frozen.lr) = (12, 12, 3e-3);
    (frozen.batch, frozen.accumulate) = (4, 1);
    run(&frozen, 99).unwrap();
    let losses: Vec<f64> = read_rows(&frozen.out.join(ROWS))
        .unwrap()
        .iter()
        .filter(|row| row.split == "train")
        .map(|row| row.loss)
        .collect();
    assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
    let base = Model::load(&nano(), LoadOptions::default()).unwrap();
    let path = frozen.out.join("checkpoint");
    let trained = Model::load(path.to_str().unwrap(), LoadOptions::default()).unwrap();
    assert!(!trained.info().untrained && base.info().untrained);
    for ((name, before), (_, after)) in base.parameters().iter().zip(trained.parameters()) {
        let same = before.equal(after);
        if base.is_vision(name) {
            assert!(same, "{name} moved");
        } else if before.dim() > 1 {
            assert!(!same, "{name} did not move");
        }
    }
}

#[test]
fn a_tower_can_be_taken_from_another_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    built_in::write("nano", 8, &other).unwrap();
    let mut taken = plan(folder.path().join("run"));
    (taken.freeze, taken.aux_loss, taken.steps) = (Freeze::Vision, 0.0, 1);
    taken.vision = Some(other.clone());
    run(&taken, 99).unwrap();
    let open = |path: &Path| Model::load(path.to_str().unwrap(), LoadOptions::default()).unwrap();
    let (trained, tower, own) = (
        open(&taken.out.join("checkpoint")),
        open(&other),
        open(Path::new(&nano())),
    );
    let of = |model: &Model, name: &str| {
        let found = model.parameters().iter().find(|(own, _)| own == name);
        found.unwrap().1.shallow_clone()
    };
    let name = "model.vision_model.encoder.layers.0.mlp.fc2.weight";
    assert!(
        of(&trained, name).equal(&of(&tower, name)) && !of(&tower, name).equal(&of(&own, name))
    );
    taken.out = folder.path().join("missing");
    taken.vision = Some(folder.path().join("nowhere"));
    let missing = run(&taken, 99).unwrap_err().with_hint();
    assert!(missing.contains("nowhere"), "{missing}");
    assert!(!taken.out.exists(), "a refused run left its folder");
}
