//! `train.json`: which training run a folder holds, from where it began, and everything that decides its result.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::differences::json_differences;
use crate::schema::{CodeVersion, Libraries, Machine, whole_milliseconds};
use crate::store::Header;

/// `train.json`. Of runs from before these were recorded, all but the settings are empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// The run's id, also the name of its folder.
    #[serde(default)]
    pub run: String,
    /// When it began.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// When it ended; `None` while it runs and after an interruption.
    #[serde(default)]
    pub finished: Option<Timestamp>,
    /// The arguments it was started with, the program's name first.
    #[serde(default)]
    pub command_line: Vec<String>,
    /// The code that ran.
    #[serde(default)]
    pub code: CodeVersion,
    /// Where it ran.
    #[serde(default)]
    pub machine: Machine,
    /// Versions of what does the arithmetic.
    #[serde(default)]
    pub libraries: Libraries,
    /// What decides the result.
    #[serde(flatten)]
    pub settings: TrainingSettings,
}

/// Everything that decides the result of a training run; equal settings give equal weights.
///
/// The aliases are the names in records of before the options of `rave train` were named as in `transformers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSettings {
    /// The checkpoint that it began from, as it was given.
    pub base: String,
    /// SHA-256 of that checkpoint's weights.
    pub base_sha256: String,
    /// The checkpoint whose vision tower was taken instead.
    pub vision: Option<PathBuf>,
    /// SHA-256 of its weights.
    pub vision_sha256: Option<String>,
    /// The attention variant.
    pub variant: String,
    /// Its version.
    pub variant_version: u32,
    /// What it was trained on: embedded tasks and suites.
    pub suites: Vec<String>,
    /// The fingerprint of every data set on disk by its suite.
    pub data_sha256: BTreeMap<String, String>,
    /// The version of the renderer that draws the embedded tasks.
    pub renderer_version: u32,
    /// Most questions about each drawn picture after the first.
    #[serde(alias = "further")]
    pub extra_questions: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Examples a micro-batch.
    pub batch: usize,
    /// Micro-batches a step.
    pub accumulate: usize,
    /// Highest learning rate.
    #[serde(alias = "rate")]
    pub lr: f64,
    /// The same of the variant's own parameters, where it is another.
    #[serde(alias = "gate_rate")]
    pub gate_lr: Option<f64>,
    /// Steps of linear warm-up.
    #[serde(alias = "warm_up")]
    pub warmup_steps: u64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// The same of the variant's own parameters.
    pub gate_weight_decay: f64,
    /// Norm above which a gradient is clipped.
    #[serde(alias = "clip")]
    pub max_grad_norm: f64,
    /// Weight of the auxiliary loss (which character stands at each patch).
    #[serde(alias = "dense")]
    pub aux_loss: f64,
    /// Whether answers were trained.
    pub answers: bool,
    /// What stayed as it was.
    pub freeze: Freeze,
    /// Seed of the order and choice of the items.
    pub seed_data: u32,
    /// Seed of the variant's own parameters.
    pub seed_gates: u64,
    /// Compute type.
    pub dtype: String,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Threads that the tensor library may use.
    pub threads: usize,
}

/// What stays as it is. A command line has its name and documentation from here.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Freeze {
    /// Everything is trained.
    None,
    /// The vision tower stays.
    Vision,
    /// The whole checkpoint stays; only the variant's own parameters are trained.
    Backbone,
}

impl TrainingRecord {
    /// A record of a run that begins now on this machine.
    pub fn new(
        run: String,
        command_line: Vec<String>,
        code: CodeVersion,
        libraries: Libraries,
        settings: TrainingSettings,
    ) -> Self {
        Self {
            run,
            created: Some(whole_milliseconds(Timestamp::now())),
            finished: None,
            command_line,
            code,
            machine: Machine::detect(),
            libraries,
            settings,
        }
    }

    /// Sets the end to now.
    pub fn end(&mut self) {
        self.finished = Some(whole_milliseconds(Timestamp::now()));
    }
}

impl Header for TrainingRecord {
    const FILE: &'static str = "train.json";
    const KIND: &'static str = "training run";
    const VERSION: Option<(&'static str, u32)> = None;
    const RESUMES: bool = true;
    const LEFTOVERS: &'static [&'static str] = &[];

    fn run(&self) -> &str {
        &self.run
    }

    fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// The settings alone: what the code was is not compared, as in runs from before it was recorded.
    fn differences(&self, now: &Self) -> Vec<String> {
        json_differences(&self.settings, &now.settings)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Error;
    use crate::store::{Claim, Opened, open};

    /// `train.json` as `rave train` wrote it before it had more than settings.
    const OLDER: &str = r#"{
  "base": "runs/standard/initial",
  "base_sha256": "ab",
  "vision": null,
  "vision_sha256": null,
  "variant": "rave",
  "variant_version": 2,
  "suites": ["ocr", "page"],
  "data_sha256": {},
  "renderer_version": 3,
  "further": 1,
  "steps": 40,
  "batch": 2,
  "accumulate": 1,
  "rate": 0.001,
  "gate_rate": 0.02,
  "warm_up": 2,
  "weight_decay": 0.01,
  "gate_weight_decay": 0.0,
  "clip": 1.5,
  "dense": 0.5,
  "answers": true,
  "freeze": "none",
  "seed_data": 0,
  "seed_gates": 0,
  "dtype": "f32",
  "device": "cpu",
  "threads": 2
}
"#;

    fn older() -> TrainingRecord {
        serde_json::from_str(OLDER).unwrap()
    }

    fn now(settings: TrainingSettings) -> TrainingRecord {
        let none = (Vec::new(), CodeVersion::default(), Libraries::default());
        TrainingRecord::new("run".into(), none.0, none.1, none.2, settings)
    }

    #[test]
    fn older_names_of_settings_are_read_and_written_as_they_are_now() {
        let settings = older().settings;
        let found = (
            settings.extra_questions,
            settings.lr,
            settings.gate_lr,
            settings.warmup_steps,
            settings.max_grad_norm,
            settings.aux_loss,
        );
        assert_eq!(found, (1, 0.001, Some(0.02), 2, 1.5, 0.5));
        let written = serde_json::to_value(now(settings)).unwrap();
        for (older, name) in [
            ("further", "extra_questions"),
            ("rate", "lr"),
            ("gate_rate", "gate_lr"),
            ("warm_up", "warmup_steps"),
            ("clip", "max_grad_norm"),
            ("dense", "aux_loss"),
        ] {
            assert!(written.get(older).is_none(), "{older}");
            assert!(written.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_run_of_before_is_gone_on_with_and_a_changed_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.json");
        fs::write(&path, OLDER).unwrap();
        let taken = open(folder.path(), &now(older().settings), false).unwrap_err();
        assert!(matches!(taken, Error::InterruptedRun { .. }), "{taken}");
        let mut other = older().settings;
        other.lr = 2e-3;
        let refused = open(folder.path(), &now(other), true).unwrap_err();
        let told = "in: lr: 0.001 before, 0.002 now";
        assert!(refused.to_string().ends_with(told), "{refused}");
        let Opened::Resumed(folder) = open(folder.path(), &now(older().settings), true).unwrap()
        else {
            panic!("it is no new run");
        };
        let ended = folder.finish(TrainingRecord::end).unwrap();
        assert_eq!(ended.settings, older().settings);
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(
            serde_json::from_str::<TrainingRecord>(&text).unwrap(),
            ended
        );
    }

    #[test]
    fn a_claim_that_is_given_up_leaves_no_folder_and_one_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("runs/a");
        let mut claim = Claim::<TrainingRecord>::take(&out, true).unwrap();
        fs::create_dir(claim.provisional("initial")).unwrap();
        let busy = Claim::<TrainingRecord>::take(&out, false).unwrap_err();
        assert!(matches!(busy, Error::Busy { .. }), "{busy}");
        drop(claim);
        assert!(!folder.path().join("runs").exists());
        fs::create_dir_all(&out).unwrap();
        fs::write(out.join("latency.json"), "{}").unwrap();
        let taken = Claim::<TrainingRecord>::take(&out, true).unwrap_err();
        assert!(
            taken.to_string().ends_with("already holds a latency run"),
            "{taken}"
        );
        assert!(!out.join("run.lock").exists());
    }
}
