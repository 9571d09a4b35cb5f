//! `attention.json`: where the attention behind one sample's answers lay on the picture, token by token, a map a variant.
//!
//! `rave attend` writes it beside its pictures. A folder of maps holds one of them, or a folder with one for every sample.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::store::files::replace_json;

/// The file's name.
pub const MAPS: &str = "attention.json";
/// The version of the file that this library writes and reads.
pub const MAPS_VERSION: u32 = 1;

/// The maps of one sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttentionMaps {
    /// [`MAPS_VERSION`] of the writer.
    pub maps_version: u32,
    /// The model's name.
    pub model: String,
    /// The suite's id; `None` where the picture was a file.
    pub suite: Option<String>,
    /// The sample's id within the suite.
    pub sample: Option<String>,
    /// The training seed that was asked for.
    pub seed: Option<u64>,
    /// The layer, from 0; `None` is the mean over all.
    pub layer: Option<usize>,
    /// The query head, from 0; `None` is the mean over all.
    pub head: Option<usize>,
    /// One a variant.
    pub variants: Vec<VariantMap>,
}

/// The map of one variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VariantMap {
    /// The variant's id.
    pub variant: String,
    /// The part of the picture that each visual token stands for (left, top, right, bottom, as shares of width and height)
    /// and its share of the attention on the picture.
    pub tokens: Vec<([f32; 4], f64)>,
}

/// Writes the maps of a sample into a folder.
///
/// # Errors
/// A file that cannot be written, naming it.
pub fn write_maps(folder: &Path, maps: &AttentionMaps) -> Result<(), Error> {
    replace_json(&folder.join(MAPS), maps)
}

/// The maps in a folder and in the folders within it, in the order of their names.
///
/// # Errors
/// A folder that cannot be read or holds none; a damaged file, or one of another version.
pub fn read_maps(folder: &Path) -> Result<Vec<AttentionMaps>, Error> {
    let failed = |source| Error::reading(folder, source);
    let mut files: Vec<PathBuf> = vec![folder.join(MAPS)];
    for entry in fs::read_dir(folder).map_err(failed)? {
        files.push(entry.map_err(failed)?.path().join(MAPS));
    }
    files.retain(|path| path.is_file());
    files.sort();
    if files.is_empty() {
        let reason = format!(
            "no {MAPS} in it or in a folder of it; rave attend --suite S --sample N --out DIR writes one"
        );
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, reason)));
    }
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<AttentionMaps, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::reading(path, source))?;
    let invalid = |reason: String| Error::Json {
        path: path.to_path_buf(),
        reason,
    };
    let maps: AttentionMaps =
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    if maps.maps_version != MAPS_VERSION {
        return Err(Error::Version {
            path: path.to_path_buf(),
            key: "maps_version",
            found: maps.maps_version,
            version: MAPS_VERSION,
        });
    }
    Ok(maps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_back_from_a_folder_and_from_folders_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read_maps(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("rave attend"), "{missing}");
        let maps = |sample: &str| AttentionMaps {
            maps_version: MAPS_VERSION,
            model: "nano".into(),
            suite: Some("embedded-ocr".into()),
            sample: Some(sample.into()),
            variants: vec![VariantMap {
                variant: "rave".into(),
                tokens: vec![([0.0, 0.0, 0.5, 1.0], 0.25)],
            }],
            ..AttentionMaps::default()
        };
        let within = folder.path().join("b");
        fs::create_dir(&within).unwrap();
        write_maps(&within, &maps("b")).unwrap();
        write_maps(folder.path(), &maps("a")).unwrap();
        assert_eq!(read_maps(folder.path()).unwrap(), [maps("a"), maps("b")]);
        let newer = AttentionMaps {
            maps_version: 2,
            ..maps("a")
        };
        write_maps(&within, &newer).unwrap();
        let refused = read_maps(folder.path()).unwrap_err().to_string();
        assert!(
            refused.contains("version 2") && refused.contains("attention.json"),
            "{refused}"
        );
    }
}
