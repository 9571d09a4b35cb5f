//! What loading costs: peak memory against the weights in the compute type, and seconds a GB of files, hashes included.
//!
//! `cargo bench --bench loading [-- --rounds N] [--out FILE.json]`
//!
//! The checkpoint has SmolVLM-256M's sizes: one file of bf16 as it is built in, and the same in f32 as two shards. Every load has
//! a process of its own, with allocations returned at once (`rave_engine::latency::memory` says how); what LibTorch needs of
//! itself was there before. The files are in the page cache, as after a download or a first run. Raw values are kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rave_engine::latency::memory::{ENVIRONMENT, peak_of};
use rave_lmm::{LoadOptions, Model, kind, resolve, write_tensors};
use rave_results::statistics;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const MODEL: &str = "smolvlm-256m-random";
/// Tells a process that it is one that measures, and what.
const MEASURE: &str = "RAVE_BENCH_LOADING";

fn main() {
    // cargo runs it in its package's folder; --out is meant from where `just` runs.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .expect("the workspace is there");
    if let Ok(request) = std::env::var(MEASURE) {
        let (dtype, folder) = request.split_once(' ').expect("a type and a folder");
        println!("{}", measure(dtype, Path::new(folder)));
        return;
    }
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|own| own == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let rounds: usize =
        value("--rounds").map_or(3, |text| text.parse().expect("--rounds takes a number"));
    let stored_bf16 = resolve(MODEL).expect("the built-in model is written");
    let folder = tempfile::tempdir().expect("a folder for the second checkpoint");
    in_f32(&stored_bf16, folder.path());
    let mut report = Vec::new();
    for (stored, path) in [
        ("bf16", stored_bf16.as_path()),
        ("f32, 2 shards", folder.path()),
    ] {
        for dtype in ["f32", "bf16"] {
            let runs: Vec<Value> = (0..rounds).map(|_| in_own_process(dtype, path)).collect();
            let median = |key: &str| {
                let mut values: Vec<f64> =
                    runs.iter().filter_map(|run| run[key].as_f64()).collect();
                statistics::median(&mut values).expect("every run gives it")
            };
            let [seconds, peak, weights, files] =
                ["seconds", "peak_bytes", "weight_bytes", "file_bytes"].map(median);
            println!(
                "stored in {stored}, computed in {dtype}: {:.0} MB of weights, peak {:.0} MB ({:.3} times), {seconds:.2} s ({:.2} s/GB)",
                weights / 1e6,
                peak / 1e6,
                peak / weights,
                seconds / (files / 1e9)
            );
            report.push(json!({ "stored": stored, "dtype": dtype, "runs": runs }));
        }
    }
    if let Some(path) = value("--out") {
        let record = json!({
            "bench": "loading", "machine": rave_results::schema::Machine::detect(), "threads": tch::get_num_threads(),
            "model": MODEL, "results": report,
        });
        let text = serde_json::to_string_pretty(&record).expect("JSON values can be written");
        fs::write(path, text + "\n").expect("--out can be written");
        println!("raw values in {path}");
    }
}

/// One load, in this process, which should have done nothing before.
fn measure(dtype: &str, folder: &Path) -> Value {
    let options = LoadOptions {
        device: Device::Cpu,
        kind: kind(dtype).expect("a known type"),
        ..LoadOptions::default()
    };
    // Code and tables that LibTorch makes once, in each type.
    let one = Tensor::ones([64, 64], (Kind::BFloat16, Device::Cpu));
    let _ = one.to_kind(options.kind).matmul(&one.to_kind(options.kind));
    let start = Instant::now();
    let (model, peak) = peak_of(|| Model::open(MODEL, folder.to_owned(), options));
    let seconds = start.elapsed().as_secs_f64();
    let model = model.expect("the checkpoint is whole");
    let own = model.parameters().iter();
    let weights: usize = own
        .map(|(_, tensor)| tensor.numel() * tensor.kind().elt_size_in_bytes())
        .sum();
    let files: u64 = fs::read_dir(folder)
        .expect("the folder is there")
        .flatten()
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|end| end == "safetensors")
        })
        .map(|entry| entry.metadata().expect("a file").len())
        .sum();
    json!({ "seconds": seconds, "peak_bytes": peak, "weight_bytes": weights, "file_bytes": files })
}

fn in_own_process(dtype: &str, folder: &Path) -> Value {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .envs(ENVIRONMENT)
        .env(MEASURE, format!("{dtype} {}", folder.display()))
        .output()
        .expect("it starts again");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// The same checkpoint in f32, as two shards with an index.
fn in_f32(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the checkpoint").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|end| end != "safetensors") {
            fs::copy(&path, to.join(entry.file_name())).expect("room for a copy");
        }
    }
    let model = Model::open(MODEL, from.to_owned(), LoadOptions::default()).expect("it loads");
    let tensors: Vec<(String, Tensor)> = model
        .parameters()
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect();
    let mut places = BTreeMap::new();
    for (number, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let shard = format!("model-{:05}-of-00002.safetensors", number + 1);
        write_tensors(&to.join(&shard), part, &BTreeMap::new()).expect("room for the weights");
        places.extend(part.iter().map(|(name, _)| (name.clone(), shard.clone())));
    }
    let index = json!({ "metadata": {}, "weight_map": places });
    fs::write(to.join("model.safetensors.index.json"), index.to_string()).expect("room");
}
