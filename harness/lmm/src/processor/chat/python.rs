//! What chat templates expect of Python: how it writes values, JSON and dates.
//!
//! Deviation: a tuple is written as a list, and `~` writes true, false and none as Jinja's own values.
//!
//! Source: `_cached_compile_jinja_template` of `transformers` 5.23, `utils/chat_template_utils.py`, and Python's `str`,
//! `json.dumps` and `strftime`.

use minijinja::value::{Kwargs, Rest, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, Value};

/// Deepest nesting of a value that is written.
const DEEPEST: usize = 100;

/// Gives an environment what templates expect of Python.
pub(super) fn teach(environment: &mut Environment) {
    environment.set_formatter(|out, _, value| {
        write!(out, "{}", text(value)?)
            .map_err(|_| Error::new(ErrorKind::WriteFailure, "cannot be written"))
    });
    environment.add_filter("string", |value: &Value| text(value));
    environment.add_filter("tojson", tojson);
    environment.add_test("iterable", |value: &Value| {
        !matches!(
            value.kind(),
            ValueKind::None | ValueKind::Bool | ValueKind::Number
        )
    });
    // A text is a sequence in Python, and so is a dictionary by Jinja's test.
    environment.add_test("sequence", |value: &Value| {
        matches!(
            value.kind(),
            ValueKind::Seq | ValueKind::Iterable | ValueKind::String | ValueKind::Map
        )
    });
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// A value as `str` writes it.
fn text(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if value.is_undefined() {
        return Ok(String::new());
    }
    let mut out = String::new();
    represent(value, 0, &mut out)?;
    Ok(out)
}

/// Writes a value as `repr` does.
fn represent(value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(invalid("a value is nested too deeply to be written"));
    }
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String => quote(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (position, item) in value.try_iter()?.enumerate() {
                out.push_str(if position > 0 { ", " } else { "" });
                represent(&item, depth + 1, out)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (position, key) in value.try_iter()?.enumerate() {
                out.push_str(if position > 0 { ", " } else { "" });
                represent(&key, depth + 1, out)?;
                out.push_str(": ");
                represent(&value.get_item(&key)?, depth + 1, out)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// A number as `repr` writes it.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(float) = f64::try_from(value.clone()) else {
        return value.to_string();
    };
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if float != 0.0 && !(1e-4..1e16).contains(&float.abs()) {
        let scientific = format!("{float:e}");
        return match scientific.split_once('e') {
            Some((digits, power)) => {
                let (sign, power) = match power.strip_prefix('-') {
                    Some(power) => ('-', power),
                    None => ('+', power),
                };
                format!("{digits}e{sign}{power:0>2}")
            }
            None => scientific,
        };
    }
    format!("{float:?}")
}

/// Writes a text as `repr` does: in single quotes, or in double ones where it has single ones alone.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(mark);
    for letter in text.chars() {
        match letter {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            letter if letter == mark => out.extend(['\\', letter]),
            letter if letter.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push(mark);
}

/// How JSON is written.
struct Json {
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sorts: bool,
}

/// The filter `tojson`, which is Python's `json.dumps` without the escapes for HTML.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature of a filter with any number of arguments"
)]
fn tojson(value: &Value, options: Rest<Value>) -> Result<String, Error> {
    type Options = (
        Option<bool>,
        Option<Value>,
        Option<Value>,
        Option<bool>,
        Kwargs,
    );
    let (ensure_ascii, indent, separators, sort_keys, options): Options = from_args(&options)?;
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<Value>>("indent")?,
    };
    let indent = match indent.filter(|indent| !indent.is_none() && !indent.is_undefined()) {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(width) => {
            let width = i64::try_from(width)?.clamp(0, 64) as usize;
            Some(" ".repeat(width))
        }
    };
    let separators = match separators {
        Some(separators) => Some(separators),
        None => options.get::<Option<Value>>("separators")?,
    };
    let mut json = Json {
        ascii: ensure_ascii
            .or(options.get::<Option<bool>>("ensure_ascii")?)
            .unwrap_or(false),
        item: if indent.is_some() { "," } else { ", " }.to_owned(),
        key: ": ".to_owned(),
        indent,
        sorts: sort_keys
            .or(options.get::<Option<bool>>("sort_keys")?)
            .unwrap_or(false),
    };
    options.assert_all_used()?;
    if let Some(pair) = separators.filter(|pair| !pair.is_none() && !pair.is_undefined()) {
        let pair: Vec<_> = pair.try_iter()?.collect();
        let [item, key] = pair.as_slice() else {
            return Err(invalid("separators are two texts"));
        };
        (json.item, json.key) = (text(item)?, text(key)?);
    }
    let mut out = String::new();
    json.write(value, 0, &mut out)?;
    Ok(out)
}

impl Json {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(invalid("a value is nested too deeply for JSON"));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(match number(value).as_str() {
                "nan" => "NaN",
                "inf" => "Infinity",
                "-inf" => "-Infinity",
                number => number,
            }),
            ValueKind::String => self.escape(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| (None, item));
                self.list(['[', ']'], items.collect(), depth, out)?;
            }
            ValueKind::Map => {
                let mut items = Vec::new();
                for key in value.try_iter()? {
                    let item = value.get_item(&key)?;
                    items.push((Some(key_text(&key)?), item));
                }
                if self.sorts {
                    items.sort_by(|one, other| one.0.cmp(&other.0));
                }
                self.list(['{', '}'], items, depth, out)?;
            }
            kind => return Err(invalid(format!("{kind} cannot be written as JSON"))),
        }
        Ok(())
    }

    fn list(
        &self,
        [open, close]: [char; 2],
        items: Vec<(Option<String>, Value)>,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        out.push(open);
        let is_empty = items.is_empty();
        let line = |depth: usize, out: &mut String| {
            if let Some(indent) = self.indent.as_ref().filter(|_| !is_empty) {
                out.push('\n');
                (0..depth).for_each(|_| out.push_str(indent));
            }
        };
        for (position, (key, item)) in items.into_iter().enumerate() {
            out.push_str(if position > 0 { &self.item } else { "" });
            line(depth + 1, out);
            if let Some(key) = key {
                self.escape(&key, out);
                out.push_str(&self.key);
            }
            self.write(&item, depth + 1, out)?;
        }
        line(depth, out);
        out.push(close);
        Ok(())
    }

    fn escape(&self, text: &str, out: &mut String) {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                letter if letter < ' ' || (self.ascii && !(' '..='~').contains(&letter)) => {
                    let mut units = [0; 2];
                    for unit in letter.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                letter => out.push(letter),
            }
        }
        out.push('"');
    }
}

/// A key as `json.dumps` writes it.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String | ValueKind::Number => text(key),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        kind => Err(invalid(format!("{kind} is no key in JSON"))),
    }
}

/// What Python's `strftime` gives for the start of 26 July 2024, the day that templates of Llama 3 fall back to where they know
/// no other.
pub(super) fn strftime(format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let code = match letters.next() {
            // A flag of the C library: no zero before a number.
            Some('-') => {
                let padded = letters.next().and_then(field);
                padded.map(|number| match number.trim_start_matches(['0', ' ']) {
                    "" => "0",
                    number => number,
                })
            }
            Some('%') => Some("%"),
            code => code.and_then(field),
        };
        let Some(code) = code else {
            return Err(invalid(format!(
                "strftime_now does not know all of {format:?}"
            )));
        };
        out.push_str(code);
    }
    Ok(out)
}

/// A field of that date.
fn field(code: char) -> Option<&'static str> {
    Some(match code {
        'Y' | 'G' => "2024",
        'y' | 'g' => "24",
        'C' => "20",
        'm' => "07",
        'd' | 'e' => "26",
        'b' | 'h' => "Jul",
        'B' => "July",
        'a' => "Fri",
        'A' => "Friday",
        'u' | 'w' => "5",
        'j' => "208",
        'U' => "29",
        'V' | 'W' => "30",
        'H' | 'M' | 'S' => "00",
        'I' | 'l' => "12",
        'k' => " 0",
        'p' => "AM",
        'P' => "am",
        'f' => "000000",
        'Z' | 'z' => "",
        'D' | 'x' => "07/26/24",
        'F' => "2024-07-26",
        'T' | 'X' => "00:00:00",
        'R' => "00:00",
        'r' => "12:00:00 AM",
        'c' => "Fri Jul 26 00:00:00 2024",
        'n' => "\n",
        't' => "\t",
        _ => return None,
    })
}
