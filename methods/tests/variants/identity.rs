//! At its identity setting every variant is `standard`: prefill and cached decoding, with and without padding, all shapes,
//! f32 and bf16; and what works on visual keys is `standard` without a picture at any setting.

use rave_methods::variants::rave::{self, Side};
use rave_methods::{REGISTRY, variant};
use tch::Kind;

use crate::sequences::{
    LAYER, PADDED, PICTURES, SHAPES, Sequences, build, difference, geometry, trained,
};

#[test]
fn at_its_identity_setting_every_variant_is_standard() {
    // In bf16 both sides round on their way, through kernels of different shapes.
    for (kind, allowed) in [(Kind::Float, 1e-6), (Kind::BFloat16, 2e-2)] {
        for (heads, kv_heads) in SHAPES {
            let build = build(geometry(heads, kv_heads), kind);
            let standard = variant("standard").unwrap().build(&build).unwrap();
            for rows in [PICTURES, PADDED] {
                let sequences = Sequences::random(&build.geometry, &rows, kind);
                for passes in [vec![17], vec![14, 1, 1, 1], vec![14, 3]] {
                    let expected = sequences.run(standard.as_ref(), LAYER, &passes);
                    for variant in REGISTRY {
                        let identity = variant.method.identity();
                        let attention = identity.build(variant.id, &build).unwrap();
                        let runs = [
                            Some(attention.as_ref()),
                            attention.rerun(0.0),
                            attention.rerun(1.0),
                        ];
                        for attention in runs.into_iter().flatten() {
                            let error = difference(
                                &sequences.real(&sequences.run(attention, LAYER, &passes)),
                                &sequences.real(&expected),
                            );
                            assert!(
                                error <= allowed,
                                "{} in {kind:?} at {heads}/{kv_heads}, {passes:?}: off by {error:.1e}",
                                variant.id
                            );
                        }
                        // A token that is dropped is another difference.
                        sequences.visit(attention.as_ref(), 0, &passes, |step, keys, _| {
                            assert!(
                                attention.drop_tokens(step, keys).unwrap().is_none(),
                                "{}",
                                variant.id
                            );
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn without_a_picture_what_works_on_visual_keys_is_standard() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(
        &geometry,
        &["Ttttttttttt|ttt", "ttttTttt|...ttt"],
        Kind::Float,
    );
    let standard = trained(variant("standard").unwrap(), geometry, Kind::Float);
    let standard = sequences.whole(standard.as_ref(), LAYER);
    for variant in REGISTRY {
        let attention = trained(variant, geometry, Kind::Float);
        let change = difference(
            &sequences.real(&sequences.whole(attention.as_ref(), LAYER)),
            &sequences.real(&standard),
        );
        let touches_text = match variant.method.downcast_ref::<rave::Options>() {
            Some(options) => options.keys != Side::Visual,
            None => ["gated", "softmax-off-by-one", "learned-sink", "dape"]
                .contains(&variant.method.name()),
        };
        if touches_text {
            assert!(change > 1e-2, "{} does nothing", variant.id);
        } else {
            assert!(
                change < 1e-6,
                "{} touches text keys: {change:.1e}",
                variant.id
            );
        }
    }
}
