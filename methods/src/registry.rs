//! Variants by name: those of [`REGISTRY`], and users' own presets, read from a file.

use std::path::Path;

use rave_hints::{Refusal, did_you_mean, refusal};

use crate::{Error, REGISTRY, Variant, nearest};

/// The registered variant with this id.
///
/// # Errors
/// [`Error::UnknownVariant`] with the nearest id.
pub fn variant(id: &str) -> Result<&'static Variant, Error> {
    REGISTRY
        .iter()
        .find(|variant| variant.id == id)
        .ok_or_else(|| Error::UnknownVariant {
            id: id.to_owned(),
            nearest: nearest(id, REGISTRY.iter().map(|variant| variant.id)).map(str::to_owned),
        })
}

/// A user's preset from a TOML file: `method` and its options, and perhaps `id` (by default the file's name) and `summary`.
///
/// ```toml
/// summary = "RAVE in the upper half, rank 4"
/// method = "rave"
/// rank = 4
/// layers = { first = 15, last = 29, of = 30 }
/// ```
/// A variant lives as long as the program, as those of the registry do; a preset is read once a mention on a command line.
///
/// # Errors
/// [`Error::Preset`] for a file that cannot be read, an unknown method or option, and an id that the registry has.
pub fn preset(path: &Path) -> Result<&'static Variant, Error> {
    preset_among(REGISTRY, path)
}

/// A [`preset`] of a method that one of these variants has, under an id that none of them has: for a table with methods of
/// another crate.
///
/// # Errors
/// As [`preset`].
pub fn preset_among(variants: &[Variant], path: &Path) -> Result<&'static Variant, Error> {
    let refuse = |reason: Refusal| Error::Preset {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        refuse(refusal(
            error.to_string(),
            "give a TOML file with `method` and its options",
        ))
    })?;
    let mut table: toml::Table = toml::from_str(&text).map_err(|error| {
        let reason = error.to_string();
        refuse(refusal(
            reason.trim_end(),
            "give a TOML file with `method` and its options",
        ))
    })?;
    let mut text_of = |key: &str| match table.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(value)) => Ok(Some(value)),
        Some(other) => Err(refuse(
            format!("`{key}` must be a text, not {other}").into(),
        )),
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let id = text_of("id")?.unwrap_or_else(|| stem.into_owned());
    let summary = text_of("summary")?.unwrap_or_else(|| format!("the preset {id}"));
    let method = text_of("method")?;
    let wordly =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if id.is_empty() || !id.chars().all(wordly) {
        return Err(refuse(refusal(
            format!("the id `{id}` is not possible"),
            "use lower-case letters, digits and hyphens (`id = \"..\"`)",
        )));
    }
    if variants.iter().any(|variant| variant.id == id) {
        return Err(refuse(refusal(
            format!("the id `{id}` is a registered variant's"),
            "choose another (`id = \"..\"`)",
        )));
    }
    let Some(method) = method else {
        let one_of = format!("choose one of {}", method_names(variants).join(", "));
        return Err(refuse(refusal("`method` is missing", one_of)));
    };
    let Some(known) = (variants.iter()).find(|variant| variant.method.name() == method) else {
        let names = method_names(variants);
        let near = nearest(&method, names.iter().copied());
        let one_of = format!("choose one of {}", names.join(", "));
        return Err(refuse(refusal(
            format!("unknown method `{method}`"),
            did_you_mean(near, &one_of),
        )));
    };
    let method = known.method.read(table);
    let method = method.map_err(|error| refuse(error.message().into()))?;
    Ok(Box::leak(Box::new(Variant {
        id: Box::leak(id.into_boxed_str()),
        version: 1,
        summary: Box::leak(summary.into_boxed_str()),
        method: Box::leak(method),
    })))
}

/// The methods as presets name them, each once, in the order of the table.
fn method_names(variants: &[Variant]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for variant in variants {
        if !names.contains(&variant.method.name()) {
            names.push(variant.method.name());
        }
    }
    names
}
