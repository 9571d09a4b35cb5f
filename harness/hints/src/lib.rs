//! What to do about an error, apart from its message: a remedy, and the name that was meant for an unknown one (of variants,
//! methods, suites, metrics, keys, families).
//!
//! A crate of its own because `methods` and `benchmarks` know nothing of each other.

use std::fmt;

/// How alike two names must be for one to be suggested for the other, from 0 to 1.
const ALIKE: f64 = 0.5;
/// How alike a name counts at least to its own beginning: less than to itself without a letter.
const BEGINNING: f64 = 0.8;

/// Why something is refused, and what to do about it where that is known. It is displayed without the hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    message: String,
    hint: Option<String>,
}

/// A [`Refusal`] with what to do about it.
pub fn refusal(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal {
        message: message.into(),
        hint: Some(hint.into()),
    }
}

impl Refusal {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    /// The same with more to do about it.
    #[must_use]
    pub fn also(self, hint: &str) -> Self {
        Self {
            hint: Some(self.hint.map_or_else(
                || hint.to_owned(),
                |own| with_hint(&own, Some(hint.to_owned())),
            )),
            ..self
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Without a hint.
impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self {
            message,
            hint: None,
        }
    }
}

/// Without a hint.
impl From<&str> for Refusal {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// A message and its hint in one text, where a hint has no line of its own: in records and lists.
pub fn with_hint(message: &impl fmt::Display, hint: Option<String>) -> String {
    hint.map_or_else(|| message.to_string(), |hint| format!("{message}; {hint}"))
}

/// The nearest of some names to one that is not among them, if it may have been meant: at most half of it differs
/// (Damerau-Levenshtein, normalised by length, upper case as lower), or it begins with what was typed.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let likeness = |name: &str| {
        let spelled = strsim::normalized_damerau_levenshtein(name, &typed);
        let begins = !typed.is_empty() && name.starts_with(&typed);
        let counted = if begins {
            spelled.max(BEGINNING)
        } else {
            spelled
        };
        (counted, spelled)
    };
    known
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|((counted, _), _)| *counted >= ALIKE)
        .max_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)))
        .map(|(_, name)| name)
}

/// The hint that asks for the nearest name, before what else there is to do.
pub fn did_you_mean(nearest: Option<&str>, otherwise: &str) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`? Otherwise {otherwise}"),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = [
        "rave",
        "rave-key-only",
        "embedded-scene",
        "anls",
        "num_beams",
        "num_beam_groups",
    ];

    #[test]
    fn a_slip_and_a_beginning_are_meant_and_another_word_is_not() {
        for (typed, meant) in [
            ("raev", Some("rave")),
            ("rav", Some("rave")),
            ("num_beam", Some("num_beams")),
            ("RAVE-keyonly", Some("rave-key-only")),
            ("embedded", Some("embedded-scene")),
            ("bleu", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, KNOWN), meant, "{typed}");
        }
        assert_eq!(
            did_you_mean(nearest("raev", KNOWN), "choose another"),
            "did you mean `rave`? Otherwise choose another"
        );
        assert_eq!(did_you_mean(None, "choose another"), "choose another");
    }

    #[test]
    fn a_hint_stands_apart_until_the_two_are_put_into_one_text() {
        let told = refusal("a.png is empty", "fetch it again");
        assert_eq!(told.to_string(), "a.png is empty");
        assert_eq!(told.hint().as_deref(), Some("fetch it again"));
        assert_eq!(
            with_hint(&told, told.hint()),
            "a.png is empty; fetch it again"
        );
        let bare = Refusal::from("a.png is empty");
        assert_eq!(with_hint(&bare, bare.hint()), "a.png is empty");
        let both = told.also("leave it out").hint();
        assert_eq!(both.as_deref(), Some("fetch it again; leave it out"));
        assert_eq!(
            bare.also("leave it out").hint().as_deref(),
            Some("leave it out")
        );
    }
}
