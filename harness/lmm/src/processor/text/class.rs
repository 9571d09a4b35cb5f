//! Which class of `transformers` a checkpoint's tokenizer is opened with. That matters beside a `tokenizer.json` too: some classes
//! take only vocabulary, merges and post-processor from it and bring the rest themselves.
//!
//! Source: `AutoTokenizer.from_pretrained` of `transformers` 5.23, `models/auto/tokenization_auto.py`. Deviation: code that comes
//! with a checkpoint is never run, and a class that is not in [`Class`] is refused, where `transformers` would take its own or,
//! for a name that it does not know, `tokenizer.json` as it is.

use rave_hints::refusal;
use serde_json::{Map, Value};

use crate::{Checkpoint, Error};

/// The tokenizer classes that are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `TokenizersBackend`: `tokenizer.json` as it is.
    Backend,
    /// `Qwen2Tokenizer`.
    Qwen2,
    /// `GPT2Tokenizer`.
    Gpt2,
    /// `LlamaTokenizer`.
    Llama,
}

/// Other names of [`Class::Backend`].
const GENERIC: [&str; 4] = [
    "TokenizersBackend",
    "PreTrainedTokenizerFast",
    "PreTrainedTokenizer",
    "PythonBackend",
];

impl Class {
    /// Its name in `transformers`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backend => "TokenizersBackend",
            Self::Qwen2 => "Qwen2Tokenizer",
            Self::Gpt2 => "GPT2Tokenizer",
            Self::Llama => "LlamaTokenizer",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let own = [Self::Qwen2, Self::Gpt2, Self::Llama];
        let plain = name.trim_end_matches("Fast");
        match own.into_iter().find(|class| class.name() == plain) {
            None if GENERIC.contains(&name) => Some(Self::Backend),
            class => class,
        }
    }

    /// The class for a checkpoint, whose `tokenizer_config.json` is `config`; `is_byte_level` tells whether its `tokenizer.json`
    /// names that part.
    ///
    /// # Errors
    /// A class that is not supported, or code of the checkpoint's own.
    pub(super) fn of(
        checkpoint: &Checkpoint,
        config: &Map<String, Value>,
        is_byte_level: bool,
    ) -> Result<Self, Error> {
        let path = checkpoint.path("tokenizer_config.json");
        let code = config.get("auto_map");
        if code.is_some_and(|map| map.is_array() || map.get("AutoTokenizer").is_some()) {
            let reason = refusal(
                "auto_map names code of the checkpoint's own for the tokenizer, which is not run",
                "use a checkpoint whose \
                          tokenizer_class is one of transformers",
            );
            return Err(Error::malformed(&path, reason));
        }
        let registered = match checkpoint
            .config()
            .get("model_type")
            .and_then(Value::as_str)
        {
            Some("qwen2_vl" | "qwen2_5_vl" | "qwen3_vl") => Some(Self::Qwen2),
            Some("llava" | "smolvlm") => Some(Self::Backend),
            _ => None,
        };
        let own = config.get("tokenizer_class");
        let own = own.or_else(|| checkpoint.config().get("tokenizer_class"));
        let Some(name) = own.and_then(Value::as_str) else {
            return Ok(registered.unwrap_or(Self::Backend));
        };
        // Published checkpoints of these models name classes that do not fit.
        if registered == Some(Self::Backend) {
            return Ok(Self::Backend);
        }
        match Self::named(name) {
            Some(Self::Llama) if is_byte_level => Ok(Self::Backend),
            Some(class) => Ok(class),
            None => Err(Error::malformed(
                &path,
                refusal(
                    format!("tokenizer_class {name} is not supported"),
                    "those that can be loaded are TokenizersBackend, Qwen2Tokenizer, \
                     GPT2Tokenizer and LlamaTokenizer",
                ),
            )),
        }
    }
}
