//! A format and a chart of another crate, through the public seams alone.
#![allow(clippy::unwrap_used)]

use rave_reports::charts::Chart;
use rave_reports::charts::canvas::{Align, Canvas, MARGIN, Type, WIDTH};
use rave_reports::charts::palette::style;
use rave_reports::{Artifact, Document, Evaluation, Format, Kind, render};
use rave_results::Summary;
use rave_results::summary::ModelNote;

mod common;
use common::{Plan, run};

/// The variants of a summary, a line each.
const NAMES: Format = Format {
    id: "names",
    about: "the variants' names",
    evaluation: Some(|evaluation| {
        let ids = evaluation.summary.variants.iter();
        let lines: Vec<&str> = ids.map(|variant| variant.id.as_str()).collect();
        Ok(vec![Artifact {
            name: "names.txt".into(),
            bytes: lines.join("\n").into_bytes(),
        }])
    }),
    comparison: None,
    latency: None,
    paper: None,
};

/// A mark for each variant, and its score.
struct Scores;

impl Chart for Scores {
    fn id(&self) -> &'static str {
        "scores"
    }

    fn title(&self) -> &'static str {
        "Scores"
    }

    fn height(&self, summary: &Summary, _: &ModelNote) -> u32 {
        20 + 20 * summary.variants.len() as u32
    }

    fn describe(&self, _: &Summary, model: &ModelNote) -> String {
        format!("Scores of {}.", model.name)
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote) {
        for (line, variant) in (1..).zip(&summary.variants) {
            let y = 20.0 * f64::from(line);
            let (colour, mark) = style(&variant.id);
            canvas.mark(mark, (MARGIN, y), 5.0, colour);
            let score = summary.macro_cell(&model.name, &variant.id).unwrap().score;
            let text = format!("{:.3}", score.unwrap().value);
            canvas.text(&text, (MARGIN + 16.0, y), Type::LABEL, Align::Left);
        }
    }
}

#[test]
fn a_format_from_outside_is_rendered_like_a_registered_one() {
    let summary = Summary::from_runs(&[run(&Plan::default())], "standard").unwrap();
    let mut document = Document::Evaluation(Evaluation::of(&summary));
    let files = render(&mut document, &NAMES).unwrap();
    assert_eq!(files[0].bytes, b"standard\nrave");
    assert!(NAMES.makes(Kind::Evaluation) && !NAMES.makes(Kind::Comparison));
    let refused = render(&mut Document::Comparison(&summary), &NAMES).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "there is no 'names' of runs side by side"
    );
    assert_eq!(
        refused.hint().as_deref(),
        Some("choose from txt, md, csv, tex, json, svg, png")
    );
}

#[test]
fn a_chart_from_outside_is_drawn_as_svg_and_as_png() {
    let summary = Summary::from_runs(&[run(&Plan::default())], "standard").unwrap();
    let model = &summary.models[0];
    let chart: &dyn Chart = &Scores;
    assert!(chart.has(&summary, model));
    let svg = chart.svg(&summary, model).unwrap();
    let score = summary.macro_cell("nano", "rave").unwrap().score.unwrap();
    for part in [
        "<title>Scores: nano</title>".to_owned(),
        "<desc>Scores of nano.</desc>".to_owned(),
        format!("\n{:.3}\n", score.value),
    ] {
        assert!(svg.contains(&part), "{part} is not in {svg}");
    }
    let png = image::load_from_memory(&chart.png(&summary, model).unwrap()).unwrap();
    assert_eq!((png.width(), png.height()), (2 * WIDTH, 2 * 60));
}
