//! An index beside the single file that is loaded: it is not read, as in `transformers`, but what it says may be another model.

use std::collections::BTreeMap;
use std::path::Path;

use rave_hints::refusal;

use super::layout::{INDEX, file_name, read, shard_paths};
use super::shard::Shard;
use crate::Error;

/// What to say of an index that lies beside the single file that is loaded; `None` when there is none.
///
/// # Errors
/// Shards that are whole and hold other tensors than the single file: two models, and nobody knows which is meant.
pub(super) fn note(single: &Shard, folder: &Path) -> Result<Option<String>, Error> {
    let index = folder.join(INDEX);
    if !index.is_file() {
        return Ok(None);
    }
    let shards = read(&index).and_then(|weight_map| {
        let mut tensors = BTreeMap::new();
        for path in shard_paths(&index, &weight_map)? {
            tensors.append(&mut Shard::open(&path)?.stored()?);
        }
        Ok(tensors)
    });
    let name = file_name(&single.path);
    match shards {
        Ok(tensors) if tensors != single.stored()? => {
            let reason = refusal(
                format!(
                    "{name} beside it holds other tensors than its shards, and both are whole: they are two models"
                ),
                format!("keep one of them in this folder (transformers takes {name})"),
            );
            Err(Error::malformed(&index, reason))
        }
        Ok(_) => Ok(Some(format!(
            "{name} is loaded, as transformers does; {INDEX} and its shards, which hold tensors of the same names and shapes, are not read"
        ))),
        Err(_) => Ok(Some(format!(
            "{name} is loaded, as transformers does; {INDEX} beside it, whose shards are not whole, is not read"
        ))),
    }
}
