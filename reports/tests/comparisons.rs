//! The paper's table and runs side by side: every format as it reads, and the same bytes for the same records.
#![allow(clippy::unwrap_used)]

use rave_reports::{Artifact, Document, FORMATS, Kind, TerminalStyle, latency_comparison, render};
use rave_results::latency::LatencyComparison;
use rave_results::paper::paper_table;
use rave_results::schema::AdapterRecord;
use rave_results::statistics::Resampling;
use rave_results::summary::Options;
use rave_results::{Run, compare};

mod common;
use common::stored::latency::latency;
use common::{Plan, files, format, run};

/// A run with trained variants, one that nobody trained, two kinds of suites and two seeds.
fn trained() -> Run {
    let mut run = run(&Plan {
        suites: &["ocr", "embedded-general"],
        variants: &["standard", "rave", "rave-post-rope", "rave-all-keys"],
        seeds: 2,
        ..Plan::default()
    });
    let model = &mut run.record.models[0];
    model.parameters = 1_409_024;
    for variant in &mut run.record.configuration.variants {
        variant.trainable = variant.id != "standard";
        if variant.trainable && variant.id != "rave-all-keys" {
            let adapter = AdapterRecord {
                parameters: 6_144,
                ..AdapterRecord::default()
            };
            model.adapters.insert(variant.id.clone(), adapter);
        }
    }
    run
}

fn file(files: &[Artifact], name: &str) -> String {
    let found = files.iter().find(|file| file.name == name).unwrap();
    String::from_utf8(found.bytes.clone()).unwrap()
}

fn paper_files(format: &str) -> Vec<Artifact> {
    let latency = [latency("latency", 1.01, 1.03)];
    let table = paper_table(&[trained()], &latency, &Resampling::default()).unwrap();
    files(Document::Paper(&table), format)
}

#[test]
fn the_papers_table_as_text() {
    insta::assert_snapshot!(file(&paper_files("txt"), "paper-table.txt"));
}

#[test]
fn the_papers_table_as_a_page() {
    insta::assert_snapshot!(file(&paper_files("md"), "paper-table.md"));
}

#[test]
fn the_papers_table_as_latex() {
    insta::assert_snapshot!(file(&paper_files("tex"), "paper-table.tex"));
}

#[test]
fn the_papers_table_as_lines() {
    let files = paper_files("csv");
    insta::assert_snapshot!(file(&files, "claims.csv"));
    // Three suites with their average, four variants, and the header.
    assert_eq!(file(&files, "variants.csv").lines().count(), 3 * 4 + 1);
}

#[test]
fn the_papers_table_is_the_same_every_time_and_without_runs_it_says_so() {
    for format in FORMATS.iter().filter(|format| format.makes(Kind::Paper)) {
        assert!(
            paper_files(format.id) == paper_files(format.id),
            "{}",
            format.id
        );
    }
    let json = file(&paper_files("json"), "paper-table.json");
    assert!(
        json.contains("\"verdict\": \"not-measured\"") && json.contains("\"smallest_detectable\"")
    );
    let table = paper_table(&[], &[latency("latency", 1.3, 1.0)], &Resampling::default()).unwrap();
    let text = file(&files(Document::Paper(&table), "txt"), "paper-table.txt");
    assert!(text.contains("! no run of trained weights"), "{text}");
    assert!(
        text.contains("CONTRADICTED on nano (latency)") && text.contains("NOT MEASURED"),
        "{text}"
    );
    assert_eq!(files(Document::Paper(&table), "csv").len(), 1);
    let refused = render(&mut Document::Paper(&table), format("svg")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "there is no 'svg' of the paper's table"
    );
    assert_eq!(
        refused.hint().as_deref(),
        Some("choose from txt, md, csv, tex, json")
    );
}

#[test]
fn names_cannot_break_latex() {
    let odd = Plan {
        variants: &["standard", "50%_a&b\\{x}#~^$"],
        ..Plan::default()
    };
    let table = paper_table(&[run(&odd)], &[], &Resampling::default()).unwrap();
    let page = file(&files(Document::Paper(&table), "tex"), "paper-table.tex");
    assert!(
        page.contains(
            "50\\%\\_a\\&b\\textbackslash{}\\{x\\}\\#\\textasciitilde{}\\textasciicircum{}\\$ &"
        ),
        "{page}"
    );
}

#[test]
fn runs_side_by_side() {
    let plan = |variants| Plan {
        suites: &["ocr"],
        variants,
        ..Plan::default()
    };
    let mut runs = [
        run(&plan(&["standard", "rave"])),
        run(&plan(&["standard", "rave", "pai"])),
    ];
    for (run, name) in runs.iter_mut().zip(["before", "after"]) {
        run.record.run = name.into();
    }
    runs[1].record.models[0].sha256 = "cd".into();
    let options = Options {
        baseline: "before".into(),
        resampling: Resampling::default(),
        force: false,
    };
    let summary = compare(&runs, &options).unwrap();
    insta::assert_snapshot!(Document::Comparison(&summary).terminal(TerminalStyle::PLAIN));
}

#[test]
fn latency_runs_side_by_side() {
    let runs = [latency("before", 1.2, 1.05), latency("after", 1.01, 1.0)];
    let comparison = LatencyComparison::of(&runs, &Resampling::default(), false).unwrap();
    insta::assert_snapshot!(latency_comparison(&comparison, TerminalStyle::PLAIN));
    let mut other = runs;
    other[1].record.model.sha256 = "cd".into();
    other[1].record.configuration.new_tokens = 9;
    let refused = LatencyComparison::of(&other, &Resampling::default(), false).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("runs 'before' and 'after' cannot be compared: checkpoint"),
        "{refused}"
    );
    let forced = LatencyComparison::of(&other, &Resampling::default(), true).unwrap();
    let text = latency_comparison(&forced, TerminalStyle::PLAIN);
    assert!(
        text.contains(
            "! forced comparison of unequal runs: before and after: answers have 9 and not 5 tokens"
        ),
        "{text}"
    );
}
