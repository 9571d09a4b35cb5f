//! Quantised checkpoints, which are refused by what they are: a `quantization_config` (or `compression_config`, of older
//! compressed-tensors; `quantization`, of MLX), in the config or in a part of it, whatever the weights beside it are.

use std::path::Path;

use rave_hints::{Refusal, refusal};
use serde_json::Value;

/// Why a checkpoint is refused that says that it is quantised, and which one to use instead where a name tells.
pub(super) fn refused(folder: &Path, config: &Value) -> Option<Refusal> {
    let parts = ["text_config", "vision_config"].map(|part| config.get(part));
    let sections = [Some(config)].into_iter().chain(parts).flatten();
    let mut keys = sections.flat_map(|section| {
        ["quantization_config", "compression_config", "quantization"].map(|key| {
            (
                key,
                section
                    .get(key)
                    .filter(|value| value.is_object() || value.is_string()),
            )
        })
    });
    let (key, how) = keys.find_map(|(key, value)| Some((key, value?)))?;
    let bits = match bits(how) {
        Some(bits) => format!(", {bits} bits"),
        None => String::new(),
    };
    let instead = match siblings(folder, config) {
        names if names.is_empty() => "use the checkpoint that it was made from".to_owned(),
        names => format!(
            "use the checkpoint that it was made from (by the names here: {})",
            names.join(" or ")
        ),
    };
    let how = method(key, how);
    let message =
        format!("the checkpoint is quantised ({key}: {how}{bits}), which is not supported");
    Some(refusal(message, instead))
}

/// How it is quantised.
fn method(key: &str, how: &Value) -> String {
    let says = |name: &str| how.get(name).is_some_and(|value| value == true);
    match how.get("quant_method").unwrap_or(how).as_str() {
        Some(method) => method.to_owned(),
        None if says("load_in_4bit") || says("load_in_8bit") => "bitsandbytes".into(),
        None if key == "quantization" => "MLX".into(),
        None if key == "compression_config" => "compressed-tensors".into(),
        None => "a method that it does not name".into(),
    }
}

/// To how many bits.
fn bits(how: &Value) -> Option<u64> {
    let says = |name: &str| how.get(name).is_some_and(|value| value == true);
    let named = ["bits", "w_bit", "weight_bits"];
    let groups = how.get("config_groups").and_then(Value::as_object);
    named
        .iter()
        .find_map(|name| how.get(name)?.as_u64())
        .or_else(|| says("load_in_4bit").then_some(4))
        .or_else(|| says("load_in_8bit").then_some(8))
        .or_else(|| {
            let mut groups = groups?.values();
            groups.find_map(|group| group.get("weights")?.get("num_bits")?.as_u64())
        })
        .or_else(|| (how.get("quant_method")?.as_str()? == "fp8").then_some(8))
}

/// What the unquantised checkpoint may be called: the folder's name without what says that it is quantised, and what the config
/// says that it comes from.
fn siblings(folder: &Path, config: &Value) -> Vec<String> {
    let of_cache = |name: &str| Some(name.strip_prefix("models--")?.replace("--", "/"));
    let names = folder
        .iter()
        .rev()
        .filter_map(|part| part.to_str())
        .map(|part| of_cache(part).unwrap_or_else(|| part.to_owned()));
    let mut found: Vec<String> = names.filter_map(|name| plain(&name)).take(1).collect();
    for key in ["_name_or_path", "base_model_name_or_path"] {
        let named = config.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_repository = named.split('/').count() == 2
            && !named.starts_with(['.', '/', '~'])
            && !named.ends_with('/');
        let name = plain(named).unwrap_or_else(|| named.to_owned());
        if is_repository && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A name without the words at its end that say that it is quantised; `None` where there are none.
fn plain(name: &str) -> Option<String> {
    let mut rest = name;
    while let Some((before, word)) = rest.rsplit_once(['-', '.', '_']) {
        if !is_quantised(&word.to_lowercase()) {
            break;
        }
        rest = before;
    }
    (rest.len() < name.len() && !rest.is_empty() && !rest.ends_with('/')).then(|| rest.to_owned())
}

fn is_quantised(word: &str) -> bool {
    const WORDS: [&str; 15] = [
        "awq",
        "gptq",
        "bnb",
        "nf4",
        "fp8",
        "fp4",
        "nvfp4",
        "mxfp4",
        "dynamic",
        "unsloth",
        "quantized",
        "quant",
        "autoround",
        "hqq",
        "mlx",
    ];
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let bits = |text: &str| text.strip_suffix("bit").is_some_and(digits);
    let int = |text: &str| text.strip_prefix("int").is_some_and(digits);
    let widths = |text: &str| {
        let halves = text.strip_prefix('w').and_then(|text| text.split_once('a'));
        halves.is_some_and(|(weights, activations)| digits(weights) && digits(activations))
    };
    WORDS.contains(&word) || bits(word) || int(word) || widths(word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rave_hints::with_hint;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_method_is_named_with_its_bits_and_the_checkpoint_to_use() {
        let awq = json!({ "quantization_config": { "quant_method": "awq", "bits": 4 }, "_name_or_path": "Org/Model-7B" });
        let bnb = json!({ "text_config": { "quantization_config": { "load_in_8bit": true } } });
        let fp8 = json!({ "quantization_config": { "quant_method": "fp8" } });
        let groups = json!({ "group_0": { "weights": { "num_bits": 4 } } });
        let packed = json!({ "compression_config": { "config_groups": groups } });
        let mlx = json!({ "quantization": { "group_size": 64, "bits": 8 } });
        for (folder, config, parts) in [
            (
                "m/Model-AWQ",
                &awq,
                [
                    "quantised (quantization_config: awq, 4 bits)",
                    "here: Model or Org/Model-7B)",
                ],
            ),
            (
                "m/Model",
                &bnb,
                [
                    "bitsandbytes, 8 bits",
                    "use the checkpoint that it was made from",
                ],
            ),
            (
                "m/models--Org--Model-FP8-dynamic/snapshots/0a1",
                &fp8,
                ["fp8, 8 bits", "here: Org/Model)"],
            ),
            (
                "Model-2.5-quantized.w4a16",
                &packed,
                ["compressed-tensors, 4 bits", "here: Model-2.5)"],
            ),
            (
                "Model-unsloth-bnb-4bit",
                &mlx,
                ["MLX, 8 bits", "here: Model)"],
            ),
        ] {
            let reason = refused(Path::new(folder), config).unwrap();
            let reason = with_hint(&reason, reason.hint());
            assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
        }
        let none = json!({ "quantization_config": null, "text_config": {} });
        assert_eq!(refused(Path::new("Model-AWQ"), &none), None);
    }

    #[test]
    fn names_lose_only_what_says_that_they_are_quantised() {
        assert_eq!(
            plain("Qwen2-VL-2B-Instruct-GPTQ-Int4").unwrap(),
            "Qwen2-VL-2B-Instruct"
        );
        assert_eq!(plain("Qwen2.5-VL-7B-Instruct"), None);
        assert_eq!(plain("awq"), None);
    }
}
