//! One mapped weight file.
//!
//! A mapped page counts as resident once it was read, although the kernel could drop it at any time. A checkpoint is read from
//! end to end twice (for its tensors and for its hash), which would double the memory of a model that is loaded. So what
//! was read is given back at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use tch::{Device, Kind, Tensor};

use super::foreign::PICKLE;
use crate::Error;

/// Bytes that are hashed before they are given back.
const CHUNK: usize = 16 << 20;

/// Maps a file of weights.
///
/// # Errors
/// A file that cannot be opened, naming it.
pub(crate) fn map(path: &Path) -> Result<Mmap, Error> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    // SAFETY: the mapping is read-only and private to its owner. A file that another process truncates while it is mapped
    // would fault; checkpoints are written once and then left alone, as every safetensors reader assumes.
    #[allow(unsafe_code)]
    let bytes = unsafe { Mmap::map(&file) }.map_err(io)?;
    Error::refuse_pointer(path, &bytes)?;
    Ok(bytes)
}

/// One mapped weight file.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    bytes: Mmap,
}

impl Shard {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let bytes = map(path)?;
        // A zip archive (Torch since 1.6) or a bare pickle: renaming a file does not convert it.
        if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80\x02") {
            return Err(Error::malformed(path, PICKLE));
        }
        let shard = Self {
            path: path.to_owned(),
            bytes,
        };
        shard.view()?;
        Ok(shard)
    }

    /// The header, validated, over the data.
    pub(super) fn view(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| self.invalid(&error))
    }

    /// Name, type and shape of every tensor.
    pub(super) fn stored(&self) -> Result<BTreeMap<String, Stored>, Error> {
        stored(&self.path, &self.bytes)
    }

    pub(super) fn invalid(&self, error: &SafeTensorError) -> Error {
        invalid(&self.path, error)
    }

    /// Copies a tensor that is stored as `stored` onto a device in an element type, converted on the way.
    pub(super) fn copy(
        &self,
        view: &TensorView,
        stored: Kind,
        device: Device,
        kind: Kind,
    ) -> Result<Tensor, Error> {
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let data = view.data();
        let start = data.as_ptr() as usize - self.bytes.as_ptr() as usize;
        let range = start..start + data.len();
        self.announce(&range);
        let aligned = (data.as_ptr() as usize).is_multiple_of(stored.elt_size_in_bytes());
        let copied = if aligned && !data.is_empty() {
            // SAFETY: the tensor only reads, lies over mapped bytes of exactly its size and alignment, and is gone before this
            // function returns; what is made of it is a copy.
            #[allow(unsafe_code)]
            let mapped = unsafe {
                Tensor::f_from_blob(data.as_ptr(), &shape, &strides(&shape), stored, Device::Cpu)
            }?;
            mapped.f_to_device_(device, kind, false, true)?
        } else {
            Tensor::f_from_data_size(data, &shape, stored)?
                .f_to_device(device)?
                .f_to_kind(kind)?
        };
        self.release(&range);
        Ok(copied)
    }

    /// Hands the file's bytes to `hash` from start to end.
    pub(super) fn hash(&self, mut hash: impl FnMut(&[u8])) {
        for (number, chunk) in self.bytes.chunks(CHUNK).enumerate() {
            hash(chunk);
            let start = number * CHUNK;
            self.release(&(start..start + chunk.len()));
        }
    }

    /// Says what is read next, so that a disk is not waited for page by page. Advice that is not taken costs nothing.
    fn announce(&self, range: &Range<usize>) {
        #[cfg(unix)]
        let _ = self
            .bytes
            .advise_range(memmap2::Advice::WillNeed, range.start, range.len());
    }

    /// Lets the kernel drop these bytes from this process's memory; they are read from the file again where they are
    /// touched again.
    fn release(&self, range: &Range<usize>) {
        // SAFETY: the mapping is shared with the file and never written to, so nothing is lost with its pages.
        #[cfg(unix)]
        #[allow(unsafe_code)]
        let _ = unsafe {
            self.bytes.unchecked_advise_range(
                memmap2::UncheckedAdvice::DontNeed,
                range.start,
                range.len(),
            )
        };
    }
}

/// How a tensor is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<i64>,
    pub bytes: u64,
}

/// What the header of a weight file says of its tensors: all of the file, or its beginning with all of the header.
///
/// # Errors
/// A header that is cut off or contradicts itself.
pub(crate) fn stored(path: &Path, beginning: &[u8]) -> Result<BTreeMap<String, Stored>, Error> {
    let (_, header) =
        SafeTensors::read_metadata(beginning).map_err(|error| invalid(path, &error))?;
    let tensors = header.tensors().into_iter().map(|(name, tensor)| {
        let stored = Stored {
            dtype: tensor.dtype,
            shape: tensor.shape.iter().map(|&size| size as i64).collect(),
            bytes: (tensor.data_offsets.1 - tensor.data_offsets.0) as u64,
        };
        (name, stored)
    });
    Ok(tensors.collect())
}

fn invalid(path: &Path, error: &SafeTensorError) -> Error {
    let reason = format!(
        "not a valid safetensors file ({error}); it is truncated or damaged: fetch it again"
    );
    Error::malformed(path, reason)
}

/// Strides of a row-major tensor, in elements.
fn strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}
