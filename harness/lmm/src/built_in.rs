//! Built-in models, in the unchanged SmolVLM layout: `nano`, tiny and trained, the same untrained, and one of SmolVLM-256M's
//! exact sizes.
//!
//! The trained ones are a [`crate::Grid`] of checkpoints in this crate's `models/`. The untrained ones are seeded random
//! weights, written once into the cache folder and then loaded as any checkpoint, so that the whole path from file to
//! answer is the real one, and latency can be measured at a real size with no hub. A marker file beside the weights says
//! so, and every record, table and chart repeats it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rave_methods::noise::Noise;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

mod start;

use self::start::Tower;
use crate::checkpoint::read_json;
use crate::{Error, grid};

/// Raised whenever the files would differ.
const VERSION: u32 = 3;
const SEED: u64 = 0;
/// The marker beside the weights.
pub(crate) const MARKER: &str = "rave.json";

/// A model that comes with this program.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its name for `--model`.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Whether trained checkpoints of it are shipped; else its weights are seeded random numbers.
    pub shipped: bool,
    sizes: Sizes,
}

/// The sizes that differ between the built-in models.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Longest edge of a picture, and of a tile.
    picture: i64,
    tile: i64,
    patch: i64,
    shuffle: i64,
    vision_width: i64,
    vision_layers: i64,
    vision_heads: i64,
    width: i64,
    feed_forward: i64,
    layers: i64,
    heads: i64,
    groups: i64,
    vocabulary: i64,
    /// Whether it is made to be trained.
    trained: bool,
}

const NANO: Sizes = Sizes {
    picture: 128,
    tile: 128,
    patch: 8,
    shuffle: 2,
    vision_width: 128,
    vision_layers: 2,
    vision_heads: 8,
    width: 128,
    feed_forward: 384,
    layers: 4,
    heads: 4,
    groups: 2,
    vocabulary: (PLAIN_TOKENS + SPECIAL_TOKENS.len()) as i64,
    trained: true,
};

/// Every built-in model.
pub static MODELS: &[BuiltIn] = &[
    BuiltIn {
        name: "nano",
        summary: "tiny SmolVLM that reads the embedded suites: a checkpoint for each of three training seeds and each trained \
                  variant, made as results/PROTOCOL.md says",
        shipped: true,
        sizes: NANO,
    },
    BuiltIn {
        name: "nano-untrained",
        summary: "nano with seeded random weights, to train from and to try things with",
        shipped: false,
        sizes: NANO,
    },
    BuiltIn {
        name: "smolvlm-256m-random",
        summary: "SmolVLM-256M's exact sizes with seeded random weights, for latency and memory alone (0.5 GB on disk)",
        shipped: false,
        sizes: Sizes {
            picture: 2048,
            tile: 512,
            patch: 16,
            shuffle: 4,
            vision_width: 768,
            vision_layers: 12,
            vision_heads: 12,
            width: 576,
            feed_forward: 1536,
            layers: 30,
            heads: 9,
            groups: 3,
            vocabulary: 49_280,
            trained: false,
        },
    },
];

const SPECIAL_TOKENS: [&str; 5] = [
    "<|im_start|>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
];
const CHAT_TEMPLATE: &str = "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}\
{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}\
{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}\
{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n\
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/// The folder of the built-in model of this name, made on first use when it is not shipped; `None` when there is none of
/// this name.
///
/// # Errors
/// When the shipped checkpoints are not where this program was built; when the cache folder cannot be written, naming it.
pub fn folder(name: &str) -> Result<Option<PathBuf>, Error> {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        return Ok(None);
    };
    if model.shipped {
        let models = std::env::var_os("RAVE_MODELS").filter(|folder| !folder.is_empty());
        let models = models.map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("models"),
            PathBuf::from,
        );
        let folder = models.join(name);
        if !folder.join(grid::FILE).is_file() {
            return Err(Error::Missing {
                what: format!("{}, of the shipped model `{name}`,", grid::FILE),
                remedy: "set RAVE_MODELS to harness/lmm/models of this program's source, or give the folder of another \
                         model"
                    .into(),
                folder,
            });
        }
        return Ok(Some(folder));
    }
    let cache = cache_folder()?;
    let folder = cache.join(format!(
        "{}-untrained-{VERSION}",
        name.trim_end_matches("-untrained")
    ));
    if folder.join(MARKER).is_file() {
        return Ok(Some(folder));
    }
    write(name, SEED, &folder)?;
    Ok(Some(folder))
}

/// Writes the built-in model of this name with weights of that seed into a folder, unless it is there already.
///
/// # Errors
/// No such model; a folder that cannot be written, naming it.
pub fn write(name: &str, seed: u64, folder: &Path) -> Result<(), Error> {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        return Err(Error::UnknownModel {
            name: name.to_owned(),
            built_in: MODELS.iter().map(|model| model.name.to_owned()).collect(),
            hint: String::new(),
        });
    };
    if folder.join(MARKER).is_file() {
        return Ok(());
    }
    // Written beside and moved into place, so that a killed process leaves no half checkpoint and two may race.
    let partial = folder.with_extension(std::process::id().to_string());
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(&partial).map_err(io(&partial))?;
    model.sizes.write(&partial, seed)?;
    match fs::rename(&partial, folder) {
        Err(_) if folder.join(MARKER).is_file() => {
            fs::remove_dir_all(&partial).map_err(io(&partial))
        }
        moved => moved.map_err(io(folder)),
    }
}

/// Whether a checkpoint folder is marked as untrained.
pub(crate) fn is_untrained(folder: &Path) -> Result<bool, Error> {
    let marker = folder.join(MARKER);
    Ok(marker.is_file() && read_json(&marker)?.get("untrained") == Some(&Value::Bool(true)))
}

/// The project's cache folder: `RAVE_CACHE`, or `rave-bench` in the user's cache.
///
/// # Errors
/// When none of the variables that place it is set.
pub fn cache_folder() -> Result<PathBuf, Error> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("RAVE_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("rave-bench")))
        .or_else(|| from("HOME").map(|home| home.join(".cache").join("rave-bench")))
        .ok_or_else(|| Error::Missing {
            folder: PathBuf::from("~"),
            what: "a cache folder".into(),
            remedy: "set RAVE_CACHE to a folder that can be written".into(),
        })
}

impl Sizes {
    /// Writes the whole checkpoint into a folder; the marker last, since it says that the rest is there.
    fn write(&self, folder: &Path, seed: u64) -> Result<(), Error> {
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
        };
        let pretty =
            |value: &Value| serde_json::to_vec_pretty(value).expect("JSON values can be written");
        write("config.json", &pretty(&self.config()))?;
        write(
            "generation_config.json",
            &pretty(&json!({ "eos_token_id": special("<end_of_utterance>") })),
        )?;
        write("tokenizer.json", &pretty(&tokenizer()))?;
        write(
            "tokenizer_config.json",
            &pretty(&json!({
                "eos_token": "<end_of_utterance>", "pad_token": "<|im_start|>", "tokenizer_class": "PreTrainedTokenizerFast",
                "processor_class": "SmolVLMProcessor",
            })),
        )?;
        write("chat_template.jinja", CHAT_TEMPLATE.as_bytes())?;
        write(
            "processor_config.json",
            &pretty(&json!({
                "processor_class": "SmolVLMProcessor",
                "image_seq_len": (self.tile / self.patch / self.shuffle).pow(2),
                "image_processor": {
                    "image_processor_type": "SmolVLMImageProcessor", "do_convert_rgb": true,
                    "do_image_splitting": self.picture > self.tile, "do_normalize": true, "do_pad": true, "do_rescale": true,
                    "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                    "max_image_size": { "longest_edge": self.tile }, "resample": 1, "rescale_factor": 1.0 / 255.0,
                    "size": { "longest_edge": self.picture },
                },
                // `transformers` opens no processor of this class without one.
                "video_processor": {
                    "video_processor_type": "SmolVLMVideoProcessor", "do_convert_rgb": true, "do_normalize": true, "do_pad": true,
                    "do_rescale": true, "do_resize": true, "do_sample_frames": false, "image_mean": [0.5, 0.5, 0.5],
                    "image_std": [0.5, 0.5, 0.5], "max_image_size": { "longest_edge": self.tile }, "resample": 1,
                    "rescale_factor": 1.0 / 255.0, "return_metadata": false, "size": { "longest_edge": self.picture },
                },
            })),
        )?;
        self.write_weights(&folder.join("model.safetensors"), seed)?;
        write(
            MARKER,
            &pretty(&json!({ "untrained": true, "seed": seed, "version": VERSION })),
        )
    }

    fn config(&self) -> Value {
        json!({
            "architectures": ["SmolVLMForConditionalGeneration"],
            "model_type": "smolvlm",
            "dtype": "bfloat16",
            "image_token_id": special("<image>"),
            "pad_token_id": special("<|im_start|>"),
            "scale_factor": self.shuffle,
            "tie_word_embeddings": false,
            "text_config": {
                "model_type": "llama", "hidden_size": self.width, "intermediate_size": self.feed_forward,
                "num_hidden_layers": self.layers, "num_attention_heads": self.heads, "num_key_value_heads": self.groups,
                "head_dim": self.width / self.heads, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 100_000.0,
                "max_position_embeddings": 8192, "vocab_size": self.vocabulary, "attention_bias": false, "mlp_bias": false,
                "tie_word_embeddings": false,
            },
            "vision_config": {
                "model_type": "smolvlm_vision", "hidden_size": self.vision_width, "intermediate_size": 4 * self.vision_width,
                "num_hidden_layers": self.vision_layers, "num_attention_heads": self.vision_heads, "num_channels": 3,
                "image_size": self.tile, "patch_size": self.patch, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
            },
        })
    }

    /// Names and shapes of all tensors.
    fn shapes(&self) -> Vec<(String, Vec<i64>)> {
        let (width, vision) = (self.width, self.vision_width);
        let mut shapes = vec![
            ("lm_head.weight".to_owned(), vec![self.vocabulary, width]),
            (
                "model.connector.modality_projection.proj.weight".to_owned(),
                vec![width, vision * self.shuffle.pow(2)],
            ),
            (
                "model.text_model.embed_tokens.weight".to_owned(),
                vec![self.vocabulary, width],
            ),
            ("model.text_model.norm.weight".to_owned(), vec![width]),
            (
                "model.vision_model.embeddings.patch_embedding.weight".to_owned(),
                vec![vision, 3, self.patch, self.patch],
            ),
            (
                "model.vision_model.embeddings.patch_embedding.bias".to_owned(),
                vec![vision],
            ),
            (
                "model.vision_model.embeddings.position_embedding.weight".to_owned(),
                vec![(self.tile / self.patch).pow(2), vision],
            ),
            (
                "model.vision_model.post_layernorm.weight".to_owned(),
                vec![vision],
            ),
            (
                "model.vision_model.post_layernorm.bias".to_owned(),
                vec![vision],
            ),
        ];
        for layer in 0..self.layers {
            let shared = width / self.heads * self.groups;
            let own = [
                ("input_layernorm", vec![width]),
                ("post_attention_layernorm", vec![width]),
                ("self_attn.q_proj", vec![width, width]),
                ("self_attn.k_proj", vec![shared, width]),
                ("self_attn.v_proj", vec![shared, width]),
                ("self_attn.o_proj", vec![width, width]),
                ("mlp.gate_proj", vec![self.feed_forward, width]),
                ("mlp.up_proj", vec![self.feed_forward, width]),
                ("mlp.down_proj", vec![width, self.feed_forward]),
            ];
            shapes.extend(own.map(|(name, shape)| {
                (
                    format!("model.text_model.layers.{layer}.{name}.weight"),
                    shape,
                )
            }));
        }
        for layer in 0..self.vision_layers {
            let own = [
                ("layer_norm1", vec![vision]),
                ("layer_norm2", vec![vision]),
                ("self_attn.q_proj", vec![vision, vision]),
                ("self_attn.k_proj", vec![vision, vision]),
                ("self_attn.v_proj", vec![vision, vision]),
                ("self_attn.out_proj", vec![vision, vision]),
                ("mlp.fc1", vec![4 * vision, vision]),
                ("mlp.fc2", vec![vision, 4 * vision]),
            ];
            for (name, shape) in own {
                let prefix = format!("model.vision_model.encoder.layers.{layer}.{name}");
                shapes.push((format!("{prefix}.bias"), vec![shape[0]]));
                shapes.push((format!("{prefix}.weight"), shape));
            }
        }
        shapes
    }

    /// Writes the weights as bf16: norms 1, biases 0, token embeddings normal, everything else normal with variance
    /// 1 / fan-in; a tower that is to be trained starts as [`start`] says.
    fn write_weights(&self, path: &Path, seed: u64) -> Result<(), Error> {
        let noise = Noise::new(seed);
        let tower = self.trained.then_some(Tower {
            patch: self.patch,
            side: self.tile / self.patch,
            width: self.vision_width,
            heads: self.vision_heads,
        });
        let fill = |(stream, (name, shape)): (usize, (String, Vec<i64>))| {
            let count = shape.iter().product::<i64>() as usize;
            let spread = if name.contains("embed_tokens") {
                1.0
            } else {
                (shape[1..].iter().product::<i64>() as f32).sqrt().recip()
            };
            let begun = tower.and_then(|tower| tower.values(&name, noise, stream as u64));
            let bytes: Vec<u8> = match shape.len() {
                _ if begun.is_some() => begun.into_iter().flatten().flat_map(bf16).collect(),
                1 => [bf16(if name.ends_with("bias") { 0.0 } else { 1.0 })]
                    .repeat(count)
                    .concat(),
                _ => noise
                    .values(stream as u64, count)
                    .flat_map(|value| bf16(value * spread))
                    .collect(),
            };
            (
                name,
                shape.iter().map(|&size| size as usize).collect::<Vec<_>>(),
                bytes,
            )
        };
        let tensors: Vec<_> = self
            .shapes()
            .into_iter()
            .enumerate()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(fill)
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (
                name.as_str(),
                TensorView::new(Dtype::BF16, shape.clone(), bytes)
                    .expect("bytes were made for the shape"),
            )
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| Error::Write {
            path: path.to_owned(),
            source: std::io::Error::other(error),
        })
    }
}

fn bf16(value: f32) -> [u8; 2] {
    half::bf16::from_f32(value).to_le_bytes()
}

/// Letters of the embedded suites that are two bytes long: merged, so that a letter is a token in every script.
const LETTERS: &str = "\
    åçéñöšüžαβγδεηικλμνοπρσςτυφωабвгдежиклмнопрстушяابدرسعفكلموي";

/// Words of the embedded suites' questions, of the answers that are words of a language, and of the chat template, each a
/// token of its own with the space before it: a tiny model has better uses for its tokens than to spell "What is the".
const WORDS: [&str; 76] = [
    "User",
    "Assistant",
    "Answer",
    " briefly",
    "What",
    "Which",
    "Where",
    "How",
    " What",
    " Which",
    " Where",
    " How",
    " is",
    " are",
    " the",
    " of",
    " at",
    " in",
    " on",
    " or",
    " there",
    " has",
    " many",
    " value",
    " values",
    " label",
    " highest",
    " lowest",
    " higher",
    " above",
    " word",
    " line",
    " underlined",
    " highlighted",
    " box",
    " arrow",
    " top",
    " bottom",
    " left",
    " right",
    " total",
    " price",
    " colour",
    " shape",
    " large",
    " small",
    " red",
    " green",
    " blue",
    " purple",
    " orange",
    " black",
    " grey",
    " yellow",
    " brown",
    " pink",
    " white",
    " circle",
    " circles",
    " square",
    " squares",
    " triangle",
    " triangles",
    " diamond",
    " diamonds",
    " cross",
    " crosses",
    " star",
    " stars",
    " first",
    " second",
    " third",
    " middle",
    " count",
    " name",
    " number",
];

/// Id of a special token: they follow the bytes, letters and words.
fn special(token: &str) -> usize {
    PLAIN_TOKENS
        + SPECIAL_TOKENS
            .iter()
            .position(|&known| known == token)
            .expect("a token of the list")
}

/// Tokens before the special ones. The letters are two bytes each.
const PLAIN_TOKENS: usize = 256 + LETTERS.len() / 2 + WORDS.len();

/// The printable character that stands for a byte in a byte-level vocabulary (GPT-2's): itself, or one from 256 on.
pub(crate) fn stand_in(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !printable(other)).count() as u32;
    char::from_u32(256 + before).expect("below the surrogates")
}

/// A byte-level tokenizer: every byte is a token, every letter of two bytes is, and every word of a short list that stands
/// alone between spaces and punctuation.
fn tokenizer() -> Value {
    let mut alphabet: Vec<char> = (0..=255).map(stand_in).collect();
    alphabet.sort_unstable();
    let spelt = |text: &str| -> String { text.bytes().map(stand_in).collect() };
    let letters: Vec<String> = LETTERS
        .chars()
        .map(|letter| spelt(&letter.to_string()))
        .collect();
    let merges: Vec<_> = letters
        .iter()
        .map(|letter| letter.chars().map(String::from).collect::<Vec<_>>())
        .collect();
    let vocabulary: serde_json::Map<_, _> = alphabet
        .iter()
        .map(ToString::to_string)
        .chain(letters)
        .chain(WORDS.map(spelt))
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
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
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": true, "vocab": vocabulary, "merges": merges,
        },
    })
}
