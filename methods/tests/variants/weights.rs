//! The weights that a probe reads are those that made the output: rows sum to one, masked keys get nothing, any rows can be asked
//! for, and times the values they are what `attend` gives.

use rave_methods::variants::gated;
use rave_methods::{REGISTRY, variant};
use tch::{Kind, Tensor};

use crate::sequences::{LAYER, PADDED, PICTURES, SHAPES, Sequences, difference, geometry, trained};

/// `weights [B, H, T, S]` times `values [B, G, S, D]`, each group's values for the heads that share them.
fn mixed(weights: &Tensor, values: &Tensor) -> Tensor {
    let shared = weights.size()[1] / values.size()[1];
    let values = values.repeat_interleave_self_int(shared, 1, None);
    weights.matmul(&values.to_kind(Kind::Float))
}

#[test]
fn rows_of_weights_sum_to_one_and_masked_keys_get_nothing() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        for rows in [PICTURES, PADDED] {
            let sequences = Sequences::random(&geometry, &rows, Kind::Float);
            let batch = rows.len() as i64;
            let valid = Tensor::from_slice(&sequences.layout.valid).view([batch, 1, 1, 17]);
            let causal = Tensor::ones([17, 17], (Kind::Bool, tch::Device::Cpu)).tril(0);
            let masked = causal.logical_and(&valid).logical_not();
            for variant in REGISTRY {
                let attention = trained(variant, geometry, Kind::Float);
                let weights = sequences.real(&sequences.weights(attention.as_ref(), LAYER));
                assert_eq!(weights.kind(), Kind::Float);
                assert!(
                    f64::try_from(weights.min()).unwrap() >= 0.0,
                    "{}",
                    variant.id
                );
                let on_masked = weights.masked_select(&masked.expand_as(&weights));
                let on_masked = f64::try_from(on_masked.max()).unwrap();
                assert!(on_masked <= 0.0, "{}: {on_masked:.1e}", variant.id);
                let sums = weights.sum_dim_intlist(-1, true, Kind::Double);
                let ones = sequences.real(&Tensor::ones_like(&sums));
                match variant.method.name() {
                    "softmax-off-by-one" | "learned-sink" => {
                        let room = f64::try_from((&ones - &sums).min()).unwrap();
                        assert!(room >= 0.0, "{} gives more than there is", variant.id);
                        assert!(difference(&sums, &ones) > 0.1, "{} has no sink", variant.id);
                    }
                    _ => assert!(difference(&sums, &ones) < 1e-5, "{}", variant.id),
                }
            }
        }
    }
}

#[test]
fn weights_times_values_are_the_output() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        for rows in [PICTURES, PADDED] {
            let sequences = Sequences::random(&geometry, &rows, Kind::Float);
            for variant in REGISTRY {
                // Those of a gate are from before it; its output is compared with its formula elsewhere.
                if variant.method.is::<gated::Options>() {
                    continue;
                }
                let attention = trained(variant, geometry, Kind::Float);
                let weights = sequences.weights(attention.as_ref(), LAYER);
                let error = difference(
                    &sequences.real(&mixed(&weights, &sequences.value)),
                    &sequences.real(&sequences.whole(attention.as_ref(), LAYER)),
                );
                assert!(
                    error < 5e-6,
                    "{} at {heads}/{kv_heads}: off by {error:.1e}",
                    variant.id
                );
            }
        }
    }
}

#[test]
fn a_gate_on_the_output_leaves_the_weights() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &PADDED, Kind::Float);
    let weights =
        |variant| sequences.weights(trained(variant, geometry, Kind::Float).as_ref(), LAYER);
    let standard = weights(variant("standard").unwrap());
    let gated: Vec<_> = (REGISTRY.iter())
        .filter(|variant| variant.method.is::<gated::Options>())
        .collect();
    let ids: Vec<&str> = gated.iter().map(|variant| variant.id).collect();
    assert_eq!(ids, ["gated-head", "gated-element"]);
    for variant in gated {
        assert!(
            difference(&weights(variant), &standard) < 1e-6,
            "{}",
            variant.id
        );
    }
}

#[test]
fn any_rows_can_be_asked_for_in_any_pass() {
    let geometry = geometry(6, 2);
    for rows in [PICTURES, PADDED] {
        let sequences = Sequences::random(&geometry, &rows, Kind::Float);
        for variant in REGISTRY {
            let attention = trained(variant, geometry, Kind::Float);
            let all = sequences.real(&sequences.weights(attention.as_ref(), LAYER));
            for (passes, asked) in [
                (&[17][..], &[0, 3, 4, 9, 16][..]),
                (&[17], &[12]),
                (&[6, 11], &[1, 4]),
                (&[6, 11], &[2, 3, 4]),
                (&[16, 1], &[0]),
            ] {
                let last = *passes.last().unwrap();
                let start = 17 - last;
                let weights =
                    sequences.visit(attention.as_ref(), LAYER, passes, |step, keys, _| {
                        let is_last = keys.size()[2] == 17;
                        is_last.then(|| attention.weights(step, keys, asked).unwrap())
                    });
                let weights = weights.into_iter().flatten().next().unwrap();
                let index: Vec<i64> = asked.iter().map(|row| start + row).collect();
                let index = Tensor::from_slice(&index);
                let valid = Tensor::from_slice(&sequences.layout.valid).view([-1, 1, 17, 1]);
                let padding = valid.index_select(2, &index).logical_not();
                let error = difference(
                    &weights.masked_fill(&padding, 0.0),
                    &all.index_select(2, &index),
                );
                assert!(
                    error < 3e-6,
                    "{} rows {asked:?} of {passes:?}: {error:.1e}",
                    variant.id
                );
            }
        }
    }
}
