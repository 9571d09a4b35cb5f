//! The parameters that a variant adds: names, shapes, numbers, initial values; what adapters and reports rely on.

use std::collections::HashSet;

use rave_methods::variants::rave::{Options, Pair, Side};
use rave_methods::{Geometry, REGISTRY, variant};
use tch::Kind;

use crate::sequences::{build, difference, geometry};

/// Shapes by the last part of the name, of one layer at 6 query heads, 2 key groups, head width 32 and model width 96.
fn shapes(id: &str) -> Vec<(&'static str, Vec<i64>)> {
    let rave =
        |query: [i64; 3], key: [i64; 3]| vec![("query", query.to_vec()), ("key", key.to_vec())];
    match id {
        "rave" | "rave-post-rope" | "rave-gate" | "rave-all-keys" | "rave-text-queries" => {
            rave([6, 32, 8], [2, 32, 8])
        }
        "rave-key-only" => rave([6, 1, 8], [2, 32, 8]),
        "rave-query-only" => rave([6, 32, 8], [2, 1, 8]),
        "rave-scalar" => vec![("query", vec![6, 1, 1])],
        "rave-shared" => rave([1, 32, 8], [1, 32, 8]),
        // Two of the three heads of each group.
        "rave-half-heads" => rave([4, 32, 8], [2, 32, 8]),
        "rave-rank-2" => rave([6, 32, 2], [2, 32, 2]),
        "rave-rank-4" => rave([6, 32, 4], [2, 32, 4]),
        "rave-rank-16" => rave([6, 32, 16], [2, 32, 16]),
        "rave-rank-32" => rave([6, 32, 32], [2, 32, 32]),
        "gated-head" => vec![("weight", vec![6, 96])],
        "gated-element" => vec![("weight", vec![192, 96])],
        "learned-sink" => vec![("logit", vec![6])],
        "dape" => vec![
            ("power", vec![6]),
            ("scale", vec![6]),
            ("hidden.weight", vec![32, 12]),
            ("hidden.bias", vec![32]),
            ("output.weight", vec![6, 32]),
            ("output.bias", vec![6]),
        ],
        _ => Vec::new(),
    }
}

#[test]
fn parameters_have_the_names_and_shapes_that_adapters_are_read_by() {
    let geometry = geometry(6, 2);
    for variant in REGISTRY {
        let family = match variant.method.name() {
            "gated" => "gated",
            "learned-sink" => "sink",
            "dape" => "dape",
            _ => "rave",
        };
        let expected: Vec<(String, Vec<i64>)> = (0..geometry.layers)
            .flat_map(|layer| {
                let own = shapes(variant.id).into_iter();
                own.map(move |(name, shape)| (format!("{family}.layers.{layer}.{name}"), shape))
            })
            .collect();
        let attention = variant.build(&build(geometry, Kind::BFloat16)).unwrap();
        let parameters = attention.parameters();
        assert!(
            parameters
                .iter()
                .all(|(_, tensor)| tensor.kind() == Kind::BFloat16)
        );
        let found: Vec<_> = (parameters.iter())
            .map(|(name, tensor)| (name.clone(), tensor.size()))
            .collect();
        assert_eq!(found, expected, "{}", variant.id);
        let names: HashSet<_> = found.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), found.len(), "{}", variant.id);
        assert_eq!(variant.is_trained(), !found.is_empty(), "{}", variant.id);
        let count: i64 = expected
            .iter()
            .map(|(_, shape)| shape.iter().product::<i64>())
            .sum();
        assert_eq!(
            variant.added_parameters(geometry).unwrap(),
            count as u64,
            "{}",
            variant.id
        );
    }
}

/// Layers times rank times head width times (query heads and key groups).
#[test]
fn rave_adds_as_many_parameters_as_its_formula_says() {
    for (layers, heads, kv_heads, rank) in [(4, 6, 2, 8), (30, 9, 3, 8), (4, 6, 2, 32)] {
        let geometry = Geometry {
            layers,
            ..geometry(heads, kv_heads)
        };
        let id = if rank == 8 {
            "rave".to_owned()
        } else {
            format!("rave-rank-{rank}")
        };
        let expected = layers as i64 * rank * geometry.head_dim * (heads + kv_heads);
        let added = variant(&id).unwrap().added_parameters(geometry).unwrap();
        assert_eq!(added, expected as u64);
    }
    assert_eq!(
        variant("rave")
            .unwrap()
            .added_parameters(geometry(6, 2))
            .unwrap(),
        8_192
    );
}

#[test]
fn a_seed_gives_the_same_values_in_every_build_and_another_seed_others() {
    for variant in REGISTRY {
        let values = |kind, seed| {
            let build = rave_methods::Build {
                seed,
                ..build(geometry(6, 2), kind)
            };
            variant.build(&build).unwrap().parameters()
        };
        let (one, same, other) = (
            values(Kind::Float, 7),
            values(Kind::Float, 7),
            values(Kind::Float, 8),
        );
        let rounded = values(Kind::BFloat16, 7);
        let mut is_random = false;
        for place in 0..one.len() {
            assert_eq!(one[place].1, same[place].1, "{}", variant.id);
            let own = one[place].1.to_kind(Kind::BFloat16);
            assert_eq!(own, rounded[place].1, "{}", variant.id);
            is_random |= difference(&one[place].1, &other[place].1) > 0.0;
        }
        let expected = match variant.method.downcast_ref::<Options>() {
            Some(options) => options.pair != Pair::Scalar,
            None => variant.method.name() == "dape",
        };
        assert_eq!(is_random, expected, "{}", variant.id);
    }
}

/// `A ~ N(0, 1/D)` and `B = 0`, with other numbers in every layer.
#[test]
fn rave_starts_as_its_header_says() {
    let attention = variant("rave")
        .unwrap()
        .build(&build(geometry(6, 2), Kind::Float))
        .unwrap();
    let parameters = attention.parameters();
    for (name, tensor) in &parameters {
        if name.ends_with("query") {
            let deviation = f64::try_from(tensor.std(true)).unwrap();
            let expected = 1.0 / 32_f64.sqrt();
            assert!(
                (deviation / expected - 1.0).abs() < 0.1,
                "{name}: {deviation}"
            );
        } else {
            assert_eq!(tensor, &tensor.zeros_like(), "{name}");
        }
    }
    assert!(difference(&parameters[0].1, &parameters[2].1) > 0.1);
}

#[test]
fn info_says_what_the_options_are() {
    assert_eq!(Options::default(), Options::DEFAULT);
    assert_eq!(Options::DEFAULT.keys, Side::Visual);
    for variant in REGISTRY {
        let info = variant.info();
        let attention = variant.build(&build(geometry(6, 2), Kind::Float)).unwrap();
        let is_plain = attention.key_width(0) == geometry(6, 2).head_dim;
        assert_eq!(
            is_plain,
            info.caches.starts_with("k of") || info.caches == "k",
            "{}",
            variant.id
        );
        if let Some(options) = variant.method.downcast_ref::<Options>() {
            assert_eq!(info.folds, variant.id != "rave-gate", "{}", variant.id);
            assert_eq!(
                info.queries == "text",
                options.queries == Side::Text,
                "{}",
                variant.id
            );
            assert_eq!(
                info.keys == "all",
                options.keys == Side::All,
                "{}",
                variant.id
            );
        }
    }
}
