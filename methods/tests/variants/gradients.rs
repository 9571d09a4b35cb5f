//! Trained variants learn what their formula says: gradients against central differences, and a first step that moves.

use rave_methods::noise::Noise;
use rave_methods::variants::rave;
use rave_methods::{Attention, REGISTRY, Variant};
use tch::{Kind, Tensor, no_grad};

use crate::sequences::{LAYER, Sequences, build, geometry, train};

/// Two sequences, one of them padded: a batch that takes the masked kernels, as training does.
const ROWS: [&str; 2] = ["ttvvvtvvt|tt", ".tvvttvvt|tt"];

fn trained_variants() -> impl Iterator<Item = &'static Variant> {
    REGISTRY.iter().filter(|variant| variant.is_trained())
}

/// The parameters of the layer under test.
fn parameters(attention: &dyn Attention) -> Vec<(String, Tensor)> {
    let part = format!(".layers.{LAYER}.");
    let all = attention.parameters().into_iter();
    all.filter(|(name, _)| name.contains(&part)).collect()
}

/// A scalar on which every real output has a say.
fn loss(sequences: &Sequences, attention: &dyn Attention) -> Tensor {
    let output = sequences.real(&sequences.whole(attention, LAYER));
    let say = Noise::new(23)
        .normal(0, &output.size())
        .to_kind(output.kind());
    (output * say).sum(Kind::Double)
}

fn backward(sequences: &Sequences, attention: &dyn Attention) {
    for (_, parameter) in parameters(attention) {
        let _ = parameter.set_requires_grad(true);
    }
    loss(sequences, attention).backward();
}

/// Along random directions over all elements of a tensor: an element whose derivative is wrong turns all of them wrong. What is
/// allowed is a share of what such a slope usually is.
fn check(sequences: &Sequences, attention: &dyn Attention, name: &str, step: f64, allowed: f64) {
    backward(sequences, attention);
    for (parameter_name, mut parameter) in parameters(attention) {
        let gradient = parameter.grad();
        let norm = f64::try_from(gradient.norm()).unwrap();
        // One number added to all scores of a row changes no softmax.
        let is_without = parameter_name.ends_with("output.bias");
        assert_eq!(
            norm > 1e-3,
            !is_without,
            "{name} {parameter_name}: {norm:.1e}"
        );
        let usual = norm / (gradient.numel() as f64).sqrt();
        let start = parameter.detach().copy();
        for stream in 0..4 {
            let direction = Noise::new(29)
                .normal(stream, &parameter.size())
                .to_kind(Kind::Double);
            let direction = &direction / direction.norm();
            let mut loss_at = |distance: f64| {
                no_grad(|| {
                    parameter.copy_(&(&start + &direction * distance));
                    f64::try_from(loss(sequences, attention)).unwrap()
                })
            };
            let measured = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            let slope = f64::try_from((&gradient * &direction).sum(Kind::Double)).unwrap();
            let error = (measured - slope).abs() / usual.max(0.5);
            assert!(
                error < allowed,
                "{name} {parameter_name}: {slope:.6} by autograd, {measured:.6} measured ({error:.1e})"
            );
        }
        no_grad(|| parameter.copy_(&start));
    }
}

/// In double precision where the whole computation is. Explicit scores and their softmax are f32 whatever the compute type:
/// there the loss is known to 1e-6 or so, which a longer step and a looser tolerance allow for; but not too long a one for
/// dape, whose network has kinks.
#[test]
fn gradients_equal_central_differences() {
    for (heads, kv_heads) in [(6, 2), (4, 4)] {
        let geometry = geometry(heads, kv_heads);
        // Without padding the sinks fold too; with it they do not.
        for rows in [&ROWS[..1], &ROWS] {
            let sequences = Sequences::random(&geometry, rows, Kind::Double);
            for variant in trained_variants() {
                let attention = variant.build(&build(geometry, Kind::Double)).unwrap();
                train(attention.as_ref(), 0.3);
                let gate = variant.method.downcast_ref::<rave::Options>();
                let (step, allowed) = match variant.method.name() {
                    "rave" if gate.is_some_and(|options| !options.folds()) => (1e-2, 2e-3),
                    "learned-sink" if rows.len() > 1 => (1e-2, 2e-3),
                    "dape" => (5e-4, 4e-2),
                    _ => (1e-5, 1e-5),
                };
                check(&sequences, attention.as_ref(), variant.id, step, allowed);
            }
        }
    }
}

#[test]
fn the_first_step_moves_and_comes_from_what_starts_at_zero() {
    let geometry = geometry(6, 2);
    let sequences = Sequences::random(&geometry, &ROWS, Kind::Float);
    for variant in trained_variants() {
        let attention = variant.build(&build(geometry, Kind::Float)).unwrap();
        backward(&sequences, attention.as_ref());
        let moves: Vec<bool> = parameters(attention.as_ref())
            .iter()
            .map(|(_, parameter)| f64::try_from(parameter.grad().abs().max()).unwrap() > 1e-3)
            .collect();
        // Behind a zero nothing moves at first: a query side behind its key side, a network behind its last layer.
        let expected: &[bool] = match variant.method.name() {
            "rave" if moves.len() == 2 => &[false, true],
            "dape" => &[true, false, false, false, true, false],
            _ => &[true],
        };
        assert_eq!(moves, expected, "{}", variant.id);
    }
}
