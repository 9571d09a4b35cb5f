//! Every variant gives what its formula says: output and weights, in grouped, multi-head and multi-query shapes, with and without
//! padding, in layers that it works in and in others; and no two variants are the same computation.

use rave_methods::variants::vis_sink;
use rave_methods::{DynMethod, Geometry, Layers, REGISTRY, Variant, variant};
use tch::{Kind, Tensor};

use crate::reference::{Expected, expected, scaled_rerun};
use crate::sequences::{
    LAYER, MASSIVE_CHANNEL, PADDED, PICTURES, SHAPES, Sequences, build, difference, geometry,
    trained,
};

/// Of f32 against f64, for outputs and weights of the order of one.
const TOLERANCE: f64 = 1e-5;

/// Asserts that a variant with random parameters gives what its formula says.
fn check(variant: &Variant, geometry: Geometry, layer: usize, sequences: &Sequences) {
    let attention = trained(variant, geometry, Kind::Float);
    let attention = attention.as_ref();
    let Expected { output, weights } =
        expected(variant.method, &geometry, layer, sequences, attention);
    let error = difference(&sequences.real(&sequences.whole(attention, layer)), &output);
    let of_weights = difference(
        &sequences.real(&sequences.weights(attention, layer)),
        &weights,
    );
    assert!(
        error < TOLERANCE && of_weights < TOLERANCE,
        "{} in layer {layer} of {geometry:?}: output off by {error:.1e}, weights by {of_weights:.1e}",
        variant.id
    );
}

#[test]
fn every_variant_equals_its_formula() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        for rows in [PICTURES, PADDED] {
            let sequences = Sequences::random(&geometry, &rows, Kind::Float);
            for variant in REGISTRY {
                // At this depth vaf works in the first of these layers alone.
                for layer in [LAYER, 3] {
                    check(variant, geometry, layer, &sequences);
                }
            }
        }
    }
}

/// More scores than one block holds, so that the explicit variants work in several. A short prompt makes most queries
/// answering ones.
#[test]
fn every_explicit_variant_equals_its_formula_over_several_blocks() {
    let geometry = Geometry {
        head_dim: 8,
        ..geometry(9, 3)
    };
    let text = "t".repeat(235);
    let rows = [
        format!("Ttvv{text}VvvtttvvV|tt{text}..tvvvtttttttttttttttt"),
        format!("tttVvvvvttttttttt|...{text}{text}ttttvvvtttttttttt"),
    ];
    let sequences = Sequences::random(&geometry, &rows, Kind::Float);
    for id in [
        "standard",
        "pai",
        "vaf",
        "vis-sink",
        "softmax-off-by-one",
        "dape",
    ] {
        check(variant(id).unwrap(), geometry, LAYER, &sequences);
    }
}

/// The layers as the sources state them, for models of 32.
#[test]
fn layer_ranges_are_the_sources_at_the_sources_depth() {
    let geometry = Geometry {
        layers: 32,
        ..geometry(6, 2)
    };
    let sequences = Sequences::random(&geometry, &PICTURES, Kind::Float);
    let standard = trained(variant("standard").unwrap(), geometry, Kind::Float);
    let standard = sequences.whole(standard.as_ref(), 0);
    for (id, edited) in [
        ("pai", 2..=31),
        ("vaf", 9..=14),
        ("vis-sink", 2..=30),
        ("scaling-vis", 0..=31),
    ] {
        let attention = trained(variant(id).unwrap(), geometry, Kind::Float);
        for layer in 0..32 {
            let change = difference(&sequences.whole(attention.as_ref(), layer), &standard);
            if edited.contains(&layer) {
                assert!(change > 1e-3, "{id} does nothing in layer {layer}");
            } else {
                assert!(change < 1e-6, "{id} changes layer {layer} by {change:.1e}");
            }
        }
    }
}

#[test]
fn adapt_vis_runs_again_with_the_factor_that_the_confidence_chooses() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        let sequences = Sequences::random(&geometry, &PICTURES, Kind::Float);
        let attention = trained(variant("adapt-vis").unwrap(), geometry, Kind::Float);
        for (confidence, weight) in [(0.0, 0.5), (0.399, 0.5), (0.4, 1.5), (1.0, 1.5)] {
            let rerun = attention.rerun(confidence).unwrap();
            let expected = scaled_rerun(weight, &sequences);
            let error = difference(&sequences.whole(rerun, LAYER), &expected.output).max(
                difference(&sequences.weights(rerun, LAYER), &expected.weights),
            );
            assert!(error < TOLERANCE, "at {confidence}: off by {error:.1e}");
            assert!(rerun.rerun(confidence).is_none(), "a third run");
        }
    }
    for variant in REGISTRY.iter().filter(|variant| variant.id != "adapt-vis") {
        let attention = trained(variant, geometry(6, 2), Kind::Float);
        assert!(attention.rerun(0.0).is_none(), "{} runs again", variant.id);
    }
}

/// Whether each of the rows `[B, H, T]` of two tensors of weights differs.
fn changed_rows(one: &Tensor, other: &Tensor) -> Vec<bool> {
    let change = (one - other).abs().amax(-1, false).gt(1e-4);
    Vec::try_from(change.flatten(0, -1)).unwrap()
}

/// The test against the formula would say little if all heads were chosen, or none.
#[test]
fn vis_sink_edits_some_heads_of_a_query_and_leaves_others() {
    let geometry = geometry(6, 2);
    let rows = ["TtvVvvtvvtt|ttt"];
    let sequences = Sequences::random(&geometry, &rows, Kind::Float);
    let weights = |id| {
        let attention = trained(variant(id).unwrap(), geometry, Kind::Float);
        sequences.weights(attention.as_ref(), LAYER)
    };
    let changed = changed_rows(&weights("vis-sink"), &weights("standard"));
    let at = |head: usize, query: usize| changed[head * 14 + query];
    let of_query = |query: usize| (0..6).filter(|&head| at(head, query)).count();
    let touched: Vec<usize> = (0..14).map(of_query).collect();
    for (query, mark) in "TtvVvvtvvttttt".chars().enumerate() {
        let may_be = mark == 't' && query > 3;
        assert!(
            may_be || touched[query] == 0,
            "query {query} is edited: {touched:?}"
        );
    }
    assert!(
        touched.iter().any(|&heads| (1..6).contains(&heads)),
        "the condition holds for all heads of a query or for none: {touched:?}"
    );
}

#[test]
fn vis_sink_looks_at_the_dimensions_that_are_named() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &PICTURES, Kind::Float);
    let output = |method: &dyn DynMethod| {
        let attention = method.build("test", &build(geometry, Kind::Float)).unwrap();
        sequences.whole(attention.as_ref(), LAYER)
    };
    let with = |dimensions: &[i64]| {
        output(&vis_sink::Options {
            dimensions: dimensions.to_vec(),
            layers: Layers::All,
            ..vis_sink::Options::DEFAULT
        })
    };
    assert!(difference(&with(&[MASSIVE_CHANNEL, 0]), &with(&[])) < 1e-6);
    let standard = output(variant("standard").unwrap().method);
    assert!(difference(&with(&[0, 7]), &standard) < 1e-6);
    assert!(difference(&with(&[]), &standard) > 1e-2);
}

#[test]
fn no_two_variants_are_the_same() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &PICTURES, Kind::Float);
    let tokens = sequences.layout.tokens() as i64;
    // Everything that a variant says in the layer: the outputs of its runs, and which tokens go on.
    let outcomes: Vec<(&str, Vec<Tensor>)> = REGISTRY
        .iter()
        .map(|variant| {
            let attention = trained(variant, geometry, Kind::Float);
            let runs = [0.0, 1.0].map(|confidence| {
                let rerun = attention.rerun(confidence);
                sequences.whole(rerun.unwrap_or(attention.as_ref()), LAYER)
            });
            let kept = sequences.visit(attention.as_ref(), 0, &[tokens], |step, keys, _| {
                let keep = attention.drop_tokens(step, keys).unwrap();
                keep.map_or(
                    Tensor::ones([4 * tokens], (Kind::Bool, tch::Device::Cpu)),
                    |keep| Tensor::from_slice(&keep),
                )
            });
            (variant.id, runs.into_iter().chain(kept).collect())
        })
        .collect();
    for (number, (one, first)) in outcomes.iter().enumerate() {
        for (other, second) in &outcomes[number + 1..] {
            let change = first.iter().zip(second).map(|(a, b)| difference(a, b));
            assert!(
                change.fold(0.0, f64::max) > 1e-3,
                "{one} and {other} are the same"
            );
        }
    }
}
