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
use rave_hints::refusal;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use tch::{Device, Kind, Tensor};

use super::foreign::pickle;
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
            return Err(Error::malformed(path, pickle()));
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

    /// How every tensor is stored, by its name.
    pub(super) fn stored(&self) -> Result<BTreeMap<String, Stored>, Error> {
        let read = SafeTensors::read_metadata(&self.bytes);
        let (_, header) = read.map_err(|error| invalid(&self.path, &error))?;
        Ok(tensors(&header))
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

/// What the header of a weight file says of its tensors, given the beginning of the file with all of the header. (The crate's own reader
/// wants the tensors' bytes as well.)
///
/// # Errors
/// A header that is cut off or contradicts itself.
pub(crate) fn stored_by_header(
    path: &Path,
    beginning: &[u8],
) -> Result<BTreeMap<String, Stored>, Error> {
    let cut = || invalid(path, &SafeTensorError::InvalidHeaderLength);
    let (length, rest) = beginning.split_first_chunk().ok_or_else(cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
    let header = rest.get(..length).ok_or_else(cut)?;
    let header: Metadata = serde_json::from_slice(header)
        .map_err(|error| invalid(path, &SafeTensorError::InvalidHeaderDeserialization(error)))?;
    Ok(tensors(&header))
}

/// How each tensor of a header is stored, by its name.
fn tensors(header: &Metadata) -> BTreeMap<String, Stored> {
    let tensors = header.tensors().into_iter().map(|(name, tensor)| {
        let stored = Stored {
            dtype: tensor.dtype,
            shape: tensor.shape.iter().map(|&size| size as i64).collect(),
            bytes: (tensor.data_offsets.1 - tensor.data_offsets.0) as u64,
        };
        (name, stored)
    });
    tensors.collect()
}

fn invalid(path: &Path, error: &SafeTensorError) -> Error {
    let reason = refusal(
        format!("not a valid safetensors file ({error}): it is truncated or damaged"),
        "fetch it again",
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::write_tensors;

    #[test]
    fn a_header_is_read_without_the_bytes_of_its_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.safetensors");
        let large = Tensor::zeros([512, 600], (Kind::Float, Device::Cpu));
        write_tensors(&path, &[("large".to_owned(), large)], &BTreeMap::new()).unwrap();
        let whole = Shard::open(&path).unwrap().stored().unwrap();
        assert_eq!(whole["large"].shape, [512, 600]);
        let bytes = std::fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        for length in [header, header + 9, bytes.len()] {
            assert_eq!(stored_by_header(&path, &bytes[..length]).unwrap(), whole);
        }
        for length in [0, 7, header - 1] {
            let error = stored_by_header(&path, &bytes[..length]).unwrap_err();
            assert!(error.to_string().contains("large.safetensors"), "{error}");
        }
    }
}
