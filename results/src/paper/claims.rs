//! `results/claims.toml`: the claims, fixed before the runs that they are judged by.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The file's contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Raised with every change of a claim.
    pub version: u32,
    /// The day from which they stand.
    pub fixed: String,
    /// The paper, with its number.
    pub paper: String,
    /// What a reader must know of every table made from them.
    pub statement: String,
    /// The claims, in order.
    pub claims: Vec<Claim>,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its name in tables.
    pub id: String,
    /// What is claimed, in this project's words.
    pub claim: String,
    /// Where it comes from, and how this project reads it.
    pub source: String,
    /// What makes it reproduced or contradicted.
    pub rule: String,
    /// What is computed.
    pub test: Test,
}

/// What is computed for a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Test {
    /// The mean difference over the suites to each of some variants.
    Gain {
        /// The variant.
        variant: String,
        /// What it is compared with.
        over: Vec<String>,
    },
    /// The mean gain over reading suites minus that over the others.
    Reading {
        /// The variant.
        variant: String,
        /// What it is compared with.
        over: String,
    },
    /// Equivalence of times to those of `standard`.
    Overhead {
        /// The variant.
        variant: String,
        /// The largest ratio that counts as no difference, minus 1.
        margin: f64,
    },
    /// Added parameters as a share of the model's.
    Parameters {
        /// The variant.
        variant: String,
        /// The share from which on the claim is contradicted.
        below: f64,
    },
    /// Equal answers at the initial weights.
    Unchanged {
        /// The variant.
        variant: String,
        /// Whose answers it must give.
        from: String,
    },
}

/// The claims that this program judges.
pub fn claims() -> &'static Claims {
    static CLAIMS: LazyLock<Claims> = LazyLock::new(|| {
        toml::from_str(include_str!("../../claims.toml"))
            .expect("claims.toml is part of the program, and a test reads it")
    });
    &CLAIMS
}
