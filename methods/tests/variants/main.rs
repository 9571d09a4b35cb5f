//! Every attention variant through the slot: its formula, its identity, its cache, its causality, its gradients, its options.
//!
//! `sequences` makes the inputs and runs a variant over them pass by pass; `reference` and `reference_rave` say in plain f64
//! loops what every method must give; the other modules hold the tests, one property a file.
#![allow(clippy::unwrap_used, missing_docs)]

mod caching;
mod causality;
mod fastv;
mod formulas;
mod gradients;
mod grid;
mod identity;
mod outside;
mod padding;
mod parameters;
mod presets;
mod reference;
mod reference_rave;
mod sequences;
mod tokens;
mod weights;

/// The message and the hint in one text.
fn told(error: &rave_methods::Error) -> String {
    rave_hints::with_hint(error, error.hint())
}
