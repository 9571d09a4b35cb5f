//! The steps of attention that [`kernel`](crate::kernel) and [`explicit`](crate::explicit) share: scores, causal mask, weighted sum.

use tch::{Kind, Tensor};

use crate::{Error, Step};

/// `scale q.k` of queries `[B, H, t, W]` and keys `[B, G, S, W]`, `[B, H, t, S]` f32; the keys are not copied for the heads
/// that share them.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn scores(query: &Tensor, keys: &Tensor, scale: f64) -> Result<Tensor, Error> {
    let [batch, heads, rows, width] = [0, 1, 2, 3].map(|axis| query.size()[axis]);
    let (kv_heads, stored) = (keys.size()[1], keys.size()[2]);
    let grouped = query.f_reshape([batch, kv_heads, heads / kv_heads * rows, width])?;
    Ok(grouped
        .f_mul_scalar(scale)?
        .f_matmul(&keys.f_transpose(2, 3)?)?
        .f_to_kind(Kind::Float)?
        .f_view([batch, heads, rows, stored])?)
}

/// Weights `[B, H, t, S]` times values `[B, G, S, D]`, `[B, H, t, D]`.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn weighted_sum(weights: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
    let [batch, heads, rows, stored] = [0, 1, 2, 3].map(|axis| weights.size()[axis]);
    let kv_heads = values.size()[1];
    Ok(weights
        .f_reshape([batch, kv_heads, heads / kv_heads * rows, stored])?
        .f_matmul(values)?
        .f_view([batch, heads, rows, values.size()[3]])?)
}

/// Which of the first `key_count` stored tokens some queries attend to: causal, and not padding. `[1 or B, 1, t, key_count]` bool.
/// `start` tokens were stored before the new ones, among which `rows` are indices.
///
/// A padding query would see nothing and turn into NaN; its own position stays visible, and its output is never read.
///
/// # Errors
/// When LibTorch refuses the operation.
pub fn causal_mask(rows: &[i64], start: i64, key_count: i64, step: &Step) -> Result<Tensor, Error> {
    let device = step.query.device();
    let rows = Tensor::f_from_slice(rows)?
        .f_to_device(device)?
        .f_add_scalar(start)?
        .f_unsqueeze(1)?;
    let columns = Tensor::f_arange(key_count, (Kind::Int64, device))?.f_unsqueeze(0)?;
    let causal = columns.f_le_tensor(&rows)?.f_unsqueeze(0)?.f_unsqueeze(0)?; // [1, 1, t, key_count]
    let Some(valid) = step.tokens.valid_keys()? else {
        return Ok(causal);
    };
    let own = columns.f_eq_tensor(&rows)?;
    let valid = valid
        .f_narrow(1, 0, key_count)?
        .f_unsqueeze(1)?
        .f_unsqueeze(1)?;
    Ok(causal.f_logical_and(&valid)?.f_logical_or(&own)?)
}
