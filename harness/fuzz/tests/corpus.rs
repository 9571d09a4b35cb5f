//! Every input of the corpus through its target: what fuzzing has found stays mended.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use rave_fuzz::{MEMORY, Outcome, TARGETS};

/// Beginning of the name of an input that is a valid file.
const SEED: &str = "seed-";

#[test]
fn no_input_of_the_corpus_panics_and_every_seed_is_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut wrong = Vec::new();
    for target in TARGETS {
        let mut inputs: Vec<_> = fs::read_dir(corpus.join(target.name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for path in inputs {
            let input = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            match catch_unwind(|| (target.read)(&input)) {
                Err(_) => wrong.push(format!("{}/{name}: a panic", target.name)),
                Ok(Outcome::Foreign) => {
                    wrong.push(format!("{}/{name}: not read at all", target.name));
                }
                Ok(Outcome::Refused(reason)) if name.starts_with(SEED) || reason.is_empty() => {
                    wrong.push(format!("{}/{name}: refused: {reason}", target.name));
                }
                Ok(Outcome::Refused(_) | Outcome::Read) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        peak().is_none_or(|peak| peak < MEMORY),
        "{:?} bytes at the peak",
        peak()
    );
}

/// The most memory that this process has had, in bytes, where the system tells: of the process, with LibTorch's share.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}
