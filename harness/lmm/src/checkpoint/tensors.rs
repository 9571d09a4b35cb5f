//! Tensors in safetensors files that this program writes: weights, adapters, the state of a training.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use tch::{Device, Kind, Tensor};

use super::floating;
use crate::Error;

/// Writes tensors to a safetensors file in their own element types (f32, f16 or bf16), at once: beside the path first, then
/// moved onto it.
///
/// # Errors
/// When the file cannot be written, naming it.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let values = tensors
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
    let refused = |error: SafeTensorError| failed(std::io::Error::other(error));
    let views = values
        .iter()
        .map(|(name, shape, dtype, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(refused)?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let metadata = metadata.clone().into_iter().collect();
    let partial = path.with_extension("partial");
    safetensors::serialize_to_file(views, Some(metadata), &partial).map_err(refused)?;
    std::fs::rename(&partial, path).map_err(failed)
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
            format!("not a valid safetensors file ({error}); fetch or make it again"),
        )
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let tensors = file
        .iter()
        .map(|(name, view)| {
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            let Some(kind) = floating(view.dtype()) else {
                let reason = format!(
                    "`{name}` is {:?}, not a floating-point type; F32, F16 and BF16 can be loaded",
                    view.dtype()
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
