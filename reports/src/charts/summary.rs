//! The charts of a summary: the table of all of them, and the files of those that have something to show.

use std::collections::HashSet;

use rave_results::Summary;
use rave_results::summary::ModelNote;

use super::chart::Chart;
use super::figure::Figure;

mod accuracy;
mod accuracy_against_latency;
mod accuracy_by_category;
mod attention_by_layer;
mod attention_in_box;
mod gain;
mod time_by_phase;

/// Every chart, in the order of a report.
pub static CHARTS: &[&dyn Chart] = &[
    &accuracy::Accuracy,
    &gain::Gain,
    &accuracy_against_latency::AccuracyAgainstLatency,
    &time_by_phase::TimeByPhase,
    &accuracy_by_category::AccuracyByCategory,
    &attention_by_layer::AttentionByLayer,
    &attention_in_box::AttentionInBox,
];

/// The charts that have something to show of a model.
pub fn charts(summary: &Summary, model: &ModelNote) -> Vec<&'static dyn Chart> {
    let charts = CHARTS.iter().copied();
    charts.filter(|chart| chart.has(summary, model)).collect()
}

/// A chart of a model, ready to be drawn.
pub(crate) struct Drawing<'a> {
    pub(crate) model: &'a ModelNote,
    pub(crate) chart: &'static dyn Chart,
    pub(crate) figure: Figure<'a>,
}

/// Every chart of every model that has records.
pub(crate) fn figures(summary: &Summary) -> Vec<Drawing<'_>> {
    let names = summary.models.iter().map(|model| model.name.as_str());
    let mut figures = Vec::new();
    for (model, name) in summary.models.iter().zip(distinct(names)) {
        if !summary.has_records(&model.name) {
            continue;
        }
        for chart in charts(summary, model) {
            let stem = match summary.models.len() {
                1 => chart.id().to_owned(),
                _ => format!("{}-{name}", chart.id()),
            };
            figures.push(Drawing {
                model,
                chart,
                figure: chart.figure(stem, summary, model),
            });
        }
    }
    figures
}

/// The names as parts of a file's name: only characters that every system takes, and no two alike, also where a system
/// does not tell upper from lower case. Where two become alike, the later is numbered.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
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
