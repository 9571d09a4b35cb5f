//! Writes HTML reports of made-up runs of many shapes, for the browser test and to be looked at, or one stored run of any
//! size, to measure reports with:
//!
//! `pages FOLDER` writes the pages; `pages FOLDER SAMPLES VARIANTS` stores a run of so many samples over ten suites.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use rave_reports::html::{Found, Pictures};
use rave_reports::{Document, Evaluation, FORMATS, render};
use rave_results::Summary;

#[path = "../tests/common/mod.rs"]
mod common;
use common::{HOSTILE, Plan, hostile, store};

const TEN: [&str; 10] = [
    "ocr", "chart", "document", "scene", "general", "docvqa", "infovqa", "chartqa", "textvqa",
    "ocrbench",
];

/// A picture of stripes, another for every sample.
struct Stripes;

impl Pictures for Stripes {
    fn find(&mut self, suite: &str, sample: &str) -> Result<Found, String> {
        if suite == "general" {
            return Err("The picture is not stored with the run.".into());
        }
        let width = sample.bytes().map(u32::from).sum::<u32>() % 13 + 2;
        let shade = |x: u32, y: u32| Rgb([(x / width % 2 * 200) as u8, (y * 2) as u8, 90]);
        Ok(Found {
            question: format!("What does {sample} say?"),
            picture: RgbImage::from_fn(120, 90, shade),
            boxes: vec![[0.1, 0.2, 0.5, 0.4]],
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let usage = "usage: pages FOLDER [SAMPLES VARIANTS]";
    let folder = PathBuf::from(arguments.next().ok_or(usage)?);
    if let Some(samples) = arguments.next() {
        let variants = arguments.next().ok_or(usage)?.parse()?;
        large(&folder, samples.parse()?, variants);
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    let html = FORMATS.iter().find(|format| format.id == "html");
    let html = html.ok_or("there is no HTML format")?;
    let variants = ["standard", "rave", "rave-post-rope"];
    let plain = Plan {
        samples: 12,
        rows: 12,
        ..Plan::default()
    };
    let plans = [
        (
            "seeds",
            Plan {
                variants: &variants,
                suites: &TEN[..5],
                seeds: 3,
                layers: 4,
                ..plain
            },
        ),
        (
            "failed-interrupted",
            Plan {
                fails: Some("rave"),
                interrupted: true,
                untrained: true,
                rows: 300,
                variants: &variants,
                ..plain
            },
        ),
        (
            "one-variant",
            Plan {
                variants: &variants[..1],
                suites: &TEN[..1],
                ..plain
            },
        ),
        (
            "empty",
            Plan {
                samples: 0,
                interrupted: true,
                ..plain
            },
        ),
        (
            "hostile",
            Plan {
                model: HOSTILE,
                variants: &["standard", HOSTILE],
                fails: Some(HOSTILE),
                ..plain
            },
        ),
    ];
    for (name, plan) in plans {
        let stored = tempfile::tempdir()?;
        let run = store(&plan, &stored.path().join(name), |sample| {
            if name == "hostile" {
                hostile(sample);
            }
        });
        let summary = Summary::from_runs(std::slice::from_ref(&run), "standard")?;
        let mut document = Document::Evaluation(Evaluation {
            runs: &[run],
            pictures: Some(&mut Stripes),
            ..Evaluation::of(&summary)
        });
        for page in render(&mut document, html)? {
            fs::write(folder.join(format!("{name}.html")), page.bytes)?;
        }
    }
    Ok(())
}

/// Stores a run of `samples` samples over ten suites under each of `variants` variants.
fn large(folder: &Path, samples: usize, variants: usize) {
    let names: Vec<String> = (1..variants)
        .map(|number| format!("variant-{number}"))
        .collect();
    let variants: Vec<&str> = ["standard"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let plan = Plan {
        suites: &TEN,
        variants: &variants,
        samples: samples / TEN.len(),
        rows: samples / TEN.len(),
        ..Plan::default()
    };
    store(&plan, folder, |_| ());
}
