//! The tokenizer of a checkpoint, opened as `transformers` 5.23 opens it: from `tokenizer.json`, or from `vocab.json` and
//! `merges.txt` where its class is one that reads them.
//!
//! Sources: `tokenization_utils_tokenizers.py`, `models/qwen2/tokenization_qwen2.py`, `models/gpt2/tokenization_gpt2.py` and
//! `models/llama/tokenization_llama.py`. Deviations: a prompt that `tokenizer.json` would cut or pad is refused; a sentencepiece model alone is refused,
//! and so are vocabulary and merges for `TokenizersBackend`, which `transformers` cannot open either.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rave_hints::refusal;
use serde_json::{Map, Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PaddingStrategy,
    PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
};

use super::added::{Tokens, object};
use super::class::Class;
use crate::checkpoint::parse_json;
use crate::{Checkpoint, Error};

/// Where `Qwen2Tokenizer` cuts a text before merging.
const QWEN2_CUTS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A space within a token of a sentencepiece vocabulary.
const SPACE: &str = "\u{2581}";

/// An opened tokenizer.
pub(super) struct Opened {
    pub(super) tokenizer: Tokenizer,
    /// Special tokens by name, such as `bos_token`.
    pub(super) names: Vec<(String, String)>,
    /// The file with its vocabulary.
    pub(super) path: PathBuf,
    pub(super) lengths: Lengths,
}

/// The lengths in tokens to which `tokenizer.json` cuts and pads every prompt.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths {
    truncation: Option<usize>,
    padding: Option<usize>,
}

impl Lengths {
    fn of(tokenizer: &Tokenizer) -> Self {
        let padding = tokenizer.get_padding().map(|padding| &padding.strategy);
        Self {
            truncation: tokenizer.get_truncation().map(|cut| cut.max_length),
            padding: match padding {
                Some(PaddingStrategy::Fixed(length)) => Some(*length),
                _ => None,
            },
        }
    }

    /// Refuses a prompt of so many tokens that would be cut or padded.
    pub(super) fn check(self, tokens: usize) -> Result<(), Error> {
        let (what, key) = match self {
            Self {
                truncation: Some(most),
                ..
            } if tokens > most => (format!("cut to {most}"), "truncation"),
            Self {
                padding: Some(least),
                ..
            } if tokens < least => (format!("padded to {least}"), "padding"),
            _ => return Ok(()),
        };
        Err(Error::prompt(refusal(
            format!(
                "its {tokens} tokens would be {what} by `{key}` in tokenizer.json, which is not done here"
            ),
            "use a tokenizer.json without it",
        )))
    }
}

/// Opens the tokenizer of a checkpoint. `added` are special tokens that the family's processor adds where there are none.
///
/// # Errors
/// A missing file, by its name; a file that is damaged; a tokenizer class or an option that is not supported.
pub(super) fn open(checkpoint: &Checkpoint, added: &[&str]) -> Result<Opened, Error> {
    let config = object(checkpoint, "tokenizer_config.json")?.unwrap_or_default();
    let path = checkpoint.path("tokenizer.json");
    let file = if path.is_file() {
        Some(Error::read(&path)?)
    } else {
        None
    };
    let is_byte_level = file.as_deref().is_some_and(|bytes| {
        let part = b"\"ByteLevel\"";
        bytes.windows(part.len()).any(|window| window == part)
    });
    let class = Class::of(checkpoint, &config, is_byte_level)?;
    refuse_options(checkpoint, &config)?;
    let (mut tokenizer, of_file, path, lengths) = if let Some(bytes) = file {
        let (whole, lengths) = from_file(&path, &bytes)?;
        let of_file: BTreeMap<u32, AddedToken> =
            whole.get_added_tokens_decoder().into_iter().collect();
        let tokenizer = rebuilt(&path, class, &config, whole)?;
        (tokenizer, Some(of_file), path, lengths)
    } else {
        let (model, path) = from_vocabulary(checkpoint, class)?;
        let tokenizer = parts(&path, class, &config, model)?;
        (tokenizer, None, path, Lengths::default())
    };
    let is_from_vocabulary = of_file.is_none();
    let tokens = Tokens::read(checkpoint, config.clone(), class, of_file.as_ref())?;
    guarded(|| {
        tokens.add_to(&mut tokenizer, class);
        let added = added.iter().map(|&token| AddedToken::from(token, true));
        tokenizer.add_special_tokens(&added.collect::<Vec<_>>());
        Ok(())
    })
    .map_err(|error| Error::malformed(&path, refusal(error, "fetch it again")))?;
    let names = tokens.names();
    if is_from_vocabulary {
        add_ends(&path, &config, &names, &mut tokenizer)?;
    }
    tokenizer.set_encode_special_tokens(
        config.get("split_special_tokens").and_then(Value::as_bool) == Some(true),
    );
    Ok(Opened {
        tokenizer,
        names,
        path,
        lengths,
    })
}

/// Runs a part of the tokenizer library, which panics at some files that contradict themselves or are no JSON.
pub(super) fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the tokenizer contradicts itself or is damaged".to_owned()),
    }
}

/// Refuses options of `tokenizer_config.json` that change ids or text in a way that is not computed here.
fn refuse_options(checkpoint: &Checkpoint, config: &Map<String, Value>) -> Result<(), Error> {
    let clean_up = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output";
    let reason = if config.get(clean_up).and_then(Value::as_bool) == Some(true) {
        refusal(
            format!("{clean_up} is not supported"),
            "use a tokenizer_config.json without it",
        )
    } else if config.contains_key("fast_tokenizer_files") {
        refusal(
            "fast_tokenizer_files names other tokenizers by version, which is not supported",
            "use a tokenizer_config.json without it",
        )
    } else {
        return Ok(());
    };
    Err(Error::malformed(
        &checkpoint.path("tokenizer_config.json"),
        reason,
    ))
}

/// `tokenizer.json`.
fn from_file(path: &Path, bytes: &[u8]) -> Result<(Tokenizer, Lengths), Error> {
    let mut tokenizer = guarded(|| Tokenizer::from_bytes(bytes)).map_err(|error| {
        let own = || {
            Error::malformed(
                path,
                refusal(format!("not a tokenizer ({error})"), "fetch it again"),
            )
        };
        parse_json(path, bytes).err().unwrap_or_else(own)
    })?;
    let lengths = Lengths::of(&tokenizer);
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| Error::malformed(path, refusal(error.to_string(), "fetch it again")))?;
    Ok((tokenizer, lengths))
}

/// What a class makes of `tokenizer.json`: the whole, or its own parts around the vocabulary, merges and post-processor.
fn rebuilt(
    path: &Path,
    class: Class,
    config: &Map<String, Value>,
    whole: Tokenizer,
) -> Result<Tokenizer, Error> {
    if class == Class::Backend {
        return Ok(whole);
    }
    let unfit = |what: &str| {
        let reason = refusal(
            format!(
                "{what}, but tokenizer_class {} in tokenizer_config.json takes a BPE model without it",
                class.name()
            ),
            "use the files of one checkpoint",
        );
        Error::malformed(path, reason)
    };
    let ModelWrapper::BPE(model) = whole.get_model() else {
        return Err(unfit("its model is not BPE"));
    };
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    if affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return Err(unfit("its words have a prefix or suffix"));
    }
    let mut tokenizer = parts(path, class, config, model.clone())?;
    if let Some(processor) = whole.get_post_processor() {
        tokenizer.with_post_processor(Some(processor.clone()));
    }
    Ok(tokenizer)
}

/// The model of `vocab.json` and `merges.txt`, and the path of the former.
fn from_vocabulary(checkpoint: &Checkpoint, class: Class) -> Result<(BPE, PathBuf), Error> {
    let missing = |what: &str, hint: &str| Error::Missing {
        folder: checkpoint.folder().to_owned(),
        what: what.to_owned(),
        hint: hint.to_owned(),
    };
    let (path, merges) = (checkpoint.path("vocab.json"), checkpoint.path("merges.txt"));
    let save = "fetch it with the checkpoint, or save the tokenizer with transformers (AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR))";
    if !matches!(class, Class::Qwen2 | Class::Gpt2) || !(path.is_file() || merges.is_file()) {
        return Err(missing("tokenizer.json", save));
    }
    let both = "fetch it with the checkpoint, or fetch tokenizer.json, which is used instead of vocab.json and merges.txt";
    for (path, name) in [(&path, "vocab.json"), (&merges, "merges.txt")] {
        if !path.is_file() {
            return Err(missing(name, both));
        }
    }
    // The library takes paths as text.
    let [Some(vocabulary), Some(list)] = [path.to_str(), merges.to_str()] else {
        let reason = refusal("its path is not UTF-8", "give a folder whose path is UTF-8");
        return Err(Error::malformed(&path, reason));
    };
    let model = guarded(|| {
        BPE::from_file(vocabulary, list)
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix(String::new())
            .build()
    })
    .map_err(|error| {
        let reason = refusal(
            format!("it and merges.txt are no vocabulary ({error})"),
            "fetch both again",
        );
        Error::malformed(&path, reason)
    })?;
    Ok((model, path))
}

/// A tokenizer with the parts that a class brings itself.
fn parts(
    path: &Path,
    class: Class,
    config: &Map<String, Value>,
    mut model: BPE,
) -> Result<Tokenizer, Error> {
    let option = |key: &str| config.get(key).and_then(Value::as_bool);
    let is_llama = class == Class::Llama;
    model.dropout = None;
    model.unk_token = None;
    (model.fuse_unk, model.byte_fallback) = (is_llama, is_llama);
    model.ignore_merges = false;
    let adds_space = option("add_prefix_space").unwrap_or(is_llama);
    let bytes = |uses_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": adds_space, "trim_offsets": true, "use_regex": uses_regex });
    let (normalizer, pre_tokenizer, decoder) = match class {
        Class::Llama => {
            let scheme = match (adds_space, option("legacy")) {
                (false, _) => "never",
                (true, Some(true)) => "always",
                (true, _) => "first",
            };
            let mut decoders = vec![
                json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
                json!({ "type": "ByteFallback" }),
                json!({ "type": "Fuse" }),
            ];
            if adds_space {
                decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
            }
            (
                Value::Null,
                json!({ "type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": false }),
                json!({ "type": "Sequence", "decoders": decoders }),
            )
        }
        Class::Qwen2 => {
            let cut = json!({ "type": "Split", "pattern": { "Regex": QWEN2_CUTS }, "behavior": "Isolated", "invert": false });
            (
                json!({ "type": "NFC" }),
                json!({ "type": "Sequence", "pretokenizers": [cut, bytes(false)] }),
                bytes(true),
            )
        }
        Class::Gpt2 | Class::Backend => (Value::Null, bytes(true), bytes(true)),
    };
    let bad = |error: serde_json::Error| {
        Error::malformed(path, refusal(error.to_string(), "fetch it again"))
    };
    let normalizer: Option<NormalizerWrapper> = serde_json::from_value(normalizer).map_err(bad)?;
    let pre_tokenizer: PreTokenizerWrapper = serde_json::from_value(pre_tokenizer).map_err(bad)?;
    let decoder: DecoderWrapper = serde_json::from_value(decoder).map_err(bad)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(normalizer)
        .with_pre_tokenizer(Some(pre_tokenizer))
        .with_decoder(Some(decoder));
    Ok(tokenizer)
}

/// Lets a tokenizer made from vocabulary and merges put the first and last token around a text where `tokenizer_config.json`
/// asks for them.
fn add_ends(
    path: &Path,
    config: &Map<String, Value>,
    names: &[(String, String)],
    tokenizer: &mut Tokenizer,
) -> Result<(), Error> {
    let end = |option: &str, name: &str| {
        let is_on = config.get(option).and_then(Value::as_bool) == Some(true);
        let token = names.iter().find(|(other, _)| is_on && other == name)?;
        Some((token.1.clone(), tokenizer.token_to_id(&token.1)?))
    };
    let first = end("add_bos_token", "bos_token");
    let last = end("add_eos_token", "eos_token");
    let piece = |end: &Option<(String, u32)>, number: u32| {
        let (token, _) = end.as_ref()?;
        Some(json!({ "SpecialToken": { "id": token, "type_id": number } }))
    };
    let around = |sequence: &str, number: u32| {
        let middle = json!({ "Sequence": { "id": sequence, "type_id": number } });
        let pieces = [piece(&first, number), Some(middle), piece(&last, number)];
        pieces.into_iter().flatten().collect::<Vec<_>>()
    };
    let (single, other) = (around("A", 0), around("B", 1));
    let pair = [single.clone(), other].concat();
    let special: Map<String, Value> = [&first, &last]
        .into_iter()
        .flatten()
        .map(|(token, id)| {
            let entry = json!({ "id": token, "ids": [id], "tokens": [token] });
            (token.clone(), entry)
        })
        .collect();
    let processor = json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special });
    let processor: PostProcessorWrapper = serde_json::from_value(processor)
        .map_err(|error| Error::malformed(path, refusal(error.to_string(), "fetch it again")))?;
    tokenizer.with_post_processor(Some(processor));
    Ok(())
}
