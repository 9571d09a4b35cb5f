//! The key-value cache of one decoding: room for every layer is taken once, and each pass writes only its new tokens.

use tch::{Kind, Tensor};

use rave_methods::Geometry;

use crate::Error;

/// Keys `[B, G, capacity, K]` and values `[B, G, capacity, D]` a layer, of which the first `length` tokens are filled.
#[derive(Debug)]
pub(crate) struct Cache {
    layers: Vec<(Tensor, Tensor)>,
    length: i64,
}

impl Cache {
    /// Room for `capacity` tokens, with stored keys of width K = `key_width`.
    pub(crate) fn new(
        geometry: &Geometry,
        batch: i64,
        capacity: i64,
        key_width: i64,
        options: (Kind, tch::Device),
    ) -> Result<Self, Error> {
        let room = |width| Tensor::f_empty([batch, geometry.groups, capacity, width], options);
        let layers = (0..geometry.layers)
            .map(|_| Ok((room(key_width)?, room(geometry.head_width)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Self { layers, length: 0 })
    }

    /// Tokens stored in every layer.
    pub(crate) fn length(&self) -> i64 {
        self.length
    }

    /// Appends T tokens to one layer and returns views of all its keys `[B, G, S, K]` and values `[B, G, S, D]`.
    pub(crate) fn append(
        &mut self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor), Error> {
        let tokens = keys.size()[2];
        let (stored_keys, stored_values) = &self.layers[layer];
        for (stored, new) in [(stored_keys, keys), (stored_values, values)] {
            stored.f_narrow(2, self.length, tokens)?.f_copy_(new)?;
        }
        let total = self.length + tokens;
        Ok((
            stored_keys.f_narrow(2, 0, total)?,
            stored_values.f_narrow(2, 0, total)?,
        ))
    }

    /// Counts T tokens as stored, once all layers have appended them.
    pub(crate) fn advance(&mut self, tokens: i64) {
        self.length += tokens;
    }

    /// Bytes that the cache takes.
    pub(crate) fn bytes(&self) -> u64 {
        let size =
            |tensor: &Tensor| tensor.numel() as u64 * tensor.kind().elt_size_in_bytes() as u64;
        self.layers
            .iter()
            .map(|(keys, values)| size(keys) + size(values))
            .sum()
    }
}
