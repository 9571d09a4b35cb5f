//! Python's string semantics, where the official scripts depend on them and Rust's differ.
//!
//! Held against `CPython` 3.11 (Unicode 14). `str.lower` and `str.upper` need nothing here: both languages use the full
//! Unicode mappings with the final-sigma rule (`'ß'.upper() == 'SS'`, `'İ'.lower()` has two code points). Compared over all
//! code points, `to_lowercase` and `to_uppercase` differ from Python only where a newer Unicode has given a letter a case.

/// The zeros of every run of ten decimal digits (general category Nd) of Unicode 14.
const ZEROS: [u32; 66] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0,
    0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// The value of a decimal digit of any script (`\d` of a `str` pattern, and what `float` accepts).
pub(super) fn decimal_digit(character: char) -> Option<u8> {
    let code = u32::from(character);
    let run = ZEROS.partition_point(|&zero| zero <= code).checked_sub(1)?;
    let value = code - ZEROS[run];
    (value < 10).then_some(value as u8)
}

/// `str.isspace` of one character: Unicode white space and the four separators U+001C to U+001F.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.split()`: the words between runs of white space, none of them empty.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `str(number)` of a float that is a number: the fewest digits that give it back.
pub(crate) fn float_text(number: f64) -> String {
    // Rust writes exponents for the same numbers, but without sign and zero.
    let text = format!("{number:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}

/// `float(text)`, `None` where Python raises `ValueError`.
///
/// Python takes digits of any script, single underscores between digits, `inf`, `infinity` and `nan` in any case, and
/// white space at the ends, but of the ASCII white space only the six characters of C's `isspace`.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            plain.push(character);
        } else if is_space(character) {
            plain.push(' ');
        } else {
            plain.push(char::from(b'0' + decimal_digit(character)?));
        }
    }
    let plain = plain.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let bytes = plain.as_bytes();
    let digit_at = |index: Option<usize>| {
        index
            .and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let underscores_between_digits = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(at, _)| digit_at(at.checked_sub(1)) && digit_at(Some(at + 1)));
    if !underscores_between_digits {
        return None;
    }
    // What is left of Python's grammar is Rust's: both round correctly, overflow to infinity, and take "5.", ".5", "+inf".
    plain.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held against `repr` of `CPython` 3.11.
    #[test]
    fn a_float_is_written_as_python_writes_it() {
        for (number, text) in [
            (12.0, "12.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (f64::from(0.1_f32), "0.10000000149011612"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float_text(number), text);
        }
    }

    #[test]
    fn float_takes_what_python_takes() {
        let same =
            |text: &str, expected: f64| assert_eq!(parse_float(text), Some(expected), "{text:?}");
        same("5\u{3000}", 5.0);
        same("\u{b}\u{c} 5\r\n", 5.0);
        same("1_0", 10.0);
        same("１_０", 10.0);
        same("２０２４", 2024.0);
        same("1e1_0", 1e10);
        same("1_0.0_1", 10.01);
        same("+inf", f64::INFINITY);
        same("-INFINITY", f64::NEG_INFINITY);
        same("1e400", f64::INFINITY);
        same("+.5", 0.5);
        same("1.e5", 1e5);
        same("1.E-5", 1e-5);
        same("𝟙𝟚", 12.0);
        assert!(parse_float("-NaN").is_some_and(f64::is_nan));
        assert!(parse_float("-0").is_some_and(f64::is_sign_negative));
    }

    #[test]
    fn float_refuses_what_python_refuses() {
        for text in [
            "",
            " ",
            ".",
            "5\u{1c}",
            "\u{1c}5",
            "٣\u{1c}",
            "1__0",
            "1_",
            "_1",
            "1_e1",
            "1e_1",
            "1._0",
            "1_.0",
            "infi",
            "1e",
            "0x10",
            "٣٫٥",
            "5\0",
            "1d5",
            "- 5",
            "+-5",
            "５．０",
            "\u{7f}5",
            "1,000",
            "½",
            "Ⅷ",
            "five",
            "-",
            "in_f",
        ] {
            assert_eq!(parse_float(text), None, "{text:?}");
        }
    }

    #[test]
    fn white_space_is_pythons() {
        assert_eq!(strip("\u{1c}\u{85}\u{a0} a b \u{3000}\u{1f}"), "a b");
        assert_eq!(strip("\u{200b}a"), "\u{200b}a");
        assert_eq!(
            split("a\u{1f}b \u{2028} c").collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert_eq!(split(" \n").count(), 0);
    }

    #[test]
    fn digits_of_every_script() {
        assert_eq!(decimal_digit('7'), Some(7));
        assert_eq!(decimal_digit('٣'), Some(3));
        assert_eq!(decimal_digit('\u{1D7FF}'), Some(9));
        for not_decimal in ['/', ':', '²', '½', 'Ⅷ', '五', '\u{0}', '\u{10FFFF}'] {
            assert_eq!(decimal_digit(not_decimal), None, "{not_decimal:?}");
        }
    }
}
