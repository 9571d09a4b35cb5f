//! The tokens that stand beside a vocabulary: added tokens with their flags, special tokens and their names.
//!
//! Source: `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__` of `transformers` 5.23. They come from
//! `added_tokens_decoder` in `tokenizer_config.json`; without that key from `special_tokens_map.json`, `added_tokens.json` and
//! `tokenizer.json`, where the later one wins. Tokens are added in the order of their ids, and one that the vocabulary lacks
//! gets the next free id, whatever the file says: a contradiction shows where `config.json` names the id.
//! Deviation: a token written as an object is taken where `transformers` takes only its text.

use std::collections::{BTreeMap, HashSet};

use rave_hints::refusal;
use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use super::class::Class;
use crate::checkpoint::read_json;
use crate::{Checkpoint, Error};

/// Names of special tokens that every tokenizer has.
const STANDARD: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// A special token: its text alone, or with flags.
#[derive(Debug, Clone)]
enum Special {
    Plain(String),
    Flagged(AddedToken),
}

impl Special {
    fn content(&self) -> &str {
        match self {
            Self::Plain(content) => content,
            Self::Flagged(token) => &token.content,
        }
    }

    /// What is added to a vocabulary for it.
    fn token(&self) -> AddedToken {
        match self {
            Self::Plain(content) => AddedToken::from(content.clone(), true),
            Self::Flagged(token) => token.clone(),
        }
    }
}

/// The tokens of a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// By the id that the files give them.
    added: BTreeMap<u32, AddedToken>,
    /// Special tokens by name, such as `bos_token`.
    named: Vec<(String, Special)>,
    /// Special tokens without a name.
    extra: Vec<Special>,
}

impl Tokens {
    /// Reads the tokens of a checkpoint, whose `tokenizer_config.json` is `config`; `file` are those of its `tokenizer.json`.
    ///
    /// # Errors
    /// A file that is not what it should be, naming it.
    pub(super) fn read(
        checkpoint: &Checkpoint,
        mut config: Map<String, Value>,
        class: Class,
        file: Option<&BTreeMap<u32, AddedToken>>,
    ) -> Result<Self, Error> {
        let path = checkpoint.path("tokenizer_config.json");
        let bad = |what: &str| {
            Error::malformed(
                &path,
                refusal(
                    format!("{what} is not a token"),
                    "use the file of this checkpoint",
                ),
            )
        };
        let is_named = |config: &Map<String, Value>, key: &str| {
            config.get(key).is_some_and(|value| !is_empty(value))
        };
        if config.contains_key("additional_special_tokens")
            && !is_named(&config, "extra_special_tokens")
            && let Some(tokens) = config.remove("additional_special_tokens")
        {
            config.insert("extra_special_tokens".to_owned(), tokens);
        }
        let mut specific = take_specific(&mut config);
        specific.extend(take_named_extra(&mut config));
        let mut added = BTreeMap::new();
        if let Some(decoder) = config.remove("added_tokens_decoder") {
            let tokens = decoder
                .as_object()
                .ok_or_else(|| bad("added_tokens_decoder"))?;
            for (id, token) in tokens {
                let id = id.parse().map_err(|_| bad(id))?;
                let token = flagged(token, None).ok_or_else(|| bad(&format!("token {id}")))?;
                added.insert(id, token);
            }
        } else {
            merge_map(checkpoint, &mut config)?;
            specific.extend(take_named_extra(&mut config));
            added = legacy(checkpoint, &config)?;
            added.extend(file.cloned().unwrap_or_default());
        }
        if !config.contains_key("extra_special_tokens")
            && let Some(tokens) = config.remove("additional_special_tokens")
        {
            config.insert("extra_special_tokens".to_owned(), tokens);
        }
        let extra = match config.remove("extra_special_tokens") {
            Some(Value::Array(tokens)) => tokens.iter().map(special).collect::<Option<Vec<_>>>(),
            None | Some(Value::Null) => Some(Vec::new()),
            Some(_) => None,
        };
        let mut tokens = Self {
            extra: extra.ok_or_else(|| bad("extra_special_tokens"))?,
            ..Self::default()
        };
        tokens
            .name(&config, &specific, class, &added)
            .map_err(|key| bad(&key))?;
        tokens.added = added;
        Ok(tokens)
    }

    /// Gives the special tokens their names; fails with the name of one that is none.
    fn name(
        &mut self,
        config: &Map<String, Value>,
        specific: &Map<String, Value>,
        class: Class,
        added: &BTreeMap<u32, AddedToken>,
    ) -> Result<(), String> {
        let with_flags = |token: Special| {
            let same = added
                .values()
                .find(|other| other.content == token.content());
            same.cloned().map_or(token, Special::Flagged)
        };
        for name in STANDARD {
            let token = match config.get(name) {
                Some(Value::Null) => continue,
                Some(value) => with_flags(special(value).ok_or(name)?),
                None => match default(class, name) {
                    Some(content) => Special::Plain(content.to_owned()),
                    None => continue,
                },
            };
            self.named.push((name.to_owned(), token));
        }
        let own = config
            .iter()
            .filter(|(key, value)| is_specific(key) && special(value).is_some());
        for (name, value) in own.chain(specific) {
            let token = special(value).ok_or_else(|| name.clone())?;
            self.named.retain(|(other, _)| other != name);
            self.named.push((name.clone(), token));
        }
        Ok(())
    }

    /// Adds the tokens to a tokenizer as its class does.
    pub(super) fn add_to(&self, tokenizer: &mut Tokenizer, class: Class) {
        let present: Vec<AddedToken> = tokenizer.get_added_tokens_decoder().into_values().collect();
        let mut known: HashSet<String> =
            present.iter().map(|token| token.content.clone()).collect();
        let names: HashSet<&str> = self
            .named
            .iter()
            .map(|(_, token)| token.content())
            .collect();
        let mut new: Vec<AddedToken> = self
            .added
            .values()
            .filter(|token| !present.iter().any(|other| is_same(other, token)))
            .cloned()
            .collect();
        known.extend(new.iter().map(|token| token.content.clone()));
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            if known.insert(token.content().to_owned()) {
                new.push(token.token());
            }
        }
        for token in &mut new {
            token.special |= names.contains(token.content.as_str());
        }
        tokenizer.add_tokens(&new);
        if class == Class::Qwen2 {
            let special = self.named.iter().map(|(_, token)| token).chain(&self.extra);
            let special: Vec<_> = special
                .map(|token| AddedToken::from(token.content().to_owned(), true))
                .collect();
            tokenizer.add_tokens(&special);
        }
    }

    /// The special tokens that templates may name, such as `bos_token`.
    pub(super) fn names(&self) -> Vec<(String, String)> {
        let named = self.named.iter();
        named
            .map(|(name, token)| (name.clone(), token.content().to_owned()))
            .collect()
    }
}

/// Whether a key of `tokenizer_config.json` names a special token of the model's own.
fn is_specific(key: &str) -> bool {
    key.ends_with("_token") && !STANDARD.contains(&key)
}

/// What Python counts as false.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Takes the model's own special tokens that are written as text.
fn take_specific(config: &mut Map<String, Value>) -> Map<String, Value> {
    let keys = config
        .iter()
        .filter(|(key, value)| is_specific(key) && value.is_string());
    let keys: Vec<_> = keys.map(|(key, _)| key.clone()).collect();
    keys.into_iter()
        .filter_map(|key| config.shift_remove_entry(&key))
        .collect()
}

/// Takes `extra_special_tokens` where they have names.
fn take_named_extra(config: &mut Map<String, Value>) -> Map<String, Value> {
    match config.get("extra_special_tokens") {
        Some(Value::Object(_)) => match config.shift_remove("extra_special_tokens") {
            Some(Value::Object(tokens)) => tokens,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

/// A token written as an object; `special` stands over what it says itself.
fn flagged(value: &Value, special: Option<bool>) -> Option<AddedToken> {
    let flag = |key: &str| value.get(key).and_then(Value::as_bool);
    let special = special.or_else(|| flag("special")).unwrap_or(false);
    Some(AddedToken {
        content: value.get("content")?.as_str()?.to_owned(),
        single_word: flag("single_word").unwrap_or(false),
        lstrip: flag("lstrip").unwrap_or(false),
        rstrip: flag("rstrip").unwrap_or(false),
        normalized: flag("normalized").unwrap_or(!special),
        special,
    })
}

/// A special token written as text or as an object.
fn special(value: &Value) -> Option<Special> {
    match value {
        Value::String(content) => Some(Special::Plain(content.clone())),
        _ => flagged(value, None).map(Special::Flagged),
    }
}

/// Puts what `special_tokens_map.json` says over `tokenizer_config.json`.
fn merge_map(checkpoint: &Checkpoint, config: &mut Map<String, Value>) -> Result<(), Error> {
    let Some(map) = object(checkpoint, "special_tokens_map.json")? else {
        return Ok(());
    };
    for (key, mut value) in map {
        if key == "extra_special_tokens" {
            if let (Value::Array(new), Some(Value::Array(old))) =
                (&mut value, config.get(key.as_str()))
            {
                let mut all = old.clone();
                all.extend(new.drain(..).filter(|token| !old.contains(token)));
                *new = all;
            }
        } else if let Value::Object(token) = &mut value {
            token.insert("special".to_owned(), Value::Bool(true));
        }
        config.insert(key, value);
    }
    Ok(())
}

/// The tokens of `added_tokens.json`.
fn legacy(
    checkpoint: &Checkpoint,
    config: &Map<String, Value>,
) -> Result<BTreeMap<u32, AddedToken>, Error> {
    let Some(map) = object(checkpoint, "added_tokens.json")? else {
        return Ok(BTreeMap::new());
    };
    let extra = config.get("extra_special_tokens").and_then(Value::as_array);
    let standard = STANDARD.iter().filter_map(|&name| config.get(name));
    let is_named: HashSet<String> = standard
        .chain(extra.into_iter().flatten())
        .filter_map(special)
        .map(|token| token.content().to_owned())
        .collect();
    map.into_iter()
        .map(|(content, id)| {
            let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
                let reason = refusal(
                    format!("{content} has no id"),
                    "use the file of this checkpoint",
                );
                return Err(Error::malformed(
                    &checkpoint.path("added_tokens.json"),
                    reason,
                ));
            };
            let is_special = is_named.contains(&content);
            Ok((id, AddedToken::from(content, is_special)))
        })
        .collect()
}

/// A JSON file that holds an object; `None` where it is not there.
pub(super) fn object(
    checkpoint: &Checkpoint,
    name: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    let path = checkpoint.path(name);
    if !path.is_file() {
        return Ok(None);
    }
    match read_json(&path)? {
        Value::Object(map) => Ok(Some(map)),
        _ => Err(Error::malformed(
            &path,
            refusal("not a JSON object", "fetch it again"),
        )),
    }
}

/// The special token that a class names where the files do not.
fn default(class: Class, name: &str) -> Option<&'static str> {
    match (class, name) {
        (Class::Qwen2, "unk_token" | "eos_token" | "pad_token")
        | (Class::Gpt2, "unk_token" | "bos_token" | "eos_token") => Some("<|endoftext|>"),
        (Class::Llama, "unk_token") => Some("<unk>"),
        (Class::Llama, "bos_token") => Some("<s>"),
        (Class::Llama, "eos_token") => Some("</s>"),
        _ => None,
    }
}

/// Whether two tokens are equal in text and flags (the library compares their texts).
fn is_same(one: &AddedToken, other: &AddedToken) -> bool {
    let flags = |token: &AddedToken| {
        [
            token.single_word,
            token.lstrip,
            token.rstrip,
            token.normalized,
            token.special,
        ]
    };
    one == other && flags(one) == flags(other)
}
