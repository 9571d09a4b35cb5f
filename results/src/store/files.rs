//! The small files of a run's folder: its header, and what people wrote beside it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::folder::Header;
use crate::Error;
use crate::schema::RunRecord;

/// Reads the header of a run's folder.
///
/// # Errors
/// No run of this kind there, a damaged file, or another version.
pub(crate) fn read_header<H: Header>(folder: &Path) -> Result<H, Error> {
    read_json(&folder.join(H::FILE), H::VERSION).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Error::NoRun {
            folder: folder.to_path_buf(),
            missing: H::FILE,
        },
        other => other,
    })
}

/// Reads a JSON document; `version` is the key of its version, where it has one, and the version that is read.
///
/// # Errors
/// A missing or damaged file, or another version.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    version: Option<(&'static str, u32)>,
) -> Result<T, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::reading(path, source))?;
    let invalid = |reason: String| Error::Json {
        path: path.to_path_buf(),
        reason,
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    if let Some((key, version)) = version {
        // The version first: a document of another version may lack fields, and that message would mislead.
        let found = value.get(key).and_then(serde_json::Value::as_u64);
        match found {
            Some(found) if found == u64::from(version) => {}
            Some(found) => {
                return Err(Error::Version {
                    path: path.to_path_buf(),
                    key,
                    found: u32::try_from(found).unwrap_or(u32::MAX),
                    version,
                });
            }
            None => return Err(invalid(format!("no {key}"))),
        }
    }
    serde_json::from_value(value).map_err(|error| invalid(error.to_string()))
}

/// `run.json`.
pub(crate) fn read_record(folder: &Path) -> Result<RunRecord, Error> {
    read_header(folder)
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

/// [`rave_files::replace`] with errors that name the file.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), Error>,
) -> Result<(), Error> {
    /// Of writing, or of the rest.
    enum Failed {
        Write(Error),
        System(io::Error),
    }
    impl From<io::Error> for Failed {
        fn from(source: io::Error) -> Self {
            Self::System(source)
        }
    }
    rave_files::replace(path, |file| write(file).map_err(Failed::Write)).map_err(|failed| {
        match failed {
            Failed::Write(error) => error,
            Failed::System(source) => Error::writing(path, source),
        }
    })
}
