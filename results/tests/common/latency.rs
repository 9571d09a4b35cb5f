//! A latency run of known times.

use rave_results::latency::{LatencyConfiguration, LatencyRecord, LatencyRow, LatencyRun, Phase};
use rave_results::schema::{CodeVersion, Libraries, Machine, ModelRecord};

/// A latency run in which `rave` takes so many times as long as `standard`, give or take a hundredth.
pub fn latency(run: &str, prefill: f64, decode: f64) -> LatencyRun {
    let configuration = LatencyConfiguration {
        model: "nano".into(),
        variants: Vec::new(),
        image_tokens: vec![1_088],
        text_tokens: vec![64],
        new_tokens: 5,
        seconds: 60.0,
        warmup_seconds: 3.0,
        check_noise: false,
        dtype: "f32".into(),
        device: "cpu".into(),
        threads: 2,
    };
    let mut rows = Vec::new();
    for round in 0..12_u32 {
        let wobble = 1.0 + 0.01 * f64::from(round % 3) - 0.01;
        for (variant, times) in [
            ("standard", [400.0, 80.0]),
            ("rave", [400.0 * prefill * wobble, 80.0 * decode * wobble]),
        ] {
            for (phase, time) in [Phase::Prefill, Phase::Decode].into_iter().zip(times) {
                rows.push(LatencyRow {
                    model: "nano".into(),
                    variant: variant.into(),
                    image_tokens: 1_088,
                    text_tokens: 64,
                    new_tokens: 5,
                    round,
                    turn: 0,
                    phase,
                    milliseconds: Some(time),
                    bytes: None,
                    error: None,
                });
            }
        }
    }
    let created = "2026-05-18T12:00:00Z".parse().expect("a valid time");
    LatencyRun {
        record: LatencyRecord {
            latency_version: 1,
            run: run.into(),
            created,
            command_line: vec!["rave".into(), "latency".into()],
            config_hash: configuration.hash(),
            configuration,
            code: CodeVersion {
                version: "0.1.0".into(),
                commit: None,
            },
            model: ModelRecord {
                name: "nano".into(),
                sha256: "ab".into(),
                ..ModelRecord::default()
            },
            tokens_per_tile: 64,
            machine: Machine {
                cpu: "A CPU".into(),
                cores: 2,
                ..Machine::default()
            },
            libraries: Libraries::default(),
            notes: Vec::new(),
            load_average: [Some(1.0), Some(1.5)],
            finished: Some(created),
        },
        rows,
    }
}
