//! JSON files of a checkpoint.

use std::path::Path;

use rave_hints::refusal;
use serde_json::Value;

use crate::Error;

/// Reads and parses a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value, Error> {
    parse_json(path, &Error::read(path)?)
}

/// Parses the contents of a JSON file.
pub(crate) fn parse_json(path: &Path, bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let reason = match python_number(bytes, &error) {
            Some(word) => refusal(
                format!(
                    "{word} in line {}, which Python writes and JSON has not",
                    error.line()
                ),
                "write null or a number there",
            ),
            None => refusal(format!("not valid JSON: {error}"), "fetch it again"),
        };
        Error::malformed(path, reason)
    })
}

/// The word for a number that JSON has not, where one stands at a fault.
fn python_number(bytes: &[u8], error: &serde_json::Error) -> Option<&'static str> {
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line() - 1)?;
    let rest = line.get(error.column().checked_sub(1)?..)?;
    ["NaN", "Infinity"]
        .into_iter()
        .find(|word| rest.starts_with(word.as_bytes()))
}
