//! The keys of a `generation_config.json` and what each does to a greedy answer: the one list of them.
//!
//! Source: `GenerationConfig` of `transformers` 5.23 (`generation/configuration_utils.py`) and what `generate` makes of it
//! (`generation/utils.py`), with `do_sample=False` and `max_new_tokens` given. `every_key_of_transformers_is_in_the_table_and_no_other`
//! in `tests.rs` beside it holds the list against the attributes of that class.

use std::str::FromStr;

use rave_methods::nearest;
use serde_json::{Map, Value};

use crate::Error;

/// What a key does to a greedy answer.
pub(super) enum Effect {
    /// It is followed as `transformers` does.
    Followed,
    /// It changes no token of a greedy answer.
    None,
    /// It is not computed here: what it asks for, and whether a value, given with all settings, asks for nothing.
    Refused(&'static str, fn(&Value, &Map<String, Value>) -> bool),
}

use Effect::{Followed, None as Nothing, Refused};

/// Key and effect, in the order of `GenerationConfig`.
pub(super) const KEYS: &[(&str, Effect)] = &[
    // The number of new tokens is always asked for, and that goes first.
    ("max_length", Nothing),
    ("max_new_tokens", Nothing),
    ("min_length", Followed),
    ("min_new_tokens", Followed),
    ("early_stopping", Nothing),
    ("max_time", Refused("an end after so many seconds", never)),
    ("stop_strings", Followed),
    ("do_sample", Nothing),
    ("num_beams", Refused("beam search", is_one)),
    ("use_mtp", Refused("multi-token prediction", is_off)),
    // How keys and values are stored, without loss but for quantised ones.
    ("use_cache", Nothing),
    (
        "cache_implementation",
        Refused("a cache that loses something", is_exact_cache),
    ),
    ("cache_config", Nothing),
    ("max_cache_len", Nothing),
    // Sampling.
    ("temperature", Nothing),
    ("top_k", Nothing),
    ("top_p", Nothing),
    ("min_p", Nothing),
    ("top_h", Nothing),
    ("typical_p", Nothing),
    ("epsilon_cutoff", Nothing),
    ("eta_cutoff", Nothing),
    ("repetition_penalty", Followed),
    ("encoder_repetition_penalty", Followed),
    ("length_penalty", Nothing),
    ("no_repeat_ngram_size", Followed),
    ("bad_words_ids", Followed),
    ("renormalize_logits", Followed),
    ("forced_bos_token_id", Followed),
    ("forced_eos_token_id", Followed),
    ("remove_invalid_values", Followed),
    ("exponential_decay_length_penalty", Followed),
    ("suppress_tokens", Followed),
    ("begin_suppress_tokens", Followed),
    ("sequence_bias", Followed),
    (
        "token_healing",
        Refused("another end of the prompt", is_off),
    ),
    (
        "guidance_scale",
        Refused("classifier-free guidance", is_one),
    ),
    ("watermarking_config", Refused("a watermark", never)),
    ("num_return_sequences", Refused("several answers", is_one)),
    ("output_attentions", Nothing),
    ("output_hidden_states", Nothing),
    ("output_scores", Nothing),
    ("output_logits", Nothing),
    ("return_dict_in_generate", Nothing),
    // The prompt is given, and nothing is padded.
    ("pad_token_id", Nothing),
    ("bos_token_id", Nothing),
    ("eos_token_id", Followed),
    ("encoder_no_repeat_ngram_size", Followed),
    ("decoder_start_token_id", Nothing),
    // Assisted generation, with what only that looks at.
    (
        "is_assistant",
        Refused("an answer that ends when the model is unsure", is_off),
    ),
    ("num_assistant_tokens", Nothing),
    ("num_assistant_tokens_schedule", Nothing),
    ("assistant_confidence_threshold", Nothing),
    (
        "prompt_lookup_num_tokens",
        Refused("assisted generation", never),
    ),
    ("max_matching_ngram_size", Nothing),
    (
        "assistant_early_exit",
        Refused("assisted generation", never),
    ),
    ("assistant_lookbehind", Nothing),
    ("target_lookbehind", Nothing),
    ("assistant_ensemble_weight", Nothing),
    ("speculation_type", Nothing),
    // `transformers` does not load a file that has it.
    ("compile_config", Refused("a compiled model", never)),
    ("disable_compile", Nothing),
    ("continuous_batching_config", Nothing),
    ("low_memory", Nothing),
    (
        "penalty_alpha",
        Refused("contrastive search", is_not_contrastive),
    ),
    ("dola_layers", Refused("DoLa decoding", never)),
    // Groups of beams.
    ("diversity_penalty", Nothing),
    ("num_beam_groups", Nothing),
    ("constraints", Refused("constrained beam search", never)),
    ("force_words_ids", Refused("constrained beam search", never)),
    (
        "prefill_chunk_size",
        Refused("a prompt that is read in chunks", never),
    ),
    ("_from_model_config", Nothing),
    ("transformers_version", Nothing),
    ("_commit_hash", Nothing),
    // Arguments of `generate`, with which `transformers` does not load a file.
    ("logits_processor", Refused(ARGUMENT, never)),
    ("stopping_criteria", Refused(ARGUMENT, never)),
    ("prefix_allowed_tokens_fn", Refused(ARGUMENT, never)),
    ("synced_gpus", Refused(ARGUMENT, never)),
    ("assistant_model", Refused(ARGUMENT, never)),
    ("streamer", Refused(ARGUMENT, never)),
    ("negative_prompt_ids", Refused(ARGUMENT, never)),
    ("negative_prompt_attention_mask", Refused(ARGUMENT, never)),
];

const ARGUMENT: &str = "an argument of a call, which a file cannot give";

const _: () = assert!(KEYS.len() <= 128, "a bit each in GenerationKeys");

fn never(_: &Value, _: &Map<String, Value>) -> bool {
    false
}

fn is_one(value: &Value, _: &Map<String, Value>) -> bool {
    value.as_f64() == Some(1.0)
}

fn is_off(value: &Value, _: &Map<String, Value>) -> bool {
    *value == Value::Bool(false)
}

/// Of the names that `transformers` knows all but `quantized`, and `paged`, which it takes in a call alone.
fn is_exact_cache(value: &Value, _: &Map<String, Value>) -> bool {
    let exact = [
        "dynamic",
        "offloaded",
        "static",
        "offloaded_static",
        "sliding_window",
        "hybrid",
        "hybrid_chunked",
        "offloaded_hybrid",
        "offloaded_hybrid_chunked",
    ];
    value.as_str().is_some_and(|name| exact.contains(&name))
}

/// It takes a positive `penalty_alpha` and more than one candidate, of which there are 50 by default.
fn is_not_contrastive(value: &Value, settings: &Map<String, Value>) -> bool {
    let single = settings.get("top_k").and_then(Value::as_f64);
    value.as_f64().is_some_and(|alpha| alpha <= 0.0) || single.is_some_and(|top| top <= 1.0)
}

/// One key of a `generation_config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationKey(usize);

impl GenerationKey {
    /// Its name.
    pub fn name(self) -> &'static str {
        KEYS[self.0].0
    }
}

impl FromStr for GenerationKey {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let names = || KEYS.iter().map(|(known, _)| *known);
        let place = names().position(|known| known == name);
        place.map(Self).ok_or_else(|| Error::UnknownGenerationKey {
            key: name.to_owned(),
            nearest: nearest(name, names()).map(ToOwned::to_owned),
        })
    }
}

/// Keys of a `generation_config.json` that are not to be looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GenerationKeys(u128);

impl GenerationKeys {
    /// Every key: plain greedy decoding, to the last token.
    pub const ALL: Self = Self(u128::MAX);

    pub(super) fn contains(self, name: &str) -> bool {
        let place = KEYS.iter().position(|(known, _)| *known == name);
        place.is_some_and(|place| self.0 & (1 << place) != 0)
    }
}

impl FromIterator<GenerationKey> for GenerationKeys {
    fn from_iter<I: IntoIterator<Item = GenerationKey>>(keys: I) -> Self {
        Self(keys.into_iter().fold(0, |bits, key| bits | 1 << key.0))
    }
}
