//! Tensors in safetensors files that this program writes: weights, adapters, the state of a training.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use rave_hints::refusal;
use safetensors::tensor::Dtype;
use safetensors::{SafeTensorError, SafeTensors};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::floating;
use crate::Error;

/// Writes tensors to a safetensors file in their own element types (f32, f16 or bf16), as a
/// whole or not at all ([`rave_files::replace`]).
///
/// # Errors
/// When the file cannot be written, naming it.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let mut values = tensors
        .iter()
        .map(|(name, tensor)| {
            let (tensor, dtype) = match tensor.kind() {
                Kind::BFloat16 => (tensor.shallow_clone(), Dtype::BF16),
                Kind::Half => (tensor.shallow_clone(), Dtype::F16),
                _ => (tensor.f_to_kind(Kind::Float)?, Dtype::F32),
            };
            let tensor = tensor
                .f_detach()?
                .f_to_device(Device::Cpu)?
                .f_contiguous()?;
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
            let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
            Ok((name, shape, dtype, bytes))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    // Largest elements first, then by name, as the library does.
    values.sort_by(|(a, _, first, _), (b, _, second, _)| second.cmp(first).then(a.cmp(b)));
    let header = header(&values, metadata);
    rave_files::replace(path, |file| {
        let mut file = BufWriter::new(file);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for (.., bytes) in &values {
            file.write_all(bytes)?;
        }
        file.flush()
    })
    .map_err(failed)
}

/// The name, shape, type and bytes of a tensor.
type Stored<'a> = (&'a String, Vec<usize>, Dtype, Vec<u8>);

/// The header of a safetensors file: what the library writes, but with the metadata in the order of its keys, so that equal contents
/// are equal bytes. The library has it in that of a hash map.
fn header(values: &[Stored], metadata: &BTreeMap<String, String>) -> String {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut start = 0;
    for (name, shape, dtype, bytes) in values {
        let end = start + bytes.len();
        let place = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert((*name).clone(), place);
        start = end;
    }
    let mut text = Value::Object(header).to_string();
    // The tensors begin at a multiple of eight bytes.
    let length = text.len().next_multiple_of(8);
    text.extend(std::iter::repeat_n(' ', length - text.len()));
    text
}

/// What a safetensors file holds.
#[derive(Debug)]
pub struct TensorFile {
    /// The tensors by name.
    pub tensors: HashMap<String, Tensor>,
    /// What the file says of itself.
    pub metadata: BTreeMap<String, String>,
}

/// Reads all tensors of a safetensors file, and its metadata.
///
/// # Errors
/// When the file cannot be read or is damaged, naming it.
pub fn read_tensors(path: &Path) -> Result<TensorFile, Error> {
    let bytes = Error::read(path)?;
    let damaged = |error: SafeTensorError| {
        Error::malformed(
            path,
            refusal(
                format!("not a valid safetensors file ({error})"),
                "fetch or make it again",
            ),
        )
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let tensors = file
        .iter()
        .map(|(name, view)| {
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            let Some(kind) = floating(view.dtype()) else {
                let reason = refusal(
                    format!("`{name}` is {:?}, not a floating-point type", view.dtype()),
                    "F32, F16 and BF16 can be loaded",
                );
                return Err(Error::malformed(path, reason));
            };
            Ok((
                name.to_owned(),
                Tensor::f_from_data_size(view.data(), &shape, kind)?,
            ))
        })
        .collect::<Result<_, _>>()?;
    Ok(TensorFile {
        tensors,
        metadata: header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use safetensors::tensor::TensorView;

    use super::*;

    #[test]
    fn a_file_is_what_the_library_writes_with_its_metadata_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensors = [
            ("b.half", Tensor::from_slice(&[1.5_f32]).to_kind(Kind::Half)),
            (
                "b.float",
                Tensor::from_slice2(&[[1.0_f32, 2.0], [3.0, 4.0]]),
            ),
            (
                "a.brain",
                Tensor::from_slice(&[2.0_f32; 3]).to_kind(Kind::BFloat16),
            ),
            ("a.float", Tensor::from_slice(&[0.0_f32; 0])),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor));
        let write = |keys: &[&str]| {
            let metadata = keys
                .iter()
                .map(|key| ((*key).to_owned(), format!("of {key}")));
            write_tensors(&path, &tensors, &metadata.collect()).unwrap();
            std::fs::read(&path).unwrap()
        };
        let own = write(&["format"]);
        let file = SafeTensors::deserialize(&own).unwrap();
        let views = file.iter().map(|(name, view)| {
            let view = TensorView::new(view.dtype(), view.shape().to_vec(), view.data());
            (name.to_owned(), view.unwrap())
        });
        let metadata = HashMap::from([("format".to_owned(), "of format".to_owned())]);
        assert!(safetensors::serialize(views, Some(metadata)).unwrap() == own);
        let many = write(&["variant", "base", "version", "options"]);
        let start = br#"{"__metadata__":{"base":"of base","options":"of options","variant":"of variant","version":"of version"},"#;
        assert!(many[8..].starts_with(start));
        assert_eq!(read_tensors(&path).unwrap().metadata.len(), 4);
    }
}
