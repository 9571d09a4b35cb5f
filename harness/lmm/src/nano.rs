//! `nano`: the tiny built-in model, in the unchanged SmolVLM layout.
//!
//! **Untrained so far**: seeded random weights, written once into the cache folder and then loaded as any checkpoint, so
//! that the whole path from file to answer is the real one. A marker file beside the weights says so, and every record,
//! table and chart repeats it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rave_methods::noise::Noise;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::Error;
use crate::checkpoint::read_json;

/// The name of the built-in model.
pub const NAME: &str = "nano";

/// Raised whenever the files would differ.
const VERSION: u32 = 1;
const SEED: u64 = 0;
/// The marker beside the weights.
const MARKER: &str = "rave.json";

const IMAGE_SIDE: i64 = 128;
const PATCH: i64 = 8;
const SHUFFLE: i64 = 2;
const VISION_WIDTH: i64 = 96;
const VISION_LAYERS: i64 = 3;
const WIDTH: i64 = 128;
const LAYERS: i64 = 4;
const HEADS: i64 = 4;
const GROUPS: i64 = 2;

const SPECIAL_TOKENS: [&str; 5] =
    ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"];
const CHAT_TEMPLATE: &str = "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}\
{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}\
{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}\
{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n\
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/// The folder of the model, made on first use.
///
/// # Errors
/// When the cache folder cannot be written, naming it.
pub fn folder() -> Result<PathBuf, Error> {
    let cache = cache_folder()?;
    let folder = cache.join(format!("nano-untrained-{VERSION}"));
    if folder.join(MARKER).is_file() {
        return Ok(folder);
    }
    // Written beside and moved into place, so that a killed process leaves no half checkpoint and two may race.
    let partial = cache.join(format!("nano-untrained-{VERSION}.{}", std::process::id()));
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    fs::create_dir_all(&partial).map_err(io(&partial))?;
    write(&partial)?;
    match fs::rename(&partial, &folder) {
        Err(_) if folder.join(MARKER).is_file() => fs::remove_dir_all(&partial).map_err(io(&partial))?,
        moved => moved.map_err(io(&folder))?,
    }
    Ok(folder)
}

/// Whether a checkpoint folder is marked as untrained.
pub(crate) fn is_untrained(folder: &Path) -> Result<bool, Error> {
    let marker = folder.join(MARKER);
    Ok(marker.is_file() && read_json(&marker)?.get("untrained") == Some(&Value::Bool(true)))
}

/// The project's cache folder: `RAVE_CACHE`, or `rave-bench` in the user's cache.
fn cache_folder() -> Result<PathBuf, Error> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("RAVE_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("rave-bench")))
        .or_else(|| from("HOME").map(|home| home.join(".cache").join("rave-bench")))
        .ok_or_else(|| Error::Missing {
            folder: PathBuf::from("~"),
            what: "a cache folder".into(),
            remedy: "set RAVE_CACHE to a folder that can be written".into(),
        })
}

/// Writes the whole checkpoint into a folder.
pub(crate) fn write(folder: &Path) -> Result<(), Error> {
    let tokenizer = tokenizer();
    let vocabulary = 256 + SPECIAL_TOKENS.len() as i64;
    let config = config(vocabulary);
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|source| Error::Io { path, source })
    };
    let pretty = |value: &Value| serde_json::to_vec_pretty(value).expect("JSON values can be written");
    write("config.json", &pretty(&config))?;
    write("generation_config.json", &pretty(&json!({ "eos_token_id": special("<end_of_utterance>") })))?;
    write("tokenizer.json", &pretty(&tokenizer))?;
    write("tokenizer_config.json", &pretty(&json!({
        "eos_token": "<end_of_utterance>", "pad_token": "<|im_start|>", "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "SmolVLMProcessor",
    })))?;
    write("chat_template.jinja", CHAT_TEMPLATE.as_bytes())?;
    write("processor_config.json", &pretty(&json!({
        "processor_class": "SmolVLMProcessor",
        "image_seq_len": (IMAGE_SIDE / PATCH / SHUFFLE).pow(2),
        "image_processor": {
            "image_processor_type": "SmolVLMImageProcessor", "do_convert_rgb": true, "do_image_splitting": false,
            "do_normalize": true, "do_pad": true, "do_rescale": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5], "max_image_size": { "longest_edge": IMAGE_SIDE }, "resample": 1,
            "rescale_factor": 1.0 / 255.0, "size": { "longest_edge": IMAGE_SIDE },
        },
    })))?;
    write_weights(&folder.join("model.safetensors"), vocabulary)?;
    write(MARKER, &pretty(&json!({ "untrained": true, "seed": SEED, "version": VERSION })))
}

fn config(vocabulary: i64) -> Value {
    json!({
        "architectures": ["SmolVLMForConditionalGeneration"],
        "model_type": "smolvlm",
        "dtype": "float32",
        "image_token_id": special("<image>"),
        "pad_token_id": special("<|im_start|>"),
        "scale_factor": SHUFFLE,
        "tie_word_embeddings": false,
        "text_config": {
            "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS, "num_key_value_heads": GROUPS, "head_dim": WIDTH / HEADS, "hidden_act": "silu",
            "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "max_position_embeddings": 4096, "vocab_size": vocabulary,
            "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false,
        },
        "vision_config": {
            "model_type": "smolvlm_vision", "hidden_size": VISION_WIDTH, "intermediate_size": 4 * VISION_WIDTH,
            "num_hidden_layers": VISION_LAYERS, "num_attention_heads": 4, "num_channels": 3, "image_size": IMAGE_SIDE,
            "patch_size": PATCH, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
        },
    })
}

/// Id of a special token: they follow the 256 bytes.
fn special(token: &str) -> usize {
    256 + SPECIAL_TOKENS.iter().position(|&known| known == token).expect("a token of the list")
}

/// A byte-level tokenizer without merges: every byte is one token, in the order of their printable stand-ins (GPT-2's).
fn tokenizer() -> Value {
    let printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    let mut alphabet: Vec<char> = (0..256)
        .map(|byte| {
            let code = if printable(byte) { byte } else { next += 1; next - 1 };
            char::from_u32(code).expect("below the surrogates")
        })
        .collect();
    alphabet.sort_unstable();
    let vocabulary: serde_json::Map<_, _> = alphabet.iter().enumerate().map(|(id, stand_in)| (stand_in.to_string(), json!(id))).collect();
    let added: Vec<_> = SPECIAL_TOKENS
        .iter()
        .map(|&token| json!({
            "id": special(token), "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }))
        .collect();
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": byte_level.clone(), "post_processor": null, "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary, "merges": [],
        },
    })
}

/// Names and shapes of all tensors.
fn shapes(vocabulary: i64) -> Vec<(String, Vec<i64>)> {
    let mut shapes = vec![
        ("lm_head.weight".to_owned(), vec![vocabulary, WIDTH]),
        ("model.connector.modality_projection.proj.weight".to_owned(), vec![WIDTH, VISION_WIDTH * SHUFFLE * SHUFFLE]),
        ("model.text_model.embed_tokens.weight".to_owned(), vec![vocabulary, WIDTH]),
        ("model.text_model.norm.weight".to_owned(), vec![WIDTH]),
        ("model.vision_model.embeddings.patch_embedding.weight".to_owned(), vec![VISION_WIDTH, 3, PATCH, PATCH]),
        ("model.vision_model.embeddings.patch_embedding.bias".to_owned(), vec![VISION_WIDTH]),
        ("model.vision_model.embeddings.position_embedding.weight".to_owned(), vec![(IMAGE_SIDE / PATCH).pow(2), VISION_WIDTH]),
        ("model.vision_model.post_layernorm.weight".to_owned(), vec![VISION_WIDTH]),
        ("model.vision_model.post_layernorm.bias".to_owned(), vec![VISION_WIDTH]),
    ];
    for layer in 0..LAYERS {
        let head_width = WIDTH / HEADS;
        let own = [
            ("input_layernorm", vec![WIDTH]),
            ("post_attention_layernorm", vec![WIDTH]),
            ("self_attn.q_proj", vec![WIDTH, WIDTH]),
            ("self_attn.k_proj", vec![GROUPS * head_width, WIDTH]),
            ("self_attn.v_proj", vec![GROUPS * head_width, WIDTH]),
            ("self_attn.o_proj", vec![WIDTH, WIDTH]),
            ("mlp.gate_proj", vec![3 * WIDTH, WIDTH]),
            ("mlp.up_proj", vec![3 * WIDTH, WIDTH]),
            ("mlp.down_proj", vec![WIDTH, 3 * WIDTH]),
        ];
        shapes.extend(own.map(|(name, shape)| (format!("model.text_model.layers.{layer}.{name}.weight"), shape)));
    }
    for layer in 0..VISION_LAYERS {
        let own = [
            ("layer_norm1", vec![VISION_WIDTH]),
            ("layer_norm2", vec![VISION_WIDTH]),
            ("self_attn.q_proj", vec![VISION_WIDTH, VISION_WIDTH]),
            ("self_attn.k_proj", vec![VISION_WIDTH, VISION_WIDTH]),
            ("self_attn.v_proj", vec![VISION_WIDTH, VISION_WIDTH]),
            ("self_attn.out_proj", vec![VISION_WIDTH, VISION_WIDTH]),
            ("mlp.fc1", vec![4 * VISION_WIDTH, VISION_WIDTH]),
            ("mlp.fc2", vec![VISION_WIDTH, 4 * VISION_WIDTH]),
        ];
        for (name, shape) in own {
            let prefix = format!("model.vision_model.encoder.layers.{layer}.{name}");
            shapes.push((format!("{prefix}.bias"), vec![shape[0]]));
            shapes.push((format!("{prefix}.weight"), shape));
        }
    }
    shapes
}

/// Writes the weights: norms 1, biases 0, everything else normal with variance 1 / fan-in.
fn write_weights(path: &Path, vocabulary: i64) -> Result<(), Error> {
    let noise = Noise::new(SEED);
    let tensors = shapes(vocabulary)
        .into_iter()
        .enumerate()
        .map(|(stream, (name, shape))| {
            let count = shape.iter().product::<i64>() as usize;
            let values: Vec<f32> = match shape.as_slice() {
                [_] if name.ends_with("bias") => vec![0.0; count],
                [_] => vec![1.0; count],
                [_, inputs @ ..] => {
                    let spread = if name.contains("embed_tokens") { 1.0 } else { (inputs.iter().product::<i64>() as f32).sqrt().recip() };
                    noise.values(stream as u64, count).map(|value| value * spread).collect()
                }
                [] => Vec::new(),
            };
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, shape.iter().map(|&size| size as usize).collect::<Vec<_>>(), bytes)
        })
        .collect::<Vec<_>>();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes were made for the shape"))
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|error| Error::malformed(path, format!("cannot be written ({error}); check the folder and the free space")))
}
