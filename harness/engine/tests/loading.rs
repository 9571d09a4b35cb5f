//! Loading holds the weights once and not the files beside them. Alone in a process: other tests' memory would be counted.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;

use rave_engine::latency::memory::peak_of;
use rave_lmm::{Checkpoint, write_tensors};
use tch::{Device, Kind, Tensor};

const SIDE: i64 = 2048;
const TENSORS: usize = 16;

#[test]
fn mapped_files_are_not_resident_beside_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let values = Tensor::randn([SIDE, SIDE], (Kind::Float, Device::Cpu));
    let tensors: Vec<_> = (0..TENSORS)
        .map(|number| (format!("t{number}"), values.shallow_clone()))
        .collect();
    let path = folder.path().join("model.safetensors");
    write_tensors(&path, &tensors, &BTreeMap::new()).unwrap();
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    let (loaded, peak) = peak_of(|| {
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let read = |name| {
            let tensor = checkpoint.tensor(name, &[SIDE, SIDE], Device::Cpu, Kind::Float);
            tensor.unwrap()
        };
        let loaded: Vec<Tensor> = checkpoint.names().map(read).collect();
        assert_eq!(checkpoint.hashes().unwrap().files.len(), 2);
        loaded
    });
    assert!(loaded[3].equal(&values));
    let weights = TENSORS as i64 * SIDE * SIDE * 4;
    let share = peak.unwrap() as f64 / weights as f64;
    assert!((0.95..1.15).contains(&share), "{share}");
}
