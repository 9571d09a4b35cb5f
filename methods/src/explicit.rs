//! Attention with explicit scores, for what does not fold into the fused kernel: some queries, or all of them block by block.
//!
//! A block holds so many queries that its scores stay within `BLOCK_BYTES`, and only the keys that its last query can see;
//! nothing of size T x S is made at once. Scores and softmax are f32 whatever the compute type.

use tch::{Kind, Tensor};

use crate::{Attention, Error, QueryRows, Step, kernel, primitives};

/// Most bytes of one block's scores (several such tensors live at a time).
const BLOCK_BYTES: i64 = 16 << 20;

/// Some queries of a pass and the keys that they can see.
#[derive(Debug)]
pub struct Block<'a> {
    /// The pass.
    pub step: &'a Step<'a>,
    /// The queries: t indices among the new tokens, ascending.
    pub rows: &'a [i64],
    /// The stored keys up to the last of these queries, `[B, G, S', K]`.
    pub keys: Tensor,
}

impl Block<'_> {
    /// Number of keys, S'.
    pub fn key_count(&self) -> i64 {
        self.keys.size()[2]
    }

    /// The part of a mask over the stored tokens `[B, S]` that is for these keys, `[B, 1, 1, S']`.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    pub fn over_keys(&self, mask: &Tensor) -> Result<Tensor, Error> {
        Ok(mask
            .f_narrow(1, 0, self.key_count())?
            .f_unsqueeze(1)?
            .f_unsqueeze(1)?)
    }

    /// The rows of a tensor over the new tokens, `[.., T, ..]` along `axis`, as they are when it has but one row for all.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    pub fn over_rows(&self, tensor: &Tensor, axis: i64) -> Result<Tensor, Error> {
        select(tensor, axis, self.rows)
    }
}

/// What a variant does between the scores and the weights.
pub trait Edit {
    /// Changes scaled scores `[B, H, t, S']`, f32, before causal mask and softmax.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    fn scores(&self, _block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        Ok(scores)
    }

    /// Makes weights `[B, H, t, S']` of masked scores, in which a key that is not seen has minus infinity.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    fn weights(&self, _block: &Block, scores: Tensor) -> Result<Tensor, Error> {
        Ok(scores.f_softmax(-1, Kind::Float)?)
    }

    /// How many tensors of the size of the scores the edit makes, which makes blocks smaller.
    fn copies(&self) -> i64 {
        1
    }
}

/// The standard softmax.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Edit for Plain {}

/// The output of some new tokens, `[B, H, t, D]`. Scores are taken over the first channels of the keys, as many as `query`
/// `[B, H, T, <= K]` has.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn attend(
    edit: &dyn Edit,
    step: &Step,
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    rows: &[i64],
) -> Result<Tensor, Error> {
    let mut outputs = Vec::new();
    for rows in blocks(edit, query, keys, rows) {
        let (weights, key_count) = block_weights(edit, step, query, keys, rows)?;
        let values = values.f_narrow(2, 0, key_count)?;
        outputs.push(primitives::weighted_sum(
            &weights.f_to_kind(values.kind())?,
            &values,
        )?);
    }
    Ok(Tensor::f_cat(&outputs, 2)?)
}

/// The weights of some new tokens over all S stored ones, `[B, H, t, S]` f32.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn weights(
    edit: &dyn Edit,
    step: &Step,
    query: &Tensor,
    keys: &Tensor,
    rows: &[i64],
) -> Result<Tensor, Error> {
    let stored = keys.size()[2];
    let mut parts = Vec::new();
    for rows in blocks(edit, query, keys, rows) {
        let (weights, key_count) = block_weights(edit, step, query, keys, rows)?;
        parts.push(weights.f_constant_pad_nd([0, stored - key_count])?);
    }
    Ok(Tensor::f_cat(&parts, 2)?)
}

/// A variant that leaves most queries as they are and edits the scores or weights of a few. Whether a token before the prompt's
/// last is edited, how, and what marks it has, must not depend on tokens that follow it.
pub trait RowEdit: Edit + Send {
    /// The new tokens whose attention is edited in this layer.
    fn rows(&self, step: &Step) -> Option<QueryRows>;

    /// What is stored beside the key, `[B, G, T, marks]`, in the key's element type.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    fn marks(&self, _step: &Step) -> Result<Option<Tensor>, Error> {
        Ok(None)
    }
}

/// The [`Attention`] of a [`RowEdit`]: the fused kernel for all queries, then the edited ones once more, explicitly.
#[derive(Debug)]
pub struct Edited<E> {
    edit: E,
    head_dim: i64,
    marks: i64,
}

impl<E: RowEdit> Edited<E> {
    /// For a model of this head width, with so many channels of marks.
    pub fn new(edit: E, head_dim: i64, marks: i64) -> Self {
        Self {
            edit,
            head_dim,
            marks,
        }
    }
}

impl<E: RowEdit> Attention for Edited<E> {
    fn key_width(&self, _layer: usize) -> i64 {
        self.head_dim + self.marks
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(match self.edit.marks(step)? {
            Some(marks) => Tensor::f_cat(&[step.key, &marks], 3)?,
            None => step.key.shallow_clone(),
        })
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        let plain = || {
            let keys = keys.f_narrow(3, 0, self.head_dim)?;
            kernel::fused(step.query, &keys, values, step)
        };
        let Some(rows) = self.edit.rows(step).filter(|rows| !rows.index.is_empty()) else {
            return plain();
        };
        let edited = attend(&self.edit, step, step.query, keys, values, &rows.index)?;
        if rows.is_uniform() && rows.index.len() == step.tokens.new_tokens() {
            return Ok(edited);
        }
        let output = plain()?;
        let index = Tensor::f_from_slice(&rows.index)?.f_to_device(output.device())?;
        let edited = if rows.is_uniform() {
            edited
        } else {
            let own = output.f_index_select(2, &index)?;
            edited.f_where_self(&rows.mask(output.device())?, &own)?
        };
        Ok(output.f_index_copy(2, &index, &edited)?)
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        let plain = weights(&Plain, step, step.query, keys, rows)?;
        let Some(selected) = self.edit.rows(step) else {
            return Ok(plain);
        };
        let edited = weights(&self.edit, step, step.query, keys, rows)?;
        let width = selected.index.len();
        let is = |sequence: usize, row: &i64| {
            let place = selected.index.binary_search(row);
            place.is_ok_and(|place| selected.selected[sequence * width + place])
        };
        let rows = QueryRows {
            index: rows.to_vec(),
            selected: (0..step.tokens.batch())
                .flat_map(|sequence| rows.iter().map(move |row| (sequence, row)))
                .map(|(sequence, row)| is(sequence, row))
                .collect(),
        };
        Ok(edited.f_where_self(&rows.mask(plain.device())?, &plain)?)
    }

    fn reuses_prefix(&self) -> bool {
        true
    }
}

/// Cuts rows into blocks whose scores stay small; at least one.
fn blocks<'a>(edit: &dyn Edit, query: &Tensor, keys: &Tensor, rows: &'a [i64]) -> Vec<&'a [i64]> {
    let row_bytes = 4 * query.size()[0] * query.size()[1] * keys.size()[2] * edit.copies();
    let rows_each = (BLOCK_BYTES / row_bytes.max(1)).max(1) as usize;
    // No rows are one empty block, whose tensors have the right shape.
    if rows.is_empty() {
        vec![rows]
    } else {
        rows.chunks(rows_each).collect()
    }
}

/// The weights of one block `[B, H, t, S']`, and S'.
fn block_weights(
    edit: &dyn Edit,
    step: &Step,
    query: &Tensor,
    keys: &Tensor,
    rows: &[i64],
) -> Result<(Tensor, i64), Error> {
    let (stored, new) = (keys.size()[2], query.size()[2]);
    let last = rows.last().copied().unwrap_or(0);
    let key_count = stored - new + last + 1;
    let block = Block {
        step,
        rows,
        keys: keys.f_narrow(2, 0, key_count)?,
    };
    let query = block.over_rows(query, 2)?;
    let score_keys = block.keys.f_narrow(3, 0, query.size()[3])?;
    let scores = edit.scores(&block, primitives::scores(&query, &score_keys, step.scale)?)?;
    let mask = primitives::causal_mask(rows, stored - new, key_count, step)?;
    let scores = scores.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?;
    Ok((edit.weights(&block, scores)?, key_count))
}

/// Rows of a tensor along an axis, without a copy where they lie together; all of it where the axis has size 1.
fn select(tensor: &Tensor, axis: i64, rows: &[i64]) -> Result<Tensor, Error> {
    let size = tensor.size()[axis as usize];
    let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else {
        return Ok(tensor.f_narrow(axis, 0, 0)?);
    };
    let count = rows.len() as i64;
    if size == 1 {
        return Ok(tensor.shallow_clone());
    }
    if last - first + 1 == count {
        return Ok(tensor.f_narrow(axis, first, count)?);
    }
    let index = Tensor::f_from_slice(rows)?.f_to_device(tensor.device())?;
    Ok(tensor.f_index_select(axis, &index)?)
}
