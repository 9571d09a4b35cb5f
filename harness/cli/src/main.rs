//! The program behind `rave` (`launcher.rs`), linked with LibTorch: evaluate attention variants of large multimodal models, and
//! report what came out.
//!
//! Data goes to stdout, progress and messages to stderr. Exit codes: 0 clean, 1 bad input or failed samples, 2 a fault of
//! ours (a panic, or LibTorch refusing an operation), 128 and a signal's number after that signal (130 for Ctrl-C).

mod commands;
mod failure;
mod progress;
mod signals;

use std::io::Write as _;
#[cfg(unix)]
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Parser, Subcommand};

/// Evaluate visual-attention methods in large multimodal models.
#[derive(Debug, Parser)]
#[command(name = "rave", version, propagate_version = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run suites over models and attention variants, and record every sample
    Eval(commands::eval::Arguments),
    /// Join the shards of one run (rave eval --shard) into the run that they are parts of
    Merge(commands::merge::Arguments),
    /// What variants cost: vision, prefill, decoding, cache and peak memory, over a grid of prompt sizes
    Latency(commands::latency::Arguments),
    /// The peak of memory of one answer, for `rave latency`
    #[command(hide = true)]
    MeasureMemory(commands::latency::MemoryArguments),
    /// Train a model, or the gates of a variant, on the embedded suites' training items
    Train(commands::train::Arguments),
    /// Make a checkpoint of weights in another format
    Import(commands::import::Arguments),
    /// Tables and charts of stored runs
    Report(commands::report::Arguments),
    /// Several runs side by side, against a variant, a run, or a variant of a run
    Compare(commands::compare::Arguments),
    /// The paper's claims, with a verdict each by stored runs
    PaperTable(commands::paper_table::Arguments),
    /// Answer one question about one picture
    Generate(commands::generate::Arguments),
    /// Draw where the attention behind an answer lies on the picture, a row a variant
    Attend(commands::attend::Arguments),
    /// A stored run in another harness's files
    Export(commands::export::Arguments),
    /// Score predictions with a suite's metric, no model needed
    Score(commands::score::Arguments),
    /// Built-in models, and the families of checkpoints that can be loaded
    Models(commands::listing::Arguments),
    /// Whether a checkpoint can be loaded, before its weights are fetched or read
    Check(commands::check::Arguments),
    /// The attention variants
    Variants(commands::listing::VariantArguments),
    /// The benchmark suites
    Suites(commands::suites::Arguments),
    /// What this machine has, and what to fix
    Doctor(commands::listing::Arguments),
}

/// How a command ended that did not stop with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Clean,
    /// It did what it could, and some of its samples or checks failed.
    Failures,
    /// This signal asked it to stop, and it did so cleanly.
    Stopped(usize),
}

fn main() {
    let code = run();
    // What cannot be written any more has nobody who would read it.
    let _ = std::io::stdout().flush();
    // At once: taking LibTorch down would cost a tenth of a second, and everything of ours is closed.
    #[cfg(unix)]
    signal_hook::low_level::exit(code.into());
    #[cfg(not(unix))]
    std::process::exit(code.into());
}

/// Does what the command line says; returns the exit code.
fn run() -> u8 {
    // A file over its size limit (ulimit -f) must be an error of its write and not a silent death.
    #[cfg(unix)]
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()) {
        eprintln!("warning: a file over its size limit will end this program: {error}");
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is bad input. A closed stdout is nobody's fault.
            let _ = error.print();
            return u8::from(error.use_stderr());
        }
    };
    quiet_readers();
    let ran = std::panic::catch_unwind(|| match cli.command {
        Command::Eval(arguments) => commands::eval::run(arguments),
        Command::Merge(arguments) => commands::merge::run(&arguments),
        Command::Latency(arguments) => commands::latency::run(arguments),
        Command::MeasureMemory(arguments) => commands::latency::measure_memory(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Compare(arguments) => commands::compare::run(&arguments),
        Command::PaperTable(arguments) => commands::paper_table::run(&arguments),
        Command::Generate(arguments) => commands::generate::run(&arguments),
        Command::Attend(arguments) => commands::attend::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Score(arguments) => commands::score::run(&arguments),
        Command::Models(arguments) => commands::listing::models(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Variants(arguments) => commands::listing::variants(&arguments),
        Command::Suites(arguments) => commands::suites::run(&arguments),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
    });
    match ran {
        Ok(Ok(Outcome::Clean)) => 0,
        Ok(Ok(Outcome::Failures)) => 1,
        // As shells say it: 130 after Ctrl-C.
        Ok(Ok(Outcome::Stopped(signal))) => 128 + signal as u8,
        Ok(Err(error)) => failure::tell(&error),
        Err(_) => {
            if let Some(panic) = POLARS_PANIC
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
            {
                eprintln!("{panic}");
            }
            eprintln!(
                "error: rave met a fault of its own (the panic above); please report it with the command line"
            );
            2
        }
    }
}

/// The last panic within polars.
static POLARS_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the words of panics within polars for later. Its parquet reader panics on some damaged files; whoever reads one makes an
/// error of that, which names the file.
fn quiet_readers() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let within = |place: &std::panic::Location| place.file().contains("/polars-");
        if panic.location().is_some_and(within) {
            *POLARS_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic.to_string());
        } else {
            report(panic);
        }
    }));
}

/// The reader of our output went away (`rave suites | head`): not an error of this program.
fn is_closed_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
