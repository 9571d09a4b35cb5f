//! The text decoder of a GGUF file in a checkpoint of the SmolVLM layout.
//!
//! A language model is half a multimodal one: `SmolLM2-135M` is the decoder of SmolVLM-256M. [`gguf`] takes vision tower and
//! connector from a checkpoint (the built-in random one, say, to train a projector for) and decoder, vocabulary and chat
//! format from a GGUF file, and writes what any tool opens as a SmolVLM.
//!
//! Sources: the tensor names of llama.cpp's `gguf-py/gguf/constants.py` for `llama`; `LlamaModel.permute` of its
//! `convert_hf_to_gguf.py`, which reorders the rows of query and key for a rotary embedding of neighbouring pairs and is undone
//! here, as ours rotates halves; the tokens that `HuggingFaceTB/SmolVLM-256M-Instruct` adds to the vocabulary of SmolLM2.
//!
//! Deviation: the added tokens' embeddings are the mean of all others, since the file has none for them.

use std::collections::BTreeMap;
use std::path::Path;

use rave_hints::refusal;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};
use tch::{Kind, Tensor};

use crate::checkpoint::INDEX;
use crate::checkpoint::gguf::{Gguf, Value};
use crate::checkpoint::tensors::write_tensors;
use crate::{Checkpoint, Error, built_in};

/// The decoder's tensors in a checkpoint begin so.
const DECODER: &str = "model.text_model.";
/// Tokens that the vocabulary is filled up with, the end of an utterance being the last.
const VOCABULARY_STEP: usize = 128;
/// Rows and columns of tiles that have a token of their own.
const TILES: usize = 6;
/// A turn as SmolLM2 was tuned on, with the parts of a message that a picture can be among.
const TURNS: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>{% endif %}{% endfor %}\
<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/// What a model without a chat format is given: the text alone, which it continues.
const PLAIN: &str = "{% for message in messages %}{% for part in message['content'] %}\
{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>{% endif %}{% endfor %}{% endfor %}";

/// Writes the checkpoint `out`: decoder, tokenizer and chat format of the GGUF file, everything else of the checkpoint `base`.
///
/// # Errors
/// A file of another architecture than `llama` or with another vocabulary than SmolLM2's kind; sizes that are not those of
/// `base`; a folder that holds something already or cannot be written.
pub fn gguf(path: &Path, base: &Path, out: &Path) -> Result<(), Error> {
    let file = Gguf::open(path)?;
    let checkpoint = Checkpoint::open(base)?;
    let architecture = file.text("general.architecture")?;
    if architecture != "llama" {
        return Err(file.refused(refusal(
            format!("its architecture is `{architecture}`"),
            "use a `llama` decoder: no other fits a SmolVLM",
        )));
    }
    let taken = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(Error::Write {
            path: out.to_owned(),
            source: std::io::Error::other("the folder holds something already"),
        });
    }
    let sizes = Sizes::read(&file, &checkpoint)?;
    let tokenizer = Tokenizer::read(&file)?;
    let vocabulary = tokenizer.tokens.len();
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
    };
    let pretty = |value: &Json| format!("{value:#}\n").into_bytes();
    std::fs::create_dir_all(out).map_err(|source| Error::Write {
        path: out.to_owned(),
        source,
    })?;
    let image = tokenizer.id("<image>");
    let end = file.whole("tokenizer.ggml.eos_token_id")?;
    write(
        "config.json",
        &pretty(&config(&file, &checkpoint, vocabulary, image)?),
    )?;
    write(
        "generation_config.json",
        &pretty(&json!({ "eos_token_id": end })),
    )?;
    write("tokenizer.json", &pretty(&tokenizer.json()))?;
    let end_token = &tokenizer.tokens[usize::try_from(end).unwrap_or(0).min(vocabulary - 1)];
    write(
        "tokenizer_config.json",
        &pretty(&json!({
            "eos_token": end_token, "pad_token": end_token, "tokenizer_class": "PreTrainedTokenizerFast",
            "processor_class": "SmolVLMProcessor",
        })),
    )?;
    let format = file.text("tokenizer.chat_template").unwrap_or_default();
    let turns = if format.contains("<|im_start|>") {
        TURNS
    } else {
        PLAIN
    };
    write("chat_template.jinja", turns.as_bytes())?;
    for name in ["processor_config.json", "preprocessor_config.json"] {
        let path = checkpoint.path(name);
        if path.is_file() {
            write(name, &Error::read(&path)?)?;
        }
    }
    let decoder = decoder(&file, &sizes, vocabulary)?;
    let others = checkpoint
        .names()
        .filter(|name| !name.starts_with(DECODER) && *name != "lm_head.weight")
        .filter_map(|name| {
            let stored = checkpoint.stored(name).transpose()?;
            Some(stored.map(|tensor| (name.to_owned(), tensor)))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let mut weight_map = Map::new();
    for (number, tensors) in [&decoder, &others].into_iter().enumerate() {
        let shard = format!("model-{:05}-of-00002.safetensors", number + 1);
        write_tensors(
            &out.join(&shard),
            tensors,
            &BTreeMap::from([("format".into(), "pt".into())]),
        )?;
        weight_map.extend(tensors.iter().map(|(name, _)| (name.clone(), json!(shard))));
    }
    write(
        INDEX,
        &pretty(&json!({ "metadata": {}, "weight_map": weight_map })),
    )?;
    // Last, since it says that the rest is there.
    write(
        built_in::MARKER,
        &pretty(&json!({
            "untrained": built_in::is_untrained(base)?,
            "decoder_sha256": format!("{:x}", Sha256::digest(Error::read(path)?)),
            "vision_sha256": checkpoint.sha256(),
        })),
    )
}

/// The decoder's sizes.
struct Sizes {
    layers: usize,
    width: usize,
    feed_forward: usize,
    heads: usize,
    kv_heads: usize,
    vocabulary: usize,
}

impl Sizes {
    /// Those of the file, which must be those of the checkpoint wherever the connector or the config depends on them.
    fn read(file: &Gguf, checkpoint: &Checkpoint) -> Result<Self, Error> {
        let text = checkpoint.config().get("text_config");
        let size = |key: &str, own: &str| -> Result<usize, Error> {
            let found = file.whole(key)?;
            let wanted = text.and_then(|text| text.get(own)).and_then(Json::as_i64);
            if wanted.is_some_and(|wanted| wanted != found) || found < 1 {
                return Err(file.refused(refusal(
                    format!(
                        "{key} is {found}, and {} says {own} {}",
                        checkpoint.path("config.json").display(),
                        wanted.unwrap_or_default()
                    ),
                    "give a checkpoint of the same sizes with --model",
                )));
            }
            Ok(found as usize)
        };
        Ok(Self {
            layers: size("llama.block_count", "num_hidden_layers")?,
            width: size("llama.embedding_length", "hidden_size")?,
            feed_forward: size("llama.feed_forward_length", "intermediate_size")?,
            heads: size("llama.attention.head_count", "num_attention_heads")?,
            kv_heads: size("llama.attention.head_count_kv", "num_key_value_heads")?,
            vocabulary: file.list("tokenizer.ggml.tokens")?.len(),
        })
    }
}

/// The checkpoint's config with the decoder that the file describes.
fn config(
    file: &Gguf,
    checkpoint: &Checkpoint,
    vocabulary: usize,
    image: usize,
) -> Result<Json, Error> {
    let mut config = checkpoint.config().clone();
    let path = checkpoint.path("config.json");
    let Some(text) = config.get_mut("text_config").and_then(Json::as_object_mut) else {
        return Err(Error::malformed(
            &path,
            refusal(
                "it has no text_config",
                "give a checkpoint of the SmolVLM layout with --model",
            ),
        ));
    };
    // One of the two, whichever the checkpoint has.
    text.remove("rope_parameters");
    text.extend(
        [
            ("vocab_size", json!(vocabulary)),
            ("rope_theta", json!(file.real("llama.rope.freq_base")?)),
            (
                "rms_norm_eps",
                json!(file.real("llama.attention.layer_norm_rms_epsilon")?),
            ),
            (
                "max_position_embeddings",
                json!(file.whole("llama.context_length")?),
            ),
            ("tie_word_embeddings", json!(true)),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let end = file.whole("tokenizer.ggml.eos_token_id")?;
    config["image_token_id"] = json!(image);
    config["pad_token_id"] = json!(end);
    config["tie_word_embeddings"] = json!(true);
    Ok(config)
}

/// The decoder's tensors under their names in a checkpoint, in f32: what the file's blocks stand for exactly.
fn decoder(file: &Gguf, sizes: &Sizes, vocabulary: usize) -> Result<Vec<(String, Tensor)>, Error> {
    if file.names().any(|name| name == "output.weight") {
        return Err(file.refused(refusal(
            "it has a head of its own (output.weight)",
            "use a model that ties its head to the embeddings: no other fits",
        )));
    }
    let (width, hidden) = (sizes.width, sizes.feed_forward);
    let shared = width / sizes.heads * sizes.kv_heads;
    let read = |name: &str, shape: &[usize]| -> Result<Tensor, Error> {
        let shape_of: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        Ok(Tensor::f_from_slice(&file.tensor(name, shape)?)?.f_view(&shape_of[..])?)
    };
    let embeddings = read("token_embd.weight", &[sizes.vocabulary, width])?;
    let mean = embeddings.f_mean_dim(0, true, Kind::Float)?;
    let added = mean.f_repeat([(vocabulary - sizes.vocabulary) as i64, 1])?;
    let mut tensors = vec![
        (
            "embed_tokens".to_owned(),
            Tensor::f_cat(&[embeddings, added], 0)?,
        ),
        ("norm".to_owned(), read("output_norm.weight", &[width])?),
    ];
    for layer in 0..sizes.layers {
        let own: [(&str, &str, &[usize], Option<usize>); 9] = [
            ("attn_norm", "input_layernorm", &[width], None),
            ("ffn_norm", "post_attention_layernorm", &[width], None),
            (
                "attn_q",
                "self_attn.q_proj",
                &[width, width],
                Some(sizes.heads),
            ),
            (
                "attn_k",
                "self_attn.k_proj",
                &[shared, width],
                Some(sizes.kv_heads),
            ),
            ("attn_v", "self_attn.v_proj", &[shared, width], None),
            ("attn_output", "self_attn.o_proj", &[width, width], None),
            ("ffn_gate", "mlp.gate_proj", &[hidden, width], None),
            ("ffn_up", "mlp.up_proj", &[hidden, width], None),
            ("ffn_down", "mlp.down_proj", &[width, hidden], None),
        ];
        for (name, ours, shape, heads) in own {
            let mut tensor = read(&format!("blk.{layer}.{name}.weight"), shape)?;
            if let Some(heads) = heads {
                tensor = halves(&tensor, heads as i64)?;
            }
            tensors.push((format!("layers.{layer}.{ours}"), tensor));
        }
    }
    let named = |(name, tensor)| (format!("{DECODER}{name}.weight"), tensor);
    Ok(tensors.into_iter().map(named).collect())
}

/// Rows `[heads x D, width]` whose rotary pairs are neighbours, as rows whose pairs lie half a head apart.
fn halves(rows: &Tensor, heads: i64) -> Result<Tensor, Error> {
    let (count, width) = rows.size2()?;
    let pairs = rows.f_view([heads, count / heads / 2, 2, width])?;
    Ok(pairs.f_transpose(1, 2)?.f_reshape([count, width])?)
}

/// A byte-level vocabulary with merges, as GPT-2's.
struct Tokenizer {
    tokens: Vec<String>,
    merges: Vec<String>,
    /// Which tokens are never made from text.
    special: Vec<bool>,
}

impl Tokenizer {
    /// That of the file, with the tokens for pictures behind it.
    fn read(file: &Gguf) -> Result<Self, Error> {
        let (model, splitter) = (
            file.text("tokenizer.ggml.model")?,
            file.text("tokenizer.ggml.pre")?,
        );
        if (model, splitter) != ("gpt2", "smollm") {
            return Err(file.refused(refusal(
                format!("its tokenizer is `{model}` with `{splitter}` before it"),
                "use a SmolLM file: no other tokenizer than its own (`gpt2` with `smollm`) is known",
            )));
        }
        let texts = |key: &str| -> Result<Vec<String>, Error> {
            let text = |value: &Value| match value {
                Value::Text(text) => Ok(text.clone()),
                _ => Err(file.refused(refusal(
                    format!("`{key}` holds what is no text"),
                    "fetch it again",
                ))),
            };
            file.list(key)?.iter().map(text).collect()
        };
        let mut tokens = texts("tokenizer.ggml.tokens")?;
        let kinds = file.list("tokenizer.ggml.token_type")?.iter();
        // 3 is a control token.
        let mut special: Vec<bool> = kinds.map(|kind| *kind == Value::Whole(3)).collect();
        let whole = (tokens.len() + 1).next_multiple_of(VOCABULARY_STEP);
        tokens.push("<global-img>".into());
        for row in 1..=TILES {
            tokens.extend((1..=TILES).map(|column| format!("<row_{row}_col_{column}>")));
        }
        tokens.extend(["<fake_token_around_image>", "<image>"].map(String::from));
        let reserved = whole.saturating_sub(tokens.len() + 1);
        tokens.extend((0..reserved).map(|number| format!("<|reserved_special_token_{number}|>")));
        tokens.push("<end_of_utterance>".into());
        special.resize(tokens.len(), true);
        Ok(Self {
            tokens,
            merges: texts("tokenizer.ggml.merges")?,
            special,
        })
    }

    fn id(&self, token: &str) -> usize {
        let mut tokens = self.tokens.iter();
        tokens.position(|own| own == token).unwrap_or(0)
    }

    /// `tokenizer.json`.
    fn json(&self) -> Json {
        let vocabulary: Map<_, _> = self
            .tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), json!(id)))
            .collect();
        let added: Vec<_> = self
            .tokens
            .iter()
            .enumerate()
            .filter(|(id, _)| self.special[*id])
            .map(|(id, token)| json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true,
            }))
            .collect();
        let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
        let splitter = json!({
            "type": "Sequence", "pretokenizers": [{ "type": "Digits", "individual_digits": true }, byte_level.clone()],
        });
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": splitter, "post_processor": null, "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocabulary, "merges": self.merges,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tch::Device;

    use super::*;

    #[test]
    fn neighbouring_pairs_become_halves() {
        // Two heads of width 4: row h * 4 + 2 i + j of the file is row h * 4 + 2 j + i here.
        let rows = Tensor::arange(8, (Kind::Float, Device::Cpu)).view([8, 1]);
        let ours = Vec::<f32>::try_from(halves(&rows, 2).unwrap().view([-1])).unwrap();
        assert_eq!(ours, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}
