//! Markers in a user's own words. Where a question holds the text of a picture's token, that is no picture: it is set apart by
//! two private characters on its way through the chat template, and becomes plain text.
//!
//! Source: `mark_control_tokens` and `encode_marked_chat` of `transformers` 5.23, `utils/chat_template_utils.py`, which
//! `apply_chat_template(sanitize_control_tokens=True)` uses. Deviations: only markers with which the processor would refuse the
//! question are set apart, every other control token stays what it is without that option; a marker that the tokenizer finds in
//! plain text too is cut after its first character; a first or last token of the tokenizer's own is added as usual.

use tokenizers::{Encoding, Token, Tokenizer};

const START: char = '\u{f0000}';
const END: char = '\u{f0001}';

/// Texts with their markers set apart; `None` where they have none.
pub(super) fn mark(texts: &[&str], markers: &[&str]) -> Option<Vec<String>> {
    let has_marker = |text: &&str| markers.iter().any(|marker| text.contains(marker));
    if !texts.iter().any(has_marker) {
        return None;
    }
    let mark = |text: &&str| {
        let mut marked = String::new();
        let plain = unmark(text);
        let mut rest = plain.as_str();
        while let Some(letter) = rest.chars().next() {
            let found = markers.iter().filter(|marker| rest.starts_with(**marker));
            let length = if let Some(marker) = found.max_by_key(|marker| marker.len()) {
                marked.push(START);
                marked += marker;
                marked.push(END);
                marker.len()
            } else {
                marked.push(letter);
                letter.len_utf8()
            };
            rest = &rest[length..];
        }
        marked
    };
    Some(texts.iter().map(mark).collect())
}

/// A text without the two characters.
pub(super) fn unmark(text: &str) -> String {
    text.replace([START, END], "")
}

/// Whether a piece of a text ends where a marker that is set apart begins.
pub(super) fn ends_at_mark(text: &str) -> bool {
    text.ends_with(START)
}

/// Token ids of a text with markers set apart, with the tokenizer's own additions where `additions`.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    text: &str,
    markers: &[&str],
    additions: bool,
) -> tokenizers::Result<Vec<u32>> {
    let mut splitting = None;
    let mut ids = Vec::new();
    for (number, piece) in pieces(text, markers).into_iter().enumerate() {
        match piece {
            Piece::Text(piece) if number == 0 => {
                ids.extend_from_slice(tokenizer.encode_fast(piece, false)?.get_ids());
            }
            Piece::Text(piece) => ids.extend(within(tokenizer, piece)?),
            Piece::Marker(marker) => {
                let plain = splitting.get_or_insert_with(|| {
                    let mut plain = tokenizer.clone();
                    plain.set_encode_special_tokens(true);
                    plain
                });
                let mut own = within(plain, marker)?;
                if own
                    .iter()
                    .any(|&id| Some(id) == tokenizer.token_to_id(marker))
                {
                    let cut = marker.chars().next().map_or(0, char::len_utf8);
                    own = within(plain, &marker[..cut])?;
                    own.extend(within(plain, &marker[cut..])?);
                }
                ids.extend(own);
            }
        }
    }
    let tokens = ids.iter().map(|&id| Token::new(id, String::new(), (0, 0)));
    let encoding = Encoding::from_tokens(tokens.collect(), 0);
    let encoding = tokenizer.post_process(encoding, None, additions)?;
    Ok(encoding.get_ids().to_vec())
}

/// Ids of a piece from the middle of a text: after a line break, so that a sentencepiece tokenizer puts no space before it.
pub(super) fn within(tokenizer: &Tokenizer, piece: &str) -> tokenizers::Result<Vec<u32>> {
    if piece.is_empty() {
        return Ok(Vec::new());
    }
    let line_break = tokenizer.encode_fast("\n", false)?;
    let ids = tokenizer.encode_fast(format!("\n{piece}"), false)?;
    if let Some(own) = ids.get_ids().strip_prefix(line_break.get_ids()) {
        return Ok(own.to_vec());
    }
    Ok(tokenizer.encode_fast(piece, false)?.get_ids().to_vec())
}

enum Piece<'text> {
    Text(&'text str),
    Marker(&'text str),
}

/// A text cut at its marks; a mark whose other half a template has taken away still cuts.
fn pieces<'text>(text: &'text str, markers: &[&str]) -> Vec<Piece<'text>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find([START, END]) {
        pieces.push(Piece::Text(&rest[..at]));
        rest = &rest[at..];
        let inside = rest.strip_prefix(START).and_then(|after| {
            let end = after.find([START, END])?;
            let is_whole = after[end..].starts_with(END) && markers.contains(&&after[..end]);
            is_whole.then(|| &after[..end])
        });
        let length = inside.map_or(START.len_utf8(), |marker| {
            pieces.push(Piece::Marker(marker));
            START.len_utf8() + marker.len() + END.len_utf8()
        });
        rest = &rest[length..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_marker_is_set_apart_and_a_half_mark_still_cuts() {
        let markers = ["<a>", "<a><b>"];
        assert_eq!(mark(&["a", "<b>"], &markers), None);
        let marked = mark(&["x<a><b>\u{f0001}<a>", "\u{f0000}y"], &markers).expect("it has some");
        assert_eq!(
            marked,
            ["x\u{f0000}<a><b>\u{f0001}\u{f0000}<a>\u{f0001}", "y"]
        );
        let shown = |text: &str| {
            let pieces = pieces(text, &markers).into_iter();
            let shown = pieces.map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Marker(marker) => format!("[{marker}]"),
            });
            shown.collect::<Vec<_>>()
        };
        assert_eq!(shown(&marked[0]), ["x", "[<a><b>]", "", "[<a>]", ""]);
        assert_eq!(shown("x\u{f0000}<a\u{f0001}>"), ["x", "<a", ">"]);
    }
}
