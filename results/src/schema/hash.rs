//! Hashes as records hold them.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal, as every hash of a record is written.
pub fn sha256_hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// SHA-256 of the canonical JSON of a struct of strings, numbers and lists.
pub(crate) fn canonical_hash(configuration: &impl Serialize) -> String {
    let value = serde_json::to_value(configuration)
        .expect("a struct of strings, numbers and lists is valid JSON");
    let mut canonical = String::new();
    canonical_json(&value, &mut canonical);
    sha256_hex(canonical.as_bytes())
}

/// Appends `value` with sorted keys and without white space.
fn canonical_json(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical_json(item, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical_json(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
