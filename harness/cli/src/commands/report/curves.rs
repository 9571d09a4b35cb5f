//! The training runs behind a report's variants, from a folder of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rave_hints::refusal;
use rave_reports::charts::Curve;
use rave_results::Summary;
use rave_results::training::read_rows;

use crate::commands::reporting::inside;

/// The curves of the summary's variants under `folder`, by seed in the order of the folders' names.
///
/// # Errors
/// A folder that cannot be read or holds no training run of these variants; a damaged file.
pub fn read(folder: &Path, summary: &Summary) -> anyhow::Result<Vec<Curve>> {
    let entries = fs::read_dir(folder).with_context(|| {
        refusal(
            format!("cannot read {}", folder.display()),
            "give the folder of training runs with --training",
        )
    })?;
    let mut seeds: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .path();
        if path.is_dir() {
            seeds.push(path);
        }
    }
    seeds.sort();
    let mut curves = Vec::new();
    for variant in &summary.variants {
        for seed in &seeds {
            let files = [
                inside(seed, &format!("{}.parquet", variant.id))?,
                inside(seed, &variant.id)?.join("training.parquet"),
            ];
            let Some(file) = files.into_iter().find(|file| file.is_file()) else {
                continue;
            };
            let name = seed.file_name().unwrap_or_default();
            curves.push(Curve {
                variant: variant.id.clone(),
                seed: name.to_string_lossy().into_owned(),
                rows: read_rows(&file)?,
            });
        }
    }
    if curves.is_empty() {
        bail!(refusal(
            format!(
                "{} holds no training run of this report's variants",
                folder.display()
            ),
            "give a folder with SEED/VARIANT.parquet or SEED/VARIANT/training.parquet",
        ));
    }
    Ok(curves)
}
