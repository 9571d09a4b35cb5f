//! Runs side by side that hold the same samples: each variant of each run stands for itself.
//!
//! Runs that complement each other (other variants, seeds or suites of the same weights) make one summary, as
//! [`Summary::with_options`] does. Runs that overlap, or whose weights differ under one name, cannot: `rave` of one run is then
//! another thing than `rave` of the next. They are set side by side with the run before the variant's name, `RUN:rave`, paired by
//! sample and seed. Other weights are what is compared there and no obstacle; other data, prompts or metric versions are.
//!
//! What each is compared with (`--baseline`):
//! - `standard`, a variant: every run's variants with that variant of the same run;
//! - `RUN`: every variant with the same variant of that run;
//! - `RUN:standard`: everything with that one.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::schema::{ModelRecord, RunRecord, sha256_hex};
use crate::store::Attention;
use crate::summary::{Options, correct};
use crate::{Error, Run, Summary};

/// Summarises runs side by side; see above for when and how.
///
/// # Errors
/// As [`Summary::with_options`]; a baseline that no run, or not every run, holds; the same run twice.
pub fn compare(runs: &[Run], options: &Options) -> Result<Summary, Error> {
    let names = names(runs)?;
    let asks_for_a_run = names
        .iter()
        .any(|name| options.baseline == *name || options.baseline.starts_with(&format!("{name}:")));
    if runs.len() < 2 || !(asks_for_a_run || overlap(runs)) {
        return Summary::with_options(runs, options);
    }
    side_by_side(runs, &names, options)
}

/// The names of the runs: their ids, or those of their folders where ids are the same, or else the folders.
fn names(runs: &[Run]) -> Result<Vec<String>, Error> {
    let id = |run: &Run| run.record.run.clone();
    let last = |run: &Run| {
        let name = run.folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let folder = |run: &Run| run.folder.display().to_string();
    let kinds: [&dyn Fn(&Run) -> String; 3] = [&id, &last, &folder];
    for kind in kinds {
        let names: Vec<String> = runs.iter().map(kind).collect();
        if names.iter().collect::<HashSet<_>>().len() == names.len() {
            return Ok(names);
        }
    }
    let twice = runs.iter().enumerate().find(|(index, run)| {
        runs[..*index]
            .iter()
            .any(|other| other.folder == run.folder)
    });
    Err(Error::SameRun {
        folder: twice.map_or_else(Default::default, |(_, run)| run.folder.clone()),
    })
}

/// Whether two runs hold the same sample, or other weights or another decoding under one name.
fn overlap(runs: &[Run]) -> bool {
    let mut models: Vec<&ModelRecord> = Vec::new();
    let mut seen: HashSet<(&str, &str, &str, &str, u64)> = HashSet::new();
    for run in runs {
        for model in &run.record.models {
            let mut known = models.iter().filter(|known| known.name == model.name);
            if known.any(|known| !known.same_weights(model) || !known.same_decoding(model)) {
                return true;
            }
        }
        models.extend(&run.record.models);
        let names = &run.scores.names;
        let mut own = HashSet::new();
        for row in &run.scores.rows {
            own.insert((
                names.of(row.model),
                names.of(row.variant),
                names.of(row.suite),
                names.of(row.sample),
                row.seed,
            ));
        }
        if own.iter().any(|key| seen.contains(key)) {
            return true;
        }
        seen.extend(own);
    }
    false
}

/// A variant of a model of a run, and its name among all of them.
struct RunVariant {
    label: String,
    run: usize,
    model: String,
    variant: String,
}

fn side_by_side(runs: &[Run], names: &[String], options: &Options) -> Result<Summary, Error> {
    let run_variants = run_variants(runs, names);
    let baselines = baselines(&run_variants, names, &options.baseline)?;
    let joined = joined(runs, names, &run_variants);
    let against = |baseline: &str, runs: &[Run]| {
        Summary::with_options(
            runs,
            &Options {
                baseline: baseline.to_owned(),
                ..options.clone()
            },
        )
    };
    // All at once: whether the runs may be compared, and every score. The differences are put in below.
    let first = &run_variants[0].label;
    let mut whole = against(first, &joined)?;
    let all: Vec<String> = run_variants.iter().map(|own| own.label.clone()).collect();
    whole
        .variants
        .sort_by_key(|note| all.iter().position(|label| *label == note.id));
    let mut differences: BTreeMap<String, Summary> = BTreeMap::new();
    for baseline in baselines.values().flatten().collect::<BTreeSet<_>>() {
        let group = |label: &str| {
            label == baseline || baselines[label].as_ref().is_some_and(|own| own == baseline)
        };
        let runs: Vec<Run> = joined.iter().map(|run| only(run, &group)).collect();
        differences.insert(baseline.clone(), against(baseline, &runs)?);
    }
    take_differences(&mut whole, &baselines, &differences);
    whole.baseline = match names.iter().position(|name| *name == options.baseline) {
        Some(run) => format!("the same variant of {}", names[run]),
        None if options.baseline.contains(':') => options.baseline.clone(),
        None => format!("{} of the same run", options.baseline),
    };
    whole.remarks.extend(remarks(runs, names));
    whole
        .remarks
        .extend(pairings(&run_variants, &baselines, &whole));
    Ok(whole)
}

/// Every variant of every model and run, in the order of the runs.
fn run_variants(runs: &[Run], names: &[String]) -> Vec<RunVariant> {
    let mut run_variants = Vec::new();
    for (run, record) in runs.iter().map(|run| &run.record).enumerate() {
        let asked = &record.configuration;
        for model in &asked.models {
            for variant in &asked.variants {
                let place = if asked.models.len() > 1 {
                    format!("{}:{model}", names[run])
                } else {
                    names[run].clone()
                };
                run_variants.push(RunVariant {
                    label: format!("{place}:{}", variant.id),
                    run,
                    model: model.clone(),
                    variant: variant.id.clone(),
                });
            }
        }
    }
    run_variants
}

/// What each is compared with, by label; `None` for what is itself a baseline, or has none.
fn baselines(
    run_variants: &[RunVariant],
    names: &[String],
    asked: &str,
) -> Result<BTreeMap<String, Option<String>>, Error> {
    let unknown = |known: Vec<String>| Error::UnknownBaseline {
        baseline: asked.to_owned(),
        variants: known,
    };
    let labels = || {
        run_variants
            .iter()
            .map(|own| own.label.clone())
            .collect::<Vec<_>>()
    };
    let run = names.iter().position(|name| name == asked);
    let mut found = BTreeMap::new();
    for own in run_variants {
        let mut candidates = run_variants.iter().filter(|other| match run {
            // Another model's variant of the same name, where the run does not hold this model at all.
            Some(run) => {
                let mut there = run_variants.iter().filter(|other| other.run == run);
                let same = there.any(|other| other.model == own.model);
                other.run == run
                    && other.variant == own.variant
                    && (other.model == own.model || !same)
            }
            None if asked.contains(':') => other.label == asked,
            None => {
                (other.run, &other.model, other.variant.as_str()) == (own.run, &own.model, asked)
            }
        });
        let baseline = candidates.next();
        if baseline.is_none() && run.is_none() {
            return Err(unknown(labels()));
        }
        let other = baseline.filter(|other| other.label != own.label);
        found.insert(own.label.clone(), other.map(|other| other.label.clone()));
    }
    Ok(found)
}

/// The runs with every variant under its label, and one name for the model.
fn joined(runs: &[Run], names: &[String], run_variants: &[RunVariant]) -> Vec<Run> {
    let records = || runs.iter().map(|run| &run.record);
    let mut model_names: Vec<&str> = Vec::new();
    for name in records().flat_map(|record| &record.configuration.models) {
        if !model_names.contains(&name.as_str()) {
            model_names.push(name);
        }
    }
    let model = model_names.join(" + ");
    let mut hashes: Vec<&str> = records()
        .flat_map(|record| &record.models)
        .map(|model| model.sha256.as_str())
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    // Of one checkpoint its hash, of several that of their hashes.
    let sha256 = match hashes.as_slice() {
        [one] => (*one).to_owned(),
        several => sha256_hex(several.join("\n").as_bytes()),
    };
    let relabelled = |(index, run): (usize, &Run)| {
        let own: Vec<&RunVariant> = run_variants.iter().filter(|own| own.run == index).collect();
        let label = |model: &str, variant: &str| {
            let found = own
                .iter()
                .find(|own| own.model == model && own.variant == variant);
            found.map_or_else(|| variant.to_owned(), |own| own.label.clone())
        };
        let mut run = run.clone();
        run.record = record_of(&run.record, &own, &model, &sha256);
        run.record.run.clone_from(&names[index]);
        for remark in &mut run.remarks {
            *remark = format!("{}: {remark}", names[index]);
        }
        run.scores.relabel(&model, label);
        // Each run's own report has its probes.
        run.attention = Attention::default();
        run
    };
    runs.iter().enumerate().map(relabelled).collect()
}

/// A run's record with its variants as variants of one model.
fn record_of(record: &RunRecord, own: &[&RunVariant], model: &str, sha256: &str) -> RunRecord {
    let mut joined = record.clone();
    let asked = &record.configuration;
    let variants = own.iter().filter_map(|own| {
        let mut variant = asked
            .variants
            .iter()
            .find(|known| known.id == own.variant)?
            .clone();
        variant.id.clone_from(&own.label);
        Some(variant)
    });
    joined.configuration.variants = variants.collect();
    joined.configuration.models = vec![model.to_owned()];
    let mut one = ModelRecord {
        name: model.to_owned(),
        sha256: sha256.to_owned(),
        checkpoints: BTreeMap::new(),
        adapters: BTreeMap::new(),
        // The remarks tell where they differ.
        generation: None,
        ..record.models.first().cloned().unwrap_or_default()
    };
    for known in &record.models {
        one.untrained |= known.untrained;
        for own in own.iter().filter(|own| own.model == known.name) {
            if let Some(adapter) = known.adapters.get(&own.variant) {
                one.adapters.insert(own.label.clone(), adapter.clone());
            }
        }
    }
    joined.models = vec![one];
    joined
}

/// The run with those variants alone.
fn only(run: &Run, keep: &dyn Fn(&str) -> bool) -> Run {
    let mut run = run.clone();
    run.record
        .configuration
        .variants
        .retain(|variant| keep(&variant.id));
    run.scores.retain(keep);
    run
}

/// Puts the differences of each group into the summary of all, and corrects over all variants.
fn take_differences(
    whole: &mut Summary,
    baselines: &BTreeMap<String, Option<String>>,
    groups: &BTreeMap<String, Summary>,
) {
    let group_of = |label: &str| groups.get(baselines.get(label)?.as_ref()?);
    for cell in &mut whole.cells {
        let own = group_of(&cell.variant)
            .and_then(|group| group.cell(&cell.model, &cell.suite, &cell.variant));
        cell.difference = own.and_then(|own| own.difference);
        for score in &mut cell.by_seed {
            score.difference = own.and_then(|own| {
                own.by_seed
                    .iter()
                    .find(|known| known.seed == score.seed)?
                    .difference
            });
        }
    }
    for cell in &mut whole.macros {
        let own =
            group_of(&cell.variant).and_then(|group| group.macro_cell(&cell.model, &cell.variant));
        cell.difference = own.and_then(|own| own.difference);
        cell.reading_contrast = own.and_then(|own| own.reading_contrast);
        for score in &mut cell.by_seed {
            score.difference = own.and_then(|own| {
                own.by_seed
                    .iter()
                    .find(|known| known.seed == score.seed)?
                    .difference
            });
        }
    }
    for suite in &whole.suites {
        let own = whole.cells.iter_mut().filter(|cell| cell.suite == suite.id);
        correct(own.filter_map(|cell| cell.difference.as_mut()).collect());
    }
    let averages = whole.macros.iter_mut();
    correct(
        averages
            .filter_map(|cell| cell.difference.as_mut())
            .collect(),
    );
}

/// Which variants are compared with those of another model, and which with nothing.
fn pairings(
    run_variants: &[RunVariant],
    baselines: &BTreeMap<String, Option<String>>,
    whole: &Summary,
) -> Vec<String> {
    let mut remarks = Vec::new();
    let is_baseline = |label: &str| baselines.values().flatten().any(|own| own == label);
    for own in run_variants {
        let label = &own.label;
        let Some(baseline) = baselines.get(label).and_then(Option::as_ref) else {
            if !is_baseline(label) {
                remarks.push(format!(
                    "{label}: the baseline does not hold this variant; its scores are compared with nothing"
                ));
            }
            continue;
        };
        let other = run_variants.iter().find(|other| other.label == *baseline);
        if let Some(other) = other.filter(|other| other.model != own.model) {
            remarks.push(format!(
                "{label} ({}) is compared with {baseline} ({}): what differs is the model",
                own.model, other.model
            ));
        }
        let mut cells = whole.cells.iter().filter(|cell| cell.variant == *label);
        if cells.all(|cell| cell.difference.is_none()) {
            remarks.push(format!(
                "{label} and {baseline} have no answer to the same sample under the same seed: they are not compared"
            ));
        }
    }
    remarks
}

/// What the runs do not share and may all the same.
fn remarks(runs: &[Run], names: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    let first = &runs[0].record;
    for (run, name) in runs.iter().zip(names).skip(1) {
        for model in &run.record.models {
            let known = first.model(&model.name);
            if known.is_some_and(|known| !known.same_weights(model)) {
                remarks.push(format!(
                    "{} has other weights in {name} than in {}: what differs is weights as well as attention",
                    model.name, names[0]
                ));
            }
            if known.is_some_and(|known| !known.same_decoding(model)) {
                remarks.push(format!(
                    "{} followed another generation config in {name} than in {}: what differs is decoding as well as attention",
                    model.name, names[0]
                ));
            }
        }
        for (suite, data) in &run.record.data {
            let known = first.data.get(suite).map(|known| known.rows_used);
            if let Some(known) = known.filter(|known| *known != data.rows_used) {
                remarks.push(format!(
                    "{suite}: {name} took {} rows and {} took {known}: scores are each run's own, differences of the rows that both took",
                    data.rows_used, names[0]
                ));
            }
        }
    }
    remarks
}
