//! JSON as Python's `json` writes and reads it: with `NaN`, `Infinity` and `-Infinity`, which JSON itself has not.
//!
//! They are read as null: what a score or an empty cell of `pandas` has become says nothing here.

use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// What a refusal says of a text with such a word.
pub(crate) const HINT: &str =
    "NaN and Infinity in it are read as null: write the text itself in quotes";

/// The words, a longer one before a part of it.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads a value. What was wrong, otherwise.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| match with_nulls(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(plain) => serde_json::from_str(&plain),
    })
}

/// Whether such a word stands outside of texts.
pub(crate) fn has_words(text: &str) -> bool {
    matches!(with_nulls(text), Cow::Owned(_))
}

fn with_nulls(text: &str) -> Cow<'_, str> {
    let mut plain: Option<String> = None;
    // What is copied already.
    let mut done = 0;
    let mut is_quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => drop(characters.next()),
            'N' | 'I' | '-' if !is_quoted && at >= done => {
                let word = WORDS.iter().find(|word| text[at..].starts_with(**word));
                if let Some(word) = word {
                    let plain = plain.get_or_insert_default();
                    plain.push_str(&text[done..at]);
                    plain.push_str("null");
                    done = at + word.len();
                }
            }
            _ => {}
        }
    }
    match plain {
        Some(plain) => Cow::Owned(plain + &text[done..]),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Held against `json.loads` of `CPython` 3.11, with None for the three words.
    #[test]
    fn the_words_of_python_are_null_and_texts_stay() {
        let read = |text: &str| parse::<Value>(text).ok();
        assert_eq!(
            read(r#"{"a": NaN, "b": [-Infinity, Infinity,NaN], "c": "NaN \" NaN"}"#),
            Some(json!({"a": null, "b": [null, null, null], "c": "NaN \" NaN"}))
        );
        assert_eq!(
            read(r#"["\\", NaN, -1, "é"]"#),
            Some(json!(["\\", null, -1, "é"]))
        );
        assert_eq!(read("NaN"), Some(Value::Null));
        for text in ["{\"a\": NaNs}", "nan", "[Inf]", "{NaN: 1}", "[1NaN]"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(has_words("[NaN]") && !has_words("[\"NaN\", -1]"));
    }
}
