//! Attention probes: they change nothing, and say what a naive computation from the weights says, for every variant.

#![allow(clippy::unwrap_used)]

use rave_lmm::attention::{Choice, map, statistics};
use rave_lmm::{GenerationOptions, Model, Prompt, decode};
use rave_methods::noise::disturb;
use rave_methods::{Attention, REGISTRY, Step};
use tch::Tensor;

mod common;
use common::fixture;

/// A box over the upper left of the picture, across the edges of tokens.
const BOXES: [[f32; 4]; 1] = [[0.05, 0.1, 0.4, 0.33]];

fn open(name: &str) -> (Model, Prompt) {
    let model = common::open(name);
    let bytes = std::fs::read(fixture("smolvlm_new").join("image.png")).unwrap();
    let picture = decode(&bytes, "image.png").unwrap();
    let prompt = model.processor().prepare(&[&picture], "What?").unwrap();
    (model, prompt)
}

/// What one layer's weights are, as plain numbers: `[H][t][S]`, and which visual token each key is.
struct Layer {
    weights: Vec<Vec<Vec<f64>>>,
    places: Vec<Option<usize>>,
}

fn layers(model: &Model, attention: &dyn Attention, prompt: &Prompt, answer: &[i64]) -> Vec<Layer> {
    let embeds = model.encode_image(prompt).unwrap();
    let mut layers = Vec::new();
    let mut probe = |attention: &dyn Attention, step: &Step, keys: &Tensor| {
        let weights = attention.weights(step, keys, &step.tokens.answering().index)?;
        let size = weights.size();
        let flat: Vec<f64> = Vec::try_from(weights.to_kind(tch::Kind::Double).view([-1])).unwrap();
        let rows: Vec<Vec<f64>> = flat.chunks(size[3] as usize).map(<[f64]>::to_vec).collect();
        let places = step.tokens.positions().iter().map(|&position| {
            let position = position as usize;
            let before = prompt.visual.iter().take(position);
            let is = prompt.visual.get(position) == Some(&true);
            is.then(|| before.filter(|&&visual| visual).count())
        });
        layers.push(Layer {
            places: places.collect(),
            weights: rows
                .chunks(size[2] as usize)
                .map(<[Vec<f64>]>::to_vec)
                .collect(),
        });
        Ok(())
    };
    model
        .probe(attention, prompt, &embeds, answer, &mut probe)
        .unwrap();
    layers
}

/// The part of a token inside the box.
fn overlap(prompt: &Prompt, place: usize) -> f64 {
    let [left, top, right, bottom] = prompt.regions[place].bounds.map(f64::from);
    let [x, y, end, low] = BOXES[0].map(f64::from);
    let wide = (right.min(end) - left.max(x)).max(0.0);
    let high = (bottom.min(low) - top.max(y)).max(0.0);
    wide * high / ((right - left) * (bottom - top))
}

fn near(value: f64, expected: f64, what: &str) {
    assert!(
        (value - expected).abs() < 1e-6,
        "{what}: {value}, {expected} expected"
    );
}

/// What the probe must say of one head, by loops.
#[derive(Default)]
struct Means {
    share: f64,
    entropy: f64,
    effective: f64,
    top: f64,
    inside: f64,
    hits: f64,
}

/// The means over the queries' rows of weights; `overlaps` are those of the visual keys `keys` with the boxes.
fn means(rows: &[Vec<f64>], keys: &[usize], overlaps: &[f64]) -> Means {
    let mut means = Means::default();
    let each = 1.0 / rows.len() as f64;
    for row in rows {
        let mut weights: Vec<f64> = keys.iter().map(|&key| row[key]).collect();
        let mass: f64 = weights.iter().sum();
        let entropy: f64 = weights
            .iter()
            .filter(|&&weight| weight > 0.0)
            .map(|weight| -(weight / mass) * (weight / mass).ln())
            .sum();
        let inside: f64 = weights
            .iter()
            .zip(overlaps)
            .map(|(weight, overlap)| weight * overlap)
            .sum();
        let most = weights.iter().copied().fold(0.0, f64::max);
        let first = weights.iter().position(|&weight| weight >= most).unwrap();
        means.share += each * mass;
        means.entropy += each * entropy;
        means.effective += each * entropy.exp();
        means.inside += each * inside / mass;
        means.hits += each * f64::from(u8::from(overlaps[first] > 0.0));
        weights.sort_unstable_by(|a, b| b.total_cmp(a));
        let top: f64 = weights[..weights.len().div_ceil(100)].iter().sum();
        means.top += each * top / mass;
    }
    means
}

#[test]
fn every_variant_is_probed_without_a_change_and_as_its_weights_say() {
    // Of several tiles; of one; of patches, with rotary positions on three axes and image embeddings for early layers.
    check("smolvlm_new");
    check("nano");
    check("qwen3_vl");
}

fn check(name: &str) {
    let (model, prompt) = open(name);
    assert_eq!(prompt.regions.len(), prompt.visual_tokens());
    let embeds = model.encode_image(&prompt).unwrap();
    let options = GenerationOptions {
        max_new_tokens: 5,
        stop_at_end: false,
        deadline: None,
    };
    let (mut dropped, mut sunk) = (false, false);
    for variant in REGISTRY {
        let built = model.build(variant, 7, None).unwrap();
        let attention = built.attention.as_ref();
        // Away from the initial values, at which a trained variant is the standard one.
        disturb(attention, 11).unwrap();
        let before = model
            .generate(attention, &prompt, &embeds, &options)
            .unwrap();
        let logits = model
            .logits(attention, &prompt, &embeds, &before.ids)
            .unwrap();
        let probed = statistics(&model, attention, &prompt, &embeds, &before.ids, &BOXES);
        let probed = probed.unwrap().unwrap();
        let again = model
            .generate(attention, &prompt, &embeds, &options)
            .unwrap();
        assert_eq!(
            (&before.ids, before.cache_bytes),
            (&again.ids, again.cache_bytes)
        );
        let after = model
            .logits(attention, &prompt, &embeds, &before.ids)
            .unwrap();
        assert!(logits.equal(&after), "{}: the logits moved", variant.id);

        let naive = layers(&model, attention, &prompt, &before.ids);
        let heads = model.info().geometry.heads as usize;
        assert_eq!(
            (probed.queries, probed.heads.len()),
            (5, naive.len() * heads)
        );
        for (own, head) in probed.heads.iter().zip(0..) {
            let (layer, head) = (&naive[head / heads], head % heads);
            assert_eq!(own.head, head);
            let keys: Vec<usize> = (0..layer.places.len())
                .filter(|&key| layer.places[key].is_some())
                .collect();
            assert_eq!(own.visual_tokens, keys.len());
            dropped |= keys.len() < prompt.regions.len();
            let overlaps: Vec<f64> = keys
                .iter()
                .map(|&key| overlap(&prompt, layer.places[key].unwrap()))
                .collect();
            let naive = means(&layer.weights[head], &keys, &overlaps);
            sunk |= layer.weights[head]
                .iter()
                .any(|row| row.iter().sum::<f64>() < 0.999);
            let name =
                |what: &str| format!("{}, layer {}, head {head}: {what}", variant.id, own.layer);
            near(own.visual_share, naive.share, &name("visual share"));
            near(own.entropy.unwrap(), naive.entropy, &name("entropy"));
            near(own.effective.unwrap(), naive.effective, &name("effective"));
            near(own.top_share.unwrap(), naive.top, &name("top"));
            let boxed = own.in_box.unwrap();
            near(boxed.share, naive.inside, &name("in box"));
            near(
                boxed.uniform,
                overlaps.iter().sum::<f64>() / keys.len() as f64,
                &name("uniform"),
            );
            near(boxed.pointing, naive.hits, &name("pointing"));
        }
        let whole = map(
            &model,
            attention,
            &prompt,
            &embeds,
            &before.ids,
            Choice::default(),
        )
        .unwrap();
        let mean = probed
            .heads
            .iter()
            .map(|head| head.visual_share)
            .sum::<f64>()
            / probed.heads.len() as f64;
        near(whole.iter().sum(), mean, variant.id);
        let choice = Choice {
            layer: Some(1),
            head: Some(0),
        };
        let one = map(&model, attention, &prompt, &embeds, &before.ids, choice).unwrap();
        near(
            one.iter().sum(),
            probed.heads[heads].visual_share,
            variant.id,
        );
    }
    assert!(
        dropped && sunk,
        "no variant dropped a token, or none had a sink"
    );
}

#[test]
fn without_a_picture_there_is_nothing_to_say_and_a_wrong_layer_is_named() {
    let (model, prompt) = open("smolvlm_new");
    let built = model
        .build(rave_methods::variant("standard").unwrap(), 0, None)
        .unwrap();
    let attention = built.attention.as_ref();
    let bare = model.processor().prepare(&[], "What?").unwrap();
    let embeds = model.encode_image(&bare).unwrap();
    assert_eq!(
        statistics(&model, attention, &bare, &embeds, &[1], &[]).unwrap(),
        None
    );
    let embeds = model.encode_image(&prompt).unwrap();
    let layers = model.info().geometry.layers;
    let choice = Choice {
        layer: Some(layers),
        head: None,
    };
    let error = map(&model, attention, &prompt, &embeds, &[1], choice)
        .unwrap_err()
        .with_hint();
    assert!(
        error.contains(&format!("layer {layers} is not there")),
        "{error}"
    );
    assert!(error.contains(&format!("0 to {}", layers - 1)), "{error}");
    // A model that answers nothing still looked somewhere: the prompt's last token did. Without a box nothing is said of one.
    let probed = statistics(&model, attention, &prompt, &embeds, &[], &[])
        .unwrap()
        .unwrap();
    assert_eq!(probed.queries, 1);
    assert!(
        probed
            .heads
            .iter()
            .all(|head| head.in_box.is_none() && head.visual_share > 0.0)
    );
}
