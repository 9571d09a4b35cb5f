//! LibTorch's fused attention, `softmax(scale q k^T) v`, as every variant that folds into it uses it, and an explicit form
//! with a bias.
//!
//! Queries `[B, H, T, K]`, keys `[B, G, S, K]` and values `[B, G, S, D]` with `D <= K`; the last T of the S tokens are the
//! queries' own positions (causal attention). The output is `[B, H, T, D]`.

use tch::{Kind, Tensor};

use crate::{Error, Step, primitives};

/// Causal attention through LibTorch's fused kernel; nothing of size T x S is made when the whole prompt comes at once.
///
/// The fused kernel wants keys and values of one width, so narrower values are padded with zeros and the output cut back.
/// One query (decoding) takes [`single_query`], which needs no padding and no copy of the shared key heads.
///
/// # Errors
/// When LibTorch refuses the operation, for example for lack of memory.
pub fn fused(query: &Tensor, keys: &Tensor, values: &Tensor, step: &Step) -> Result<Tensor, Error> {
    let (queries, stored) = (query.size()[2], keys.size()[2]);
    if queries == 1 {
        return single_query(query, keys, values, step);
    }
    let (key_width, value_width) = (keys.size()[3], values.size()[3]);
    let padded = if key_width == value_width {
        values.shallow_clone()
    } else {
        values.f_constant_pad_nd([0, key_width - value_width])?
    };
    let mask = if is_square(step) {
        None
    } else {
        let rows: Vec<i64> = (0..queries).collect();
        Some(primitives::causal_mask(
            &rows,
            stored - queries,
            stored,
            step,
        )?)
    };
    let causal = mask.is_none();
    let output = Tensor::f_scaled_dot_product_attention(
        query, keys, &padded, mask, 0.0, causal, step.scale, true,
    )?;
    Ok(if key_width == value_width {
        output
    } else {
        output.f_narrow(3, 0, value_width)?
    })
}

/// Whether the fused kernel's own causal flag says all there is to mask: nothing stored before, no padding.
pub fn is_square(step: &Step) -> bool {
    step.tokens.stored() == step.tokens.new_tokens() && !step.tokens.valid().contains(&false)
}

/// Attention of one query a sequence (decoding), over the cache as it lies: in one pass where [`rave_kernels`] can, else
/// as two matrix products grouped by key head.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn single_query(
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    step: &Step,
) -> Result<Tensor, Error> {
    let valid = step.tokens.valid();
    if let Some(output) = rave_kernels::single_query(query, keys, values, valid, step.scale)? {
        return Ok(output);
    }
    let mut scores = primitives::scores(query, keys, step.scale)?; // [B, H, 1, S]
    if step.tokens.valid_keys()?.is_some() {
        let stored = keys.size()[2];
        let hidden = primitives::causal_mask(&[0], stored - 1, stored, step)?.f_logical_not()?;
        scores = scores.f_masked_fill(&hidden, f64::NEG_INFINITY)?;
    }
    let weights = scores.f_softmax(-1, Kind::Float)?;
    primitives::weighted_sum(&weights.f_to_kind(values.kind())?, values)
}

/// Causal attention with explicit scores `[B, H, T, S]` plus `bias` (same shape, or one that broadcasts): the reference
/// that the fused form is tested against, and the cost that folding avoids.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn materialised(
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    bias: &Tensor,
    step: &Step,
) -> Result<Tensor, Error> {
    let (queries, stored) = (query.size()[2], keys.size()[2]);
    let rows: Vec<i64> = (0..queries).collect();
    let hidden = primitives::causal_mask(&rows, stored - queries, stored, step)?.f_logical_not()?;
    let mask = bias.f_masked_fill(&hidden, f64::NEG_INFINITY)?;
    Ok(Tensor::f_scaled_dot_product_attention(
        query,
        keys,
        values,
        Some(mask),
        0.0,
        false,
        step.scale,
        true,
    )?)
}
