//! From the folder given with `--data` to the parquet files of a suite's split.
//!
//! People keep copies of hub repositories in several shapes, and all of these are taken: the repository itself under any
//! name, a folder of repositories (`org/name`, `name`, `org--name`), a hub cache (`datasets--org--name/snapshots/...`); in a
//! repository, files in `data/`, in a folder a configuration, or in the hub's converted form `<config>/<split>/0000.parquet`.
//! What is taken is said in [`Selection::source`], above all when it is not what the suite names.

use crate::Error;
use crate::suite::Suite;
use rave_hub::{Origin, stays_inside};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders deeper than this are not searched: a link that leads back up must not be followed forever.
const DEEPEST: usize = 8;

/// Folder names that say nothing about the configuration.
const PLAIN_FOLDERS: [&str; 3] = ["data", "default", "parquet"];

/// The files to read.
#[derive(Debug)]
pub(super) struct Selection {
    /// The parquet files, in the order of their names.
    pub(super) files: Vec<PathBuf>,
    /// Where they lie.
    pub(super) root: PathBuf,
    /// Repository and commit, where that is a folder of a hub cache.
    pub(super) origin: Option<Origin>,
    /// Whether this is, by its name, configuration and split, the data set that the suite names.
    pub(super) is_published: bool,
    /// The split that is read.
    pub(super) split: String,
    /// Whether that is the one the suite names.
    pub(super) right_split: bool,
    /// One line that says what is read, and in what it differs from what the suite names.
    pub(super) source: String,
}

/// A parquet file and what its path says.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    config: Option<String>,
    split: String,
}

/// Chooses the files of `suite` below `data`.
pub(super) fn select(suite: &Suite, data: &Path) -> Result<Selection, Error> {
    let repository = suite
        .repositories
        .first()
        .map_or_else(|| format!("suite {}", suite.id), String::clone);
    let metadata = std::fs::metadata(data).map_err(|error| Error::DataFolder {
        path: data.to_owned(),
        reason: if error.kind() == std::io::ErrorKind::NotFound {
            "no such folder".to_owned()
        } else {
            error.to_string()
        },
        repository: repository.clone(),
    })?;
    if metadata.is_file() {
        let reason = "this is a file, not a folder".to_owned();
        return Err(Error::DataFolder {
            path: data.to_owned(),
            reason,
            repository,
        });
    }
    let (root, name) = repository_root(suite, data)?;
    let origin = Origin::of(&root);
    let mut paths = Vec::new();
    walk(&root, 0, &mut paths)?;
    paths.sort();
    if paths.is_empty() {
        return Err(Error::NoParquet {
            path: root,
            suite: suite.id.clone(),
            repository,
        });
    }
    let found: Vec<Found> = paths
        .into_iter()
        .map(|path| describe(&root, path))
        .collect();
    let mut notes = Vec::new();
    if name.is_none() && !suite.repositories.is_empty() {
        notes.push(format!(
            "the folder is not named as {repository}: taken for a data set of its own"
        ));
    }
    let (found, right_config) = choose_config(suite, &root, name.is_some(), found, &mut notes)?;
    let (found, right_split) = choose_split(suite, &root, found, &mut notes)?;
    if let Some(promised) = missing_shards(&found) {
        notes.push(format!(
            "{} of the {promised} files of the split are there",
            found.len()
        ));
    }
    let split = found
        .first()
        .map(|file| file.split.clone())
        .unwrap_or_default();
    let config = found.first().and_then(|file| file.config.clone());
    let files = format!("{} file(s)", found.len());
    let (published, files) = match &origin {
        Some(origin) => (
            Some(format!("{}@{}", origin.repository, origin.revision)),
            files,
        ),
        None => (name.clone(), format!("{files} in {}", root.display())),
    };
    let parts: Vec<String> = [published, config, Some(split.clone()), Some(files)]
        .into_iter()
        .flatten()
        .collect();
    let mut source = parts.join(", ");
    for note in &notes {
        source.push_str("; ");
        source.push_str(note);
    }
    Ok(Selection {
        files: found.into_iter().map(|file| file.path).collect(),
        root,
        origin,
        is_published: name.is_some() && right_config && right_split,
        split,
        right_split,
        source,
    })
}

/// The folder of the repository, and the repository's name if a folder is named after it.
fn repository_root(suite: &Suite, data: &Path) -> Result<(PathBuf, Option<String>), Error> {
    let own_name = data.canonicalize().ok().and_then(|path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    });
    // `snapshots/<commit>` of a hub cache is named by what it lies in.
    if let Some(origin) = Origin::of(data) {
        let mut names = suite.repositories.iter();
        let own = names.find(|name| name.eq_ignore_ascii_case(&origin.repository));
        return Ok((data.to_owned(), own.cloned()));
    }
    for repository in &suite.repositories {
        let (organisation, name) = repository.split_once('/').unwrap_or(("", repository));
        let flat = format!("{organisation}--{name}");
        let is_itself = own_name
            .as_ref()
            .is_some_and(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(&flat));
        // `DocVQA/DocVQA` is the repository with its configuration: the outer one is taken, so that both are in sight.
        if is_itself {
            return Ok((data.to_owned(), Some(repository.clone())));
        }
        if let Some(folder) = child(data, &format!("datasets--{flat}"))? {
            return Ok((snapshot(&folder)?, Some(repository.clone())));
        }
        let nested = match child(data, organisation)? {
            Some(folder) => child(&folder, name)?,
            None => None,
        };
        // A clone under another name shows itself by the configuration's folder.
        let clone = match &suite.config {
            Some(config) if !config.eq_ignore_ascii_case(name) => {
                child(data, config)?.map(|_| data.to_owned())
            }
            _ => None,
        };
        if let Some(folder) = nested
            .or(child(data, &flat)?)
            .or(clone)
            .or(child(data, name)?)
        {
            return Ok((folder, Some(repository.clone())));
        }
    }
    Ok((data.to_owned(), None))
}

/// The folder of that name in `folder`, whatever its case.
fn child(folder: &Path, name: &str) -> Result<Option<PathBuf>, Error> {
    let mut found: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .filter(|path| {
            path.file_name()
                .is_some_and(|own| own.to_string_lossy().eq_ignore_ascii_case(name))
        })
        .collect();
    // The exact spelling first.
    found.sort_by_key(|path| path.file_name().is_none_or(|own| own != name));
    Ok(found.into_iter().next())
}

/// The checked-out revision in a repository of a hub cache.
fn snapshot(repository: &Path) -> Result<PathBuf, Error> {
    let snapshots = repository.join("snapshots");
    if let Ok(revision) = std::fs::read_to_string(repository.join("refs").join("main")) {
        let folder = snapshots.join(revision.trim());
        if stays_inside(Path::new(revision.trim())) && folder.is_dir() {
            return Ok(folder);
        }
    }
    Ok(entries(&snapshots)?
        .into_iter()
        .rfind(|path| path.is_dir())
        .unwrap_or(snapshots))
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    for path in entries(folder)? {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            if depth < DEEPEST {
                walk(&path, depth + 1, found)?;
            }
        } else if is_parquet(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file is one to read, by its name.
pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// Of the parquet files that a repository has below `root`, those of the suite's configuration and split, and all of them.
pub(super) fn split_files(
    suite: &Suite,
    root: &Path,
    mut paths: Vec<PathBuf>,
) -> Result<Vec<PathBuf>, Error> {
    paths.sort();
    let refused = |what, wanted: &str, found: Vec<String>| Error::NoSuchPart {
        path: root.to_owned(),
        what,
        wanted: wanted.to_owned(),
        suite: suite.id.clone(),
        found: if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        },
    };
    let found: Vec<Found> = paths.into_iter().map(|path| describe(root, path)).collect();
    if found.is_empty() {
        return Err(refused("split", &suite.split, Vec::new()));
    }
    let (found, _) = choose_config(suite, root, true, found, &mut Vec::new())?;
    let splits: BTreeSet<String> = found.iter().map(|file| file.split.clone()).collect();
    let (found, right) = choose_split(suite, root, found, &mut Vec::new())?;
    if !right {
        return Err(refused("split", &suite.split, splits.into_iter().collect()));
    }
    if let Some(promised) = missing_shards(&found) {
        return Err(Error::Incomplete {
            path: root.to_owned(),
            split: suite.split.clone(),
            found: found.len(),
            promised,
        });
    }
    Ok(found.into_iter().map(|file| file.path).collect())
}

/// Reads configuration and split off the path of a file.
fn describe(root: &Path, path: PathBuf) -> Found {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut folders: Vec<String> = path
        .parent()
        .and_then(|parent| parent.strip_prefix(root).ok())
        .map(|parent| {
            parent
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    let split = if stem.chars().all(|character| character.is_ascii_digit()) {
        // The hub's converted form: the split is the folder.
        folders.pop().unwrap_or_default()
    } else {
        stem.split(['-', '.']).next().unwrap_or_default().to_owned()
    };
    let config = folders
        .into_iter()
        .rfind(|folder| !PLAIN_FOLDERS.contains(&folder.to_lowercase().as_str()));
    Found {
        path,
        config,
        split,
    }
}

/// Keeps the files of the suite's configuration; the flag says whether it is the one named.
fn choose_config(
    suite: &Suite,
    root: &Path,
    named: bool,
    found: Vec<Found>,
    notes: &mut Vec<String>,
) -> Result<(Vec<Found>, bool), Error> {
    let own_name = root
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let is_wanted = |file: &Found| match (&suite.config, &file.config) {
        (Some(wanted), Some(config)) => config.eq_ignore_ascii_case(wanted),
        (Some(wanted), None) => own_name
            .as_ref()
            .is_some_and(|own| own.eq_ignore_ascii_case(wanted)),
        (None, config) => config.is_none(),
    };
    if found.iter().any(is_wanted) {
        return Ok((found.into_iter().filter(is_wanted).collect(), true));
    }
    let configs: BTreeSet<Option<String>> = found.iter().map(|file| file.config.clone()).collect();
    // A repository under its own name without the configuration is an incomplete copy; a single configuration of some
    // other data set in the same columns is what the user pointed at.
    if configs.len() > 1 || (named && suite.config.is_some()) {
        let found = configs
            .into_iter()
            .map(|config| config.unwrap_or_else(|| "files of no configuration".to_owned()));
        return Err(Error::NoSuchPart {
            path: root.to_owned(),
            what: if suite.config.is_some() {
                "configuration"
            } else {
                "data set"
            },
            wanted: suite
                .config
                .clone()
                .unwrap_or_else(|| suite.repositories.join("` or `")),
            suite: suite.id.clone(),
            found: found.collect::<Vec<_>>().join(", "),
        });
    }
    if let Some(Some(config)) = configs.into_iter().next() {
        notes.push(format!(
            "configuration `{config}` taken, the only one there"
        ));
    }
    Ok((found, false))
}

/// Keeps the files of the suite's split; the flag says whether it is the one named.
fn choose_split(
    suite: &Suite,
    root: &Path,
    found: Vec<Found>,
    notes: &mut Vec<String>,
) -> Result<(Vec<Found>, bool), Error> {
    let wanted = canonical_split(&suite.split);
    if found
        .iter()
        .any(|file| canonical_split(&file.split) == wanted)
    {
        return Ok((
            found
                .into_iter()
                .filter(|file| canonical_split(&file.split) == wanted)
                .collect(),
            true,
        ));
    }
    let splits: BTreeSet<&str> = found.iter().map(|file| file.split.as_str()).collect();
    if splits.len() > 1 {
        return Err(Error::NoSuchPart {
            path: root.to_owned(),
            what: "split",
            wanted: suite.split.clone(),
            suite: suite.id.clone(),
            found: splits.into_iter().collect::<Vec<_>>().join(", "),
        });
    }
    if let Some(split) = splits.first() {
        notes.push(format!(
            "split `{split}` taken in place of `{}`, the only one there",
            suite.split
        ));
    }
    Ok((found, false))
}

fn canonical_split(split: &str) -> String {
    match split.to_lowercase().as_str() {
        "val" | "valid" | "dev" => "validation".to_owned(),
        other => other.to_owned(),
    }
}

/// `validation-00002-of-00006`: how many files the names promise, when fewer are there.
fn missing_shards(found: &[Found]) -> Option<usize> {
    let promised = found.iter().filter_map(|file| {
        let stem = file.path.file_stem()?.to_string_lossy().into_owned();
        let (_, after) = stem.split_once("-of-")?;
        after.split('-').next()?.parse::<usize>().ok()
    });
    promised.max().filter(|&promised| promised > found.len())
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
