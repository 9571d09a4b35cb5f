//! RAVE beyond its presets: odd combinations of the axes against the formula, and the fold against the materialised bias.

use rave_methods::variants::rave::{FeatureSource, Form, Heads, Options, Pair, Rave, Side};
use rave_methods::{Attention, Error, Geometry, Layers, Range, variant};
use tch::Kind;

use crate::reference::expected;
use crate::sequences::{
    LAYER, PADDED, PICTURES, SHAPES, Sequences, build, difference, geometry, train,
};
use crate::told;

const D: Options = Options::DEFAULT;

fn rave(options: &Options, geometry: Geometry) -> Rave {
    let rave = Rave::new("test", options, &build(geometry, Kind::Float)).unwrap();
    train(&rave, 0.3);
    rave
}

/// Every pair with every form, keys and queries, then heads, sharing, layers and features together with what they could clash
/// with.
fn points() -> Vec<Options> {
    // A rank above the head width, too.
    let mut points = vec![Options { rank: 40, ..D }];
    for pair in [Pair::Pair, Pair::KeyOnly, Pair::QueryOnly, Pair::Scalar] {
        for form in [Form::Bilinear, Form::Gate, Form::Tanh] {
            for keys in [Side::Visual, Side::All, Side::Text] {
                for queries in [Side::All, Side::Text] {
                    points.push(Options {
                        pair,
                        form,
                        keys,
                        queries,
                        rank: 3,
                        ..D
                    });
                }
            }
            for shared in [false, true] {
                let features = FeatureSource::PostRope;
                for heads in [Heads::Share(0.4), Heads::Share(1.0), Heads::List(vec![0])] {
                    points.push(Options {
                        pair,
                        form,
                        shared,
                        heads,
                        features,
                        bound: 1.5,
                        ..D
                    });
                }
            }
        }
    }
    points
}

#[test]
fn every_point_of_the_grid_equals_its_formula() {
    let geometry = geometry(6, 2);
    for rows in [PICTURES, PADDED] {
        let sequences = Sequences::random(&geometry, &rows, Kind::Float);
        for options in points() {
            let attention = rave(&options, geometry);
            let reference = expected(&options, &geometry, LAYER, &sequences, &attention);
            let error = difference(
                &sequences.real(&sequences.whole(&attention, LAYER)),
                &reference.output,
            );
            let weights = sequences.real(&sequences.weights(&attention, LAYER));
            let of_weights = difference(&weights, &reference.weights);
            assert!(
                error < 1e-5 && of_weights < 1e-5,
                "{options:?}: output off by {error:.1e}, weights by {of_weights:.1e}"
            );
        }
    }
}

#[test]
fn every_point_of_the_grid_is_the_same_through_the_cache() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &PADDED, Kind::Float);
    for options in points() {
        let attention = rave(&options, geometry);
        let whole = sequences.real(&sequences.whole(&attention, LAYER));
        for passes in [&[14, 1, 1, 1][..], &[5, 4, 8]] {
            let cut = sequences.real(&sequences.run(&attention, LAYER, passes));
            let error = difference(&cut, &whole);
            assert!(
                error < 3e-6,
                "{options:?} in {passes:?}: off by {error:.1e}"
            );
        }
    }
}

#[test]
fn the_fold_equals_the_materialised_bias_in_prefill_and_in_decoding() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        for rows in [PICTURES, PADDED] {
            let sequences = Sequences::random(&geometry, &rows, Kind::Float);
            for options in points().into_iter().filter(Options::folds) {
                let (folded, reference) = (
                    rave(&options, geometry),
                    rave(&options, geometry).materialised(),
                );
                for passes in [&[17][..], &[14, 1, 1, 1]] {
                    let error = difference(
                        &sequences.real(&sequences.run(&folded, LAYER, passes)),
                        &sequences.real(&sequences.run(&reference, LAYER, passes)),
                    );
                    assert!(error < 3e-6, "{options:?}, {passes:?}: off by {error:.1e}");
                }
            }
        }
    }
}

/// Heads are those of every key group, so three query heads a group have numbers 0 to 2.
#[test]
fn heads_without_a_gate_are_untouched() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &PICTURES, Kind::Float);
    let output = |attention: &dyn Attention| sequences.whole(attention, LAYER);
    let standard = variant("standard").unwrap();
    let standard = standard.build(&build(geometry, Kind::Float)).unwrap();
    let standard = output(standard.as_ref());
    for (heads, gated) in [
        (Heads::All, &[0, 1, 2, 3, 4, 5][..]),
        (Heads::Share(1.0), &[0, 1, 2, 3, 4, 5]),
        (Heads::Share(0.5), &[0, 1, 3, 4]),
        (Heads::Share(0.1), &[0, 3]),
        (Heads::List(vec![2]), &[2, 5]),
        (Heads::List(vec![2, 0]), &[0, 2, 3, 5]),
    ] {
        for form in [Form::Bilinear, Form::Gate, Form::Tanh] {
            let options = Options {
                heads: heads.clone(),
                form,
                ..D
            };
            let output = output(&rave(&options, geometry));
            for head in 0..6 {
                let change = difference(&output.narrow(1, head, 1), &standard.narrow(1, head, 1));
                if gated.contains(&head) {
                    assert!(change > 1e-2, "{options:?}: head {head} has no gate");
                } else {
                    assert!(
                        change < 1e-6,
                        "{options:?}: head {head} changes by {change:.1e}"
                    );
                }
            }
        }
    }
}

#[test]
fn layers_without_a_gate_are_untouched_and_store_plain_keys() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &PICTURES, Kind::Float);
    let standard = variant("standard").unwrap();
    let standard = standard.build(&build(geometry, Kind::Float)).unwrap();
    for (layers, gated) in [
        (Layers::All, &[0, 1, 2, 3][..]),
        (Layers::List(vec![3, 1]), &[1, 3]),
        (
            Layers::Range(Range {
                first: 1,
                last: 2,
                of: None,
            }),
            &[1, 2],
        ),
        (Layers::range(16, 31, 32), &[2, 3]),
    ] {
        let attention = rave(&Options { layers, ..D }, geometry);
        for layer in 0..4 {
            let change = difference(
                &sequences.whole(&attention, layer),
                &sequences.whole(standard.as_ref(), layer),
            );
            let is_gated = gated.contains(&layer);
            assert_eq!(change > 1e-2, is_gated, "layer {layer}: {change:.1e}");
            assert!(is_gated || change < 1e-6, "layer {layer}: {change:.1e}");
            let width = geometry.head_dim;
            assert_eq!(
                attention.key_width(layer),
                if is_gated { width + 8 } else { width }
            );
        }
    }
}

#[test]
fn impossible_options_are_refused_with_what_is_allowed() {
    let refuse =
        |options: Options| match Rave::new("mine", &options, &build(geometry(6, 2), Kind::Float)) {
            Err(error @ Error::Options { .. }) => told(&error),
            other => panic!("{options:?} gives {other:?}"),
        };
    let rank = |rank| refuse(Options { rank, ..D });
    let heads = |heads| refuse(Options { heads, ..D });
    for (message, words) in [
        (rank(0), "rank 0 is not possible; allowed is 1 to 128"),
        (rank(-1), "rank -1 is not possible; allowed is 1 to 128"),
        (rank(129), "rank 129 is not possible; allowed is 1 to 128"),
        (
            refuse(Options { bound: 0.0, ..D }),
            "bound 0 is not possible; allowed is above 0",
        ),
        (
            refuse(Options {
                queries: Side::Visual,
                ..D
            }),
            "queries = \"visual\" is not possible; allowed are \"all\" and \"text\"",
        ),
        (
            heads(Heads::Share(0.0)),
            "heads = 0 is not possible; allowed is a share above 0 and at most 1",
        ),
        (
            heads(Heads::Share(1.5)),
            "heads = 1.5 is not possible; allowed is a share above 0 and at most 1",
        ),
        (
            heads(Heads::List(vec![])),
            "the list of heads is empty; name one, or leave `heads` out",
        ),
        (
            heads(Heads::List(vec![0, 3])),
            "head 3 is not possible; a key group of this model has the heads 0 to 2",
        ),
        (
            refuse(Options {
                layers: Layers::List(vec![4]),
                ..D
            }),
            "layer 4 is not possible; allowed is 0 to 3",
        ),
    ] {
        assert_eq!(message, format!("variant `mine`: {words}"));
    }
}
