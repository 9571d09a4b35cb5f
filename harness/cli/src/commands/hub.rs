//! The hub behind `--model` and `--data`: what is named by repository is fetched before a command begins.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use rave_benchmarks::Suite;
use rave_hints::refusal;
use rave_hub::{Hub, Observer, Reference, Settings};
use rave_lmm::check::Report;
use rave_lmm::{GenerationKeys, built_in, checkpoint_folder, grid};

/// Options of every command that takes a model or data of the hub.
#[derive(Debug, Clone, Args)]
pub struct HubArguments {
    /// Make no network call: take models and data of the hub from its cache (as `HF_HUB_OFFLINE=1` does)
    #[arg(long)]
    pub offline: bool,
}

/// Which split of a suite is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The one that is scored.
    Scored,
    /// The one that models are trained on.
    Training,
    /// Another one, by its name.
    Split(&'a str),
}

impl HubArguments {
    fn hub(&self) -> anyhow::Result<Hub> {
        let mut settings = Settings::from_env();
        settings.offline |= self.offline;
        Ok(Hub::new(settings)?)
    }

    /// Fetches the models among these names that are neither built in nor a folder; `rave_lmm::resolve` then finds them.
    /// `ignored` are the keys of their generation configs that will not be followed.
    pub fn models<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        ignored: GenerationKeys,
    ) -> anyhow::Result<()> {
        for name in names {
            if built_in::MODELS.iter().any(|model| model.name == name) || Path::new(name).exists() {
                continue;
            }
            // What is no reference either is refused by name when it is resolved.
            if let Ok(reference) = name.parse::<Reference>() {
                rave_lmm::hub::fetch(
                    &self.hub()?,
                    &reference,
                    ignored,
                    &mut Downloads::new(&reference),
                )?;
            }
        }
        Ok(())
    }

    /// What can be told of a checkpoint by its name before its weights are read. Of one that is neither built in nor a folder the
    /// small files are fetched, and the headers of its weight files.
    pub fn check(&self, name: &str) -> anyhow::Result<Report> {
        let is_here =
            built_in::MODELS.iter().any(|model| model.name == name) || Path::new(name).exists();
        match name.parse::<Reference>() {
            Ok(reference) if !is_here => {
                let bars = &mut Downloads::new(&reference);
                Ok(rave_lmm::hub::check(&self.hub()?, &reference, bars)?)
            }
            // What is no reference either is refused by name.
            _ => Ok(Report::of(&checkpoint_folder(name, grid::BASELINE, None)?)?),
        }
    }

    /// The folder of each published suite's data by the suite's id: where `--data` says, and else fetched.
    ///
    /// An entry of `--data` is a folder, or a repository of the hub: for the suites that name it, or for those that no other
    /// entry is for. A suite in a file that names its data reads that; one that does not reads the folder when no published
    /// suite does, and else what lies beside it.
    pub fn data(
        &self,
        given: &[String],
        suites: &[&Suite],
        part: Part<'_>,
    ) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut folders = Vec::new();
        let mut references = Vec::new();
        for entry in given {
            match entry.parse::<Reference>() {
                Ok(reference) if !Path::new(entry).exists() => references.push(reference),
                _ => folders.push(PathBuf::from(entry)),
            }
        }
        if folders.len() > 1 {
            bail!(refusal(
                format!("--data names {} folders", folders.len()),
                "give one that holds the data sets by repository name (a link each will do)",
            ));
        }
        let names = |suite: &Suite, reference: &Reference| {
            let mut names = suite.repositories.iter();
            names.any(|name| name.eq_ignore_ascii_case(&reference.repository))
        };
        let mut strangers = references
            .iter()
            .filter(|reference| !suites.iter().any(|suite| names(suite, reference)));
        let own = strangers.next();
        if let (Some(own), Some(other)) = (own, strangers.next()) {
            bail!(refusal(
                format!("--data names {own} and {other}, and no suite names either"),
                "run the suites one by one",
            ));
        }
        let published = suites
            .iter()
            .any(|suite| suite.file.is_none() && !suite.is_embedded());
        let mut data = BTreeMap::new();
        for suite in suites.iter().filter(|suite| !suite.is_embedded()) {
            let reference = references.iter().find(|reference| names(suite, reference));
            let is_own = suite.file.is_some();
            if suite.data.is_some() {
                if !given.is_empty() && !published {
                    bail!(refusal(
                        format!(
                            "--data is of no use to suite `{}`, whose file names its data",
                            suite.id
                        ),
                        "take `data` out of it, or --data away",
                    ));
                }
                continue;
            }
            let folder = match (reference, folders.first(), own) {
                // A folder that is there for a published suite is not where another one's lines are.
                (None, Some(_), _) if is_own && published => continue,
                (None, Some(folder), _) => folder.clone(),
                (None, None, None) if suite.repositories.is_empty() => continue,
                (reference, _, own) => {
                    let reference = reference.or(own);
                    let hub = self.hub()?;
                    let mut bars = Downloads::new(&suite.id);
                    match part {
                        Part::Scored => suite.fetch(&hub, reference, &mut bars)?,
                        Part::Training => suite.fetch_training(&hub, reference, &mut bars)?,
                        Part::Split(name) => {
                            suite.of_split(name).fetch(&hub, reference, &mut bars)?
                        }
                    }
                }
            };
            data.insert(suite.id.clone(), folder);
        }
        Ok(data)
    }
}

/// A bar a file; a line a file where stderr is no terminal.
struct Downloads {
    what: String,
    bar: Option<ProgressBar>,
}

impl Downloads {
    fn new(what: &impl ToString) -> Self {
        Self {
            what: what.to_string(),
            bar: None,
        }
    }
}

impl Observer for Downloads {
    fn file(&mut self, name: &str, size: Option<u64>, have: u64) {
        if !std::io::stderr().is_terminal() {
            let size = size.map_or_else(String::new, |size| format!(" ({})", DecimalBytes(size)));
            eprintln!("fetching {}: {name}{size}", self.what);
        }
        let style = ProgressStyle::with_template(
            "{prefix} {bar:24} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(size.unwrap_or(0))
            .with_style(style)
            .with_prefix(format!("{}: {name}", self.what))
            .with_position(have);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn have(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    fn file_done(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }

    fn wait(&mut self, time: Duration, reason: &str) {
        let line = format!("{}: {reason}; again in {} s", self.what, time.as_secs());
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
        std::thread::sleep(time);
    }
}
