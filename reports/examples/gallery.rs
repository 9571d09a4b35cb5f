//! Draws every chart for made-up runs of many shapes, to be looked at after a change:
//! `cargo run --release --example gallery -- FOLDER`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use rave_reports::charts::charts;
use rave_results::Summary;

#[path = "../tests/common/mod.rs"]
mod common;
use common::{Plan, run};

const TEN: [&str; 10] = [
    "ocr", "chart", "document", "scene", "general", "docvqa", "infovqa", "chartqa", "textvqa",
    "ocrbench",
];
const FIVE: [&str; 5] = [
    "standard",
    "rave",
    "rave-post-rope",
    "rave-key-only",
    "rave-query-only",
];
const TWENTY: [&str; 20] = [
    "standard",
    "rave",
    "rave-post-rope",
    "rave-key-only",
    "rave-query-only",
    "rave-gate",
    "rave-scalar",
    "rave-all-keys",
    "rave-text-queries",
    "rave-shared",
    "rave-half-heads",
    "pai",
    "vaf",
    "scaling-vis",
    "adapt-vis",
    "vis-sink",
    "fastv-50",
    "gated-head",
    "softmax-off-by-one",
    "learned-sink",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("usage: gallery FOLDER")?);
    fs::create_dir_all(&folder)?;
    let plain = Plan::default();
    let long = ["a-suite-with-a-very-long-name-that-goes-on-and-on", "short"];
    let long_variants = [
        "standard",
        "my-own-preset-with-quite-a-long-name-and-then-some-more-of-it-to-be-sure",
    ];
    let plans = [
        (
            "1-variant",
            Plan {
                variants: &FIVE[..1],
                suites: &TEN[..4],
                ..plain
            },
        ),
        (
            "2-variants-1-suite",
            Plan {
                suites: &TEN[..1],
                layers: 30,
                ..plain
            },
        ),
        (
            "2-variants-untrained",
            Plan {
                suites: &TEN[..4],
                untrained: true,
                rows: 2_500,
                ..plain
            },
        ),
        (
            "5-variants-4-suites",
            Plan {
                variants: &FIVE,
                suites: &TEN[..4],
                layers: 4,
                seeds: 3,
                ..plain
            },
        ),
        (
            "5-variants-10-suites",
            Plan {
                variants: &FIVE,
                suites: &TEN,
                ..plain
            },
        ),
        (
            "20-variants-4-suites",
            Plan {
                variants: &TWENTY,
                suites: &TEN[..4],
                layers: 32,
                ..plain
            },
        ),
        (
            "long-names",
            Plan {
                model: "an-organisation/a-model-with-a-long-name-Instruct@0123456789abcdef",
                variants: &long_variants,
                suites: &long,
                ..plain
            },
        ),
        (
            "zero-untrained",
            Plan {
                zero: true,
                untrained: true,
                variants: &FIVE,
                ..plain
            },
        ),
        (
            "failed-interrupted",
            Plan {
                fails: Some("rave"),
                interrupted: true,
                variants: &FIVE[..3],
                ..plain
            },
        ),
    ];
    for (name, plan) in plans {
        draw(&folder, name, &plan)?;
    }
    Ok(())
}

/// Every chart of one made-up run, as PNG and SVG.
fn draw(folder: &Path, name: &str, plan: &Plan) -> Result<(), Box<dyn Error>> {
    let summary = Summary::from_runs(&[run(plan)], "standard")?;
    let model = &summary.models[0];
    for chart in charts(&summary, model) {
        let path = |kind: &str| folder.join(format!("{name}-{}.{kind}", chart.id()));
        fs::write(path("png"), chart.png(&summary, model)?)?;
        fs::write(path("svg"), chart.svg(&summary, model)?)?;
    }
    Ok(())
}
