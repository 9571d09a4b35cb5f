//! The classes of `transformers` 5.23 that read `config.json` and the image processor's file, as far as the families use them: what
//! each key is where a file leaves it out, and what becomes of it here. Every field of these classes is in exactly one of the
//! three lists; a test holds that and the defaults against the classes themselves (`tests/fixtures/classes`).
//!
//! A key that no class has is ignored, as there.

mod configs;
mod images;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub(crate) use self::configs::{ConfigPart, Whole, config, wholes};
pub(crate) use self::images::image;

/// One class of `transformers`.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    pub name: &'static str,
    /// The keys that are read, and what they are where a file leaves them out.
    pub read: Value,
    /// The keys that change what is computed in a way that is not supported, unless they are left out or what they are here.
    pub fixed: Value,
    /// The keys that change no answer.
    pub inert: Vec<&'static str>,
    pub nulls: Nulls,
    /// Other names of keys, which win where a file has both.
    pub aliases: &'static [(&'static str, &'static str)],
}

/// What a null is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Nulls {
    /// The default, but for a few keys for which it says something: as many key-value heads as heads, no window, no scaling.
    Default,
    /// Off, or nothing, but for these keys, of which it is the default.
    Nothing(&'static [&'static str]),
}

/// What becomes of a key of a class.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyUse {
    /// It is followed; left out it is this.
    Read(Value),
    /// Anything but this is refused by name.
    Only(Value),
    /// It changes no answer.
    Inert,
}

/// A key of a file that a class of `transformers` reads.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigKey {
    /// The class.
    pub class: &'static str,
    /// The key.
    pub key: String,
    /// What becomes of it.
    pub key_use: KeyUse,
}

/// Every key of `config.json` and of the image processor's file that a family knows, class by class.
pub fn config_keys() -> Vec<ConfigKey> {
    let classes = configs::CONFIGS.iter().chain(images::IMAGES);
    classes.flat_map(|class| class().keys()).collect()
}

/// The keys of [`Nulls::Default`] for which a null says something.
const NULL_MEANS: [&str; 6] = [
    "num_key_value_heads",
    "head_dim",
    "layer_types",
    "sliding_window",
    "rope_parameters",
    "rope_scaling",
];

impl Class {
    /// The keys that are read of a file's object, and nothing else: what the file says, else the default.
    ///
    /// # Errors
    /// In words: a key that would change what is computed and is not supported.
    pub(crate) fn fill(&self, file: &Value) -> Result<Value, String> {
        for (key, only) in entries(&self.fixed) {
            match file.get(key) {
                Some(own) if !own.is_null() && !same(own, only) => {
                    let other = if only.is_null() {
                        String::new()
                    } else {
                        format!("; {only} is")
                    };
                    return Err(format!("{key} {own} is not supported{other}"));
                }
                _ => (),
            }
        }
        let filled: Map<String, Value> = entries(&self.read)
            .map(|(key, default)| {
                let alias = self.aliases.iter().find(|(_, name)| name == key);
                let renamed = alias.and_then(|(alias, _)| file.get(alias));
                let own = renamed
                    .filter(|own| !own.is_null())
                    .or_else(|| file.get(key));
                let value = match own {
                    Some(Value::Null) => self.null(key, default),
                    own => own.unwrap_or(default).clone(),
                };
                (key.clone(), value)
            })
            .collect();
        Ok(Value::Object(filled))
    }

    /// What a null is.
    fn null(&self, key: &str, default: &Value) -> Value {
        let is_default = match self.nulls {
            Nulls::Default => !NULL_MEANS.contains(&key),
            Nulls::Nothing(but) => but.contains(&key),
        };
        match default {
            default if is_default => default.clone(),
            Value::Bool(_) => Value::Bool(false),
            _ => Value::Null,
        }
    }

    fn keys(&self) -> Vec<ConfigKey> {
        let key = |key: &str, key_use| ConfigKey {
            class: self.name,
            key: key.to_owned(),
            key_use,
        };
        let read = entries(&self.read).map(|(name, value)| key(name, KeyUse::Read(value.clone())));
        let only = entries(&self.fixed).map(|(name, value)| key(name, KeyUse::Only(value.clone())));
        let inert = self.inert.iter().map(|name| key(name, KeyUse::Inert));
        read.chain(only).chain(inert).collect()
    }
}

/// An object with the keys of another, which win.
fn with(mut object: Value, more: &Value) -> Value {
    if let Value::Object(object) = &mut object {
        object.extend(entries(more).map(|(key, value)| (key.clone(), value.clone())));
    }
    object
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// Whether two values are the same, 1 and 1.0 too.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || one
            .as_f64()
            .is_some_and(|number| other.as_f64() == Some(number))
}
