//! How a checkpoint wants to be decoded: `generation_config.json`, or what an old `config.json` says in its place.
//!
//! As `GenerationConfig.from_pretrained` of `transformers` 5.23: where there is a `generation_config.json`, it alone counts; else
//! the keys of `config.json`, and for those that are unset there the keys of its text part. Deviations: values that
//! `transformers` takes without effect (a negative length, a suppressed token that there is not) are refused, as they are mistakes.
//! A key that nobody knows has no effect, as there, and is recorded.

mod keys;
mod logits_processors;
mod rules;
mod stop_strings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rave_hints::refusal;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use self::keys::{Effect, KEYS};
pub use self::keys::{GenerationKey, GenerationKeys};
pub(crate) use self::logits_processors::LogitsProcessors;
use self::rules::{Biased, Rules};
pub(crate) use self::stop_strings::StopStrings;
use crate::checkpoint::read_json;
use crate::processor::text::Text;
use crate::{Checkpoint, Error};

const FILE: &str = "generation_config.json";

/// The option that goes on without a key.
const OPTION: &str = "--ignore-generation-config";

/// What of a checkpoint's generation config reached its answers, key by key with the values of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// The file: `generation_config.json`, or `config.json` where there is none.
    pub file: String,
    /// What was followed, but for values that ask for nothing.
    pub applied: BTreeMap<String, Value>,
    /// What was not looked at, as asked for.
    pub ignored: BTreeMap<String, Value>,
    /// What neither this program nor the `transformers` that it follows knows.
    pub unknown: BTreeMap<String, Value>,
}

/// How a checkpoint is decoded.
#[derive(Debug)]
pub struct GenerationConfig {
    path: PathBuf,
    pub(crate) rules: Rules,
    followed: Followed,
}

impl GenerationConfig {
    /// Reads that of a checkpoint, but for the keys `ignored`. No tensor is looked at.
    ///
    /// # Errors
    /// [`Error::Malformed`] with file, key and remedy for what is not computed here, and for a value that is none.
    pub fn of(checkpoint: &Checkpoint, ignored: GenerationKeys) -> Result<Self, Error> {
        let path = checkpoint.path(FILE);
        if path.is_file() {
            let Value::Object(settings) = read_json(&path)? else {
                let reason = refusal(
                    "no JSON object with settings",
                    "fetch it again, or leave it out",
                );
                return Err(Error::malformed(&path, reason));
            };
            return Self::parse(path, FILE, settings, ignored);
        }
        let file = "config.json";
        let settings = settings_of_model(checkpoint.config());
        Self::parse(checkpoint.path(file), file, settings, ignored)
    }

    fn parse(
        path: PathBuf,
        file: &str,
        mut settings: Map<String, Value>,
        ignored: GenerationKeys,
    ) -> Result<Self, Error> {
        settings.retain(|_, value| !value.is_null());
        let mut followed = Followed {
            file: file.to_owned(),
            ..Followed::default()
        };
        let names: Vec<String> = settings.keys().cloned().collect();
        for name in names {
            let known = KEYS.iter().find(|(known, _)| *known == name);
            let list = match known {
                None => &mut followed.unknown,
                Some((_, Effect::None)) => continue,
                Some(_) if ignored.contains(&name) => &mut followed.ignored,
                Some((_, Effect::Followed)) => continue,
                Some((_, Effect::Refused(what, harmless))) => {
                    let value = &settings[&name];
                    if harmless(value, &settings) {
                        continue;
                    }
                    let reason = refusal(
                        format!("{name} {value} asks for {what}, which is not computed here"),
                        format!(
                            "choose another checkpoint, or go on \
                         without it: {OPTION} {name}"
                        ),
                    );
                    return Err(Error::malformed(&path, reason));
                }
            };
            if let Some(value) = settings.remove(&name) {
                list.insert(name, value);
            }
        }
        let mut reader = Reader {
            path: &path,
            settings: &settings,
            applied: BTreeMap::new(),
        };
        let rules = reader.rules()?;
        followed.applied = reader.applied;
        Ok(Self {
            path,
            rules,
            followed,
        })
    }

    /// What of it reaches the answers.
    pub fn followed(&self) -> &Followed {
        &self.followed
    }

    /// Makes sure that there are the tokens that it speaks of, but for the end tokens: one that there is not ends nothing.
    pub(crate) fn check_tokens(&self, vocabulary: i64) -> Result<(), Error> {
        match self.rules.beyond(vocabulary) {
            None => Ok(()),
            Some((key, id)) => Err(Error::malformed(
                &self.path,
                refusal(
                    format!("{key} names token {id}, but the vocabulary has {vocabulary}"),
                    format!(
                        "use the file of this checkpoint, or go on \
                     without it: {OPTION} {key}"
                    ),
                ),
            )),
        }
    }

    /// The stop strings, with a tokenizer's tokens; `None` without any.
    pub(crate) fn stop_strings(&self, tokenizer: &Tokenizer) -> Result<Option<StopStrings>, Error> {
        if self.rules.stop_strings.is_empty() {
            return Ok(None);
        }
        let found = StopStrings::new(&self.rules.stop_strings, tokenizer);
        let key = "stop_strings";
        let value = || &self.followed.applied[key];
        found
            .map(Some)
            .map_err(|reason| wrong(&self.path, key, value(), &reason))
    }
}

/// The tokens that a trained answer may end with: those that `generation_config.json` names, else `config.json`; where the tokenizer
/// has none of them, or nothing is named, its own `eos_token`.
pub(crate) fn trained_end_tokens(checkpoint: &Checkpoint, text: &Text) -> Result<Vec<i64>, Error> {
    let key = "eos_token_id";
    let path = checkpoint.path(FILE);
    let own = if path.is_file() {
        read_json(&path)?
    } else {
        Value::Null
    };
    let model = settings_of_model(checkpoint.config());
    let values = [own.get(key), model.get(key)];
    let found = values.into_iter().flatten().find(|value| !value.is_null());
    let mut ends = found.and_then(tokens).unwrap_or_default();
    ends.retain(|&id| text.has(id));
    if ends.is_empty() {
        ends.extend(text.end_token());
    }
    Ok(ends)
}

/// The keys of a `config.json` that are a generation config's.
fn settings_of_model(config: &Value) -> Map<String, Value> {
    let text = ["decoder", "generator", "text_config"]
        .iter()
        .filter_map(|part| config.get(part))
        .find(|part| part.as_object().is_some_and(|part| !part.is_empty()));
    let configs = [Some(config), text];
    let found = KEYS.iter().filter_map(|(name, _)| {
        let mut values = configs.into_iter().flatten().map(|config| config.get(name));
        let value = values.find_map(|value| value.filter(|value| !value.is_null()))?;
        Some(((*name).to_owned(), value.clone()))
    });
    found.collect()
}

fn wrong(path: &Path, key: &str, value: &Value, reason: &str) -> Error {
    let reason = refusal(
        format!("{key} {value} {reason}"),
        format!("give another value, or go on without it: {OPTION} {key}"),
    );
    Error::malformed(path, reason)
}

/// Reads the values, and notes those that ask for something.
struct Reader<'a> {
    path: &'a Path,
    settings: &'a Map<String, Value>,
    applied: BTreeMap<String, Value>,
}

impl Reader<'_> {
    fn rules(&mut self) -> Result<Rules, Error> {
        let end_tokens = self.value("eos_token_id", NO_TOKENS, tokens, some)?;
        let can_end = end_tokens.as_ref().is_some_and(|ids| !ids.is_empty());
        let min_new_tokens = self.least("min_new_tokens", can_end)?;
        // It goes second, even after a 0.
        let counts = can_end && !self.settings.contains_key("min_new_tokens");
        let rules = Rules {
            min_new_tokens,
            min_length: self.least("min_length", counts)?,
            sequence_bias: self
                .value("sequence_bias", NO_BIAS, biases, some)?
                .unwrap_or_default(),
            encoder_repetition_penalty: self.penalty("encoder_repetition_penalty")?,
            repetition_penalty: self.penalty("repetition_penalty")?,
            no_repeat_ngram_size: self.least("no_repeat_ngram_size", true)?,
            encoder_no_repeat_ngram_size: self.least("encoder_no_repeat_ngram_size", true)?,
            bad_words: self.bad_words(end_tokens.as_deref().unwrap_or_default())?,
            forced_first: self.value(
                "forced_bos_token_id",
                "is no token id",
                |value| value.as_i64().filter(|&id| id >= 0),
                |_| true,
            )?,
            forced_last: self
                .value("forced_eos_token_id", NO_TOKENS, tokens, some)?
                .unwrap_or_default(),
            removes_invalid: self.flag("remove_invalid_values")?,
            decay: self.decay(can_end)?,
            suppressed: self.list("suppress_tokens")?,
            suppressed_first: self.list("begin_suppress_tokens")?,
            renormalizes: self.flag("renormalize_logits")?,
            stop_strings: self
                .value("stop_strings", NO_STRINGS, strings, some)?
                .unwrap_or_default(),
            end_tokens: end_tokens.unwrap_or_default(),
        };
        let forced = [
            ("forced_bos_token_id", rules.forced_first.as_slice()),
            ("forced_eos_token_id", &rules.forced_last),
        ];
        for (key, ids) in forced {
            if !ids.is_empty() && ids.iter().all(|id| rules.suppressed.contains(id)) {
                let reason = "is no token that may be said: suppress_tokens has it too";
                return Err(self.refused(key, reason));
            }
        }
        Ok(rules)
    }

    fn refused(&self, key: &str, reason: &str) -> Error {
        wrong(self.path, key, &self.settings[key], reason)
    }

    /// What `parse` makes of the value of a key, if that `asks` for something; a value of which it makes nothing is `wrong`.
    fn value<T>(
        &mut self,
        key: &str,
        wrong: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
        asks: impl FnOnce(&T) -> bool,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.settings.get(key) else {
            return Ok(None);
        };
        let found = parse(value).ok_or_else(|| self.refused(key, wrong))?;
        if !asks(&found) {
            return Ok(None);
        }
        self.applied.insert(key.to_owned(), value.clone());
        Ok(Some(found))
    }

    /// A number of tokens, 0 for none; it asks for something only if it `counts`.
    fn least(&mut self, key: &str, counts: bool) -> Result<usize, Error> {
        let number = self.value(
            key,
            "is no whole number from 0 on",
            |value| usize::try_from(value.as_u64()?).ok(),
            |&number| counts && number > 0,
        )?;
        Ok(number.unwrap_or(0))
    }

    /// `transformers` takes a number without a decimal point for a mistake, but for 1, which asks for nothing.
    fn penalty(&mut self, key: &str) -> Result<Option<f64>, Error> {
        let asks = |penalty: &f64| (penalty - 1.0).abs() > 0.0;
        self.value(
            key,
            "is no number above 0 with a decimal point",
            |value| {
                let penalty = value.as_f64().filter(|&penalty| penalty > 0.0)?;
                (value.is_f64() || !asks(&penalty)).then_some(penalty)
            },
            asks,
        )
    }

    fn flag(&mut self, key: &str) -> Result<bool, Error> {
        let wrong = "is neither true nor false";
        let flag = self.value(key, wrong, Value::as_bool, |&flag| flag)?;
        Ok(flag.is_some())
    }

    fn list(&mut self, key: &str) -> Result<Vec<i64>, Error> {
        let ids = self.value(
            key,
            "is no list of token ids",
            |value| tokens(value).filter(|_| value.is_array()),
            some,
        )?;
        Ok(ids.unwrap_or_default())
    }

    /// Sequences with a bias of minus infinity. One that is an end token alone is no bad word.
    fn bad_words(&mut self, end_tokens: &[i64]) -> Result<Vec<Biased>, Error> {
        let wrong = "is no list of lists of token ids, one of which is no end token";
        let parse = |value: &Value| {
            let words = value.as_array()?.iter();
            let words: Vec<Vec<i64>> = words.map(sequence).collect::<Option<_>>()?;
            let words = words.into_iter();
            let words = words.filter(|word| !matches!(word[..], [id] if end_tokens.contains(&id)));
            let words: Vec<_> = words
                .map(|ids| Biased {
                    ids,
                    bias: f32::NEG_INFINITY,
                })
                .collect();
            (!words.is_empty()).then_some(words)
        };
        let words = self.value("bad_words_ids", wrong, parse, some)?;
        Ok(words.unwrap_or_default())
    }

    /// From which new token on the end tokens grow likelier, and by which factor a token.
    fn decay(&mut self, can_end: bool) -> Result<Option<(usize, f64)>, Error> {
        let wrong = "is no list of a number of tokens and a factor above 0, beside an eos_token_id";
        let parse = |value: &Value| {
            let [start, factor] = value.as_array()?.as_slice() else {
                return None;
            };
            let start = usize::try_from(start.as_u64()?).ok()?;
            let factor = factor.as_f64().filter(|&factor| factor > 0.0)?;
            can_end.then_some((start, factor))
        };
        self.value("exponential_decay_length_penalty", wrong, parse, |_| true)
    }
}

const NO_TOKENS: &str = "is neither a token id nor a list of them";
const NO_STRINGS: &str = "is neither a text nor a list of them, none of them empty";
const NO_BIAS: &str = "is no list of pairs of a list of token ids and a number with a decimal point ([[[10, 45], -2.0]])";

/// A token id or a list of them.
fn tokens(value: &Value) -> Option<Vec<i64>> {
    let ids = match value {
        Value::Array(ids) => ids.iter().map(Value::as_i64).collect::<Option<Vec<_>>>()?,
        id => vec![id.as_i64()?],
    };
    ids.iter().all(|&id| id >= 0).then_some(ids)
}

#[allow(clippy::ptr_arg, reason = "what is parsed is a Vec")]
fn some<T>(list: &Vec<T>) -> bool {
    !list.is_empty()
}

/// Token ids, one at least.
fn sequence(value: &Value) -> Option<Vec<i64>> {
    value.as_array().filter(|ids| !ids.is_empty())?;
    tokens(value)
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let strings: Vec<String> = match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list
            .iter()
            .map(|one| one.as_str().map(ToOwned::to_owned))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let whole = !strings.is_empty() && strings.iter().all(|one| !one.is_empty());
    whole.then_some(strings)
}

/// Of a sequence that is given twice, the last bias counts.
fn biases(value: &Value) -> Option<Vec<Biased>> {
    let mut found: Vec<Biased> = Vec::new();
    for pair in value.as_array()? {
        let [ids, bias] = pair.as_array()?.as_slice() else {
            return None;
        };
        let bias = bias.as_f64().filter(|_| bias.is_f64())? as f32;
        let ids = sequence(ids).filter(|_| bias.is_finite())?;
        match found.iter_mut().find(|known| known.ids == ids) {
            Some(known) => known.bias = bias,
            None => found.push(Biased { ids, bias }),
        }
    }
    (!found.is_empty()).then_some(found)
}
