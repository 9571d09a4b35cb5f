//! The name that was meant, for errors about unknown ones: of variants, methods, suites, metrics, keys, families.
//!
//! A crate of its own because `methods` and `benchmarks` know nothing of each other.

/// How alike two names must be for one to be suggested for the other, from 0 to 1.
const ALIKE: f64 = 0.5;
/// How alike a name counts at least to its own beginning: less than to itself without a letter.
const BEGINNING: f64 = 0.8;

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

/// A question that names the nearest name and follows a message; nothing without one.
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
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
            did_you_mean(nearest("raev", KNOWN)),
            "; did you mean `rave`?"
        );
        assert_eq!(did_you_mean(None), "");
    }
}
