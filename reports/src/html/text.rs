//! Text that goes into a page: nothing in it can act as markup, reorder its surroundings or stay invisible.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Most characters of a text that a model or a data set wrote.
const LONGEST: usize = 400;

/// As [`visible`], cut where it is long, and saying so.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => show_hidden(text),
        Some((end, _)) => format!(
            "{}… ({} characters)",
            show_hidden(&text[..end]),
            text.chars().count()
        ),
    }
}

/// The text with characters that cannot be seen, or that turn the direction of what follows, written as `⟨U+202E⟩`. Line
/// breaks and tabs stay.
pub(super) fn show_hidden(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            out += &format!("⟨U+{:04X}⟩", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters but for white space, marks of direction (Unicode Annex 9), joiners and spaces without width.
fn is_hidden(character: char) -> bool {
    const HIDDEN: [RangeInclusive<char>; 7] = [
        '\u{61C}'..='\u{61C}',
        '\u{200B}'..='\u{200F}',
        '\u{2028}'..='\u{202E}',
        '\u{2060}'..='\u{2069}',
        '\u{FEFF}'..='\u{FEFF}',
        '\u{FFF9}'..='\u{FFFB}',
        '\u{E0000}'..='\u{E007F}',
    ];
    match character {
        '\n' | '\t' => false,
        other => other.is_control() || HIDDEN.iter().any(|range| range.contains(&other)),
    }
}

/// JSON that may stand inside a `script` element: no `<`, `>` or `&`, so that no text ends the element or opens another.
///
/// # Errors
/// A value that has no JSON: a map whose keys are no strings.
pub(super) fn script_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // In JSON these stand in strings alone, where an escape means the same.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out += &format!("\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// What a content security policy calls an inline script or style by.
pub(super) fn policy_hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// A file inside an attribute.
pub(super) fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_is_written_out() {
        assert_eq!(
            show_hidden("a\u{202E}b\u{0}c\nd\u{200B}"),
            "a⟨U+202E⟩b⟨U+0000⟩c\nd⟨U+200B⟩"
        );
        assert_eq!(show_hidden("שלום, ‏"), "שלום, ⟨U+200F⟩");
        let long = "x".repeat(LONGEST + 1);
        assert!(short(&long).ends_with("x… (401 characters)"));
        assert_eq!(short(&long[1..]), long[1..]);
        assert_eq!(show_hidden(&long), long);
    }

    #[test]
    fn json_cannot_leave_its_element() {
        let text = "</script><!--<script>&\u{2028}\"'";
        let json = script_json(&text).unwrap();
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn the_hash_is_the_policys() {
        // Of `alert('Hello, world.');`, the example of the W3C's Content Security Policy Level 3, section 2.3.1.
        let hash = policy_hash("alert('Hello, world.');");
        assert_eq!(hash, "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
        assert_eq!(
            data_uri("image/png", b"\x89PNG"),
            "data:image/png;base64,iVBORw=="
        );
    }
}
