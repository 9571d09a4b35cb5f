//! What more variants cost a run: wall time of an evaluation with eight variants over one with `standard` alone, taken in turns.
//!
//! Decoding, preprocessing and vision are shared, so the ratio should be near (shared + 8 decoders) / (shared + 1 decoder). Both
//! parts are measured, in the same runs: what a record says of prefill and decoding is the decoders', the rest is shared. Loading
//! is in both, outside the parts.
//!
//! `just bench-variants -- --model NAME --limit N --rounds N --out FILE.json`

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use rave_engine::{Ended, Observer, Request, evaluate};
use rave_lmm::GenerationKeys;
use rave_results::Run;
use rave_results::schema::{CodeVersion, Machine};
use rave_results::statistics::{Resampling, median, median_interval};
use serde_json::json;

const SUITE: &str = "embedded-document";
const VARIANTS: [&str; 8] = [
    "standard",
    "rave",
    "rave-post-rope",
    "rave-key-only",
    "rave-query-only",
    "rave-shared",
    "fastv-50",
    "learned-sink",
];

struct Silent;

impl Observer for Silent {}

/// One evaluation, in seconds: its wall time, what was shared, and what each decoder took.
struct Times {
    wall: f64,
    shared: f64,
    decoder: f64,
}

fn run(model: &str, limit: usize, variants: &[&str]) -> Times {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let out = folder.path().join("run");
    let request = Request {
        models: vec![model.to_owned()],
        variants: variants
            .iter()
            .map(|id| rave_methods::variant(id).expect("a registered variant"))
            .collect(),
        suites: vec![rave_benchmarks::suite(SUITE).expect("an embedded suite")],
        data: BTreeMap::new(),
        split: None,
        limit: Some(limit),
        shuffle: None,
        samples: Vec::new(),
        shard: None,
        family_prompts: true,
        seed: Some(1),
        device: "cpu".into(),
        dtype: "f32".into(),
        ignored: GenerationKeys::default(),
        adapter: None,
        attention: false,
        batch: 1,
        // A beginning that questions share has no time of its own in a record.
        reuse: false,
        sample_timeout: None,
        out: out.clone(),
        resume: false,
        command_line: Vec::new(),
        code: CodeVersion::default(),
    };
    let start = Instant::now();
    let ended = evaluate(&request, &mut Silent, &AtomicUsize::new(0)).expect("it can be evaluated");
    let wall = start.elapsed().as_secs_f64();
    assert!(matches!(ended, Ended::Finished(_)), "nobody stops it");
    parts(&out, wall, variants.len())
}

fn parts(out: &Path, wall: f64, variants: usize) -> Times {
    let samples = Run::open(out)
        .and_then(|run| run.samples())
        .expect("a finished run");
    let sum = |times: &dyn Fn(&rave_results::SampleRecord) -> Option<f64>| {
        samples.iter().filter_map(times).sum::<f64>() / 1e3 / variants as f64
    };
    Times {
        wall,
        shared: sum(&|sample| Some(sample.preprocess_ms? + sample.vision_ms?)),
        decoder: sum(&|sample| Some(sample.prefill_ms? + sample.decode_ms?)),
    }
}

fn main() {
    // cargo runs it in its package's folder; --out is meant from where `just` runs.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .expect("the workspace is there");
    let mut model = "smolvlm-256m-random".to_owned();
    let (mut limit, mut rounds, mut out) = (1, 3, None);
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--model" => model = value,
            "--limit" => limit = value.parse().expect("--limit N"),
            "--rounds" => rounds = value.parse().expect("--rounds N"),
            "--out" => out = Some(value),
            other => panic!("{other}: only --model, --limit, --rounds and --out are known"),
        }
    }
    let (mut one, mut eight): (Vec<Times>, Vec<Times>) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let turns: [(&mut Vec<Times>, &[&str]); 2] =
            [(&mut one, &VARIANTS[..1]), (&mut eight, &VARIANTS)];
        let mut turns: Vec<_> = turns.into_iter().collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (times, variants) in turns {
            times.push(run(&model, limit, variants));
        }
    }
    let column =
        |times: &[Times], of: fn(&Times) -> f64| times.iter().map(of).collect::<Vec<f64>>();
    let middle = |mut values: Vec<f64>| median(&mut values).expect("at least one round");
    let ratios: Vec<f64> = eight
        .iter()
        .zip(&one)
        .map(|(eight, one)| eight.wall / one.wall)
        .collect();
    let interval = median_interval(&ratios, &Resampling::default());
    let shared = middle(column(&one, |times| times.shared));
    let [first, all] = [&one, &eight].map(|times| middle(column(times, |times| times.decoder)));
    let expected = (shared + 8.0 * all) / (shared + first);
    println!("{model}, {limit} samples of {SUITE}, {rounds} rounds");
    println!("  shared {shared:.2} s, decoder {first:.2} s (standard), {all:.2} s (mean of eight)");
    println!(
        "  eight variants over one: {:.2} of the wall time{}; (shared + 8 decoders) / (shared + 1) is {expected:.2}",
        middle(ratios.clone()),
        interval.as_ref().map_or(String::new(), |interval| format!(
            " [{:.2}, {:.2}]",
            interval.low, interval.high
        )),
    );
    if let Some(path) = out {
        let found = json!({
            "model": model, "suite": SUITE, "limit": limit, "variants": VARIANTS, "ratios": ratios, "expected": expected,
            "shared_s": shared, "decoder_standard_s": first, "decoder_mean_of_eight_s": all,
            "wall_one_s": column(&one, |times| times.wall), "wall_eight_s": column(&eight, |times| times.wall),
            "machine": Machine::detect().cpu, "threads": tch::get_num_threads(),
        });
        let text = serde_json::to_string_pretty(&found).expect("JSON values can be written");
        std::fs::write(&path, text).expect("--out can be written");
        println!("raw times in {path}");
    }
}
