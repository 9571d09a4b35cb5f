//! Which layers a variant works in: all, a list, or a range, which may be given for a model of another depth.

use rave_hints::{Refusal, refusal};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A choice of layers, as a preset writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "layers must be \"all\", a list such as [0, 3], or a range such as { first = 9, last = 14, of = 32 }"
)]
pub enum Layers {
    /// Every layer: `"all"`.
    #[default]
    #[serde(with = "all")]
    All,
    /// These, from 0: `[0, 3]`.
    List(Vec<usize>),
    /// From `first` to `last`, both included. With `of` the numbers are for a model of that many layers, and each is
    /// rescaled: layer l of `of` begins at the share l / `of` of the depth.
    Range(Range),
}

/// A range of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first layer, from 0.
    pub first: usize,
    /// The last layer.
    pub last: usize,
    /// Layers of the model that the numbers are for; the model at hand when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<usize>,
}

mod all {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("all")
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "all" => Ok(()),
            other => Err(de::Error::custom(format!("`{other}` is not `all`"))),
        }
    }
}

impl Layers {
    /// A range that is stated for a model of `of` layers.
    pub const fn range(first: usize, last: usize, of: usize) -> Self {
        Self::Range(Range {
            first,
            last,
            of: Some(of),
        })
    }

    /// For each of a model's layers whether it is selected.
    ///
    /// # Errors
    /// [`Error::Options`] for layers that the model does not have, and for a choice of none.
    pub fn of(&self, variant: &str, depth: usize) -> Result<Vec<bool>, Error> {
        let refuse = |reason: Refusal| Err(Error::options(variant, reason));
        let beyond = |layer: usize| {
            refusal(
                format!("layer {layer} is not possible"),
                format!("allowed is 0 to {}", depth.saturating_sub(1)),
            )
        };
        let selected = match self {
            Self::All => 0..depth,
            Self::List(list) => {
                if list.is_empty() {
                    return refuse(refusal(
                        "the list of layers is empty",
                        "name one, or \"all\"",
                    ));
                }
                if let Some(&layer) = list.iter().find(|&&layer| layer >= depth) {
                    return refuse(beyond(layer));
                }
                return Ok((0..depth).map(|layer| list.contains(&layer)).collect());
            }
            Self::Range(Range { first, last, of }) => {
                let of = of.unwrap_or(depth);
                if first > last || *last >= of {
                    return refuse(refusal(
                        format!("layers {first} to {last} of {of} are not possible"),
                        format!("allowed are first <= last < {of}"),
                    ));
                }
                let start = scaled(*first, depth, of).min(depth - 1);
                start..scaled(last + 1, depth, of).clamp(start + 1, depth)
            }
        };
        Ok((0..depth).map(|layer| selected.contains(&layer)).collect())
    }
}

/// Where the boundary `layer` of a model of `of` layers lies in one of `depth`.
pub(crate) fn scaled(layer: usize, depth: usize, of: usize) -> usize {
    (layer as f64 * depth as f64 / of as f64).round() as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rave_hints::with_hint;

    use super::*;

    fn selected(layers: &Layers, depth: usize) -> Vec<usize> {
        let flags = layers.of("test", depth).unwrap();
        (0..depth).filter(|&layer| flags[layer]).collect()
    }

    #[test]
    fn a_range_is_rescaled_by_depth() {
        let middle = Layers::range(9, 14, 32);
        assert_eq!(selected(&middle, 32), [9, 10, 11, 12, 13, 14]);
        assert_eq!(selected(&middle, 16), [5, 6, 7]);
        assert_eq!(selected(&middle, 4), [1]);
        assert_eq!(selected(&middle, 1), [0]);
        assert_eq!(
            selected(&Layers::range(2, 31, 32), 30),
            (2..30).collect::<Vec<_>>()
        );
        assert_eq!(selected(&Layers::All, 3), [0, 1, 2]);
        assert_eq!(selected(&Layers::List(vec![2, 0]), 3), [0, 2]);
    }

    #[test]
    fn what_a_model_does_not_have_is_refused_with_what_it_has() {
        let message = |layers: &Layers| {
            let error = layers.of("mine", 4).unwrap_err();
            with_hint(&error, error.hint())
        };
        assert_eq!(
            message(&Layers::List(vec![1, 4])),
            "variant `mine`: layer 4 is not possible; allowed is 0 to 3"
        );
        assert!(message(&Layers::List(Vec::new())).contains("empty"));
        assert!(message(&Layers::range(3, 2, 32)).contains("first <= last"));
        let own = Range {
            first: 1,
            last: 4,
            of: None,
        };
        assert!(message(&Layers::Range(own)).contains("last < 4"));
    }
}
