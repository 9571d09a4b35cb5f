//! `fastv` drops what its rule says and nothing else, and what is left is computed as if the rest had never been there.

use rave_methods::variants::{fastv::Options, standard};
use rave_methods::{Attention, Geometry, Method, REGISTRY, Tokens, variant};
use tch::{Device, Kind};

use crate::reference::{Expected, expected};
use crate::sequences::{
    LAYER, Layout, PADDED, PICTURES, SHAPES, Sequences, build, difference, geometry, trained,
};
use crate::told;

const ROWS: [&str; 4] = [
    "ttvvvvtvvvvt|ttt",
    "vvvttttttt|.tttt",
    "ttttttttt|ttt...",
    "...tvvvvvvvvvt|t",
];

fn fastv(options: &Options, geometry: Geometry) -> Box<dyn Attention> {
    options
        .build("fastv", &build(geometry, Kind::Float))
        .unwrap()
}

/// What `drop_tokens` says of a pass over all tokens.
fn keep(sequences: &Sequences, attention: &dyn Attention, layer: usize) -> Option<Vec<bool>> {
    let tokens = sequences.layout.tokens() as i64;
    let mut kept = sequences.visit(attention, layer, &[tokens], |step, keys, _| {
        attention.drop_tokens(step, keys).unwrap()
    });
    kept.remove(0)
}

/// The rule in f64: the prompt's visual tokens by the mean over heads of the weights of the prompt's last token, the most looked
/// at first, of which the given number stays; in percent, so that nothing is rounded on the way.
fn rule(sequences: &Sequences, geometry: &Geometry, percent: usize) -> Vec<bool> {
    let standard = variant("standard").unwrap();
    let attention = standard.build(&build(*geometry, Kind::Float)).unwrap();
    let Expected { weights, .. } =
        expected(standard.method, geometry, 0, sequences, attention.as_ref());
    let Layout {
        visual, prompts, ..
    } = &sequences.layout;
    let tokens = sequences.layout.tokens();
    let mut kept = vec![true; visual.len()];
    for (b, prompt) in prompts.iter().enumerate() {
        let end = sequences.real_tokens(b)[*prompt as usize - 1];
        let mean = weights
            .select(0, b as i64)
            .select(1, end)
            .mean_dim(0, false, Kind::Double);
        let weights: Vec<f64> = Vec::try_from(mean).unwrap();
        // The last token of the prompt and what follows it always stay.
        let before_end = 0..end as usize;
        let candidates: Vec<usize> = before_end.filter(|at| visual[b * tokens + at]).collect();
        let stay = (candidates.len() * (100 - percent) / 100).max(1);
        for &at in &candidates {
            let before = candidates.iter().filter(|&&other| {
                let order = weights[at].total_cmp(&weights[other]);
                order.then(other.cmp(&at)).is_lt()
            });
            kept[b * tokens + at] = before.count() < stay;
        }
    }
    kept
}

#[test]
fn the_least_attended_visual_tokens_are_dropped() {
    for (heads, kv_heads) in SHAPES {
        let geometry = geometry(heads, kv_heads);
        for rows in [&ROWS[..], &PICTURES, &PADDED] {
            let sequences = Sequences::random(&geometry, rows, Kind::Float);
            for (id, percent) in [("fastv-25", 25), ("fastv-50", 50), ("fastv-75", 75)] {
                let variant = variant(id).unwrap();
                let attention = trained(variant, geometry, Kind::Float);
                let kept = keep(&sequences, attention.as_ref(), 0).unwrap();
                assert_eq!(kept, rule(&sequences, &geometry, percent), "{id}");
                let text = kept.iter().zip(&sequences.layout.visual);
                assert!(
                    text.into_iter().all(|(kept, visual)| *kept || *visual),
                    "{id} drops text"
                );
            }
        }
    }
}

/// 1 - 0.8 is not a fifth in floating point: rounding down must not take one more.
#[test]
fn the_ratio_is_honoured() {
    let geometry = geometry(6, 2);
    for (visual, ratio, dropped) in [
        (10, 0.8, 8),
        (10, 0.9, 9),
        (10, 0.7, 7),
        (10, 0.3, 3),
        (5, 0.6, 3),
        (8, 0.5, 4),
        (7, 0.5, 4),
        (1, 0.75, 0),
        (3, 0.99, 2),
    ] {
        let row = format!("t{}t|", "v".repeat(visual));
        let sequences = Sequences::random(&geometry, &[row], Kind::Float);
        let kept = keep(&sequences, fastv(&Options::at(ratio), geometry).as_ref(), 0).unwrap();
        let gone = kept.iter().filter(|&&kept| !kept).count();
        assert_eq!(gone, dropped, "of {visual} at {ratio}");
    }
}

#[test]
fn of_equals_the_first_stay() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &["tvvvtvvvt|t"], Kind::Float);
    let _ = sequences.key.shallow_clone().fill_(0.5);
    let kept = keep(&sequences, fastv(&Options::at(0.5), geometry).as_ref(), 0).unwrap();
    assert_eq!(
        kept,
        "1111100011"
            .chars()
            .map(|mark| mark == '1')
            .collect::<Vec<_>>()
    );
}

/// A prompt that ends in a picture is answered by a visual token, which later layers need.
#[test]
fn the_last_token_of_the_prompt_stays_whatever_it_is() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &["tvvvvvvv|tt", "tvvvttvv|vv"], Kind::Float);
    // No head of the last token looks at itself.
    let queries = sequences.query.narrow(2, 7, 1).view([2, 2, 3, 1, -1]);
    let away = queries.mean_dim(2, false, Kind::Float) * -5.0;
    sequences.key.narrow(2, 7, 1).copy_(&away);
    let kept = keep(&sequences, fastv(&Options::at(0.75), geometry).as_ref(), 0).unwrap();
    for kept in kept.chunks(10) {
        assert!(kept[7..].iter().all(|&kept| kept), "{kept:?}");
        assert!(kept.contains(&false), "{kept:?}");
    }
}

#[test]
fn tokens_are_dropped_after_one_layer_of_a_whole_prompt_with_a_picture() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &ROWS, Kind::Float);
    let layers = |options| -> Vec<usize> {
        let attention = fastv(&options, geometry);
        let drops = (0..4).filter(|&layer| keep(&sequences, attention.as_ref(), layer).is_some());
        drops.collect()
    };
    assert_eq!(
        layers(Options::at(0.5)),
        [0],
        "two layers of 32 are less than one of 4"
    );
    let full = |full_layers, of| Options {
        full_layers,
        of,
        ratio: 0.5,
    };
    assert_eq!(layers(full(2, None)), [1]);
    assert_eq!(layers(full(24, Some(32))), [2]);
    assert_eq!(layers(full(4, None)), [3]);

    let attention = fastv(&Options::at(0.5), geometry);
    let kept = sequences.visit(attention.as_ref(), 0, &[9, 6], |step, keys, _| {
        attention.drop_tokens(step, keys).unwrap()
    });
    assert_eq!(kept, [None, None], "in part of a prompt, or after it");
    let text = Sequences::random(&geometry, &["ttttttt|tt"], Kind::Float);
    assert_eq!(
        keep(&text, attention.as_ref(), 0),
        None,
        "without a picture"
    );

    for variant in REGISTRY
        .iter()
        .filter(|variant| !variant.method.is::<Options>())
    {
        let attention = trained(variant, geometry, Kind::Float);
        assert_eq!(
            keep(&sequences, attention.as_ref(), 0),
            None,
            "{}",
            variant.id
        );
    }
}

#[test]
fn later_layers_see_what_is_left_as_if_it_were_all() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &ROWS, Kind::Float);
    let attention = fastv(&Options::at(0.5), geometry);
    let keep = keep(&sequences, attention.as_ref(), 0).unwrap();
    let Layout {
        visual,
        valid,
        massive,
        prompts,
    } = sequences.layout.clone();
    let tokens = Tokens::new(&visual, Some(&valid), &prompts, Device::Cpu);
    let kept = tokens.retain(&keep);
    let layout = Layout {
        visual: kept.tokens.visual().to_vec(),
        valid: kept.tokens.valid().to_vec(),
        massive: kept.index.iter().map(|&at| massive[at as usize]).collect(),
        prompts,
    };
    let left = sequences.select(layout, &kept.index);
    let mut outputs = left.visit(
        attention.as_ref(),
        LAYER,
        &[left.layout.tokens() as i64],
        |step, keys, values| {
            // The positions are from before the drop, as the rotary embedding's are.
            let tokens = &kept.tokens;
            attention
                .attend(&rave_methods::Step { tokens, ..*step }, keys, values)
                .unwrap()
        },
    );
    let output = outputs.remove(0);
    for sequence in 0..ROWS.len() {
        let alone = left.alone(sequence);
        let reference = expected(
            &standard::Options {},
            &geometry,
            LAYER,
            &alone,
            attention.as_ref(),
        );
        let own = output
            .narrow(0, sequence as i64, 1)
            .narrow(2, 0, alone.layout.tokens() as i64);
        let error = difference(&own, &reference.output);
        assert!(error < 1e-5, "sequence {sequence}: off by {error:.1e}");
    }
}

#[test]
fn impossible_options_are_refused_with_what_is_allowed() {
    let refuse = |options: &Options| {
        let built = options.build("mine", &build(geometry(6, 2), Kind::Float));
        told(&built.err().unwrap())
    };
    let words = |ratio| refuse(&Options::at(ratio));
    for ratio in [1.0, -0.1, f64::NAN] {
        assert!(
            words(ratio).contains("allowed is 0 to below 1"),
            "{}",
            words(ratio)
        );
    }
    let full = |full_layers, of| {
        refuse(&Options {
            full_layers,
            of,
            ratio: 0.5,
        })
    };
    assert!(full(0, None).contains("full_layers 0 is not possible; allowed is 1 to 4"));
    assert!(full(5, None).contains("full_layers 5 is not possible; allowed is 1 to 4"));
    assert!(full(33, Some(32)).contains("allowed is 1 to 32"));
}
