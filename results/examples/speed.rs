//! How long a summary takes at the size that reports must bear: 10 suites, 20 variants, 5,000 samples each,
//! 10,000 resamples: `cargo run --release -p rave-results --example speed`.

use std::time::Instant;

use rave_results::{Error, Run, SampleRecord, Summary};

#[path = "../tests/common/mod.rs"]
mod common;
use common::{record, sample};

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
    let names = |list: &'static [String]| list.iter().map(String::as_str).collect::<Vec<_>>();
    let record = record("speed", &names(suites.leak()), &names(variants.leak()));
    let begin = Instant::now();
    let run = Run::from_samples(record, &samples);
    println!(
        "{} records: read in {:.2} s",
        samples.len(),
        begin.elapsed().as_secs_f64()
    );
    drop(samples);
    let begin = Instant::now();
    let summary = Summary::from_runs(&[run], "variant-0")?;
    println!(
        "{} cells: summarised in {:.2} s",
        summary.cells.len(),
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}
