//! Why a sample, a probe or a measurement has no value: a kind, by which failures are counted, and the whole story.
//!
//! Records hold it as one text, `kind: detail`, as they always did: [`Failure`] is made of it and written as it, and nobody else
//! takes such a text apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Failure {
    /// What failures are counted by.
    pub kind: FailureKind,
    /// What happened; may be empty.
    pub detail: String,
}

/// What failures are counted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The item of the data set cannot be read.
    Item,
    /// Its picture cannot be decoded.
    Image,
    /// The model cannot take its prompt.
    Prompt,
    /// The model cannot be run on it.
    Model,
    /// `LibTorch` refused an operation.
    Torch,
    /// There was no memory for it.
    OutOfMemory,
    /// The logits are not finite.
    NotFinite,
    /// It took longer than allowed.
    Timeout,
    /// The program or a library broke off while it was prepared.
    Panic,
    /// The metric gave a number that is not finite.
    ScoreNotFinite,
    /// A probe found no visual tokens.
    NoPicture,
    /// The peak of memory could not be measured.
    PeakMemory,
    /// Neither a score nor a reason was recorded.
    Unscored,
    /// Another one, of a record that another program or another version wrote.
    Other(String),
}

impl FailureKind {
    const KNOWN: [Self; 13] = [
        Self::Item,
        Self::Image,
        Self::Prompt,
        Self::Model,
        Self::Torch,
        Self::OutOfMemory,
        Self::NotFinite,
        Self::Timeout,
        Self::Panic,
        Self::ScoreNotFinite,
        Self::NoPicture,
        Self::PeakMemory,
        Self::Unscored,
    ];

    /// Its name in records and tables.
    pub fn name(&self) -> &str {
        match self {
            Self::Item => "item",
            Self::Image => "image",
            Self::Prompt => "prompt",
            Self::Model => "model",
            Self::Torch => "torch",
            Self::OutOfMemory => "out of memory",
            Self::NotFinite => "not finite",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::ScoreNotFinite => "score not finite",
            Self::NoPicture => "no picture",
            Self::PeakMemory => "peak memory",
            Self::Unscored => "unscored",
            Self::Other(name) => name,
        }
    }

    fn named(name: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|kind| kind.name() == name);
        known.unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, detail } = self;
        if detail.is_empty() {
            return write!(formatter, "{kind}");
        }
        write!(formatter, "{kind}: {detail}")
    }
}

/// Of the text of a record. One without a colon is a kind alone.
impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        let (kind, detail) = match text.split_once(": ") {
            // Such a detail would not be written back as it was.
            Some((_, "")) | None => (text, ""),
            Some(parts) => parts,
        };
        Self::new(FailureKind::named(kind), detail)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_older_record_is_taken_apart_once() {
        let line = r#""image: 2.png: cut at byte 7: fetch it again""#;
        let failure: Failure = serde_json::from_str(line).unwrap();
        assert_eq!(failure.kind, FailureKind::Image);
        assert_eq!(failure.detail, "2.png: cut at byte 7: fetch it again");
        assert_eq!(serde_json::to_string(&failure).unwrap(), line);
        let foreign = Failure::from("quota: 9 a day");
        assert_eq!(foreign.kind, FailureKind::Other("quota".into()));
        assert_eq!(
            Failure::from("out of memory").kind,
            FailureKind::OutOfMemory
        );
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in [
            "",
            ": ",
            "torch: ",
            "torch:",
            "a: b: c\nd",
            " padded ",
            "torch: \n",
            ": x",
        ] {
            assert_eq!(Failure::from(text).to_string(), text, "{text:?}");
        }
    }

    #[test]
    fn every_kind_is_known_by_its_name() {
        for kind in FailureKind::KNOWN {
            assert!(!kind.name().contains(':'));
            assert_eq!(FailureKind::named(kind.name()), kind);
        }
    }
}
