//! The two ways this crate computes `softmax(scale q k^T) v`: LibTorch's fused kernel, and an explicit form.
//!
//! Queries `[B, H, T, K]`, keys `[B, G, S, K]` and values `[B, G, S, D]` with `D <= K`; the last T of the S tokens are the
//! queries' own positions (causal attention). The output is `[B, H, T, D]`.

use tch::{Kind, Tensor};

use crate::Error;

/// Causal attention through LibTorch's fused kernel; nothing of size T x S is made when the whole prompt comes at once.
///
/// The fused kernel wants keys and values of one width, so narrower values are padded with zeros and the output cut back.
/// One query (decoding) takes [`single_query`], which needs no padding and no copy of the shared key heads.
///
/// # Errors
/// When LibTorch refuses the operation, for example for lack of memory.
pub fn fused(
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    valid: Option<&Tensor>,
    scale: f64,
) -> Result<Tensor, Error> {
    let (queries, stored) = (query.size()[2], keys.size()[2]);
    if queries == 1 {
        return single_query(query, keys, values, valid, scale);
    }
    let (key_width, value_width) = (keys.size()[3], values.size()[3]);
    let padded = if key_width == value_width {
        values.shallow_clone()
    } else {
        values.f_constant_pad_nd([0, key_width - value_width])?
    };
    let mask = if queries == stored && valid.is_none() {
        None
    } else {
        Some(visible(queries, stored, valid, query.device())?)
    };
    let causal = mask.is_none();
    let output = Tensor::f_scaled_dot_product_attention(
        query, keys, &padded, mask, 0.0, causal, scale, true,
    )?;
    Ok(if key_width == value_width {
        output
    } else {
        output.f_narrow(3, 0, value_width)?
    })
}

/// Attention of one query a sequence (decoding): two matrix products over the cache as it lies, grouped by key head.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn single_query(
    query: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    valid: Option<&Tensor>,
    scale: f64,
) -> Result<Tensor, Error> {
    let [batch, heads, _, width] = sizes(query);
    let groups = keys.size()[1];
    let grouped = query
        .f_mul_scalar(scale)?
        .f_reshape([batch, groups, heads / groups, width])?;
    let mut scores = grouped
        .f_matmul(&keys.f_transpose(2, 3)?)?
        .f_to_kind(Kind::Float)?; // [B, G, H/G, S]
    if let Some(valid) = valid {
        scores = scores.f_masked_fill(
            &valid.f_logical_not()?.f_unsqueeze(1)?.f_unsqueeze(1)?,
            f64::NEG_INFINITY,
        )?;
    }
    let weights = scores
        .f_softmax(-1, Kind::Float)?
        .f_to_kind(values.kind())?;
    Ok(weights
        .f_matmul(values)?
        .f_reshape([batch, heads, 1, values.size()[3]])?)
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
    bias: Option<&Tensor>,
    valid: Option<&Tensor>,
    scale: f64,
) -> Result<Tensor, Error> {
    let (queries, stored) = (query.size()[2], keys.size()[2]);
    let hidden = visible(queries, stored, valid, query.device())?.f_logical_not()?;
    let mask = Tensor::f_zeros([1], (query.kind(), query.device()))?
        .f_masked_fill(&hidden, f64::NEG_INFINITY)?;
    let mask = match bias {
        Some(bias) => bias.f_add(&mask)?,
        None => mask,
    };
    Ok(Tensor::f_scaled_dot_product_attention(
        query,
        keys,
        values,
        Some(mask),
        0.0,
        false,
        scale,
        true,
    )?)
}

/// Which stored token each query sees: causal, and not padding. `[1 or B, 1, T, S]` bool.
///
/// A padding query would see nothing and turn into NaN; its own position stays visible, and its output is never read.
fn visible(
    queries: i64,
    stored: i64,
    valid: Option<&Tensor>,
    device: tch::Device,
) -> Result<Tensor, Error> {
    let rows =
        Tensor::f_arange_start(stored - queries, stored, (Kind::Int64, device))?.f_unsqueeze(1)?;
    let columns = Tensor::f_arange(stored, (Kind::Int64, device))?.f_unsqueeze(0)?;
    let causal = columns.f_le_tensor(&rows)?.f_unsqueeze(0)?.f_unsqueeze(0)?; // [1, 1, T, S]
    let Some(valid) = valid else {
        return Ok(causal);
    };
    let own = columns.f_eq_tensor(&rows)?;
    Ok(causal
        .f_logical_and(&valid.f_unsqueeze(1)?.f_unsqueeze(1)?)?
        .f_logical_or(&own)?)
}

/// The four sizes of a four-dimensional tensor.
fn sizes(tensor: &Tensor) -> [i64; 4] {
    let size = tensor.size();
    [size[0], size[1], size[2], size[3]]
}
