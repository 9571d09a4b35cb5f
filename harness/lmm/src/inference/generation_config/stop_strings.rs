//! Texts that end an answer.
//!
//! Source: `StopStringCriteria` of `transformers` 5.23 (`generation/stopping_criteria.py`): an answer ends with the token in
//! which a stop string ends, wherever in that token. Its tables of positions say when the texts of the last tokens, the prompt's
//! included, hold the string that way, over as many tokens as the longest string has characters (bytes, where the tokenizer's
//! tokens are bytes); here the texts themselves are compared.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::{Decoder, Tokenizer};

use crate::processor::text::byte_level_char;

/// A text that decoders leave as it is, before a token whose text is asked for.
const BEFORE: &str = "abcdef";

/// Stop strings with the text of every token.
pub(crate) struct StopStrings {
    strings: Vec<Vec<u8>>,
    /// Tokens that are looked at.
    window: usize,
    /// By token id; `None` of one that the tokenizer does not have.
    texts: Vec<Option<Vec<u8>>>,
}

/// What the tokens of a vocabulary are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tokens {
    Characters,
    /// Every character stands for a byte (GPT-2's).
    Bytes,
    /// Characters, and tokens such as `<0x0A>` for other bytes (of `SentencePiece`).
    ByteFallback,
}

impl StopStrings {
    /// The error says why the tokenizer and the strings do not go together.
    pub fn new(strings: &[String], tokenizer: &Tokenizer) -> Result<Self, String> {
        let kind = kind(tokenizer);
        let lengths = strings.iter().map(|string| match kind {
            Tokens::Characters => string.chars().count(),
            Tokens::Bytes | Tokens::ByteFallback => string.len(),
        });
        let strings: Vec<Vec<u8>> = strings.iter().map(|string| string.clone().into()).collect();
        let text = Texts::new(tokenizer, kind)?;
        let mut texts = Vec::new();
        for (token, id) in tokenizer.get_vocab(true) {
            let id = id as usize;
            if texts.len() <= id {
                texts.resize(id + 1, None);
            }
            texts[id] = Some(text.of(token)?);
        }
        let found = Self {
            window: lengths.max().unwrap_or(0),
            strings,
            texts,
        };
        // As `transformers`, which finds that no token ends any of them.
        let mut texts = found.texts.iter().flatten();
        if texts.any(|text| found.strings.iter().any(|string| can_end(string, text))) {
            Ok(found)
        } else {
            Err("has no text that the tokens of this vocabulary can end".to_owned())
        }
    }

    /// Whether one of the strings ends in the last token of an answer to a prompt.
    pub fn end(&self, prompt: &[i64], answer: &[i64]) -> bool {
        let from_prompt = self.window.saturating_sub(answer.len()).min(prompt.len());
        let prompt = &prompt[prompt.len() - from_prompt..];
        let answer = &answer[answer.len().saturating_sub(self.window)..];
        let mut joined = Vec::new();
        let mut last = 0;
        for &id in prompt.iter().chain(answer) {
            let text = usize::try_from(id).ok().and_then(|id| self.texts.get(id));
            last = joined.len();
            if let Some(Some(text)) = text {
                joined.extend_from_slice(text);
            } else {
                // No string goes over a token without a text.
                joined.clear();
                last = 0;
            }
        }
        let holds = |string: &Vec<u8>| {
            // The first place where the string may begin to end in the last token.
            let from = (last + 1).saturating_sub(string.len());
            joined[from..]
                .windows(string.len())
                .any(|window| window == string)
        };
        self.strings.iter().any(holds)
    }
}

/// Whether the beginning of a text can be the end of a string, or all of it.
fn can_end(string: &[u8], text: &[u8]) -> bool {
    (1..=text.len()).any(|length| {
        let end = &string[string.len().saturating_sub(length)..];
        text[..length].ends_with(end)
    })
}

fn kind(tokenizer: &Tokenizer) -> Tokens {
    fn has(value: &Value, kind: &str) -> bool {
        match value {
            Value::Object(map) => {
                map.get("type").and_then(Value::as_str) == Some(kind)
                    || map.values().any(|value| has(value, kind))
            }
            Value::Array(list) => list.iter().any(|value| has(value, kind)),
            _ => false,
        }
    }
    let decoder = tokenizer.get_decoder();
    let decoder = serde_json::to_value(decoder).unwrap_or_default();
    if has(&decoder, "ByteFallback") {
        Tokens::ByteFallback
    } else if has(&decoder, "ByteLevel") {
        Tokens::Bytes
    } else {
        Tokens::Characters
    }
}

/// What tokens add to a text.
struct Texts<'a> {
    tokenizer: &'a Tokenizer,
    kind: Tokens,
    bytes: HashMap<char, u8>,
    /// The tokens of [`BEFORE`].
    before: Vec<String>,
}

impl<'a> Texts<'a> {
    fn new(tokenizer: &'a Tokenizer, kind: Tokens) -> Result<Self, String> {
        let before = tokenizer.encode(BEFORE, false);
        let before = before.map_err(|error| unclear(&format!("fails ({error})")))?;
        Ok(Self {
            tokenizer,
            kind,
            bytes: (0..=255)
                .map(|byte| (byte_level_char(byte), byte))
                .collect(),
            before: before.get_tokens().to_vec(),
        })
    }

    fn of(&self, token: String) -> Result<Vec<u8>, String> {
        match self.kind {
            Tokens::Bytes => {
                let bytes = token
                    .chars()
                    .map(|character| self.bytes.get(&character).copied());
                if let Some(bytes) = bytes.collect() {
                    return Ok(bytes);
                }
            }
            Tokens::ByteFallback => {
                let digits = token
                    .strip_prefix("<0x")
                    .and_then(|rest| rest.strip_suffix('>'));
                let digits = digits.filter(|digits| digits.len() == 2);
                if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    return Ok(vec![byte]);
                }
            }
            Tokens::Characters => {}
        }
        let mut tokens = self.before.clone();
        tokens.push(token);
        let whole = match self.tokenizer.get_decoder() {
            Some(decoder) => decoder
                .decode(tokens)
                .map_err(|error| unclear(&format!("fails ({error})")))?,
            None => tokens.join(" "),
        };
        match whole.split_once(BEFORE) {
            Some((_, text)) => Ok(text.into()),
            None => Err(unclear("changes a text that it decodes")),
        }
    }
}

fn unclear(reason: &str) -> String {
    format!("cannot be looked for: the tokenizer {reason}")
}
