//! What the commands that make reports share: the choice of formats, the runs behind a report, and where its files go.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use rave_benchmarks::{Suite, suite};
use rave_hints::refusal;
use rave_hub::stays_inside;
use rave_reports::{Artifact, Document, FORMATS, Format, Kind, TerminalStyle, render};
use rave_results::Run;
use rave_results::statistics::Resampling;
use rave_results::summary::Options;

use super::{print, print_json, write_file};

mod pictures;

pub use pictures::SuitePictures;

/// The formats that a report of runs has where nothing else is asked for.
pub const DEFAULT_FORMATS: &str = "md,csv,svg,png,html";
/// The same without the page that a reader browses.
pub const FORMATS_WITHOUT_PAGE: &str = "md,csv,svg,png";

/// Reads the name of a format that has this kind of document.
#[derive(Clone, Copy)]
pub struct FormatParser(pub Kind);

impl FormatParser {
    fn formats(self) -> impl Iterator<Item = &'static Format> {
        FORMATS.iter().filter(move |format| format.makes(self.0))
    }

    fn names(self) -> impl Iterator<Item = PossibleValue> {
        self.formats()
            .map(|format| PossibleValue::new(format.id).help(format.about))
    }
}

impl TypedValueParser for FormatParser {
    type Value = &'static Format;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let name = value.to_string_lossy();
        // `md, csv` is `md,csv`.
        let name = OsStr::new(name.trim());
        let names: Vec<PossibleValue> = self.names().collect();
        let id = PossibleValuesParser::new(names).parse_ref(command, argument, name)?;
        let mut formats = self.formats();
        Ok(formats
            .find(|format| format.id == id)
            .expect("the names are those of these formats"))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names()))
    }
}

/// The formats of these names, separated by commas.
pub fn named_formats(names: &str) -> Vec<&'static Format> {
    let named = |name| FORMATS.iter().find(move |format| format.id == name);
    names.split(',').filter_map(named).collect()
}

/// Runs, and how they are to be summarised.
pub fn opened(
    folders: &[PathBuf],
    baseline: &str,
    force: bool,
) -> anyhow::Result<(Vec<Run>, Options)> {
    let runs = folders.iter().map(|folder| Run::open(folder));
    let options = Options {
        baseline: baseline.to_owned(),
        resampling: Resampling::default(),
        force,
    };
    Ok((runs.collect::<Result<_, _>>()?, options))
}

/// Where the data of suites that are not embedded lies.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// All of it in one folder, if it is here.
    Folder(Option<&'a Path>),
    /// Those that a run has just been made of: the suites, and the folders of their data by the suite's id.
    Opened(&'a [&'static Suite], &'a BTreeMap<String, PathBuf>),
}

impl<'a> Data<'a> {
    /// The folder of one suite.
    fn of(self, suite: &str) -> Option<&'a Path> {
        match self {
            Self::Folder(folder) => folder,
            Self::Opened(_, folders) => folders.get(suite).map(PathBuf::as_path),
        }
    }

    /// The suite of this id; `None` for one in a file that nobody has named.
    fn suite(self, id: &str) -> Option<&'static Suite> {
        let opened = match self {
            Self::Folder(_) => &[],
            Self::Opened(suites, _) => suites,
        };
        let own = opened.iter().copied().find(|suite| suite.id == id);
        own.or_else(|| suite(id).ok())
    }
}

/// Where a report goes.
pub struct Output<'a> {
    /// What its files are together.
    pub what: &'a str,
    /// The folder of its files; none are written without.
    pub folder: Option<&'a Path>,
    /// Their formats.
    pub formats: &'a [&'static Format],
    /// The document as JSON on stdout instead of tables.
    pub json: bool,
}

impl Output<'_> {
    /// Writes the files, then prints the document: whatever becomes of stdout, the files are there.
    pub fn show(&self, document: &mut Document) -> anyhow::Result<()> {
        if let Some(folder) = self.folder {
            let mut artifacts = Vec::new();
            for format in self.formats {
                artifacts.extend(render(document, format)?);
            }
            write(self.what, folder, &artifacts)?;
        }
        if self.json {
            print_json(document)
        } else {
            print(&document.terminal(TerminalStyle::detect()))
        }
    }
}

/// The path of a file in a folder. What a record says may be in its name, and records come from others too.
pub fn inside(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if stays_inside(Path::new(name)) {
        return Ok(folder.join(name));
    }
    bail!(refusal(
        format!(
            "`{name}` leads out of {}, and a run's records name it so",
            folder.display()
        ),
        "make that run anew",
    ))
}

/// Writes files into a folder, and says on stderr which: `what` is what they are together.
fn write(what: &str, folder: &Path, artifacts: &[Artifact]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        refusal(
            format!("cannot make {}", folder.display()),
            "choose another --out",
        )
    })?;
    for artifact in artifacts {
        let path = inside(folder, &artifact.name)?;
        write_file(&path, &artifact.bytes)?;
    }
    if !artifacts.is_empty() {
        let names: Vec<_> = artifacts.iter().map(|file| file.name.as_str()).collect();
        eprintln!("{what}: {} in {}", names.join(", "), folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_outside_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let artifact = |name: &str| Artifact {
            name: name.into(),
            bytes: b"text".to_vec(),
        };
        assert!(write("report", &out, &[artifact("summary.md")]).is_ok());
        for name in ["../away.md", "/away.md", "charts/../../away.svg"] {
            let error = write("report", &out, &[artifact(name)]).expect_err("it leads away");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(!folder.path().join("away.md").exists());
    }

    #[test]
    fn every_default_format_exists() {
        for names in [DEFAULT_FORMATS, FORMATS_WITHOUT_PAGE] {
            assert_eq!(named_formats(names).len(), names.split(',').count());
        }
    }
}
