//! Why a sample, a probe or a measurement has no value: a kind, by which failures are counted, and the whole story.
//!
//! Records hold it as one text, `kind: detail`, as they always did: [`Failure`] is made of it and written as it, and nobody else
//! takes such a text apart.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Failure {
    /// What failures are counted by.
    pub kind: FailureKind,
    /// What happened; may be empty.
    pub detail: String,
}

/// What failures are counted by. Any other name is that of [`FailureKind::Other`].
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[cfg_attr(test, derive(strum::EnumIter))]
#[strum(serialize_all = "lowercase")]
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
    #[strum(serialize = "out of memory")]
    OutOfMemory,
    /// The logits are not finite.
    #[strum(serialize = "not finite")]
    NotFinite,
    /// It took longer than allowed.
    Timeout,
    /// The program or a library broke off while it was prepared.
    Panic,
    /// The metric gave a number that is not finite.
    #[strum(serialize = "score not finite")]
    ScoreNotFinite,
    /// A probe found no visual tokens.
    #[strum(serialize = "no picture")]
    NoPicture,
    /// The peak of memory could not be measured.
    #[strum(serialize = "peak memory")]
    PeakMemory,
    /// Neither a score nor a reason was recorded.
    Unscored,
    /// Another one, of a record that another program or another version wrote.
    #[strum(default, transparent)]
    Other(String),
}

impl FailureKind {
    /// Its name in records and tables.
    pub fn name(&self) -> &str {
        self.as_ref()
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
        Self::new(kind.into(), detail)
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
    use strum::IntoEnumIterator as _;

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
        for kind in FailureKind::iter().filter(|kind| !matches!(kind, FailureKind::Other(_))) {
            assert!(!kind.name().contains([':', '_']), "{kind}");
            assert_eq!(FailureKind::from(kind.name()), kind);
        }
        assert_eq!(FailureKind::ScoreNotFinite.name(), "score not finite");
        assert_eq!(FailureKind::Other("quota".into()).name(), "quota");
    }
}
