//! How long a summary takes at the size that reports must bear: 10 suites, 20 variants, 5,000 samples each, 10,000 resamples:
//! `cargo bench --workspace --bench statistics`.

use std::time::Instant;

use rave_results::statistics::median;
use rave_results::{Error, Run, SampleRecord, Summary};

#[path = "../tests/common/mod.rs"]
mod common;
use common::{record, sample};

const ROUNDS: usize = 3;

fn main() -> Result<(), Error> {
    let suites: Vec<String> = (0..10).map(|index| format!("suite-{index}")).collect();
    let variants: Vec<String> = (0..20).map(|index| format!("variant-{index}")).collect();
    let mut samples: Vec<SampleRecord> = Vec::new();
    for suite in &suites {
        for variant in &variants {
            for index in 0..5_000 {
                let score = f64::from(
                    (index * 7919 + variant.len() * 13 + samples.len() / 5_000) as u32 % 101,
                ) / 100.0;
                samples.push(sample(suite, variant, index, Some(score)));
            }
        }
    }
    let suite_names: Vec<&str> = suites.iter().map(String::as_str).collect();
    let variant_names: Vec<&str> = variants.iter().map(String::as_str).collect();
    let record = record("statistics", &suite_names, &variant_names);
    let begin = Instant::now();
    let run = Run::from_samples(record, &samples);
    println!(
        "{} records: read in {:.2} s",
        samples.len(),
        begin.elapsed().as_secs_f64()
    );
    drop(samples);
    let runs = [run];
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let summary = Summary::from_runs(&runs, "variant-0")?;
        let seconds = begin.elapsed().as_secs_f64();
        println!(
            "{} cells: summarised in {seconds:.2} s",
            summary.cells.len()
        );
        times.push(seconds);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "median of {ROUNDS}: {:.2} s on {threads} processors",
        median(&mut times).unwrap_or(f64::NAN)
    );
    Ok(())
}
