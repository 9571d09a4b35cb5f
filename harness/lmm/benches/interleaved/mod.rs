//! Arms (variants, one of them perhaps twice) that run in turns, forwards and backwards (A B C C B A ...), after one untimed round: medians, and the median and
//! 95 % bootstrap interval of the ratio to the first *within a round*, which cancels what drifts. Raw times are kept.

use std::time::{Duration, Instant};

use rave_results::schema::Machine;
use rave_results::statistics::{Resampling, median, median_interval};
use serde_json::{Value, json};

/// Rounds that are the least to say anything of a ratio.
const MIN_ROUNDS: usize = 5;

/// Times in milliseconds of every arm, a row a round, until the budget is spent.
pub fn interleave<T>(
    arms: &[(&str, T)],
    budget: Duration,
    run: impl Fn(&T) -> Duration,
) -> Vec<Vec<f64>> {
    tch::no_grad(|| {
        for (_, arm) in arms {
            run(arm);
        }
        let start = Instant::now();
        let mut rounds = Vec::new();
        while rounds.len() < MIN_ROUNDS || start.elapsed() < budget {
            let mut times = vec![0.0; arms.len()];
            let forwards = rounds.len() % 2 == 0;
            for turn in 0..arms.len() {
                let number = if forwards {
                    turn
                } else {
                    arms.len() - 1 - turn
                };
                times[number] = run(&arms[number].1).as_secs_f64() * 1e3;
            }
            rounds.push(times);
        }
        rounds
    })
}

/// Prints and returns medians and ratios to the first arm.
pub fn summarise<T>(dtype: &str, what: &str, arms: &[(&str, T)], rounds: &[Vec<f64>]) -> Value {
    println!("{dtype}, {what}: {} rounds", rounds.len());
    let column = |number: usize| rounds.iter().map(|times| times[number]).collect::<Vec<_>>();
    let lines: Vec<Value> = arms
        .iter()
        .enumerate()
        .map(|(number, (name, _))| {
            let mut ratios: Vec<f64> = rounds.iter().map(|times| times[number] / times[0]).collect();
            let some = "at least five rounds were made";
            let interval = median_interval(&ratios, &Resampling::default()).expect(some);
            let (low, high) = (interval.low, interval.high);
            let time = median(&mut column(number)).expect(some);
            let ratio = median(&mut ratios).expect(some);
            println!("  {name:<26} {time:>10.2} ms   {ratio:>6.3} of {} [{low:.3}, {high:.3}]", arms[0].0);
            json!({ "name": name, "median_ms": time, "ratio": ratio, "ratio_95": [low, high], "raw_ms": column(number) })
        })
        .collect();
    println!();
    json!({ "dtype": dtype, "what": what, "rounds": rounds.len(), "arms": lines })
}

/// Writes what a bench found, with the machine that it ran on.
pub fn record(path: &str, mut found: Value) {
    found["machine"] = json!(Machine::detect().cpu);
    found["threads"] = json!(tch::get_num_threads());
    let text = serde_json::to_string_pretty(&found).expect("JSON values can be written");
    std::fs::write(path, text).expect("--out can be written");
    println!("raw times in {path}");
}
