//! Charts of a summary, by plotters: the same drawing as SVG and as PNG at twice the size.
//!
//! Drawn at 900 pixels' width for a README. One colour and one mark a variant in every chart ([`palette`]). A chart
//! says what a reader must know: untrained weights, failed samples, suites in part.

use std::collections::HashSet;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use plotters::prelude::{BitMapBackend, SVGBackend};
use rave_results::Summary;
use rave_results::latency::LatencySummary;
use rave_results::summary::ModelNote;
use rave_results::training::Row;

use crate::{Artifact, Error};

mod accuracy;
mod attention;
mod bands;
mod canvas;
mod categories;
mod curves;
mod gain;
pub mod heat;
mod labels;
mod latency;
mod legend;
mod lengths;
pub mod palette;
mod phases;
mod scale;
mod times;
mod training;
mod words;

use canvas::{Canvas, PIXELS};
pub use curves::Curve;
pub(crate) use legend::variants;
use words::describe;

/// A kind of chart; one file a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// Score with interval, by suite and variant.
    Accuracy,
    /// Difference to the baseline with interval, by suite and variant.
    Gain,
    /// Mean score against time a sample.
    AccuracyAgainstLatency,
    /// Time a sample by phase.
    Times,
    /// Mean score by category.
    Categories,
    /// Share of attention on visual keys, by layer.
    VisualShare,
    /// Share of the visual mass inside the answer box, by suite.
    InBox,
}

impl Chart {
    /// Every kind of chart, in the order of a report.
    pub const ALL: [Self; 7] = [
        Self::Accuracy,
        Self::Gain,
        Self::AccuracyAgainstLatency,
        Self::Times,
        Self::Categories,
        Self::VisualShare,
        Self::InBox,
    ];

    /// The charts of a model's report, in order: those that have something to show, and the first of them always.
    pub fn of(summary: &Summary, model: &ModelNote) -> Vec<Self> {
        let has = |chart: &Self| match chart {
            Self::Accuracy | Self::AccuracyAgainstLatency => true,
            Self::Gain => gain::has(summary, model),
            Self::Times => times::has(summary, model),
            Self::Categories => categories::has(summary, model),
            Self::VisualShare | Self::InBox => attention::has(summary, model, *chart),
        };
        Self::ALL.into_iter().filter(has).collect()
    }

    /// Its name in a file's name.
    pub fn id(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Gain => "gain",
            Self::AccuracyAgainstLatency => "accuracy-against-latency",
            Self::Times => "time-by-phase",
            Self::Categories => "accuracy-by-category",
            Self::VisualShare => "attention-by-layer",
            Self::InBox => "attention-in-box",
        }
    }

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accuracy => "Accuracy by suite and variant",
            Self::Gain => "Difference to the baseline by suite and variant",
            Self::AccuracyAgainstLatency => "Accuracy against latency",
            Self::Times => "Time a sample by phase",
            Self::Categories => "Accuracy by category",
            Self::VisualShare => "Attention on the picture by layer",
            Self::InBox => "Attention inside the answer box",
        }
    }
}

/// The file name of a chart: with several models, the model's name is part of it.
pub(crate) fn file_name(
    summary: &Summary,
    model: &ModelNote,
    chart: Chart,
    extension: &str,
) -> String {
    if summary.models.len() == 1 {
        return format!("{}.{extension}", chart.id());
    }
    let stems = stems(summary.models.iter().map(|model| model.name.as_str()));
    let place = summary
        .models
        .iter()
        .position(|known| known.name == model.name);
    let stem = place.map_or(model.name.as_str(), |place| stems[place].as_str());
    format!("{}-{stem}.{extension}", chart.id())
}

/// The names as parts of a file's name: no other characters than any system takes, and no two alike, also where a system
/// takes upper for lower case. Where two become alike, the later is numbered.
fn stems<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let safe = |character: char| {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_') {
            character
        } else {
            '-'
        }
    };
    let mut taken = HashSet::new();
    let mut stems = Vec::new();
    for name in names {
        let plain: String = name.chars().map(safe).collect();
        let mut stem = plain.clone();
        let mut number = 1;
        while !taken.insert(stem.to_ascii_lowercase()) {
            number += 1;
            stem = format!("{plain}-{number}");
        }
        stems.push(stem);
    }
    stems
}

/// Every chart of every model that has records.
pub(crate) fn render(summary: &Summary, pixels: bool) -> Result<Vec<Artifact>, Error> {
    let mut artifacts = Vec::new();
    for model in &summary.models {
        if !summary.cells.iter().any(|cell| cell.model == model.name) {
            continue;
        }
        for chart in Chart::of(summary, model) {
            let (extension, bytes) = if pixels {
                ("png", png(summary, model, chart)?)
            } else {
                ("svg", svg(summary, model, chart)?.into_bytes())
            };
            artifacts.push(Artifact {
                name: file_name(summary, model, chart, extension),
                bytes,
            });
        }
    }
    Ok(artifacts)
}

/// One chart as an SVG document.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn svg(summary: &Summary, model: &ModelNote, chart: Chart) -> Result<String, Error> {
    let words = (heading(model, chart), describe(summary, model, chart));
    vector(chart.id(), size(summary, model, chart), words, |canvas| {
        draw(canvas, summary, model, chart);
    })
}

/// One chart as a PNG file, at twice its nominal size.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn png(summary: &Summary, model: &ModelNote, chart: Chart) -> Result<Vec<u8>, Error> {
    bitmap(chart.id(), size(summary, model, chart), |canvas| {
        draw(canvas, summary, model, chart);
    })
}

/// The losses and what was right over the steps of a training run: `training.svg` and `training.png`.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn training(rows: &[Row], title: &str) -> Result<[Artifact; 2], Error> {
    const ID: &str = "training";
    let size = (canvas::WIDTH, training::HEIGHT);
    let last = rows.iter().rfind(|row| row.split == "validation");
    let words = last.map_or(String::new(), |row| {
        format!(
            "After {} steps: answers' loss {:.3}, {:.1} % exactly right.",
            row.step,
            row.loss,
            row.exact * 100.0
        )
    });
    let svg = vector(ID, size, (title.to_owned(), words), |canvas| {
        training::draw(canvas, rows, title);
    })?;
    let png = bitmap(ID, size, |canvas| training::draw(canvas, rows, title))?;
    Ok(files(ID, svg, png))
}

/// How a variant's own parameters moved over the steps of a training run: `training-gates.svg` and `training-gates.png`; `None` where
/// there are none, or the table is older than their norms.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn training_gates(rows: &[Row], title: &str) -> Result<Option<[Artifact; 2]>, Error> {
    const ID: &str = "training-gates";
    let moved = |row: &&Row| row.split == "train" && row.gate_weight_norm > 0.0;
    let Some(last) = rows.iter().rfind(moved) else {
        return Ok(None);
    };
    let words = format!(
        "After {} steps the variant's own parameters have a norm of {:.3}.",
        last.step, last.gate_weight_norm
    );
    let size = (canvas::WIDTH, training::HEIGHT);
    let svg = vector(ID, size, (title.to_owned(), words), |canvas| {
        training::draw_gates(canvas, rows, title);
    })?;
    let png = bitmap(ID, size, |canvas| {
        training::draw_gates(canvas, rows, title);
    })?;
    Ok(Some(files(ID, svg, png)))
}

/// How several variants were trained, seed by seed: `training-curves.svg` and `training-curves.png`.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn training_curves(curves: &[Curve], title: &str) -> Result<[Artifact; 2], Error> {
    const ID: &str = "training-curves";
    let size = (canvas::WIDTH, curves::height(curves));
    let last = |curve: &Curve| {
        let mut rows = curve.rows.iter();
        let row = rows.rfind(|row| row.split == "validation")?;
        Some(format!(
            "{}, {}: loss {:.3} after {} steps. ",
            curve.variant, curve.seed, row.loss, row.step
        ))
    };
    let words = curves.iter().filter_map(last).collect();
    let svg = vector(ID, size, (title.to_owned(), words), |canvas| {
        curves::draw(canvas, curves, title);
    })?;
    let png = bitmap(ID, size, |canvas| curves::draw(canvas, curves, title))?;
    Ok(files(ID, svg, png))
}

/// A drawn chart's two files, `{id}.svg` and `{id}.png`.
fn files(id: &str, svg: String, png: Vec<u8>) -> [Artifact; 2] {
    [
        Artifact::text(&format!("{id}.svg"), svg),
        Artifact {
            name: format!("{id}.png"),
            bytes: png,
        },
    ]
}

/// What a chart of a latency run shows.
#[derive(Clone, Copy)]
enum Latency {
    /// The phases of one cell.
    Phases((u32, u32)),
    /// Time and memory against length, at so many text tokens.
    Lengths(u32),
}

/// The charts of a latency run, each with the stem of its file and its heading.
fn latency_charts(summary: &LatencySummary) -> Vec<(Latency, String, String)> {
    let model = &summary.record.model.name;
    let cells = summary.cells();
    let mut charts = Vec::new();
    for &(image, text) in &cells {
        charts.push((
            Latency::Phases((image, text)),
            format!("latency-{image}-{text}"),
            format!("Latency by variant: {model}, {image} image + {text} text tokens"),
        ));
    }
    let mut texts: Vec<u32> = cells.iter().map(|(_, text)| *text).collect();
    texts.sort_unstable();
    texts.dedup();
    for text in texts {
        // One length is no line.
        if cells.iter().filter(|(_, own)| *own == text).count() > 1 {
            charts.push((
                Latency::Lengths(text),
                format!("latency-length-{text}"),
                format!("Prefill and memory against length: {model}, {text} text tokens"),
            ));
        }
    }
    charts
}

/// Stem of the file and heading of each chart of a latency run.
pub(crate) fn latency_files(summary: &LatencySummary) -> Vec<(String, String)> {
    let charts = latency_charts(summary).into_iter();
    charts.map(|(_, stem, title)| (stem, title)).collect()
}

/// Every chart of a latency run: phases by variant for each cell, and time and memory against length.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn latency(summary: &LatencySummary, pixels: bool) -> Result<Vec<Artifact>, Error> {
    fn draw_one<B: plotters::prelude::DrawingBackend>(
        canvas: &mut Canvas<B>,
        summary: &LatencySummary,
        chart: Latency,
        title: &str,
    ) {
        match chart {
            Latency::Phases(cell) => phases::draw(canvas, summary, cell, title),
            Latency::Lengths(text) => lengths::draw(canvas, summary, text, title),
        }
    }
    let mut artifacts = Vec::new();
    for (chart, stem, title) in latency_charts(summary) {
        let height = match chart {
            Latency::Phases(cell) => phases::height(summary, cell),
            Latency::Lengths(text) => lengths::height(summary, text),
        };
        let size = (canvas::WIDTH, height);
        artifacts.push(if pixels {
            Artifact {
                name: format!("{stem}.png"),
                bytes: bitmap("latency", size, |canvas| {
                    draw_one(canvas, summary, chart, &title);
                })?,
            }
        } else {
            let words = (
                title.clone(),
                "The table beside it has every number.".into(),
            );
            let text = vector("latency", size, words, |canvas| {
                draw_one(canvas, summary, chart, &title);
            })?;
            Artifact::text(&format!("{stem}.svg"), text)
        });
    }
    Ok(artifacts)
}

/// A drawing as an SVG document with a title and a description in words.
fn vector(
    id: &'static str,
    (width, height): (u32, u32),
    (title, words): (String, String),
    draw: impl FnOnce(&mut Canvas<SVGBackend>),
) -> Result<String, Error> {
    let failed = |reason| Error::Chart { chart: id, reason };
    canvas::register_fonts().map_err(failed)?;
    let drawn = (width * PIXELS, height * PIXELS);
    let mut text = String::new();
    let mut canvas = Canvas::new(SVGBackend::with_string(&mut text, drawn));
    draw(&mut canvas);
    canvas.finish().map_err(failed)?;
    // Drawn at twice the size for half-pixel positions; shown at the nominal size, with words for a screen reader.
    let drawn = format!("width=\"{}\" height=\"{}\"", drawn.0, drawn.1);
    let shown = format!("width=\"{width}\" height=\"{height}\" role=\"img\"");
    let mut text = text.replacen(&drawn, &shown, 1);
    if let Some(end) = text.find('>').map(|end| end + 1) {
        let words = format!(
            "\n<title>{}</title>\n<desc>{}</desc>",
            escape(&title),
            escape(&words)
        );
        text.insert_str(end, &words);
    }
    Ok(text)
}

/// A drawing as a PNG file, at twice its nominal size.
fn bitmap(
    id: &'static str,
    (width, height): (u32, u32),
    draw: impl FnOnce(&mut Canvas<canvas::Smooth>),
) -> Result<Vec<u8>, Error> {
    encoded(
        id,
        &raster(id, (width, height), draw)?,
        FilterType::NoFilter,
    )
}

/// A drawing as pixels, at twice its nominal size.
fn raster(
    id: &'static str,
    (width, height): (u32, u32),
    draw: impl FnOnce(&mut Canvas<canvas::Smooth>),
) -> Result<RgbImage, Error> {
    let failed = |reason| Error::Chart { chart: id, reason };
    canvas::register_fonts().map_err(failed)?;
    let mut picture = RgbImage::new(width * PIXELS, height * PIXELS);
    let size = picture.dimensions();
    let backend = canvas::Smooth(BitMapBackend::with_buffer(&mut picture, size));
    let mut canvas = Canvas::new(backend);
    draw(&mut canvas);
    canvas.finish().map_err(failed)?;
    Ok(picture)
}

/// Pixels as a PNG file.
fn encoded(id: &'static str, picture: &RgbImage, filter: FilterType) -> Result<Vec<u8>, Error> {
    let (width, height) = picture.dimensions();
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, filter)
        .write_image(picture, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| Error::Chart {
            chart: id,
            reason: error.to_string(),
        })?;
    Ok(bytes)
}

/// Nominal width and height.
fn size(summary: &Summary, model: &ModelNote, chart: Chart) -> (u32, u32) {
    match chart {
        Chart::Accuracy => (canvas::WIDTH, accuracy::height(summary, model)),
        Chart::Gain => (canvas::WIDTH, gain::height(summary, model)),
        Chart::AccuracyAgainstLatency => (canvas::WIDTH, latency::HEIGHT),
        Chart::Times => (canvas::WIDTH, times::height(summary, model)),
        Chart::Categories => (canvas::WIDTH, categories::height(summary, model)),
        Chart::VisualShare => (canvas::WIDTH, attention::HEIGHT),
        Chart::InBox => (canvas::WIDTH, attention::height(summary, model)),
    }
}

fn draw<B: plotters::prelude::DrawingBackend>(
    canvas: &mut Canvas<B>,
    summary: &Summary,
    model: &ModelNote,
    chart: Chart,
) {
    match chart {
        Chart::Accuracy => accuracy::draw(canvas, summary, model),
        Chart::Gain => gain::draw(canvas, summary, model),
        Chart::AccuracyAgainstLatency => latency::draw(canvas, summary, model),
        Chart::Times => times::draw(canvas, summary, model),
        Chart::Categories => categories::draw(canvas, summary, model),
        Chart::VisualShare => attention::by_layer(canvas, summary, model),
        Chart::InBox => attention::in_box(canvas, summary, model),
    }
}

fn heading(model: &ModelNote, chart: Chart) -> String {
    format!("{}: {}", chart.title(), model.name)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
