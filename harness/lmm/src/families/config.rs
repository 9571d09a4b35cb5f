//! `config.json` of any family, read as `transformers` reads it: which classes it and its parts are, what they fill in, and what
//! is refused from it alone, before a weight is looked at.

use std::path::{Path, PathBuf};

use rave_hints::{Refusal, refusal};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::quantised;
use crate::families::classes::{self, ConfigPart, Whole};
use crate::nn::decoder::{DecoderConfig, Style};
use crate::{Checkpoint, Error};

/// A config whose classes have filled in what it leaves out.
#[derive(Debug, Clone)]
pub(crate) struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// The keys of the whole that are read.
    pub whole: Value,
    pub vision: Value,
    /// The class of the tower.
    pub vision_class: &'static str,
    pub decoder: DecoderConfig,
    /// What distinguishes the decoder.
    pub style: Style,
    /// Whether the head shares the embeddings' weight.
    pub tied: bool,
}

impl ConfigFile {
    /// Reads the config of a checkpoint.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Self, Error> {
        Self::read(checkpoint.folder(), checkpoint.config())
    }

    /// Reads the config of the checkpoint in `folder`.
    ///
    /// # Errors
    /// A model that is none of the families, a quantised one, and any key that is damaged or not supported, by name.
    pub(super) fn read(folder: &Path, file: &Value) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let whole = whole(&path, file)?;
        if let Some(reason) = quantised::refused(folder, file) {
            return Err(Error::malformed(&path, reason));
        }
        Self::parts(&path, &whole, file).map_err(|reason| malformed(&path, &reason))
    }

    fn parts(path: &Path, whole: &Whole, file: &Value) -> Result<Self, String> {
        let own = classes::config(whole.class).fill(file)?;
        let flat = whole.flat.then_some(file);
        let (text_class, text) = part("text_config", &whole.text, file, flat)?;
        let (vision_class, vision) = part("vision_config", &whole.vision, file, None)?;
        let says_tied = |part: &Value| part["tie_word_embeddings"] == true;
        let tied = says_tied(&own) || whole.lifts_tie && says_tied(&text);
        let style = style(text_class);
        let decoder: DecoderConfig =
            serde_json::from_value(text).map_err(|error| format!("text_config: {error}"))?;
        if let Some(reason) = decoder.unsupported(&style) {
            return Err(reason);
        }
        Ok(Self {
            path: path.to_owned(),
            whole: own,
            vision,
            vision_class,
            decoder,
            style,
            tied,
        })
    }

    /// Some of its keys.
    ///
    /// # Errors
    /// A key whose value is of another type.
    pub(crate) fn parse<T: DeserializeOwned>(&self, keys: &Value) -> Result<T, Error> {
        serde_json::from_value(keys.clone()).map_err(|error| self.malformed(&error.to_string()))
    }

    /// A config that says something that cannot be.
    pub(crate) fn malformed(&self, reason: &str) -> Error {
        malformed(&self.path, reason)
    }
}

fn malformed(path: &Path, reason: &str) -> Error {
    Error::malformed(
        path,
        refusal(
            reason,
            "use the config that was saved with the weights, or another checkpoint",
        ),
    )
}

/// The class of a part and its keys that are read; `flat` is where they stand when the config has no such part.
fn part(
    key: &str,
    part: &ConfigPart,
    file: &Value,
    flat: Option<&Value>,
) -> Result<(&'static str, Value), String> {
    let own = file.get(key).filter(|own| !own.is_null());
    if own.is_some_and(|own| !own.is_object()) {
        return Err(format!("{key} is no object"));
    }
    let content = own.or(flat).unwrap_or(&part.where_absent);
    let model_type = own.and_then(|own| own.get("model_type")?.as_str());
    let class = match (part.classes, model_type) {
        ([only], _) => only,
        ([first, ..], None) => first,
        (several, Some(model_type)) => several
            .iter()
            .find(|(name, _)| *name == model_type)
            .ok_or_else(|| {
                let names: Vec<_> = several.iter().map(|(name, _)| *name).collect();
                format!(
                    "{key}.model_type `{model_type}` is not supported by this family; {} are",
                    names.join(", ")
                )
            })?,
        ([], _) => return Err(format!("{key} has no class")),
    };
    let filled = classes::config(class.1).fill(content);
    Ok((class.1, filled.map_err(|reason| format!("{key}.{reason}"))?))
}

/// What distinguishes the decoder of a class.
fn style(class: &str) -> Style {
    let biased = Style {
        input_bias: true,
        ..Style::default()
    };
    match class {
        "Qwen2Config" => biased,
        "Qwen2VLTextConfig" | "Qwen2_5_VLTextConfig" => Style {
            derives_width: true,
            sections: Some([16, 24, 24]),
            ..biased
        },
        "Qwen3VLTextConfig" => Style {
            head_norms: true,
            interleaved: true,
            sections: Some([24, 20, 20]),
            ..Style::default()
        },
        _ => Style::default(),
    }
}

/// The class of a config, by its `model_type`.
pub(super) fn whole(path: &Path, file: &Value) -> Result<Whole, Error> {
    let model_type = file.get("model_type").and_then(Value::as_str);
    if let Some(reason) = other_format(file, model_type) {
        return Err(Error::malformed(path, reason));
    }
    let Some(model_type) = model_type else {
        return Err(Error::malformed(
            path,
            refusal(
                "the key `model_type` is missing: this is no model config of transformers",
                "give the folder of a whole checkpoint",
            ),
        ));
    };
    let all = classes::wholes();
    let supported: Vec<_> = all.iter().map(|whole| whole.model_type).collect();
    let found = all.iter().find(|whole| whole.model_type == model_type);
    found.cloned().ok_or_else(|| Error::UnknownFamily {
        path: path.to_owned(),
        model_type: model_type.to_owned(),
        nearest: rave_methods::nearest(model_type, supported.iter().copied())
            .filter(|nearest| may_be(file, nearest))
            .map(str::to_owned),
        supported: supported.into_iter().map(str::to_owned).collect(),
    })
}

/// Whether a config can be of this `model_type`, by the name of its model: `qwen3_5` is no misspelt `qwen3_vl`.
fn may_be(file: &Value, model_type: &str) -> bool {
    let letters = |text: &str| text.replace('_', "").to_lowercase();
    let prefix = letters(model_type) + "for";
    first_architecture(file).is_none_or(|name| letters(name).starts_with(&prefix))
}

/// The name of the model that a config is of.
fn first_architecture(file: &Value) -> Option<&str> {
    file.get("architectures")?.get(0)?.as_str()
}

/// What a config is that is not one of a model of pictures in the layout of `transformers`, and where to find one that is.
fn other_format(file: &Value, model_type: Option<&str>) -> Option<Refusal> {
    let name = first_architecture(file).unwrap_or_default();
    let is_original = file.get("mm_vision_tower").is_some()
        || name.starts_with("Llava") && name.ends_with("ForCausalLM");
    if is_original {
        return Some(refusal(
            format!(
                "this is a LLaVA in the format of its authors (model_type `{}`, {name}), whose tensors have other names",
                model_type.unwrap_or_default()
            ),
            "use its \
             conversion for transformers, of llava-hf on the hub, whose name ends in -hf (llava-hf/llava-1.5-7b-hf of \
             liuhaotian/llava-v1.5-7b)",
        ));
    }
    let is_known = classes::wholes()
        .iter()
        .any(|whole| Some(whole.model_type) == model_type);
    let has_pictures = file.as_object().is_some_and(|file| {
        file.keys()
            .any(|key| key.contains("vision") || key.contains("image") || key.contains("visual"))
    });
    (!is_known && name.ends_with("ForCausalLM") && !has_pictures).then(|| {
        let wholes = classes::wholes();
        let names: Vec<&str> = wholes.iter().map(|whole| whole.model_type).collect();
        refusal(
            format!(
                "this is a language model without pictures (model_type `{}`, {name})",
                model_type.unwrap_or_default()
            ),
            format!(
                "choose a checkpoint of a model that sees, of one of: {}",
                names.join(", ")
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn read(file: &Value) -> Result<ConfigFile, String> {
        ConfigFile::read(Path::new("/models/some"), file).map_err(|error| error.with_hint())
    }

    #[test]
    fn parts_that_are_absent_empty_or_flat_are_filled_in_as_there() {
        let decoder = |file: &Value| read(file).unwrap().decoder;
        let absent = decoder(&json!({ "model_type": "smolvlm" }));
        assert_eq!((absent.hidden_size, absent.rms_norm_eps), (4_096, 1e-5));
        let empty = decoder(&json!({ "model_type": "smolvlm", "text_config": {} }));
        assert_eq!((empty.hidden_size, empty.rms_norm_eps), (4_096, 1e-6));
        let mistral = json!({ "model_type": "llava", "text_config": { "model_type": "mistral" } });
        assert_eq!(decoder(&mistral).num_key_value_heads, Some(8));
        let qwen = |model_type: &str| {
            let file = json!({
                "model_type": model_type, "hidden_size": 256, "num_attention_heads": 2, "num_key_value_heads": 1,
            });
            read(&file).map(|config| config.decoder.hidden_size)
        };
        assert_eq!(qwen("qwen2_vl").unwrap(), 256);
        assert_eq!(qwen("qwen3_vl").unwrap(), 4_096);
        let tower = read(&json!({ "model_type": "llava" })).unwrap().vision;
        assert_eq!(
            (&tower["hidden_size"], &tower["image_size"]),
            (&json!(1_024), &json!(336))
        );
        let tower = read(&json!({ "model_type": "llava", "vision_config": {} })).unwrap();
        assert_eq!(tower.vision["hidden_size"], 768);
        let other = json!({ "model_type": "llava", "image_token_id": 7, "image_token_index": 8 });
        assert_eq!(read(&other).unwrap().whole["image_token_index"], 7);
    }

    #[test]
    fn ties_count_where_the_family_looks_for_them() {
        let tied = |model_type: &str, top: bool, text: bool| {
            let file = json!({
                "model_type": model_type, "tie_word_embeddings": top, "text_config": { "tie_word_embeddings": text },
            });
            read(&file).unwrap().tied
        };
        for whole in classes::wholes() {
            let name = whole.model_type;
            assert!(tied(name, true, false), "{name}");
            assert!(!tied(name, false, false), "{name}");
            let lifted = !["smolvlm", "idefics3", "qwen3_vl"].contains(&name);
            assert_eq!(tied(name, false, true), lifted, "{name}");
        }
    }

    #[test]
    fn only_a_misspelt_family_is_corrected() {
        let message = |model_type: &str, name: &str| {
            read(&json!({ "model_type": model_type, "architectures": [name] })).unwrap_err()
        };
        let misspelt = message("qwen3_lv", "Qwen3VLForConditionalGeneration");
        assert!(misspelt.contains("did you mean `qwen3_vl`"), "{misspelt}");
        for (model_type, name) in [
            ("qwen3_5", "Qwen3_5ForConditionalGeneration"),
            ("qwen3_vl_moe", "Qwen3VLMoeForConditionalGeneration"),
            ("llava_next", "LlavaNextForConditionalGeneration"),
        ] {
            let other = message(model_type, name);
            assert!(!other.contains("did you mean"), "{other}");
            assert!(
                other.contains(&format!("`{model_type}` is not supported")),
                "{other}"
            );
        }
    }

    #[test]
    fn what_is_no_checkpoint_of_a_family_is_refused_by_what_it_is() {
        for (file, parts) in [
            (
                json!({ "model_type": "llava", "vision_config": { "model_type": "pixtral" } }),
                ["vision_config.model_type `pixtral`", "clip_vision_model"],
            ),
            (
                json!({ "model_type": "llava", "text_config": { "model_type": "phi3" } }),
                ["text_config.model_type `phi3`", "mistral"],
            ),
            (
                json!({ "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"] }),
                ["a language model without pictures", "qwen2_vl"],
            ),
            (
                json!({
                    "model_type": "llava_llama", "architectures": ["LlavaLlamaForCausalLM"], "mm_vision_tower": "openai/clip",
                }),
                ["format of its authors", "-hf"],
            ),
            (
                json!({ "model_type": "llava", "architectures": ["LlavaLlamaForCausalLM"] }),
                ["LlavaLlamaForCausalLM", "-hf"],
            ),
            (
                json!({ "model_type": "llava", "text_config": { "is_causal": false } }),
                ["text_config.is_causal false", "true is"],
            ),
            (
                json!({ "model_type": "qwen2_vl", "head_dim": 64, "text_config": { "head_dim": 64 } }),
                ["head_dim 64", "128"],
            ),
            (
                json!({ "model_type": "llava", "text_config": 3 }),
                ["text_config is no object", ""],
            ),
            (
                json!({ "model_type": "smolvml" }),
                ["`smolvml`", "did you mean `smolvlm`"],
            ),
        ] {
            let message = read(&file).unwrap_err();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }
}
