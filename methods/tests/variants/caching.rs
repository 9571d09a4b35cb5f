//! A sequence gives the same output whether its tokens come at once or in passes through the cache.

use rave_methods::REGISTRY;
use tch::Kind;

use crate::sequences::{
    LAYER, PADDED, PICTURES, SHAPES, Sequences, build, difference, geometry, train, trained,
};

/// Cuts of the answer, of the prompt, and of pictures.
const CUTS: [&[i64]; 5] = [
    &[14, 1, 1, 1],
    &[14, 3],
    &[4, 5, 1, 5, 2],
    &[16, 1],
    &[1; 17],
];

#[test]
fn passes_through_the_cache_equal_one_pass() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        for rows in [PICTURES, PADDED] {
            let sequences = Sequences::random(&geometry, &rows, Kind::Float);
            for variant in REGISTRY {
                let attention = trained(variant, geometry, Kind::Float);
                let whole = sequences.real(&sequences.whole(attention.as_ref(), LAYER));
                for passes in CUTS {
                    let cut = sequences.real(&sequences.run(attention.as_ref(), LAYER, passes));
                    let error = difference(&cut, &whole);
                    // Of f32, in the order in which a processor's kernels sum: with AVX-512 and AMX up to 3.5e-6.
                    assert!(
                        error < 5e-6,
                        "{} at {heads}/{kv_heads}, {passes:?}: off by {error:.1e}",
                        variant.id
                    );
                }
            }
        }
    }
}

/// Trained only a little, as a bias of ten is known to bf16 within 0.03 only.
#[test]
fn passes_through_the_cache_equal_one_pass_in_bf16() {
    let geometry = geometry(6, 2);
    for rows in [PICTURES, PADDED] {
        let sequences = Sequences::random(&geometry, &rows, Kind::BFloat16);
        for variant in REGISTRY {
            let attention = variant.build(&build(geometry, Kind::BFloat16)).unwrap();
            train(attention.as_ref(), 0.15);
            let whole = sequences.real(&sequences.whole(attention.as_ref(), LAYER));
            assert_eq!(whole.kind(), Kind::BFloat16);
            for passes in CUTS {
                let cut = sequences.real(&sequences.run(attention.as_ref(), LAYER, passes));
                let error = difference(&cut, &whole);
                assert!(
                    error < 4e-2,
                    "{} in {passes:?}: off by {error:.1e}",
                    variant.id
                );
            }
        }
    }
}

/// What padding queries give is never read, but the next layer makes keys and values of it, and a weight of zero times a value
/// that is no number is no number.
#[test]
fn padding_gives_finite_numbers_however_it_comes() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &PADDED, Kind::Float);
    for variant in REGISTRY {
        let attention = trained(variant, geometry, Kind::Float);
        for passes in [&[17][..], &[14, 3], &[1; 17]] {
            let output = sequences.run(attention.as_ref(), LAYER, passes);
            assert!(
                bool::try_from(output.isfinite().all()).unwrap(),
                "{} gives no numbers for padding in {passes:?}",
                variant.id
            );
        }
    }
}
