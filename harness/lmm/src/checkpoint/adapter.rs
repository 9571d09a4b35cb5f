//! Adapters: the trained parameters of a variant in a safetensors file of their own, beside the checkpoint they belong to.
//!
//! The metadata says which variant, version and options the parameters are for and which base checkpoint they were trained
//! on (SHA-256 of its weights); whatever does not match is an error, since the numbers would be another method's.

use std::path::{Path, PathBuf};

use rave_hints::{Refusal, refusal};
use rave_methods::{Attention, Variant};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use tch::Tensor;

use crate::Error;
use crate::checkpoint::floating;
use crate::checkpoint::tensors::write_tensors;

/// An adapter that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// The name under which the adapter of a variant lies beside its checkpoint.
pub fn file_name(variant: &str) -> String {
    format!("{variant}.adapter.safetensors")
}

/// Writes the parameters of a variant, in their own element types.
///
/// # Errors
/// When the file cannot be written, naming it.
pub fn save(
    path: &Path,
    variant: &Variant,
    base_sha256: &str,
    parameters: &[(String, Tensor)],
) -> Result<(), Error> {
    let metadata = expected(variant, base_sha256).map(|(key, value)| (key.to_owned(), value));
    write_tensors(path, parameters, &metadata.into())
}

/// Copies the parameters of an adapter into a variant that was built for the same model.
///
/// # Errors
/// [`Error::Adapter`] when the file is damaged or belongs to another variant, version, options or checkpoint.
pub fn load(
    path: &Path,
    variant: &Variant,
    base_sha256: &str,
    attention: &dyn Attention,
) -> Result<Adapter, Error> {
    let fail = |reason: Refusal| Error::Adapter {
        path: path.to_owned(),
        reason,
    };
    let bytes = Error::read(path)?;
    let damaged = |error: safetensors::SafeTensorError| {
        fail(refusal(
            format!("not a valid safetensors file ({error})"),
            "train or fetch it again",
        ))
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    for (key, expected) in expected(variant, base_sha256) {
        match metadata.get(key) {
            Some(found) if *found == expected => {}
            Some(found) => {
                return Err(fail(refusal(
                    format!("its {key} is {found}, but {expected} is needed"),
                    "use the adapter that was trained for this variant and checkpoint",
                )));
            }
            None => {
                return Err(fail(
                    format!("its metadata lacks `{key}`: it is no adapter of this harness").into(),
                ));
            }
        }
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let parameters = attention.parameters();
    if let Some(extra) = tensors
        .names()
        .into_iter()
        .find(|name| parameters.iter().all(|(own, _)| own != name))
    {
        return Err(fail(
            format!(
                "it holds `{extra}`, which `{}` does not have on this model",
                variant.id
            )
            .into(),
        ));
    }
    // Everything is checked before the first value is copied, so that an error leaves no half-loaded variant behind.
    let mut copies = Vec::new();
    for (name, parameter) in parameters {
        let view = tensors
            .tensor(&name)
            .map_err(|_| fail(format!("the tensor `{name}` is missing").into()))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let Some(stored) = floating(view.dtype()) else {
            return Err(fail(
                format!("`{name}` is {:?}, not a floating-point type", view.dtype()).into(),
            ));
        };
        if shape != parameter.size() {
            return Err(fail(
                format!(
                    "`{name}` has shape {shape:?}, but this model needs {:?}",
                    parameter.size()
                )
                .into(),
            ));
        }
        copies.push((
            parameter,
            Tensor::f_from_data_size(view.data(), &shape, stored)?,
        ));
    }
    for (mut parameter, values) in copies {
        tch::no_grad(|| parameter.f_copy_(&values))?;
    }
    Ok(Adapter {
        path: path.to_owned(),
        sha256: format!("{:x}", Sha256::digest(&bytes)),
    })
}

/// What the metadata of a matching adapter says.
fn expected(variant: &Variant, base_sha256: &str) -> [(&'static str, String); 4] {
    [
        ("variant", variant.id.to_owned()),
        ("version", variant.version.to_string()),
        ("options", variant.options().to_string()),
        ("base_sha256", base_sha256.to_owned()),
    ]
}
