//! The files of a run's folder: `run.json`, and how any of them is replaced so that a reader never sees a half.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Error;
use crate::schema::{RunRecord, SCHEMA_VERSION};

/// The record's name in a run's folder.
pub(super) const RECORD: &str = "run.json";

pub(crate) fn read_record(folder: &Path) -> Result<RunRecord, Error> {
    let path = folder.join(RECORD);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoRun {
                folder: folder.to_path_buf(),
                missing: RECORD,
            });
        }
        Err(error) => return Err(Error::reading(&path, error)),
    };
    let invalid = |error: serde_json::Error| Error::Json {
        path: path.clone(),
        reason: error.to_string(),
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(invalid)?;
    // The version first: a record of another version may lack fields, and that message would mislead.
    let found = value
        .get("schema_version")
        .and_then(serde_json::Value::as_u64);
    match found {
        Some(found) if found == u64::from(SCHEMA_VERSION) => {}
        Some(found) => {
            return Err(Error::SchemaVersion {
                path,
                found: u32::try_from(found).unwrap_or(u32::MAX),
            });
        }
        None => {
            return Err(Error::Json {
                path: path.clone(),
                reason: "no schema_version".into(),
            });
        }
    }
    serde_json::from_value(value).map_err(invalid)
}

/// What people have found out about a run since, in its folder: a remark a line, empty lines apart.
pub(super) const REMARKS: &str = "remarks.txt";

/// The remarks in a run's folder; none where it has no [`REMARKS`].
pub(super) fn read_remarks(folder: &Path) -> Result<Vec<String>, Error> {
    let path = folder.join(REMARKS);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let lines = text.lines().map(str::trim);
            Ok(lines
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::reading(&path, error)),
    }
}

pub(super) fn write_record(folder: &Path, record: &RunRecord) -> Result<(), Error> {
    replace_json(&folder.join(RECORD), record)
}

/// Writes a JSON document for people and programs, as [`replace_file`] does.
pub(crate) fn replace_json(path: &Path, document: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(document).map_err(|error| Error::Json {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    text.push('\n');
    replace_file(path, |file| {
        file.write_all(text.as_bytes())
            .map_err(|source| Error::writing(path, source))
    })
}

/// Writes a file so that a reader sees the old or the new one: temporary name, synchronise, rename.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), Error>,
) -> Result<(), Error> {
    let temporary = temporary_name(path);
    let mut file = File::create(&temporary).map_err(|source| Error::writing(path, source))?;
    let written = write(&mut file).and_then(|()| {
        file.sync_all()
            .map_err(|source| Error::writing(path, source))
    });
    if let Err(error) = written {
        // The half-written file is of no use; if even this fails, the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    commit_file(path)
}

pub(super) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Puts the synchronised temporary file in the place of `path`, and makes the renaming durable.
pub(super) fn commit_file(path: &Path) -> Result<(), Error> {
    fs::rename(temporary_name(path), path).map_err(|source| Error::writing(path, source))?;
    if let Some(folder) = path.parent()
        && let Ok(handle) = File::open(folder)
    {
        // Some file systems cannot synchronise a folder; the file itself is safe either way.
        let _ = handle.sync_all();
    }
    Ok(())
}
