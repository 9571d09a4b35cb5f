//! The report as one HTML file that needs no network: summary, charts, tables and a browser of the samples.
//!
//! The page is `html/page.html` (minijinja, everything escaped by default), `page.css` and `page.js`, all inside the one
//! file. Its content security policy allows only its own style and script, by their hashes, so that no text of a record could
//! load or run anything even if it got past the escaping.

use minijinja::{Environment, context};
use rave_results::Summary;
use rave_results::excerpt::Excerpt;
use rave_results::latency::LatencySummary;
use serde::Serialize;

use crate::charts::{self, Figure};
use crate::tables::grid::Grid;
use crate::tables::provenance::provenance;
use crate::{Artifact, Error, Evaluation, tables};

mod leaderboard;
mod pictures;
mod samples;
mod text;

use pictures::NoPictures;
pub use pictures::{Found, Pictures};
pub use samples::max_samples;

use text::{policy_hash, show_hidden};

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
const FILE: &str = "report.html";
/// How many notes are shown at the top; the others unfold.
const NOTES: usize = 5;

/// A link at the top of the page.
#[derive(Serialize)]
struct Section {
    id: String,
    name: String,
}

#[derive(Serialize)]
struct Drawing {
    title: String,
    svg: String,
}

#[derive(Serialize)]
struct Table {
    id: String,
    title: String,
    legend: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    names: usize,
}

impl Table {
    fn new(number: usize, grid: Grid) -> Self {
        let texts = |texts: Vec<String>| texts.iter().map(|text| show_hidden(text)).collect();
        Self {
            id: format!("table-{number}"),
            title: show_hidden(&grid.title),
            legend: show_hidden(&grid.legend),
            header: texts(grid.header),
            rows: grid.rows.into_iter().map(texts).collect(),
            names: grid.names,
        }
    }
}

/// What the summary says of a model.
#[derive(Serialize)]
struct Model {
    id: String,
    name: String,
    headline: Vec<String>,
    leaderboard: Vec<leaderboard::Entry>,
    score_name: String,
    has_tallies: bool,
    legend: String,
}

/// The page of an evaluation.
///
/// # Errors
/// Samples that cannot be read; a chart or a picture that cannot be drawn or encoded.
pub(crate) fn page(evaluation: &mut Evaluation) -> Result<Artifact, Error> {
    let summary = evaluation.summary;
    let excerpt = if evaluation.runs.is_empty() {
        None
    } else {
        let most = evaluation.samples.unwrap_or_else(|| max_samples(summary));
        Some(Excerpt::of(evaluation.runs, summary, most)?)
    };
    let excerpt = excerpt.as_ref();
    let models: Vec<Model> = summary
        .models
        .iter()
        .enumerate()
        .map(|(number, model)| Model {
            id: format!("model-{number}"),
            name: show_hidden(&model.name),
            headline: leaderboard::headline(summary, model),
            leaderboard: leaderboard::leaderboard(summary, model, excerpt),
            score_name: match summary.suites.as_slice() {
                [only] => show_hidden(&format!("{}, %", only.id)),
                suites => format!("mean of {} suites, %", suites.len()),
            },
            has_tallies: excerpt.is_some() && summary.variants.len() > 1,
            legend: legend(summary),
        })
        .collect();
    let mut figures: Vec<Figure> = charts::summary(summary)
        .into_iter()
        .map(|drawing| drawing.figure)
        .collect();
    let mut grids = Vec::new();
    for model in &summary.models {
        if summary.has_records(&model.name) {
            grids.extend(tables::summary::grids(summary, model));
        }
    }
    let mut provenance = provenance(summary);
    let mut notes = summary.notes();
    if let Some(latency) = evaluation.latency {
        figures.extend(charts::latency(latency));
        grids.extend(tables::latency::grids(latency));
        provenance.extend(tables::latency::provenance(latency));
        notes.extend(tables::latency::notes(latency));
    }
    figures.extend(charts::curves(evaluation.curves));
    let mut none = NoPictures;
    let pictures: &mut dyn Pictures = match &mut evaluation.pictures {
        Some(pictures) => *pictures,
        None => &mut none,
    };
    let samples = excerpt
        .filter(|excerpt| excerpt.total > 0)
        .map(|excerpt| samples::samples(summary, excerpt, evaluation.maps, pictures))
        .transpose()?;
    let runs: Vec<&str> = summary.runs.iter().map(|run| run.run.as_str()).collect();
    render(Content {
        title: show_hidden(&format!("RAVE Bench: {}", runs.join(", "))),
        notes,
        baseline: show_hidden(&summary.baseline),
        models,
        drawings: drawings(&figures)?,
        grids,
        samples,
        provenance,
    })
}

/// The page of a latency run.
///
/// # Errors
/// A chart that cannot be drawn.
pub(crate) fn latency(summary: &LatencySummary) -> Result<Artifact, Error> {
    render(Content {
        title: show_hidden(&format!("RAVE Bench, latency: {}", summary.record.run)),
        notes: tables::latency::notes(summary),
        baseline: String::new(),
        models: Vec::new(),
        drawings: drawings(&charts::latency(summary))?,
        grids: tables::latency::grids(summary),
        samples: None,
        provenance: tables::latency::provenance(summary),
    })
}

/// SVG files as they stand in the page. Their markup holds no character that [`visible`] writes out: only names do.
fn drawings(figures: &[Figure]) -> Result<Vec<Drawing>, Error> {
    let drawing = |figure: &Figure| {
        Ok(Drawing {
            title: show_hidden(&figure.title),
            svg: show_hidden(&figure.svg()?),
        })
    };
    figures.iter().map(drawing).collect()
}

/// What stands on a page, in its order.
struct Content {
    title: String,
    notes: Vec<String>,
    baseline: String,
    models: Vec<Model>,
    drawings: Vec<Drawing>,
    grids: Vec<Grid>,
    /// Data of the script, and what is said above them.
    samples: Option<(String, Vec<String>)>,
    provenance: Vec<String>,
}

fn render(content: Content) -> Result<Artifact, Error> {
    let failed = |error: minijinja::Error| Error::Text(format!("{error:#}"));
    let mut environment = Environment::new();
    environment.add_template(FILE, TEMPLATE).map_err(failed)?;
    let tables: Vec<Table> = content
        .grids
        .into_iter()
        .enumerate()
        .map(|(number, grid)| Table::new(number, grid))
        .collect();
    let section = |id: &str, name: &str, here: bool| {
        here.then(|| Section {
            id: id.into(),
            name: name.into(),
        })
    };
    let mut sections: Vec<Section> = content
        .models
        .iter()
        .map(|model| Section {
            id: model.id.clone(),
            name: format!("Summary: {}", model.name),
        })
        .collect();
    sections.extend(
        [
            section("charts", "Charts", !content.drawings.is_empty()),
            section("tables", "Tables", !tables.is_empty()),
            section("samples", "Samples", content.samples.is_some()),
            section("provenance", "Where the numbers come from", true),
        ]
        .into_iter()
        .flatten(),
    );
    let visibles = |texts: Vec<String>| -> Vec<String> {
        texts.iter().map(|text| show_hidden(text)).collect()
    };
    let page = environment
        .get_template(FILE)
        .and_then(|template| {
            template.render(context! {
                title => content.title,
                style => STYLE,
                style_hash => policy_hash(STYLE),
                script => SCRIPT,
                script_hash => policy_hash(SCRIPT),
                sections,
                notes => visibles(content.notes),
                few => NOTES,
                baseline => content.baseline,
                models => content.models,
                charts => content.drawings,
                tables,
                samples => content.samples.map(|(data, about)| context! { data, about }),
                provenance => visibles(content.provenance),
            })
        })
        .map_err(failed)?;
    Ok(Artifact::text(FILE, page))
}

fn legend(summary: &Summary) -> String {
    let confidence = summary.resampling.confidence * 100.0;
    let base = &summary.baseline;
    format!(
        "In brackets {confidence} % intervals. Better or worse: the Holm-corrected p is below 0.05 and the interval of the \
         difference has no zero; everything else is undecided. Time: median time a sample over that of {base}, as recorded \
         during the evaluation. Answers won: right where {base} is wrong, under the same seed; lost: the reverse."
    )
}
