//! Gathers the runs: who took part, in which order, and whether they may be compared; then one table a model and suite.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::cells::{Sample, SuiteTable};
use super::{FailedSample, ModelNote, Options, RunNote, SuiteNote, Summary, VariantNote};
use crate::latency::LatencyRun;
use crate::schema::{CodeVersion, Counts, Machine, ModelRecord, RunRecord, SuiteConfiguration};
use crate::store::{Names, ScoreRow};
use crate::{Error, Run};

/// A summary of `runs`.
pub(super) fn summary(runs: &[Run], options: &Options) -> Result<Summary, Error> {
    if runs.is_empty() {
        return Err(Error::NoRuns);
    }
    let mut forced = Vec::new();
    let models = models(runs, options.force, &mut forced)?;
    let suites = suites(runs, options.force, &mut forced)?;
    let variants = variants(runs, &options.baseline, options.force, &mut forced)?;
    let tables = tables(runs, options.force, &mut forced)?;
    let (mut cells, macros) = super::cells::cells(&tables, &models, &suites, &variants, options);
    for cell in &mut cells {
        cell.due = due(runs, &cell.model, &cell.suite, &cell.variant);
    }
    let attention = super::attention::attention(runs, &models, &suites, &variants, options);
    let failures = failures(runs, &models, &suites, &variants);
    Ok(Summary {
        baseline: options.baseline.clone(),
        runs: runs.iter().map(RunNote::of).collect(),
        models,
        variants,
        suites,
        cells,
        failures,
        macros,
        attention,
        resampling: options.resampling,
        forced,
        remarks: runs.iter().flat_map(|run| run.remarks.clone()).collect(),
    })
}

/// Samples that the runs were to take of a cell, over all of them and their seeds.
fn due(runs: &[Run], model: &str, suite: &str, variant: &str) -> usize {
    runs.iter()
        .filter(|run| {
            let asked = &run.record.configuration;
            asked.models.iter().any(|name| name == model)
                && asked.suites.iter().any(|known| known.id == suite)
                && asked.variants.iter().any(|known| known.id == variant)
        })
        .filter_map(|run| Some(run.record.data.get(suite)?.rows_used * run.record.seeds_of(model)))
        .sum()
}

/// Model, suite, sample, seed, error; the first two by their place in the report.
type FailureKey<'a> = (usize, usize, &'a str, u64, &'a str);

/// The samples without a score, with the variants under which they have none.
fn failures(
    runs: &[Run],
    models: &[ModelNote],
    suites: &[SuiteNote],
    variants: &[VariantNote],
) -> Vec<FailedSample> {
    let mut found: BTreeMap<FailureKey, Vec<usize>> = BTreeMap::new();
    for run in runs {
        let names = names_of(run);
        let place = |row: &ScoreRow| {
            let (model, suite) = (names.of(row.model), names.of(row.suite));
            let variant = names.of(row.variant);
            Some((
                models.iter().position(|known| known.name == model)?,
                suites.iter().position(|known| known.id == suite)?,
                variants.iter().position(|known| known.id == variant)?,
            ))
        };
        for row in &run.scores.rows {
            if let (Some(failure), Some((model, suite, variant))) = (row.failure, place(row)) {
                let key = (
                    model,
                    suite,
                    names.of(row.sample),
                    row.seed,
                    names.of(failure.whole),
                );
                found.entry(key).or_default().push(variant);
            }
        }
    }
    let failure = |((model, suite, sample, seed, error), mut own): (FailureKey, Vec<usize>)| {
        own.sort_unstable();
        FailedSample {
            model: models[model].name.clone(),
            suite: suites[suite].id.clone(),
            sample: sample.to_string(),
            seed,
            variants: own
                .into_iter()
                .map(|index| variants[index].id.clone())
                .collect(),
            error: error.into(),
        }
    };
    found.into_iter().map(failure).collect()
}

impl RunNote {
    /// Of a run of `rave eval`.
    pub(crate) fn of(run: &Run) -> Self {
        let (record, configuration) = (&run.record, &run.record.configuration);
        Self {
            run: record.run.clone(),
            config_hash: record.config_hash.clone(),
            created: record.created.to_string(),
            code: code(&record.code),
            machine: machines(record),
            precision: format!("{} on {}", configuration.dtype, configuration.device),
            interrupted: run.interrupted,
            truncated_bytes: run.truncated_bytes,
            damaged_lines: run.damaged_lines.len(),
            counts: record.counts,
        }
    }

    /// Of a run of `rave latency`, which has no samples to count.
    pub(crate) fn of_latency(run: &LatencyRun) -> Self {
        let (record, configuration) = (&run.record, &run.record.configuration);
        Self {
            run: record.run.clone(),
            config_hash: record.config_hash.clone(),
            created: record.created.to_string(),
            code: code(&record.code),
            machine: machine(&record.machine),
            precision: format!("{} on {}", configuration.dtype, configuration.device),
            interrupted: record.finished.is_none(),
            truncated_bytes: 0,
            damaged_lines: 0,
            counts: Counts::default(),
        }
    }
}

fn code(code: &CodeVersion) -> String {
    let commit = code.commit.as_deref();
    let commit = commit.map_or(String::new(), |commit| format!(" ({commit})"));
    format!("{}{commit}", code.version)
}

/// The machine of a run, or the different ones of the shards that it was joined of.
fn machines(record: &RunRecord) -> String {
    let mut names = vec![machine(&record.machine)];
    for part in &record.merged_from {
        let name = machine(&part.machine);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join("; ")
}

fn machine(machine: &Machine) -> String {
    let gpu = machine.gpu.as_deref();
    let gpu = gpu.map_or(String::new(), |gpu| format!(", {gpu}"));
    format!("{}, {} cores{gpu}", machine.cpu, machine.cores)
}

/// Lets a difference between runs pass if that was forced, and notes it.
fn differs(
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

fn models(runs: &[Run], force: bool, forced: &mut Vec<String>) -> Result<Vec<ModelNote>, Error> {
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

fn suites(runs: &[Run], force: bool, forced: &mut Vec<String>) -> Result<Vec<SuiteNote>, Error> {
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

fn variants(
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

/// The records by (model, suite), with samples, clusters and categories numbered in the order of their names, so that
/// the order of recording leaves no trace.
fn tables(
    runs: &[Run],
    force: bool,
    forced: &mut Vec<String>,
) -> Result<BTreeMap<(String, String), SuiteTable>, Error> {
    let mut grouped: BTreeMap<(String, String), Vec<(&Run, &ScoreRow)>> = BTreeMap::new();
    for run in runs {
        let names = &run.scores.names;
        // Few distinct pairs: look the key up by number, not by string.
        let mut keys: HashMap<(u32, u32), Vec<(&Run, &ScoreRow)>> = HashMap::new();
        for row in &run.scores.rows {
            keys.entry((row.model, row.suite))
                .or_default()
                .push((run, row));
        }
        for ((model, suite), rows) in keys {
            let key = (names.of(model).to_string(), names.of(suite).to_string());
            grouped.entry(key).or_default().extend(rows);
        }
    }
    let mut tables = BTreeMap::new();
    for (key, rows) in grouped {
        let table = suite_table(&rows, &key.1, force, forced)?;
        tables.insert(key, table);
    }
    Ok(tables)
}

fn suite_table(
    rows: &[(&Run, &ScoreRow)],
    suite: &str,
    force: bool,
    forced: &mut Vec<String>,
) -> Result<SuiteTable, Error> {
    let ranked = |of: &dyn Fn(&ScoreRow) -> u32| -> BTreeMap<&str, usize> {
        let distinct: HashSet<&str> = rows
            .iter()
            .map(|(run, row)| names_of(run).of(of(row)))
            .collect();
        let mut sorted: Vec<&str> = distinct.into_iter().collect();
        sorted.sort_unstable();
        sorted
            .into_iter()
            .enumerate()
            .map(|(rank, name)| (name, rank))
            .collect()
    };
    let (images, categories) = (ranked(&|row| row.image), ranked(&|row| row.category));
    let mut keys: Vec<(&str, u64)> = rows
        .iter()
        .map(|(run, row)| (names_of(run).of(row.sample), row.seed))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let positions: HashMap<(&str, u64), usize> = keys
        .iter()
        .enumerate()
        .map(|(rank, key)| (*key, rank))
        .collect();
    let mut seeds: Vec<u64> = rows.iter().map(|(_, row)| row.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let mut table = SuiteTable {
        images: images.len(),
        seeds,
        categories: categories.keys().map(ToString::to_string).collect(),
        samples: vec![None; keys.len()],
        columns: BTreeMap::new(),
    };
    // By sample, whatever the seed: runs of other seeds have to ask the same of the same picture, too.
    let mut asked: HashMap<&str, (&str, &str, (usize, usize))> = HashMap::new();
    let mut told = false;
    for (run, row) in rows {
        let names = names_of(run);
        let position = positions[&(names.of(row.sample), row.seed)];
        let sample = Sample {
            image: images[names.of(row.image)],
            category: categories[names.of(row.category)],
            seed: table.seeds.partition_point(|seed| *seed < row.seed),
        };
        let prompt = names.of(row.prompt);
        let place = (sample.image, sample.category);
        let (first_run, first_prompt, first_place) = *asked
            .entry(names.of(row.sample))
            .or_insert((&run.record.run, prompt, place));
        table.samples[position].get_or_insert(sample);
        let moved = first_place != place;
        if (first_prompt != prompt || moved) && !told {
            told = true;
            let what = if moved { "image or category" } else { "prompt" };
            let reason = format!(
                "suite '{suite}' has another {what} for sample '{}'",
                names.of(row.sample)
            );
            differs(first_run, &run.record.run, reason, force, forced)?;
        }
        let column = table
            .columns
            .entry(names.of(row.variant).to_string())
            .or_insert_with(|| vec![None; keys.len()]);
        let reason = row
            .failure
            .map(|failure| names.of(failure.kind).to_string());
        if column[position].replace((**row, reason)).is_some() {
            let key = format!(
                "{}/{suite}/{}/{}/seed {}",
                names.of(row.model),
                names.of(row.variant),
                names.of(row.sample),
                row.seed
            );
            return Err(Error::DuplicateSample {
                folder: run.folder.clone(),
                key,
            });
        }
    }
    Ok(table)
}

fn names_of(run: &Run) -> &Names {
    &run.scores.names
}
