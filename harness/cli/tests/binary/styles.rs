//! The looks of variants in charts against the registry: reports know variants by name alone, from what runs have recorded.

use std::collections::HashMap;

use rave_methods::REGISTRY;
use rave_reports::charts::palette::{NUMBERED, style};

#[test]
fn no_two_registered_variants_look_alike() {
    let mut looks = HashMap::new();
    for variant in REGISTRY {
        if let Some(other) = looks.insert(style(variant.id), variant.id) {
            panic!(
                "`{}` and `{other}` look alike; put the newer at the end of NUMBERED in reports/src/charts/palette.rs",
                variant.id
            );
        }
    }
}

#[test]
fn numbers_are_of_registered_variants() {
    for id in NUMBERED {
        let known = rave_methods::variant(id);
        assert!(known.is_ok(), "{}", known.unwrap_err());
    }
}
