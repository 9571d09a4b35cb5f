//! The key-value cache of one decoding: room for a layer is taken once, at its first pass, and each pass writes only its new
//! tokens. Layers may hold different tokens, when a variant drops some on the way.

use std::rc::Rc;

use rave_methods::Tokens;
use tch::Tensor;

use crate::Error;

/// What every layer has stored.
#[derive(Debug)]
pub(crate) struct KvCache {
    layers: Vec<Option<LayerCache>>,
    /// Tokens that may come after the first pass.
    more: i64,
}

/// One layer: keys `[B, G, capacity, K]` and values `[B, G, capacity, D]`, of which the first S tokens are filled.
#[derive(Debug)]
struct LayerCache {
    keys: Tensor,
    values: Tensor,
    tokens: Rc<Tokens>,
}

impl KvCache {
    /// An empty cache of so many layers, for a first pass and `more` tokens after it.
    pub(crate) fn new(layers: usize, more: usize) -> Self {
        Self {
            layers: (0..layers).map(|_| None).collect(),
            more: more as i64,
        }
    }

    /// What this one holds of one sequence, for each of `batch` sequences, with room for `more` tokens after it.
    pub(crate) fn copies(&self, batch: i64, more: usize) -> Result<Self, Error> {
        let more = more as i64;
        let copies = |stored: &Tensor, length: i64| -> Result<Tensor, Error> {
            let [_, kv_heads, _, width] = [0, 1, 2, 3].map(|axis| stored.size()[axis]);
            let shape = [batch, kv_heads, length + more, width];
            let copy = Tensor::f_empty(shape, (stored.kind(), stored.device()))?;
            let filled = stored.f_narrow(2, 0, length)?;
            copy.f_narrow(2, 0, length)?
                .f_copy_(&filled.f_expand([batch, kv_heads, length, width], false)?)?;
            Ok(copy)
        };
        let layers = self.layers.iter().map(|cache| {
            let Some(cache) = cache else { return Ok(None) };
            let length = cache.tokens.stored() as i64;
            Ok(Some(LayerCache {
                keys: copies(&cache.keys, length)?,
                values: copies(&cache.values, length)?,
                tokens: Rc::clone(&cache.tokens),
            }))
        });
        Ok(Self {
            layers: layers.collect::<Result<_, Error>>()?,
            more,
        })
    }

    /// What a layer has stored before this pass; `None` in the first one.
    pub(crate) fn tokens(&self, layer: usize) -> Option<&Rc<Tokens>> {
        self.layers[layer].as_ref().map(|cache| &cache.tokens)
    }

    /// Appends T tokens to one layer, which then holds `tokens`, and returns views of all its keys `[B, G, S, K]` and values
    /// `[B, G, S, D]`.
    pub(crate) fn append(
        &mut self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
        tokens: &Rc<Tokens>,
    ) -> Result<(Tensor, Tensor), Error> {
        let (total, new) = (tokens.stored() as i64, tokens.new_tokens() as i64);
        let more = self.more;
        let take = |new: &Tensor| {
            let [batch, kv_heads, _, width] = [0, 1, 2, 3].map(|axis| new.size()[axis]);
            let shape = [batch, kv_heads, total + more, width];
            Tensor::f_empty(shape, (new.kind(), new.device()))
        };
        let slot = &mut self.layers[layer];
        if slot.is_none() {
            *slot = Some(LayerCache {
                keys: take(keys)?,
                values: take(values)?,
                tokens: Rc::clone(tokens),
            });
        }
        let cache = slot.as_mut().expect("it was filled just now");
        cache.tokens = Rc::clone(tokens);
        for (stored, new_ones) in [(&cache.keys, keys), (&cache.values, values)] {
            stored.f_narrow(2, total - new, new)?.f_copy_(new_ones)?;
        }
        Ok((
            cache.keys.f_narrow(2, 0, total)?,
            cache.values.f_narrow(2, 0, total)?,
        ))
    }

    /// Bytes that the cache takes.
    pub(crate) fn bytes(&self) -> u64 {
        let size =
            |tensor: &Tensor| tensor.numel() as u64 * tensor.kind().elt_size_in_bytes() as u64;
        self.layers
            .iter()
            .flatten()
            .map(|cache| size(&cache.keys) + size(&cache.values))
            .sum()
    }
}
