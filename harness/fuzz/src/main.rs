//! One target under libFuzzer: `RAVE_FUZZ_TARGET=<name> rave-fuzz CORPUS.. [-max_total_time=..]`. `tools/fuzz.sh` builds it with
//! coverage and runs it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use rave_fuzz::{Outcome, TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn selected_target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("RAVE_FUZZ_TARGET").unwrap_or_default();
        TARGETS
            .iter()
            .find(|target| target.name == name)
            .unwrap_or_else(|| {
                let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                eprintln!("RAVE_FUZZ_TARGET must be one of {}", names.join(", "));
                std::process::exit(1)
            })
    })
}

fuzz_target!(
    init: {
        // libFuzzer's own hook ends the process at any panic, also at those that a reader catches.
        drop(std::panic::take_hook());
        selected_target();
    },
    |input: &[u8]| -> Corpus {
        match (selected_target().read)(input) {
            Outcome::Foreign => Corpus::Reject,
            Outcome::Refused(_) | Outcome::Read => Corpus::Keep,
        }
    }
);
