//! Parts of a run: which part one is, what it is a part of, and the parts that a merged run was joined of.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Counts, Machine, sha256_hex};

/// Parts that a run can have at most: more than machines that anybody has, and few enough to name those that are missing.
const MOST: usize = 100_000;

/// Part `number` of `count` of a run's samples, written `number/count`; parts are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: usize,
    count: usize,
}

impl Shard {
    /// All parts of so many, in order.
    pub fn all(count: usize) -> impl Iterator<Item = Self> {
        (1..=count).map(move |number| Self { number, count })
    }

    /// Its number, from 1.
    pub fn number(self) -> usize {
        self.number
    }

    /// How many parts there are.
    pub fn count(self) -> usize {
        self.count
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('/')
            .and_then(|(number, count)| {
                let (number, count) = (number.parse().ok()?, count.parse().ok()?);
                let is_part = (1..=count).contains(&number) && count <= MOST;
                is_part.then_some(Self { number, count })
            })
            .ok_or_else(|| {
                format!("`{text}` is no part of a run; write I/N with I from 1 to N and N up to {MOST}, as 1/4 for the first of four")
            })
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.count)
    }
}

/// What the shards of a run take of a suite, all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionRecord {
    /// Rows of all shards.
    pub rows: usize,
    /// SHA-256 of the ids of their samples, in hexadecimal: in the order of the data, each followed by a newline.
    pub sha256: String,
}

impl SelectionRecord {
    /// The selection of the samples of these ids, in the order of the data.
    pub fn of(ids: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let (mut rows, mut text) = (0, String::new());
        for id in ids {
            rows += 1;
            text += id.as_ref();
            text.push('\n');
        }
        Self {
            rows,
            sha256: sha256_hex(text.as_bytes()),
        }
    }
}

/// One of the shards that a run was joined of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergedShard {
    /// Which.
    pub shard: Shard,
    /// The id of its run.
    pub run: String,
    /// The arguments it was started with.
    pub command_line: Vec<String>,
    /// The commit of the code that ran, where it is known.
    pub commit: Option<String>,
    /// Where it ran.
    pub machine: Machine,
    /// When it began.
    pub created: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Its samples.
    pub counts: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_written_as_it_is_read() {
        for text in ["1/1", "2/7", "7/7"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        let all: Vec<String> = Shard::all(3).map(|shard| shard.to_string()).collect();
        assert_eq!(all, ["1/3", "2/3", "3/3"]);
    }

    #[test]
    fn what_is_no_shard_is_refused_with_the_remedy() {
        for text in [
            "", "1", "0/3", "4/3", "1/0", "-1/3", "a/b", "1/2/3", "1/100001",
        ] {
            let message = text.parse::<Shard>().unwrap_err();
            assert!(message.contains("I from 1 to N"), "{message}");
            let json = format!("\"{text}\"");
            assert!(serde_json::from_str::<Shard>(&json).is_err(), "{text}");
        }
    }

    #[test]
    fn a_selection_depends_on_the_ids_and_their_order() {
        let one = SelectionRecord::of(["a", "b"]);
        assert_eq!((one.rows, one.sha256.len()), (2, 64));
        assert_ne!(one, SelectionRecord::of(["b", "a"]));
        assert_ne!(one, SelectionRecord::of(["ab", ""]));
    }
}
