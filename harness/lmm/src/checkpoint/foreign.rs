//! What lies in a folder or a repository in the place of weights that can be loaded, told by its name.

use std::path::Path;

use rave_hints::{Refusal, refusal};
use serde_json::Value;

use super::layout::{INDEX, SINGLE, some};
use crate::Error;

/// What PEFT writes beside an adapter.
pub(crate) const PEFT_CONFIG: &str = "adapter_config.json";
/// Its weights.
const PEFT_WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// Why pickles are refused.
pub(crate) fn pickle() -> Refusal {
    refusal(
        "a Torch pickle is not loaded: opening one runs code chosen by its author",
        "convert it to safetensors (in Python: safetensors.torch.save_file) and put model.safetensors beside config.json",
    )
}

/// Whether the files of a checkpoint are, or have beside them, an adapter that PEFT wrote.
pub(crate) fn is_peft(has: impl Fn(&str) -> bool) -> bool {
    has(PEFT_CONFIG) && PEFT_WEIGHTS.iter().any(|name| has(name))
}

/// Why such an adapter is refused: `transformers` would load the model that it was trained on, and change it by the adapter.
/// `contents` are those of its config.
pub(crate) fn peft(place: &Path, contents: &Value, is_beside_weights: bool) -> Error {
    let text = |key: &str| contents.get(key).and_then(Value::as_str);
    let base = text("base_model_name_or_path").unwrap_or("a model that it does not name");
    let kind = text("peft_type").map_or_else(String::new, |kind| format!(" ({kind})"));
    let apart = if is_beside_weights {
        ", or take the adapter's files out of this folder, for the model without it"
    } else {
        ""
    };
    Error::malformed(
        place,
        refusal(
            format!("a PEFT adapter{kind} of {base}, which is not applied here"),
            format!(
                "merge it into its base (in Python: merge_and_unload(), then save_pretrained) and give that folder{apart}"
            ),
        ),
    )
}

/// Why a checkpoint without safetensors under a name that is looked for is refused, given the names of its files. `hint` is for
/// one that has nothing like weights.
pub(crate) fn no_weights<'a>(
    place: &Path,
    names: &(impl Iterator<Item = &'a str> + Clone),
    hint: &str,
) -> Error {
    let find = |wanted: &dyn Fn(&str) -> bool| names.clone().find(|name| wanted(name));
    let refused = |name: &str, reason: Refusal| Error::malformed(&place.join(name), reason);
    let is_index = |name: &str| name.starts_with(&format!("{INDEX_STEM}.")) && name != INDEX;
    if let Some(name) = find(&|name| variant(name).is_some() || is_index(name)) {
        return refused(
            name,
            refusal(
                "a variant of the weights, which transformers loads when it is asked for by its name",
                "give a folder that has it as model.safetensors (with its index as model.safetensors.index.json)",
            ),
        );
    }
    if let Some(name) = find(&|name| has_extension(name, &["gguf"])) {
        return refused(
            name,
            refusal(
                "GGUF weights are not loaded beside a config.json",
                "use the safetensors of this model (or `rave import gguf`, where the file is a decoder of a SmolVLM)",
            ),
        );
    }
    if let Some(name) = find(&|name| name.starts_with("consolidated.")) {
        return refused(
            name,
            refusal(
                "the names of these weights are those of their authors' own code, not of transformers",
                "use a repository of this model in the layout of transformers",
            ),
        );
    }
    if let Some(name) = find(&is_pickle) {
        return refused(name, pickle());
    }
    let others: Vec<&str> = names
        .clone()
        .filter(|name| has_extension(name, &["safetensors"]) && !is_adapter(name))
        .collect();
    let looked_for = format!("{SINGLE} (or {INDEX} with its shards)");
    if let [first, ..] = others[..] {
        let reason = refusal(
            format!(
                "{looked_for} is missing, and weights are not looked for under other names (here {})",
                some(&others)
            ),
            format!("fetch the index too, or give a folder that has them as {SINGLE}"),
        );
        return refused(first, reason);
    }
    Error::Missing {
        folder: place.to_owned(),
        what: looked_for,
        hint: hint.to_owned(),
    }
}

/// What the names of all indices begin with.
const INDEX_STEM: &str = "model.safetensors.index";

/// The `V` of `model.V.safetensors`.
fn variant(name: &str) -> Option<&str> {
    let inner = name.strip_prefix("model.")?.strip_suffix(".safetensors")?;
    (!inner.is_empty()).then_some(inner)
}

/// Whether a file is a Torch pickle.
fn is_pickle(name: &str) -> bool {
    has_extension(name, &["bin", "pt", "pth", "ckpt"])
}

/// Whether a file holds the trained weights of one of our variants.
fn is_adapter(name: &str) -> bool {
    name.ends_with(".adapter.safetensors")
}

pub(super) fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let own = Path::new(name).extension();
    own.is_some_and(|own| extensions.iter().any(|extension| own == *extension))
}
