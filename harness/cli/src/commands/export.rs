//! `rave export`: a stored run in another harness's files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rave_hints::refusal;
use rave_reports::lmms_eval;
use rave_results::Run;

use super::reporting::inside;
use super::write_file;
use crate::Outcome;

/// Whose files to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// lmms-eval's results and logs of samples, a folder a model and variant
    LmmsEval,
}

/// Options of `rave export`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A run's folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Whose files to write
    #[arg(long)]
    pub format: Target,
    /// Where to write them; by default a folder of the format's name in the run's
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `rave export`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let run = Run::open(&arguments.run)?;
    write(&run, arguments.format, arguments.out.as_deref())?;
    Ok(Outcome::Clean)
}

/// Writes a run's files and prints the path of each.
pub fn write(run: &Run, target: Target, out: Option<&Path>) -> anyhow::Result<()> {
    let Target::LmmsEval = target;
    let export = lmms_eval::export(&run.record, &run.samples()?)?;
    let out = out.map_or_else(|| run.folder.join("lmms-eval"), Path::to_owned);
    for file in &export.files {
        let path = inside(&out, &file.name)?;
        let folder = path.parent().unwrap_or(&out);
        fs::create_dir_all(folder).with_context(|| {
            refusal(
                format!("cannot make {}", folder.display()),
                "check the folder and the free space",
            )
        })?;
        write_file(&path, &file.bytes)?;
        eprintln!("export: {}", path.display());
    }
    if export.left_out > 0 {
        eprintln!(
            "export: {} failed samples have no answer and no line",
            export.left_out
        );
    }
    Ok(())
}
