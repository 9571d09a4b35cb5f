//! Who took part in the runs, in which order, and whether the runs may be compared.

use super::{ModelNote, SuiteNote, VariantNote};
use crate::schema::{ModelRecord, SuiteConfiguration};
use crate::{Error, Run};

/// A difference between two runs: an error, or a note if the comparison was forced.
pub(super) fn differs(
    first: &str,
    second: &str,
    reason: String,
    force: bool,
    forced: &mut Vec<String>,
) -> Result<(), Error> {
    if force {
        forced.push(format!("{first} and {second}: {reason}"));
        return Ok(());
    }
    Err(Error::Incomparable {
        first: first.into(),
        second: second.into(),
        reason,
    })
}

/// The models of the runs.
pub(super) fn models(
    runs: &[Run],
    force: bool,
    forced: &mut Vec<String>,
) -> Result<Vec<ModelNote>, Error> {
    let mut notes: Vec<(ModelNote, ModelRecord, &str)> = Vec::new();
    for run in runs {
        let id = run.record.run.as_str();
        for name in &run.record.configuration.models {
            let record = run.record.model(name).cloned().unwrap_or_default();
            let adapters: Vec<String> = record.adapters.keys().cloned().collect();
            if let Some((note, known, first)) =
                notes.iter_mut().find(|(note, ..)| note.name == *name)
            {
                if !known.same_weights(&record) {
                    differs(
                        first,
                        id,
                        format!("model '{name}' has different weights"),
                        force,
                        forced,
                    )?;
                }
                if !known.same_decoding(&record) {
                    differs(
                        first,
                        id,
                        format!("model '{name}' was decoded under another generation config"),
                        force,
                        forced,
                    )?;
                }
                note.untrained |= record.untrained;
                note.adapters.extend(adapters);
                continue;
            }
            let note = ModelNote {
                name: name.clone(),
                sha256: record.sha256.clone(),
                family: record.family.clone(),
                parameters: record.parameters,
                untrained: record.untrained,
                adapters,
                generation: record.generation.clone(),
            };
            notes.push((note, record, id));
        }
    }
    Ok(notes.into_iter().map(|(note, ..)| note).collect())
}

/// The suites of the runs.
pub(super) fn suites(
    runs: &[Run],
    force: bool,
    forced: &mut Vec<String>,
) -> Result<Vec<SuiteNote>, Error> {
    let mut notes: Vec<(SuiteNote, String, &SuiteConfiguration, &str)> = Vec::new();
    for run in runs {
        let id = run.record.run.as_str();
        for suite in &run.record.configuration.suites {
            let data = run.record.data.get(&suite.id).cloned().unwrap_or_default();
            let note = SuiteNote {
                id: suite.id.clone(),
                version: suite.version,
                metric: suite.metric.clone(),
                metric_version: suite.metric_version,
                aggregate: suite.aggregate,
                reading: suite.reading,
                rows_used: data.rows_used,
                rows_total: data.rows_total,
            };
            let Some((first, fingerprint, asked, first_run)) =
                notes.iter().find(|(known, ..)| known.id == note.id)
            else {
                notes.push((note, data.fingerprint, suite, id));
                continue;
            };
            let what = [
                ("version", first.version != note.version),
                (
                    "metric",
                    (&first.metric, first.metric_version) != (&note.metric, note.metric_version),
                ),
                ("aggregate", first.aggregate != note.aggregate),
                ("data", *fingerprint != data.fingerprint),
                ("definition", asked.definition != suite.definition),
                (
                    "way of asking every family",
                    asked.asked_alike != suite.asked_alike,
                ),
            ];
            for (what, _) in what.into_iter().filter(|(_, different)| *different) {
                differs(
                    first_run,
                    id,
                    format!("suite '{}' has another {what}", note.id),
                    force,
                    forced,
                )?;
            }
        }
    }
    Ok(notes.into_iter().map(|(note, ..)| note).collect())
}

/// The variants of the runs, the baseline first.
pub(super) fn variants(
    runs: &[Run],
    baseline: &str,
    force: bool,
    forced: &mut Vec<String>,
) -> Result<Vec<VariantNote>, Error> {
    let mut notes: Vec<(VariantNote, &str)> = Vec::new();
    for run in runs {
        let id = run.record.run.as_str();
        for variant in &run.record.configuration.variants {
            if let Some((note, first)) = notes.iter().find(|(note, _)| note.id == variant.id) {
                if note.version != variant.version {
                    differs(
                        first,
                        id,
                        format!("variant '{}' has another version", variant.id),
                        force,
                        forced,
                    )?;
                }
                continue;
            }
            let note = VariantNote {
                id: variant.id.clone(),
                version: variant.version,
                trainable: variant.trainable,
            };
            notes.push((note, id));
        }
    }
    let mut notes: Vec<VariantNote> = notes.into_iter().map(|(note, _)| note).collect();
    let Some(position) = notes.iter().position(|note| note.id == baseline) else {
        let variants = notes.into_iter().map(|note| note.id).collect();
        return Err(Error::UnknownBaseline {
            baseline: baseline.to_string(),
            variants,
        });
    };
    notes[..=position].rotate_right(1);
    Ok(notes)
}
