//! Every variant through the slot: against a naive double-precision reference written from its formula, at its identity
//! setting, cached against uncached, padded against unpadded, and causal, at grouped-query and multi-head shapes.
#![allow(clippy::unwrap_used, missing_docs)]

use rave_methods::noise::Noise;
use rave_methods::rave::{Features, Options, Pair, Rave};
use rave_methods::registry::Method;
use rave_methods::{Attention, Build, Geometry, REGISTRY, Step, Variant, variant};
use tch::{Device, Kind, Tensor};

const HEAD_WIDTH: i64 = 16;

fn geometry(heads: i64, groups: i64) -> Geometry {
    Geometry {
        layers: 2,
        heads,
        groups,
        head_width: HEAD_WIDTH,
        model_width: heads * HEAD_WIDTH,
    }
}

fn build(geometry: Geometry, kind: Kind) -> Build {
    Build {
        geometry,
        device: Device::Cpu,
        kind,
        seed: 7,
    }
}

/// Random features of a batch of sequences, as a decoder layer would hand them over.
struct Sequences {
    query: Tensor,
    query_features: Tensor,
    key: Tensor,
    key_features: Tensor,
    value: Tensor,
    visual: Tensor,
}

impl Sequences {
    fn random(geometry: &Geometry, batch: i64, tokens: i64, kind: Kind) -> Self {
        let noise = Noise::new(3);
        let random = |stream, heads| {
            noise
                .normal(stream, &[batch, heads, tokens, HEAD_WIDTH])
                .to_kind(kind)
        };
        // Text, two runs of visual tokens with text between, text: another offset in each sequence.
        let visual: Vec<bool> = (0..batch * tokens)
            .map(|at| {
                let (sequence, token) = (at / tokens, at % tokens);
                (2 + sequence..8).contains(&token) || (10..12 + sequence).contains(&token)
            })
            .collect();
        Self {
            query: random(0, geometry.heads),
            query_features: random(1, geometry.heads),
            key: random(2, geometry.groups),
            key_features: random(3, geometry.groups),
            value: random(4, geometry.groups),
            visual: Tensor::from_slice(&visual).view([batch, tokens]),
        }
    }

    fn tokens(&self) -> i64 {
        self.query.size()[2]
    }

    /// The output for all tokens when they come in passes of these lengths, with stored keys and values in between.
    fn run(&self, attention: &dyn Attention, passes: &[i64], valid: Option<&Tensor>) -> Tensor {
        let (mut keys, mut values, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for &length in passes {
            let part = |tensor: &Tensor| tensor.narrow(2, start, length);
            let (query, query_features) = (part(&self.query), part(&self.query_features));
            let (key, key_features) = (part(&self.key), part(&self.key_features));
            let visual = self.visual.narrow(1, start, length);
            let any = i64::try_from(visual.any()).unwrap() == 1;
            let valid = valid.map(|valid| valid.narrow(1, 0, start + length));
            let step = Step {
                layer: 1,
                query: &query,
                query_features: &query_features,
                key: &key,
                key_features: &key_features,
                visual: any.then_some(&visual),
                valid: valid.as_ref(),
                scale: 0.3,
            };
            keys.push(attention.store(&step).unwrap());
            assert_eq!(
                *keys.last().unwrap().size().last().unwrap(),
                attention.key_width()
            );
            values.push(part(&self.value));
            outputs.push(
                attention
                    .attend(&step, &Tensor::cat(&keys, 2), &Tensor::cat(&values, 2))
                    .unwrap(),
            );
            start += length;
        }
        assert_eq!(start, self.tokens());
        Tensor::cat(&outputs, 2)
    }

    /// All tokens in one pass.
    fn whole(&self, attention: &dyn Attention) -> Tensor {
        self.run(attention, &[self.tokens()], None)
    }
}

/// Gives every parameter of a variant random values, as training would.
fn train(attention: &dyn Attention) {
    for (stream, (_, mut parameter)) in attention.parameters().into_iter().enumerate() {
        let values = Noise::new(11).normal(stream as u64, &parameter.size()) * 0.5;
        parameter.copy_(&values.to_kind(parameter.kind()));
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    f64::try_from(
        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
            .abs()
            .max(),
    )
    .unwrap()
}

/// A variant of the registry with random parameters.
fn trained(variant: &Variant, geometry: Geometry, kind: Kind) -> Box<dyn Attention> {
    let attention = variant.build(&build(geometry, kind)).unwrap();
    train(attention.as_ref());
    attention
}

const SHAPES: [(i64, i64); 3] = [(6, 2), (4, 4), (3, 1)];

/// `softmax(scale q.k + b)` by loops in f64, the bias straight from the formula in the module documentation of `rave`.
fn naive(sequences: &Sequences, options: Option<&Options>, attention: &dyn Attention) -> Tensor {
    let numbers = |tensor: &Tensor| {
        Vec::<f64>::try_from(tensor.to_kind(Kind::Double).contiguous().flatten(0, -1)).unwrap()
    };
    let [batch, heads, tokens, width] =
        [0, 1, 2, 3].map(|axis| sequences.query.size()[axis] as usize);
    let groups = sequences.key.size()[1] as usize;
    let (query, key, value) = (
        numbers(&sequences.query),
        numbers(&sequences.key),
        numbers(&sequences.value),
    );
    let visual = numbers(&sequences.visual);
    let parameters = attention.parameters();
    let layer = |name: &str| {
        parameters
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, tensor)| numbers(tensor))
            .unwrap_or_default()
    };
    let (query_gate, key_gate) = (layer("rave.layers.1.query"), layer("rave.layers.1.key"));
    let row = |all: &[f64], head: usize, heads: usize, sequence: usize, token: usize| {
        let at = ((sequence * heads + head) * tokens + token) * width;
        all[at..at + width].to_vec()
    };
    // (gate of `head`)^T x, or the learned vector itself when the gate looks at no feature.
    let project =
        |gate: &[f64], head: usize, rank: usize, features: Option<Vec<f64>>| -> Vec<f64> {
            match features {
                None => gate[head * rank..(head + 1) * rank].to_vec(),
                Some(x) => (0..rank)
                    .map(|r| {
                        (0..width)
                            .map(|d| gate[(head * width + d) * rank + r] * x[d])
                            .sum()
                    })
                    .collect(),
            }
        };
    let mut output = vec![0.0; query.len()];
    for sequence in 0..batch {
        for head in 0..heads {
            let group = head / (heads / groups);
            for i in 0..tokens {
                let mut scores: Vec<f64> = (0..=i)
                    .map(|j| {
                        let (q, k) = (
                            row(&query, head, heads, sequence, i),
                            row(&key, group, groups, sequence, j),
                        );
                        0.3 * q.iter().zip(&k).map(|(a, b)| a * b).sum::<f64>()
                    })
                    .collect();
                if let Some(options) = options {
                    let rank = options.rank as usize;
                    let (from_query, from_key) = match options.features {
                        Features::PreRope => (
                            numbers(&sequences.query_features),
                            numbers(&sequences.key_features),
                        ),
                        Features::PostRope => (query.clone(), key.clone()),
                    };
                    let q = (options.pair != Pair::KeyOnly)
                        .then(|| row(&from_query, head, heads, sequence, i));
                    let a = project(&query_gate, head, rank, q);
                    for (j, score) in scores.iter_mut().enumerate() {
                        let k = (options.pair != Pair::QueryOnly)
                            .then(|| row(&from_key, group, groups, sequence, j));
                        let b = project(&key_gate, group, rank, k);
                        let bias = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>()
                            / (rank as f64).sqrt();
                        *score += visual[sequence * tokens + j] * bias;
                    }
                }
                let sum: f64 = scores.iter().map(|score| score.exp()).sum();
                for (j, score) in scores.iter().enumerate() {
                    for (d, v) in row(&value, group, groups, sequence, j).iter().enumerate() {
                        output[((sequence * heads + head) * tokens + i) * width + d] +=
                            score.exp() / sum * v;
                    }
                }
            }
        }
    }
    Tensor::from_slice(&output).view(sequences.query.size().as_slice())
}

fn options(variant: &Variant) -> Option<&Options> {
    match &variant.method {
        Method::Standard => None,
        Method::Rave(options) => Some(options),
    }
}

#[test]
fn every_variant_equals_its_naive_reference() {
    for (heads, groups) in SHAPES {
        let geometry = geometry(heads, groups);
        let sequences = Sequences::random(&geometry, 2, 17, Kind::Float);
        for variant in REGISTRY {
            let attention = trained(variant, geometry, Kind::Float);
            let expected = naive(&sequences, options(variant), attention.as_ref());
            let error = difference(&sequences.whole(attention.as_ref()), &expected);
            assert!(
                error < 1e-5,
                "{} at {heads}/{groups} heads: off by {error:.1e}",
                variant.id
            );
        }
    }
}

#[test]
fn the_fold_equals_the_materialised_bias_in_prefill_and_in_decoding() {
    for (heads, groups) in SHAPES {
        let geometry = geometry(heads, groups);
        let sequences = Sequences::random(&geometry, 2, 17, Kind::Float);
        for variant in REGISTRY {
            let Some(options) = options(variant) else {
                continue;
            };
            let folded = Rave::new(variant.id, options, &build(geometry, Kind::Float)).unwrap();
            train(&folded);
            let reference = Rave::new(variant.id, options, &build(geometry, Kind::Float))
                .unwrap()
                .materialised();
            train(&reference);
            for passes in [vec![17], vec![13, 1, 1, 1, 1]] {
                let error = difference(
                    &sequences.run(&folded, &passes, None),
                    &sequences.run(&reference, &passes, None),
                );
                assert!(
                    error < 2e-6,
                    "{} at {heads}/{groups} heads, {passes:?}: off by {error:.1e}",
                    variant.id
                );
            }
        }
    }
}

#[test]
fn at_its_initial_values_every_variant_is_standard() {
    for kind in [Kind::Float, Kind::BFloat16] {
        for (heads, groups) in SHAPES {
            let geometry = geometry(heads, groups);
            let sequences = Sequences::random(&geometry, 2, 17, kind);
            let standard = variant("standard")
                .unwrap()
                .build(&build(geometry, kind))
                .unwrap();
            for variant in REGISTRY {
                let attention = variant.build(&build(geometry, kind)).unwrap();
                for passes in [vec![17], vec![14, 1, 1, 1]] {
                    let expected = sequences.run(standard.as_ref(), &passes, None);
                    let error =
                        difference(&sequences.run(attention.as_ref(), &passes, None), &expected);
                    let allowed = if kind == Kind::Float { 1e-6 } else { 2e-2 };
                    assert!(
                        error <= allowed,
                        "{} in {kind:?} at {heads}/{groups}, {passes:?}: off by {error:.1e}",
                        variant.id
                    );
                }
            }
        }
    }
}

#[test]
fn cached_decoding_equals_one_pass_however_the_tokens_are_cut() {
    for (kind, allowed) in [(Kind::Float, 2e-6), (Kind::BFloat16, 4e-2)] {
        for (heads, groups) in SHAPES {
            let geometry = geometry(heads, groups);
            let sequences = Sequences::random(&geometry, 2, 17, kind);
            for variant in REGISTRY {
                let attention = trained(variant, geometry, kind);
                let whole = sequences.whole(attention.as_ref());
                for passes in [vec![1; 17], vec![9, 5, 1, 2], vec![16, 1]] {
                    let error =
                        difference(&sequences.run(attention.as_ref(), &passes, None), &whole);
                    assert!(
                        error < allowed,
                        "{} in {kind:?}, {passes:?}: off by {error:.1e}",
                        variant.id
                    );
                }
            }
        }
    }
}

#[test]
fn padding_after_a_sequence_changes_nothing_before_it() {
    let geometry = geometry(6, 2);
    let long = Sequences::random(&geometry, 2, 17, Kind::Float);
    let short = 12; // the first sequence has 12 real tokens, the second all 17
    let valid: Vec<bool> = (0..2 * 17).map(|at| at >= 17 || at % 17 < short).collect();
    let valid = Tensor::from_slice(&valid).view([2, 17]);
    for variant in REGISTRY {
        let attention = trained(variant, geometry, Kind::Float);
        let padded = long.run(attention.as_ref(), &[17], Some(&valid));
        let alone = long.whole(attention.as_ref());
        let first = difference(
            &padded.narrow(0, 0, 1).narrow(2, 0, short),
            &alone.narrow(0, 0, 1).narrow(2, 0, short),
        );
        let second = difference(&padded.narrow(0, 1, 1), &alone.narrow(0, 1, 1));
        assert!(
            first < 2e-6 && second < 2e-6,
            "{}: off by {first:.1e} and {second:.1e}",
            variant.id
        );
    }
}

#[test]
fn no_query_sees_a_later_token() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, 1, 17, Kind::Float);
    let mut changed = Sequences::random(&geometry, 1, 17, Kind::Float);
    for tensor in [
        &mut changed.key,
        &mut changed.key_features,
        &mut changed.value,
    ] {
        let _ = tensor.narrow(2, 9, 8).fill_(50.0);
    }
    for variant in REGISTRY {
        let attention = trained(variant, geometry, Kind::Float);
        let (before, after) = (
            sequences.whole(attention.as_ref()),
            changed.whole(attention.as_ref()),
        );
        assert!(
            difference(&before.narrow(2, 0, 9), &after.narrow(2, 0, 9)) < 1e-6,
            "{} looks ahead",
            variant.id
        );
        assert!(
            difference(&before.narrow(2, 9, 8), &after.narrow(2, 9, 8)) > 0.1,
            "{} ignores the change",
            variant.id
        );
    }
}

#[test]
fn without_visual_tokens_a_trained_gate_changes_nothing() {
    let geometry = geometry(6, 2);
    let mut sequences = Sequences::random(&geometry, 1, 17, Kind::Float);
    let _ = sequences.visual.fill_(0);
    let standard =
        sequences.whole(trained(variant("standard").unwrap(), geometry, Kind::Float).as_ref());
    for variant in REGISTRY {
        let error = difference(
            &sequences.whole(trained(variant, geometry, Kind::Float).as_ref()),
            &standard,
        );
        assert!(
            error < 1e-6,
            "{} touches text keys: {error:.1e}",
            variant.id
        );
    }
}

#[test]
fn trained_variants_are_all_different() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, 1, 17, Kind::Float);
    let outputs: Vec<_> = REGISTRY
        .iter()
        .map(|variant| {
            (
                variant.id,
                sequences.whole(trained(variant, geometry, Kind::Float).as_ref()),
            )
        })
        .collect();
    for (number, (one, first)) in outputs.iter().enumerate() {
        for (other, second) in &outputs[number + 1..] {
            assert!(
                difference(first, second) > 1e-3,
                "{one} and {other} are the same"
            );
        }
    }
}

#[test]
fn at_its_initial_values_a_gate_has_a_gradient_to_follow() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, 1, 17, Kind::Float);
    for variant in REGISTRY.iter().filter(|variant| variant.trained) {
        let attention = variant.build(&build(geometry, Kind::Float)).unwrap();
        let parameters: Vec<_> = attention
            .parameters()
            .into_iter()
            .filter(|(name, _)| name.contains("layers.1."))
            .collect();
        for (_, parameter) in &parameters {
            let _ = parameter.set_requires_grad(true);
        }
        sequences
            .whole(attention.as_ref())
            .square()
            .sum(Kind::Float)
            .backward();
        let gradient = parameters
            .iter()
            .map(|(_, p)| f64::try_from(p.grad().abs().max()).unwrap())
            .fold(0.0, f64::max);
        assert!(
            gradient > 1e-4,
            "{}: the first step would not move",
            variant.id
        );
    }
}

#[test]
fn impossible_ranks_and_unknown_ids_are_explained() {
    let build = build(geometry(6, 2), Kind::Float);
    for rank in [0, -1, HEAD_WIDTH + 1] {
        let message = Rave::new(
            "rave",
            &Options {
                rank,
                ..Options::default()
            },
            &build,
        )
        .unwrap_err()
        .to_string();
        assert!(message.contains("1 to the head width 16"), "{message}");
    }
    assert_eq!(
        variant("rave-keyonly").unwrap_err().to_string(),
        "unknown variant `rave-keyonly`; did you mean `rave-key-only`?; `rave variants` lists all"
    );
    assert_eq!(
        variant("zzz").unwrap_err().to_string(),
        "unknown variant `zzz`; `rave variants` lists all"
    );
}
