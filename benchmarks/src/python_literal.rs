//! A reader for the Python literals in `MTVQA`'s `qa_pairs` column: lists and tuples of dictionaries of strings.
//!
//! It reads what `repr` of such a value writes (both kinds of quotes, every escape, numbers, `None`, `True`, `False`, nested
//! containers) into JSON values, as `ast.literal_eval` would. Byte strings, sets, `f` strings and triple quotes do not
//! occur in a `repr` of text and are refused.

use serde_json::{Map, Value};
use std::iter::Peekable;
use std::str::Chars;

/// Nesting beyond this is refused: the data has two levels, and a hostile file must not exhaust the stack.
const DEEPEST: usize = 32;

/// Reads one literal; the error says what stands where, counting characters from 0.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader {
        characters: text.chars().peekable(),
        at: 0,
    };
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.characters.peek() {
        None => Ok(value),
        Some(_) => Err(reader.unexpected("the end")),
    }
}

struct Reader<'a> {
    characters: Peekable<Chars<'a>>,
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.characters.next()
    }

    fn skip_space(&mut self) {
        while self
            .characters
            .peek()
            .is_some_and(char::is_ascii_whitespace)
        {
            self.next();
        }
    }

    fn unexpected(&mut self, wanted: &str) -> String {
        match self.characters.peek() {
            Some(found) => format!(
                "expected {wanted} at character {}, found {found:?}",
                self.at
            ),
            None => format!("expected {wanted} at character {}, found the end", self.at),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST}"));
        }
        self.skip_space();
        match self.characters.peek() {
            Some('[') => self.sequence(']', depth),
            Some('(') => self.sequence(')', depth),
            Some('{') => self.dictionary(depth),
            Some('\'' | '"') => self.string().map(Value::String),
            Some(_) => self.word(),
            None => Err(self.unexpected("a value")),
        }
    }

    fn sequence(&mut self, close: char, depth: usize) -> Result<Value, String> {
        self.next();
        let mut values = Vec::new();
        while !self.closes(close)? {
            values.push(self.value(depth + 1)?);
            self.separator(close)?;
        }
        Ok(Value::Array(values))
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value, String> {
        self.next();
        let mut entries = Map::new();
        while !self.closes('}')? {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => return Err(format!("the key {other} is not a string")),
            };
            self.skip_space();
            if self.characters.peek() != Some(&':') {
                return Err(self.unexpected("`:`"));
            }
            self.next();
            let value = self.value(depth + 1)?;
            entries.insert(key, value);
            self.separator('}')?;
        }
        Ok(Value::Object(entries))
    }

    /// Takes `close` if it is next.
    fn closes(&mut self, close: char) -> Result<bool, String> {
        self.skip_space();
        match self.characters.peek() {
            Some(&found) if found == close => {
                self.next();
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Err(self.unexpected(&format!("`{close}`"))),
        }
    }

    /// Takes a comma, or stops before `close`.
    fn separator(&mut self, close: char) -> Result<(), String> {
        self.skip_space();
        match self.characters.peek() {
            Some(',') => {
                self.next();
                Ok(())
            }
            Some(&found) if found == close => Ok(()),
            _ => Err(self.unexpected(&format!("`,` or `{close}`"))),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err("a string does not end".to_owned()),
                found if found == quote => return Ok(text),
                Some('\\') => self.escape(&mut text)?,
                Some(character) => text.push(character),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let Some(kind) = self.next() else {
            return Err("a string ends in a backslash".to_owned());
        };
        let character = match kind {
            '\n' => return Ok(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '\'' | '"' => kind,
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            '0'..='7' => self.octal(kind)?,
            // Python keeps an escape that it does not know as it stands.
            other => {
                text.push('\\');
                other
            }
        };
        text.push(character);
        Ok(())
    }

    fn code(&mut self, digits: usize) -> Result<char, String> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|character| character.to_digit(16));
            code = code * 16
                + digit.ok_or_else(|| {
                    format!("an escape before character {} is cut short", self.at)
                })?;
        }
        // A lone half of a surrogate pair cannot be in UTF-8; Python's own encoder refuses it too.
        char::from_u32(code).ok_or_else(|| format!("the escape {code:#x} is not a character"))
    }

    fn octal(&mut self, first: char) -> Result<char, String> {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self
                .characters
                .peek()
                .and_then(|character| character.to_digit(8))
            else {
                break;
            };
            code = code * 8 + digit;
            self.next();
        }
        char::from_u32(code).ok_or_else(|| format!("the escape {code:#o} is not a character"))
    }

    fn word(&mut self) -> Result<Value, String> {
        let start = self.at;
        let mut word = String::new();
        while let Some(&character) = self.characters.peek() {
            if !(character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.' | '_')) {
                break;
            }
            word.push(character);
            self.next();
        }
        match word.as_str() {
            "None" => Ok(Value::Null),
            "True" => Ok(Value::Bool(true)),
            "False" => Ok(Value::Bool(false)),
            "" => Err(self.unexpected("a value")),
            number => serde_json::from_str(number)
                .ok()
                .filter(Value::is_number)
                .ok_or_else(|| format!("`{number}` at character {start} is not a literal")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::json;

    #[test]
    fn reads_what_repr_writes() {
        let pairs = r#"[{'question': "Wie heißt's?", 'answer': 'O\'Hara "x"'}, {'question': 'a\nb\\', 'answer': '\u0e01\x41\U0001f600\101'}]"#;
        assert_eq!(
            parse(pairs).unwrap(),
            json!([
                {"question": "Wie heißt's?", "answer": "O'Hara \"x\""},
                {"question": "a\nb\\", "answer": "กA😀A"},
            ])
        );
        assert_eq!(
            parse(" ( 1, -2.5, None, True,) ").unwrap(),
            json!([1, -2.5, null, true])
        );
        assert_eq!(parse("[]").unwrap(), json!([]));
        assert_eq!(parse(r"'\d'").unwrap(), json!("\\d"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, reason) in [
            ("", "expected a value"),
            ("[1", "found the end"),
            ("[1 2]", "expected `,` or `]`"),
            ("{'a' 1}", "expected `:`"),
            ("{1: 2}", "not a string"),
            ("'abc", "does not end"),
            (r"'\u00'", "cut short"),
            (r"'\ud800'", "not a character"),
            ("__import__", "not a literal"),
            ("[1] x", "expected the end"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(reason), "{text:?}: {message}");
        }
        assert!(parse(&"[".repeat(10_000)).unwrap_err().contains("deeper"));
    }
}
