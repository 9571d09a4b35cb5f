//! The HTML report of stored runs: what it says, that nothing in a record can act, and the same bytes for the same records.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use image::RgbImage;
use rave_reports::charts::Curve;
use rave_reports::html::{Found, Pictures};
use rave_reports::{Document, Evaluation};
use rave_results::maps::{AttentionMaps, VariantMap};
use rave_results::training::Row;
use rave_results::{SampleRecord, Summary};
use serde_json::Value;

mod common;
use common::{HOSTILE, Plan, files, hostile, store};

/// Pictures of one colour, with a box; none of charts.
struct Plain;

impl Pictures for Plain {
    fn find(&mut self, suite: &str, sample: &str) -> Result<Found, String> {
        if suite == "chart" {
            return Err("No pictures of charts here.".into());
        }
        Ok(Found {
            question: format!("What is {sample}?"),
            picture: RgbImage::from_pixel(32, 16, image::Rgb([200, 100, 0])),
            boxes: vec![[0.25, 0.5, 0.75, 1.0]],
        })
    }
}

/// The page of an evaluation.
fn page(evaluation: Evaluation) -> String {
    let [page] = files(Document::Evaluation(evaluation), "html")
        .try_into()
        .unwrap();
    assert_eq!(page.name, "report.html");
    String::from_utf8(page.bytes).unwrap()
}

/// The page of a plan whose samples `texts` has changed.
fn made(plan: &Plan, most: Option<usize>, texts: impl Fn(&mut SampleRecord)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = store(plan, Path::new(&folder.path().join("made-up")), texts);
    let summary = Summary::from_runs(std::slice::from_ref(&run), "standard").unwrap();
    page(Evaluation {
        runs: &[run],
        samples: most,
        pictures: Some(&mut Plain),
        ..Evaluation::of(&summary)
    })
}

fn ten() -> Plan<'static> {
    Plan {
        samples: 5,
        rows: 5,
        ..Plan::default()
    }
}

/// What the page's script reads.
fn data(page: &str) -> Value {
    let text = page.split("id=\"data\">").nth(1).unwrap();
    serde_json::from_str(text.split("</script>").next().unwrap()).unwrap()
}

/// The words of the page up to its charts, without markup, a line an element.
fn words(page: &str) -> String {
    let main = page.split("<main").nth(1).unwrap();
    let top = main.split("<h2 id=\"charts\">").next().unwrap();
    let texts = top
        .split('<')
        .filter_map(|part| Some(part.split_once('>')?.1.trim()));
    texts
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn ten_samples() {
    let page = made(&ten(), None, |_| ());
    insta::assert_snapshot!("summary", words(&page));
    insta::assert_snapshot!(
        "samples",
        serde_json::to_string_pretty(&data(&page)).unwrap()
    );
    assert!(
        made(&ten(), None, |_| ()) == page,
        "other bytes of the same records"
    );
}

#[test]
fn one_file_that_loads_nothing() {
    let page = made(&ten(), None, |_| ());
    assert!(page.contains("default-src 'none'; img-src data:"));
    // A name space of SVG is no address that anything is loaded from; the script is in the policy by its hash.
    let own = page.replace("http://www.w3.org/2000/svg", "");
    let markup = &own[own.find("</style>").unwrap()..own.rfind("<script>").unwrap()];
    for outside in [
        "http:",
        "https:",
        "url(",
        "@import",
        "rel=\"stylesheet\"",
        " src=",
        " onclick=",
        " style=",
    ] {
        assert!(!markup.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("<style").count(), 1);
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("'sha256-").count(), 2);
}

#[test]
fn nothing_in_a_record_is_markup() {
    let variants = ["standard", HOSTILE];
    let plan = Plan {
        variants: &variants,
        model: HOSTILE,
        fails: Some(HOSTILE),
        ..ten()
    };
    let page = made(&plan, None, hostile);
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(
        !page.contains("<img") && !page.contains("stolen=1\""),
        "an element of a record"
    );
    // What turns the direction of its surroundings or cannot be seen is written out, wherever it stands.
    for hidden in ['\u{202E}', '\u{0}', '\u{7}', '\u{2028}'] {
        assert!(!page.contains(hidden), "{hidden:?}");
    }
    let data = data(&page);
    let said = data["samples"][0]["answers"][0][0][0].as_str().unwrap();
    assert!(
        said.contains("</script><script>stolen=1</script>"),
        "{said}"
    );
    assert!(
        said.contains("⟨U+202E⟩") && said.contains("⟨U+0000⟩"),
        "{said}"
    );
    assert_eq!(
        data["variants"][1].as_str().unwrap(),
        HOSTILE.replace('\u{202E}', "⟨U+202E⟩")
    );
}

#[test]
fn a_large_run_shows_a_choice_and_says_so() {
    let plan = Plan {
        samples: 60,
        rows: 60,
        fails: Some("rave"),
        ..Plan::default()
    };
    let page = made(&plan, Some(30), |_| ());
    assert!(page.contains("Here are 30 of 120 samples"));
    let data = data(&page);
    let samples = data["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 30);
    let of_suite = |suite: u64| {
        samples
            .iter()
            .filter(|sample| sample["suite"] == suite)
            .count()
    };
    assert_eq!((of_suite(0), of_suite(1)), (15, 15));
    // Every sample of the first suite lacks a score under rave, so the half that tells variants apart takes the rest as well.
    let mut ids: Vec<&str> = samples
        .iter()
        .map(|sample| sample["id"].as_str().unwrap())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    assert!(ids.len() == all && ids.windows(2).filter(|pair| pair[0] == pair[1]).count() < 15);
    // Counted over all samples, not over the choice.
    let everything = made(&plan, None, |_| ());
    let won = |page: &str| page.split("data-show=\"won\"").nth(1).unwrap()[..80].to_owned();
    assert_eq!(won(&page), won(&everything));
}

#[test]
fn a_page_of_nothing_of_one_variant_and_of_a_broken_run_says_so() {
    let cases = [
        (
            Plan {
                samples: 0,
                rows: 5,
                interrupted: true,
                ..ten()
            },
            vec![
                "no samples: the runs hold no record of any",
                "No sample was recorded",
                "interrupted: run made-up",
            ],
        ),
        (
            Plan {
                variants: &["standard"],
                ..ten()
            },
            vec!["One variant, standard: there is nothing to compare it with. It scores"],
        ),
        (
            Plan {
                fails: Some("rave"),
                interrupted: true,
                ..ten()
            },
            vec![
                "interrupted: run made-up has no end; these are its 20 samples",
                "5 of 5 samples of ocr under rave",
                "No variant has a score on every suite together with standard",
                "not every suite has a score",
                "not compared",
                "out of memory: 3 GiB asked",
            ],
        ),
        (
            Plan {
                untrained: true,
                ..ten()
            },
            vec![
                "untrained: nano has seeded random weights",
                "The weights are seeded random ones",
            ],
        ),
    ];
    for (plan, phrases) in cases {
        let page = made(&plan, None, |_| ());
        for phrase in phrases {
            assert!(page.contains(phrase), "{phrase}\n{}", words(&page));
        }
        let main = page.split("<main").nth(1).unwrap();
        assert!(!main.split("<script>").next().unwrap().contains("NaN"));
    }
}

#[test]
fn attention_lies_over_the_picture_it_belongs_to() {
    let map = |sample: &str, share: f64| AttentionMaps {
        model: "nano".into(),
        suite: Some("ocr".into()),
        sample: Some(sample.into()),
        seed: Some(1),
        variants: vec![VariantMap {
            variant: "rave".into(),
            tokens: vec![
                ([0.0, 0.0, 0.5, 1.0], share),
                ([0.5, 0.0, 1.0, 1.0], 1.0 - share),
            ],
        }],
        ..AttentionMaps::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let run = store(&ten(), folder.path(), |_| ());
    let summary = Summary::from_runs(std::slice::from_ref(&run), "standard").unwrap();
    let data = data(&page(Evaluation {
        runs: &[run],
        samples: Some(100),
        pictures: Some(&mut Plain),
        maps: &[map("0002", 0.8), map("none", 0.5)],
        ..Evaluation::of(&summary)
    }));
    let samples = data["samples"].as_array().unwrap();
    let with: Vec<&Value> = samples
        .iter()
        .filter(|sample| !sample["maps"].is_null())
        .collect();
    assert_eq!(with.len(), 1);
    assert_eq!(with[0]["id"], "0002");
    assert_eq!(with[0]["maps"][0]["name"], "rave, seed 1");
    // The densest part is 0.85 opaque, the other a quarter of that.
    let opacity = |token: usize| with[0]["maps"][0]["tokens"][token][1].as_f64().unwrap();
    assert!((opacity(0) - 0.85).abs() < 1e-4 && (opacity(1) - 0.2125).abs() < 1e-3);
}

#[test]
fn latency_and_training_join_the_page() {
    let row = |step: u64, loss: f64| Row {
        step,
        split: "validation".into(),
        loss,
        exact: 0.5,
        ..Row::default()
    };
    let curve = |variant: &str, seed: &str| Curve {
        variant: variant.into(),
        seed: seed.into(),
        rows: vec![row(10, 0.75), row(20, 0.5)],
    };
    let summary = Summary::from_runs(&[common::run(&ten())], "standard").unwrap();
    let text = page(Evaluation {
        curves: &[curve("standard", "seed-0"), curve("rave", "seed-0")],
        ..Evaluation::of(&summary)
    });
    assert!(text.contains("How the variants were trained"));
    assert!(text.contains("rave, seed-0: loss 0.500 after 20 steps."));
}

#[test]
fn without_samples_there_is_no_browser() {
    let run = common::run(&ten());
    let summary = Summary::from_runs(&[run], "standard").unwrap();
    let text = page(Evaluation::of(&summary));
    assert!(!text.contains("id=\"data\"") && !text.contains("answers won"));
    assert!(text.contains("<svg width=\"900\""));
}
