//! Synthetic words: pronounceable, drawn from small alphabets, so that no word can be guessed from language statistics
//! and a tiny byte-level model can learn every letter.
//!
//! The alphabets leave out letters that look alike at the sizes drawn (such as Latin `i`, `l`, `j`), so that reading one
//! glyph stays easy; what is hard is finding the right word.

use rand::Rng;
use rand::seq::IndexedRandom as _;

use super::Random;
use super::fonts::Script;

/// A restricted alphabet from which words are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// ASCII lower case.
    Plain,
    /// Latin lower case with diacritics, each on its own base letter.
    Latin,
    /// Greek lower case.
    Greek,
    /// Cyrillic lower case.
    Cyrillic,
    /// Arabic letters with clearly different shapes.
    Arabic,
}

impl Alphabet {
    /// The alphabets with one of each script, as the `ocr` task uses them.
    pub(super) const SCRIPTS: [Self; 4] = [Self::Latin, Self::Greek, Self::Cyrillic, Self::Arabic];
    /// Every alphabet.
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [
        Self::Plain,
        Self::Latin,
        Self::Greek,
        Self::Cyrillic,
        Self::Arabic,
    ];

    /// The script in which the alphabet is shaped.
    pub(super) fn script(self) -> Script {
        match self {
            Self::Plain | Self::Latin => Script::Latin,
            Self::Greek => Script::Greek,
            Self::Cyrillic => Script::Cyrillic,
            Self::Arabic => Script::Arabic,
        }
    }

    fn consonants(self) -> &'static str {
        match self {
            Self::Plain => "bdfgkmnprstvz",
            Self::Latin => "bdgkmnprtvñçšž",
            Self::Greek => "βγδκλμνπρστφ",
            Self::Cyrillic => "бвгджклмнпртш",
            Self::Arabic => "بدرسعفكلم",
        }
    }

    fn vowels(self) -> &'static str {
        match self {
            Self::Plain => "aeou",
            Self::Latin => "aoeåéöü",
            Self::Greek => "αεηιουω",
            Self::Cyrillic => "аеиоуя",
            Self::Arabic => "اوي",
        }
    }

    /// Every letter that a word of this alphabet may contain.
    #[cfg(test)]
    pub(super) fn letters(self) -> String {
        let last = if self == Self::Greek { "ς" } else { "" };
        format!("{}{}{last}", self.consonants(), self.vowels())
    }
}

fn pick(rng: &mut Random, letters: &str) -> char {
    let count = letters.chars().count();
    letters
        .chars()
        .nth(rng.random_range(0..count))
        .expect("the index is drawn below the count of a non-empty constant")
}

/// Greek writes a sigma at the end of a word in another form.
fn finish(alphabet: Alphabet, mut letters: Vec<char>) -> String {
    if alphabet == Alphabet::Greek
        && let Some(last) = letters.last_mut()
        && *last == 'σ'
    {
        *last = 'ς';
    }
    letters.into_iter().collect()
}

/// A word of `length` letters in which consonants and vowels alternate.
pub(super) fn word(rng: &mut Random, alphabet: Alphabet, length: usize) -> String {
    let mut vowel = rng.random_bool(0.25);
    let mut letters = Vec::with_capacity(length);
    for _ in 0..length {
        let set = if vowel {
            alphabet.vowels()
        } else {
            alphabet.consonants()
        };
        letters.push(pick(rng, set));
        vowel = !vowel;
    }
    finish(alphabet, letters)
}

/// A look-alike of `original`: the same word with one letter exchanged for another of its kind.
pub(super) fn neighbour(rng: &mut Random, alphabet: Alphabet, original: &str) -> String {
    let mut letters = original
        .chars()
        .map(|letter| if letter == 'ς' { 'σ' } else { letter })
        .collect::<Vec<_>>();
    let position = rng.random_range(0..letters.len());
    let set = if alphabet.vowels().contains(letters[position]) {
        alphabet.vowels()
    } else {
        alphabet.consonants()
    };
    let before = letters[position];
    while letters[position] == before {
        letters[position] = pick(rng, set);
    }
    finish(alphabet, letters)
}

/// What [`distinct`] draws.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordPlan<'a> {
    /// The alphabet.
    pub(super) alphabet: Alphabet,
    /// Letters in a word, from which each word draws.
    pub(super) lengths: &'a [usize],
    /// How many words.
    pub(super) count: usize,
    /// The share of the words that are look-alikes of the first.
    pub(super) alike: f64,
}

/// Distinct words; the first is the one to be asked for, the others its distractors.
pub(super) fn distinct(rng: &mut Random, plan: WordPlan<'_>) -> Vec<String> {
    let mut words: Vec<String> = Vec::with_capacity(plan.count);
    while words.len() < plan.count {
        let fresh = match words.first() {
            Some(first) if rng.random_bool(plan.alike) => neighbour(rng, plan.alphabet, first),
            _ => {
                let length = *plan.lengths.choose(rng).unwrap_or(&3);
                word(rng, plan.alphabet, length)
            }
        };
        if !words.contains(&fresh) {
            words.push(fresh);
        }
    }
    words
}

/// Distinct lines of two or three short words, six letters at most; the first is the one to be asked for, and the share
/// `alike` of the others differs from it in one letter.
pub(super) fn phrases(
    rng: &mut Random,
    alphabet: Alphabet,
    count: usize,
    alike: f64,
) -> Vec<String> {
    let mut lines: Vec<Vec<String>> = Vec::with_capacity(count);
    while lines.len() < count {
        let fresh = match lines.first() {
            Some(first) if rng.random_bool(alike) => {
                let mut line = first.clone();
                let changed = rng.random_range(0..line.len());
                line[changed] = neighbour(rng, alphabet, &line[changed]);
                line
            }
            _ => {
                let lengths: &[usize] = [&[2, 3][..], &[3, 2], &[3, 3], &[2, 2, 2]]
                    .choose(rng)
                    .unwrap_or(&&[2, 3][..]);
                let words = lengths.iter().map(|length| word(rng, alphabet, *length));
                words.collect()
            }
        };
        if !lines.contains(&fresh) {
            lines.push(fresh);
        }
    }
    lines.iter().map(|line| line.join(" ")).collect()
}

/// Mean likeness of the distractors to the answer: one minus the edit distance over the longer length; 0 if there are
/// none.
pub(super) fn likeness<S: AsRef<str>>(answer: &str, distractors: &[S]) -> f64 {
    if distractors.is_empty() {
        return 0.0;
    }
    let sum = distractors
        .iter()
        .map(|other| strsim::normalized_levenshtein(answer, other.as_ref()))
        .sum::<f64>();
    sum / distractors.len() as f64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn words_are_distinct_and_of_their_alphabet() {
        let mut rng = Random::seed_from_u64(7);
        for alphabet in Alphabet::ALL {
            let plan = WordPlan {
                alphabet,
                lengths: &[2, 3, 4],
                count: 12,
                alike: 0.5,
            };
            let words = distinct(&mut rng, plan);
            let mut sorted = words.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), 12);
            for word in &words {
                assert!(
                    word.chars()
                        .all(|letter| alphabet.letters().contains(letter)),
                    "{word}"
                );
                assert!(!word.ends_with('σ') && !word.trim_end_matches('ς').contains('ς'));
            }
        }
    }

    #[test]
    fn a_neighbour_differs_in_one_letter() {
        let mut rng = Random::seed_from_u64(3);
        for alphabet in Alphabet::ALL {
            for _ in 0..50 {
                let original = word(&mut rng, alphabet, 4);
                let other = neighbour(&mut rng, alphabet, &original);
                assert_eq!(strsim::hamming(&original, &other), Ok(1));
            }
        }
    }

    #[test]
    fn lines_are_distinct_and_their_look_alikes_differ_in_one_letter() {
        let mut rng = Random::seed_from_u64(11);
        for alphabet in Alphabet::ALL {
            let alike = phrases(&mut rng, alphabet, 6, 1.0);
            for (index, line) in alike.iter().enumerate() {
                assert!(!alike[..index].contains(line));
                assert_eq!(strsim::hamming(&alike[0], line), Ok(usize::from(index > 0)));
                let letters = line.split(' ').map(|word| word.chars().count());
                let letters = letters.collect::<Vec<_>>();
                assert!(
                    letters.iter().all(|count| (2..=3).contains(count)),
                    "{line}"
                );
                assert!(letters.iter().sum::<usize>() <= 6, "{line}");
            }
        }
    }

    #[test]
    fn likeness_is_one_for_equal_words_and_zero_without_distractors() {
        assert!((likeness("kavo", &["kavo"]) - 1.0).abs() < 1e-12);
        assert!((likeness("kavo", &["kavu", "kavo"]) - 0.875).abs() < 1e-12);
        assert!(likeness::<&str>("kavo", &[]).abs() < 1e-12);
    }
}
