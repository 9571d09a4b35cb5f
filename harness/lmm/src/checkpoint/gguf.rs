//! GGUF, the file of llama.cpp: metadata, vocabulary and quantised tensors in one.
//!
//! Source: the format's specification (`docs/gguf.md` of ggml, versions 2 and 3) and the block layouts of `ggml-common.h`. Read
//! here are the types whose blocks are a scale, perhaps an offset, and plain numbers; the nested ones (`Q2_K` .. `Q8_K`, `IQ*`)
//! are refused by name. No crate is used: those that read GGUF bring a tensor library of their own with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rave_hints::{Refusal, refusal};

use crate::Error;
use crate::checkpoint::map;

/// Values of a quantised block.
const BLOCK: usize = 32;
/// Where the file does not say to which multiple of bytes its tensors are aligned.
const ALIGNMENT: u64 = 32;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Whole(i64),
    Real(f64),
    Flag(bool),
    Text(String),
    List(Vec<Value>),
}

/// An opened file.
#[derive(Debug)]
pub(crate) struct Gguf {
    path: PathBuf,
    bytes: Mmap,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Entry>,
    /// Where the tensors' data begins.
    data: u64,
}

#[derive(Debug)]
struct Entry {
    /// Slowest axis first, as everywhere but in the file.
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

impl Gguf {
    /// Maps a file and reads all but its tensors.
    ///
    /// # Errors
    /// Names the file: not GGUF, of another version, truncated.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let bytes = map(path)?;
        let mut reader = Reader {
            bytes: &bytes,
            at: 0,
        };
        let (metadata, tensors) = match reader.header() {
            Ok(found) => found,
            Err(reason) => return Err(Error::malformed(path, refusal(reason, "fetch it again"))),
        };
        let alignment = match metadata.get("general.alignment") {
            Some(Value::Whole(alignment)) if *alignment > 0 => *alignment as u64,
            _ => ALIGNMENT,
        };
        let data = (reader.at as u64).next_multiple_of(alignment);
        Ok(Self {
            path: path.to_owned(),
            metadata,
            tensors,
            data,
            bytes,
        })
    }

    /// Names of the tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A value of the metadata.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// A whole number of the metadata.
    pub(crate) fn whole(&self, key: &str) -> Result<i64, Error> {
        match self.get(key) {
            Some(Value::Whole(number)) => Ok(*number),
            _ => Err(self.lacks(key)),
        }
    }

    /// A real number of the metadata.
    pub(crate) fn real(&self, key: &str) -> Result<f64, Error> {
        match self.get(key) {
            Some(Value::Real(number)) => Ok(*number),
            _ => Err(self.lacks(key)),
        }
    }

    /// A text of the metadata.
    pub(crate) fn text(&self, key: &str) -> Result<&str, Error> {
        match self.get(key) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(self.lacks(key)),
        }
    }

    /// A list of the metadata.
    pub(crate) fn list(&self, key: &str) -> Result<&[Value], Error> {
        match self.get(key) {
            Some(Value::List(values)) => Ok(values),
            _ => Err(self.lacks(key)),
        }
    }

    /// Why this file is refused.
    pub(crate) fn refused(&self, reason: impl Into<Refusal>) -> Error {
        Error::malformed(&self.path, reason)
    }

    fn lacks(&self, key: &str) -> Error {
        self.refused(refusal(
            format!("the metadata has no `{key}` of the right type"),
            "use a file that llama.cpp's converter wrote",
        ))
    }

    /// The values of a tensor as f32, row-major.
    ///
    /// # Errors
    /// A tensor that there is not, of another shape or of a type that is not read; data past the end of the file.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(self.refused(refusal(
                format!("tensor `{name}` is missing"),
                "use a file with a whole model",
            )));
        };
        if entry.shape != shape {
            return Err(self.refused(refusal(
                format!(
                    "tensor `{name}` has shape {:?} where {shape:?} is needed",
                    entry.shape
                ),
                "use a model of the same sizes",
            )));
        }
        let count: usize = shape.iter().product();
        let Some((block, size, decode)) = layout(entry.kind) else {
            return Err(self.refused(refusal(
                format!(
                    "tensor `{name}` is of ggml type {}; F32, F16, BF16, Q4_0, Q4_1 and Q8_0 can be read",
                    entry.kind
                ),
                "use a file in one of these types",
            )));
        };
        let bytes = self.data.checked_add(entry.offset).and_then(|start| {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add((count / block).checked_mul(size)?)?;
            self.bytes.get(start..end)
        });
        let (Some(bytes), 0) = (bytes, count % block) else {
            return Err(self.refused(refusal(
                format!("tensor `{name}` ends past the end of the file, which is truncated"),
                "fetch it again",
            )));
        };
        let mut values = Vec::with_capacity(count);
        for block in bytes.chunks_exact(size) {
            decode(block, &mut values);
        }
        Ok(values)
    }
}

/// Values a block, bytes a block, and what turns one into the other.
type Layout = (usize, usize, fn(&[u8], &mut Vec<f32>));

fn layout(kind: u32) -> Option<Layout> {
    Some(match kind {
        0 => (1, 4, |block, values| {
            values.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]]));
        }),
        1 => (1, 2, |block, values| values.push(half(block))),
        30 => (1, 2, |block, values| {
            values.push(f32::from_le_bytes([0, 0, block[0], block[1]]));
        }),
        // Q4_0: a scale, then 16 bytes whose low halves are the first 16 values.
        2 => (BLOCK, 18, |block, values| {
            let scale = half(block);
            nibbles(&block[2..], values, |number| scale * (number - 8.0));
        }),
        // Q4_1: a scale and the least value.
        3 => (BLOCK, 20, |block, values| {
            let (scale, least) = (half(block), half(&block[2..]));
            nibbles(&block[4..], values, |number| scale * number + least);
        }),
        // Q8_0: a scale and 32 signed bytes.
        8 => (BLOCK, 34, |block, values| {
            let scale = half(block);
            values.extend(block[2..].iter().map(|&byte| scale * f32::from(byte as i8)));
        }),
        _ => return None,
    })
}

fn nibbles(bytes: &[u8], values: &mut Vec<f32>, value: impl Fn(f32) -> f32) {
    values.extend(bytes.iter().map(|byte| value(f32::from(byte & 15))));
    values.extend(bytes.iter().map(|byte| value(f32::from(byte >> 4))));
}

/// The half-precision number in the first two bytes.
fn half(bytes: &[u8]) -> f32 {
    half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Reads the header; a file is never trusted with a size.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Header = (BTreeMap<String, Value>, BTreeMap<String, Entry>);

impl Reader<'_> {
    fn header(&mut self) -> Result<Header, String> {
        if self.take(4)? != b"GGUF" {
            return Err("not a GGUF file".into());
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!("GGUF version {version}; 2 and 3 can be read"));
        }
        let (tensors, pairs) = (self.u64()?, self.u64()?);
        let mut metadata = BTreeMap::new();
        for _ in 0..pairs {
            let key = self.string()?;
            let kind = self.u32()?;
            metadata.insert(key, self.value(kind)?);
        }
        let mut entries = BTreeMap::new();
        for _ in 0..tensors {
            let name = self.string()?;
            let axes = self.u32()?;
            let mut shape = Vec::new();
            for _ in 0..axes {
                shape.push(usize::try_from(self.u64()?).map_err(|error| error.to_string())?);
            }
            shape.reverse();
            let entry = Entry {
                shape,
                kind: self.u32()?,
                offset: self.u64()?,
            };
            entries.insert(name, entry);
        }
        Ok((metadata, entries))
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Whole(self.take(1)?[0].into()),
            1 => Value::Whole((self.take(1)?[0] as i8).into()),
            2 => Value::Whole(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Whole(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Whole(self.u32()?.into()),
            5 => Value::Whole(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Real(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Flag(self.take(1)?[0] != 0),
            8 => Value::Text(self.string()?),
            9 => {
                let kind = self.u32()?;
                if kind == 9 {
                    return Err("a list of lists in the metadata".into());
                }
                let count = self.u64()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(kind)?);
                }
                Value::List(values)
            }
            10 | 11 => Value::Whole(i64::from_le_bytes(self.array()?)),
            12 => Value::Real(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("metadata of the unknown type {other}")),
        })
    }

    fn string(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        String::from_utf8(self.take(length)?.to_vec())
            .map_err(|_| "a name that is not UTF-8".into())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or("the header ends past the end of the file: it is truncated")?;
        self.at += count;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A file with one key and one tensor, written from the specification.
    fn file(kind: u32, shape: &[u64], data: &[u8]) -> tempfile::NamedTempFile {
        let text = |text: &str| {
            let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
            bytes.extend(text.as_bytes());
            bytes
        };
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(
            [
                text("general.architecture"),
                8_u32.to_le_bytes().to_vec(),
                text("llama"),
            ]
            .concat(),
        );
        bytes.extend(text("t"));
        bytes.extend((shape.len() as u32).to_le_bytes());
        for axis in shape {
            bytes.extend(axis.to_le_bytes());
        }
        bytes.extend(kind.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(data);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn blocks_are_decoded_as_the_layouts_say() {
        // Low halves 0..16, high halves 15..-1.
        let packed: Vec<u8> = (0..16).map(|number| number | (15 - number) << 4).collect();
        let numbers: Vec<f32> = (0..16)
            .chain((0..16).rev())
            .map(|number| number as f32)
            .collect();
        let two = 0x4000_u16.to_le_bytes();
        let minus_one = 0xbc00_u16.to_le_bytes();
        let expected =
            |value: fn(f32) -> f32| numbers.iter().map(|&n| value(n)).collect::<Vec<_>>();
        let q4_0 = [&two[..], &packed].concat();
        let q4_1 = [&two[..], &minus_one, &packed].concat();
        let q8_0 = [
            &two[..],
            &(0..32).map(|n| (n as i8 - 16) as u8).collect::<Vec<_>>(),
        ]
        .concat();
        for (kind, data, values) in [
            (2, q4_0, expected(|n| 2.0 * (n - 8.0))),
            (3, q4_1, expected(|n| 2.0 * n - 1.0)),
            (8, q8_0, (0..32).map(|n| 2.0 * (n - 16) as f32).collect()),
        ] {
            // The fastest axis stands first in the file.
            let file = file(kind, &[32, 1], &data);
            let gguf = Gguf::open(file.path()).unwrap();
            assert_eq!(gguf.text("general.architecture").unwrap(), "llama");
            assert_eq!(gguf.tensor("t", &[1, 32]).unwrap(), values);
        }
        let plain = file(1, &[2], &[two, minus_one].concat());
        assert_eq!(
            Gguf::open(plain.path()).unwrap().tensor("t", &[2]).unwrap(),
            [2.0, -1.0]
        );
    }

    #[test]
    fn damage_is_named() {
        let refusal = |kind, shape: &[u64], data: &[u8]| {
            let file = file(kind, shape, data);
            let gguf = Gguf::open(file.path()).unwrap();
            let shape: Vec<usize> = shape.iter().rev().map(|&axis| axis as usize).collect();
            gguf.tensor("t", &shape).unwrap_err().to_string()
        };
        assert!(refusal(12, &[256], &[0; 144]).contains("ggml type 12"));
        assert!(refusal(8, &[64], &[0; 34]).contains("truncated"));
        assert!(refusal(8, &[u64::MAX], &[0; 34]).contains("truncated"));
        let whole = file(8, &[32], &[0; 34]);
        let gguf = Gguf::open(whole.path()).unwrap();
        assert!(
            gguf.tensor("u", &[32])
                .unwrap_err()
                .to_string()
                .contains("`u` is missing")
        );
        assert!(
            gguf.tensor("t", &[33])
                .unwrap_err()
                .to_string()
                .contains("[33]")
        );
        let bytes = std::fs::read(whole.path()).unwrap();
        // The header is 102 bytes long.
        for length in 0..102 {
            std::fs::write(whole.path(), &bytes[..length]).unwrap();
            let error = Gguf::open(whole.path()).map(drop).unwrap_err().with_hint();
            assert!(
                error.contains("again") || error.contains("cannot read"),
                "{length}: {error}"
            );
        }
    }
}
