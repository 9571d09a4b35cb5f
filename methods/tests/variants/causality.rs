//! No query sees a later token: whatever stands there, and whatever it is, what comes before gives the same output.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rave_methods::{Attention, REGISTRY, variant};
use tch::{Kind, Tensor};

use crate::sequences::{LAYER, Layout, Sequences, difference, geometry, trained};

/// Any mix of text, pictures and sinks, of one length, in two sequences with their own prompts, what the tokens from some place
/// on are changed to, and that place.
fn cases() -> impl Strategy<Value = ([String; 2], [String; 2], usize)> {
    let marks = || "[tvTV]{12}";
    // Runs, as pictures are: single random marks would hardly ever leave a stretch of text.
    let runs = || "[tT]{0,3}v{1,3}[tT]{1,3}[vV]{0,3}[tT]{0,3}[vV]{0,3}t{12}";
    let row = move || prop_oneof![1 => "[tT]{12}", 1 => marks(), 3 => runs()];
    let with_prompt =
        |row: String, prompt: usize| format!("{}|{}", &row[..prompt], &row[prompt..12]);
    (
        (row(), row(), row(), row()),
        (1..=12_usize, 1..=12_usize),
        1..12_usize,
    )
        .prop_map(
            move |((one, other, later_one, later_other), (first, second), place)| {
                let changed =
                    |row: &str, later: &str| format!("{}{}", &row[..place], &later[place..12]);
                (
                    [
                        with_prompt(one.clone(), first),
                        with_prompt(other.clone(), second),
                    ],
                    [
                        with_prompt(changed(&one, &later_one), first),
                        with_prompt(changed(&other, &later_other), second),
                    ],
                    place,
                )
            },
        )
}

/// Other features for the tokens from `place` on.
fn change(sequences: &Sequences, place: usize) {
    let tensors = [
        (1, &sequences.hidden),
        (1, &sequences.input),
        (2, &sequences.query),
        (2, &sequences.query_pre_rope),
        (2, &sequences.key),
        (2, &sequences.key_pre_rope),
        (2, &sequences.value),
    ];
    for (axis, tensor) in tensors {
        let mut later = tensor.narrow(axis, place as i64, 12 - place as i64);
        later.copy_(&(&later * -3.0 + 0.5));
    }
}

/// The outputs of the tokens before `place`.
fn before(sequences: &Sequences, attention: &dyn Attention, place: usize) -> Tensor {
    sequences.whole(attention, LAYER).narrow(2, 0, place as i64)
}

#[test]
fn no_query_sees_a_later_token() {
    let geometry = geometry(6, 2);
    let attentions: Vec<_> = REGISTRY
        .iter()
        .map(|variant| (variant.id, trained(variant, geometry, Kind::Float)))
        .collect();
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(128)
    };
    let holds = TestRunner::new(config).run(&cases(), |(rows, changed_rows, place)| {
        let sequences = Sequences::random(&geometry, &rows, Kind::Float);
        let changed = Sequences::random(&geometry, &changed_rows, Kind::Float);
        change(&changed, place);
        for (id, attention) in &attentions {
            for attention in [Some(attention.as_ref()), attention.rerun(0.0)]
                .into_iter()
                .flatten()
            {
                let error = difference(
                    &before(&sequences, attention, place),
                    &before(&changed, attention, place),
                );
                prop_assert!(error < 1e-5, "{id} looks ahead: {error:.1e}");
            }
        }
        Ok(())
    });
    if let Err(error) = holds {
        panic!("{error}");
    }
}

/// The property would hold for a variant that looks at nothing.
#[test]
fn every_query_sees_the_change_of_its_own_token() {
    let geometry = geometry(6, 2);
    let rows = ["TtvVvttvv|ttt"];
    let (sequences, changed) = (
        Sequences::random(&geometry, &rows, Kind::Float),
        Sequences::random(&geometry, &rows, Kind::Float),
    );
    change(&changed, 5);
    for variant in REGISTRY {
        let attention = trained(variant, geometry, Kind::Float);
        let later =
            |sequences: &Sequences| sequences.whole(attention.as_ref(), LAYER).narrow(2, 5, 7);
        let largest = (later(&sequences) - later(&changed))
            .abs()
            .amax(&[0, 1, 3][..], false);
        assert!(
            f64::try_from(largest.min()).unwrap() > 0.1,
            "{}",
            variant.id
        );
    }
}

/// A sink of a second picture must not make text before it count as having one.
#[test]
fn vis_sink_does_not_look_ahead_for_a_sink() {
    let geometry = geometry(6, 2);
    let attention = trained(variant("vis-sink").unwrap(), geometry, Kind::Float);
    let outputs = ["Ttvvvvttttvvvttt|", "TtvvvvttttvvVttt|"].map(|row| {
        let sequences = Sequences::random(&geometry, &[row], Kind::Float);
        assert_eq!(
            sequences.layout.visual,
            Layout::of(&["ttvvvvttttvvvttt"]).visual
        );
        sequences.whole(attention.as_ref(), LAYER)
    });
    let [without, with] = &outputs;
    let error = difference(&without.narrow(2, 0, 12), &with.narrow(2, 0, 12));
    assert!(error < 1e-6, "text before the sink changes by {error:.1e}");
    let change = difference(&without.narrow(2, 13, 3), &with.narrow(2, 13, 3));
    assert!(change > 1e-2, "the sink changes nothing after it");
}
