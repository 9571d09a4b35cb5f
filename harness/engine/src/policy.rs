//! When failed samples make the command fail.

use std::fmt;
use std::str::FromStr;

use rave_results::schema::Counts;

/// `--fail-on-error`: how many failed samples are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FailOnError {
    /// Failed samples are counted and shown, no more.
    Never,
    /// One is too many.
    Any,
    /// More than this share of all samples, in `[0, 1]`.
    Fraction(f64),
}

impl FailOnError {
    /// Whether a run with these counts has failed.
    pub fn is_exceeded(self, counts: &Counts) -> bool {
        let total = counts.scored + counts.failed;
        match self {
            Self::Never => false,
            Self::Any => counts.failed > 0,
            Self::Fraction(share) => total > 0 && counts.failed as f64 / total as f64 > share,
        }
    }
}

impl FromStr for FailOnError {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "any" => Ok(Self::Any),
            _ => match text.parse::<f64>() {
                Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self::Fraction(share)),
                _ => Err("use never, any, or a fraction between 0 and 1".into()),
            },
        }
    }
}

impl fmt::Display for FailOnError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => formatter.write_str("never"),
            Self::Any => formatter.write_str("any"),
            Self::Fraction(share) => write!(formatter, "{share}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_and_judge() {
        let counts = |scored, failed| Counts { scored, failed };
        let judge = |text: &str, counts| {
            text.parse::<FailOnError>()
                .map(|policy| policy.is_exceeded(&counts))
        };
        assert_eq!(judge("never", counts(0, 9)), Ok(false));
        assert_eq!(judge("any", counts(9, 0)), Ok(false));
        assert_eq!(judge("any", counts(9, 1)), Ok(true));
        assert_eq!(judge("0.1", counts(9, 1)), Ok(false));
        assert_eq!(judge("0.05", counts(9, 1)), Ok(true));
        assert_eq!(judge("0", counts(0, 0)), Ok(false));
        for nonsense in ["sometimes", "1.5", "-1", "nan"] {
            assert!(nonsense.parse::<FailOnError>().is_err(), "{nonsense}");
        }
    }
}
