//! What runs of every kind record of the program, the variants, the checkpoints and what failed.

use std::path::Path;

use rave_lmm::{ModelInfo, libtorch};
use rave_methods::Variant;
use rave_results::schema::{
    Failure, FailureKind, GenerationRecord, Libraries, ModelRecord, VariantConfiguration,
};

use crate::Error;

/// The `tch` that is pinned in the workspace's `Cargo.toml`; a test reads the lock file.
const TCH: &str = "0.24.0";

/// The configuration record of a variant.
pub(crate) fn variant(variant: &Variant) -> VariantConfiguration {
    let options = match variant.options() {
        serde_json::Value::Object(map) => map.into_iter().collect(),
        other => [("method".to_owned(), other)].into(),
    };
    VariantConfiguration {
        id: variant.id.to_owned(),
        version: variant.version,
        options,
        trainable: variant.is_trained(),
    }
}

/// The record of one loaded checkpoint.
pub(crate) fn checkpoint(info: &ModelInfo) -> ModelRecord {
    let origin = info.origin.as_ref();
    ModelRecord {
        name: info.name.clone(),
        source: origin.map_or_else(
            || info.name.clone(),
            |origin| format!("{}@{}", origin.repository, origin.revision),
        ),
        repository: origin.map(|origin| origin.repository.clone()),
        revision: origin.map(|origin| origin.revision.clone()),
        sha256: info.sha256.clone(),
        files: info.files.clone(),
        family: info.family.to_owned(),
        parameters: info.parameters,
        untrained: info.untrained,
        generation: Some(GenerationRecord {
            file: info.generation.file.clone(),
            applied: info.generation.applied.clone(),
            ignored: info.generation.ignored.clone(),
            unknown: info.generation.unknown.clone(),
        }),
        ..ModelRecord::default()
    }
}

/// Why there is no answer.
pub(crate) fn failed(error: &rave_lmm::Error) -> Failure {
    Failure::new(kind(error), error.with_hint())
}

/// What a failure is counted by.
fn kind(error: &rave_lmm::Error) -> FailureKind {
    use rave_lmm::Error;
    match error {
        Error::Picture { .. } => FailureKind::Image,
        Error::Prompt(_) => FailureKind::Prompt,
        Error::NotFinite { .. } => FailureKind::NotFinite,
        Error::Deadline => FailureKind::Timeout,
        error if error.is_out_of_memory() => FailureKind::OutOfMemory,
        Error::Torch(_) | Error::Variant(rave_methods::Error::Torch(_)) => FailureKind::Torch,
        _ => FailureKind::Model,
    }
}

/// The versions of what does the arithmetic.
pub(crate) fn libraries() -> Libraries {
    Libraries {
        libtorch: Some(libtorch::VERSION.to_owned()),
        tch: Some(TCH.to_owned()),
        rustc: Some(env!("RAVE_RUSTC").to_owned()).filter(|version| !version.is_empty()),
    }
}

/// Refuses an adapter where it is not plain which variant it is for.
pub(crate) fn check_adapter(variants: &[&'static Variant], has_adapter: bool) -> Result<(), Error> {
    let trained = variants.iter().filter(|variant| variant.is_trained());
    if has_adapter && trained.count() != 1 {
        return Err(Error::refused(
            "--adapter needs exactly one trained variant in --variant",
        ));
    }
    Ok(())
}

/// The name of a run: that of its folder.
pub fn run_name(folder: &Path) -> String {
    folder.file_name().map_or_else(
        || "run".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_recorded_failure_keeps_its_hint() {
        let failure = failed(&rave_lmm::Error::Deadline);
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert_eq!(
            failure.detail,
            "it took longer than allowed; allow more time, fewer new tokens, or fewer or smaller pictures"
        );
    }

    #[test]
    fn the_recorded_tch_is_the_locked_one() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let text = fs::read_to_string(lock).expect("the workspace has a lock file");
        let entry = format!("name = \"tch\"\nversion = \"{TCH}\"\n");
        assert!(
            text.contains(&entry),
            "Cargo.lock has another tch than {TCH}"
        );
    }

    #[test]
    fn the_compiler_is_known() {
        assert!(env!("RAVE_RUSTC").starts_with("rustc 1."));
    }
}
