//! Where a checkpoint keeps its chat template.
//!
//! Source: `ProcessorMixin.get_processor_dict` of `transformers` 5.23, `processing_utils.py`: the key in `processor_config.json`
//! stands over `chat_template.json`, that over `chat_template.jinja`, that over `additional_chat_templates/default.jinja`.
//! Deviations: the key in `tokenizer_config.json`, which only the tokenizer of `transformers` reads, is the last place; named
//! templates may stand as a list in every place.

use std::path::{Path, PathBuf};

use rave_hints::refusal;
use serde_json::{Map, Value};

use crate::checkpoint::read_json;
use crate::{Checkpoint, Error};

/// Further templates by name, one a file.
const FOLDER: &str = "additional_chat_templates";

/// The one of several templates that is for chat.
const DEFAULT: &str = "default";

/// The template's file and text.
pub(super) fn find(checkpoint: &Checkpoint) -> Result<(PathBuf, String), Error> {
    let processor = checkpoint.path("processor_config.json");
    if let Some(source) = key(&processor)? {
        return Ok((processor, source));
    }
    let additional = additional_templates(&checkpoint.path(FOLDER));
    let path = checkpoint.path("chat_template.json");
    if path.is_file() {
        if let Some(name) = additional.first() {
            let reason = refusal(
                format!(
                    "there is {FOLDER}/{name} too, and transformers opens no checkpoint with both"
                ),
                "keep one of them, or use chat_template.jinja",
            );
            return Err(Error::malformed(&path, reason));
        }
        let missing = refusal("it has no chat_template", "fetch it again");
        let source = key(&path)?.ok_or_else(|| Error::malformed(&path, missing))?;
        return Ok((path, source));
    }
    let default = format!("{FOLDER}/{DEFAULT}.jinja");
    for name in ["chat_template.jinja", &default] {
        let path = checkpoint.path(name);
        if path.is_file() {
            let source = Error::read_text(&path)?;
            return Ok((path, source));
        }
    }
    if !additional.is_empty() {
        return Err(several(&checkpoint.path(FOLDER), &additional));
    }
    let tokenizer = checkpoint.path("tokenizer_config.json");
    match key(&tokenizer)? {
        Some(source) => Ok((tokenizer, source)),
        None => Err(Error::Missing {
            folder: checkpoint.folder().to_owned(),
            what: "a chat template (chat_template.jinja, or the key chat_template in another file)"
                .into(),
            hint: "fetch it with the checkpoint; base models without one cannot be asked questions"
                .into(),
        }),
    }
}

/// The template under `chat_template` in a JSON file, where there is one.
fn key(path: &Path) -> Result<Option<String>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut file = read_json(path)?;
    match file.get_mut("chat_template").map(Value::take) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(source)),
        Some(Value::Object(named)) => default_template(path, named).map(Some),
        Some(Value::Array(list)) => {
            let named = list.into_iter().filter_map(|mut entry| {
                let name = entry.get("name")?.as_str()?.to_owned();
                Some((name, entry.get_mut("template")?.take()))
            });
            default_template(path, named.collect()).map(Some)
        }
        Some(_) => Err(Error::malformed(
            path,
            refusal("chat_template is no text", "fetch it again"),
        )),
    }
}

/// The one of several named templates that is for chat.
fn default_template(path: &Path, mut named: Map<String, Value>) -> Result<String, Error> {
    if let Some(Value::String(source)) = named.remove(DEFAULT) {
        return Ok(source);
    }
    let names: Vec<_> = named.into_iter().map(|(name, _)| name).collect();
    Err(several(path, &names))
}

fn several(path: &Path, names: &[String]) -> Error {
    let reason = refusal(
        format!(
            "of its chat templates ({}) none is named {DEFAULT}",
            names.join(", ")
        ),
        "give the one for chat that name",
    );
    Error::malformed(path, reason)
}

/// Names of the templates in the folder of additional ones, in order.
fn additional_templates(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|end| end == "jinja")
        })
        .collect();
    names.sort();
    names
}
