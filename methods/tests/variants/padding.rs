//! Padding and company change nothing: a sequence in a padded batch gives what it gives alone.

use rave_methods::REGISTRY;
use tch::{Kind, Tensor};

use crate::sequences::{
    LAYER, PADDED, PICTURES, SHAPES, Sequences, build, difference, geometry, train, trained,
};

/// The rows of one sequence's real tokens, `[1, H, T', D]`.
fn own_rows(sequences: &Sequences, output: &Tensor, sequence: usize) -> Tensor {
    let real = Tensor::from_slice(&sequences.real_tokens(sequence));
    output.narrow(0, sequence as i64, 1).index_select(2, &real)
}

#[test]
fn a_sequence_in_a_batch_gives_what_it_gives_alone() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        for rows in [PICTURES, PADDED] {
            let batch = Sequences::random(&geometry, &rows, Kind::Float);
            let each = [0, 1, 2, 3].map(|sequence| batch.alone(sequence));
            for variant in REGISTRY {
                let attention = trained(variant, geometry, Kind::Float);
                let alone = (each.each_ref()).map(|alone| alone.whole(attention.as_ref(), LAYER));
                for passes in [&[17][..], &[14, 2, 1]] {
                    let batched = batch.run(attention.as_ref(), LAYER, passes);
                    for (sequence, row) in rows.iter().enumerate() {
                        let own = own_rows(&batch, &batched, sequence);
                        let error = difference(&own, &alone[sequence]);
                        assert!(
                            error < 3e-6,
                            "{} at {heads}/{kv_heads}, {passes:?}, {row}: off by {error:.1e}",
                            variant.id
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_sequence_in_a_batch_gives_what_it_gives_alone_in_bf16() {
    let geometry = geometry(6, 2);
    let batch = Sequences::random(&geometry, &PADDED, Kind::BFloat16);
    for variant in REGISTRY {
        let attention = variant.build(&build(geometry, Kind::BFloat16)).unwrap();
        train(attention.as_ref(), 0.15);
        let batched = batch.whole(attention.as_ref(), LAYER);
        for (sequence, row) in PADDED.iter().enumerate() {
            let alone = batch.alone(sequence).whole(attention.as_ref(), LAYER);
            let error = difference(&own_rows(&batch, &batched, sequence), &alone);
            assert!(error < 4e-2, "{}, {row}: off by {error:.1e}", variant.id);
        }
    }
}

/// The batch's padding has the features of tokens; here it has others, which nobody must see.
#[test]
fn what_stands_in_padding_is_never_looked_at() {
    let geometry = geometry(6, 2);
    let batch = Sequences::random(&geometry, &PADDED, Kind::Float);
    let other = Sequences::random(&geometry, &PADDED, Kind::Float);
    let padding = Tensor::from_slice(&other.layout.valid)
        .logical_not()
        .view([4, 17]);
    for wide in [&other.hidden, &other.input] {
        let _ = wide
            .shallow_clone()
            .masked_fill_(&padding.unsqueeze(2), 9.0);
    }
    for heads in [&other.key, &other.key_pre_rope, &other.value] {
        let mask = padding.view([4, 1, 17, 1]);
        let _ = heads.shallow_clone().masked_fill_(&mask, 9.0);
    }
    for variant in REGISTRY {
        let attention = trained(variant, geometry, Kind::Float);
        for passes in [&[17][..], &[14, 1, 1, 1]] {
            let of = |sequences: &Sequences| {
                sequences.real(&sequences.run(attention.as_ref(), LAYER, passes))
            };
            let error = difference(&of(&batch), &of(&other));
            assert!(error < 1e-6, "{}: off by {error:.1e}", variant.id);
        }
    }
}
