//! The tokenizer of the built-in models.

use serde_json::{Value, json};

use crate::processor::text::byte_level_char;

const SPECIAL_TOKENS: [&str; 5] = [
    "<|im_start|>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
];

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

/// Tokens before the special ones. The letters are two bytes each.
const PLAIN_TOKENS: usize = 256 + LETTERS.len() / 2 + WORDS.len();

/// Tokens in all.
pub(super) const VOCABULARY: i64 = (PLAIN_TOKENS + SPECIAL_TOKENS.len()) as i64;

/// Id of a special token: they follow the bytes, letters and words.
pub(super) fn special(token: &str) -> usize {
    PLAIN_TOKENS
        + SPECIAL_TOKENS
            .iter()
            .position(|&known| known == token)
            .expect("a token of the list")
}

/// A byte-level tokenizer: every byte is a token, every letter of two bytes is, and every word of a short list that stands
/// alone between spaces and punctuation.
pub(super) fn tokenizer() -> Value {
    let mut alphabet: Vec<char> = (0..=255).map(byte_level_char).collect();
    alphabet.sort_unstable();
    let spelt = |text: &str| -> String { text.bytes().map(byte_level_char).collect() };
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
