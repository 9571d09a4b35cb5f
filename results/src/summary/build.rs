//! The summary of runs, put together: who took part, the cells, the means over suites, the attention and the failures.

use std::collections::BTreeMap;

use super::attention::attention;
use super::averages::macro_cells;
use super::cells::suite_cells;
use super::comparable::{models, suites, variants};
use super::resamples::Distributions;
use super::table::{SuiteTable, names_of, tables};
use super::{
    Cell, FailedSample, MacroCell, ModelNote, Options, RunNote, SuiteNote, Summary, VariantNote,
};
use crate::store::ScoreRow;
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
    let (mut cells, macros) = cells(&tables, &models, &suites, &variants, options);
    for cell in &mut cells {
        cell.due = due(runs, &cell.model, &cell.suite, &cell.variant);
    }
    let attention = attention(runs, &models, &suites, &variants, options);
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

/// How many samples of a cell the runs were to take, over all runs and seeds.
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

/// All cells and the means over suites.
fn cells(
    tables: &BTreeMap<(String, String), SuiteTable>,
    models: &[ModelNote],
    suites: &[SuiteNote],
    variants: &[VariantNote],
    options: &Options,
) -> (Vec<Cell>, Vec<MacroCell>) {
    let (mut cells, mut macros) = (Vec::new(), Vec::new());
    for model in models {
        let mut distributions: BTreeMap<(usize, usize), Distributions> = BTreeMap::new();
        for (suite_index, suite) in suites.iter().enumerate() {
            let Some(table) = tables.get(&(model.name.clone(), suite.id.clone())) else {
                continue;
            };
            for (variant_index, (cell, distribution)) in
                suite_cells(table, model, suite, variants, options)
            {
                cells.push(cell);
                distributions.insert((suite_index, variant_index), distribution);
            }
        }
        macros.extend(macro_cells(
            &cells,
            &distributions,
            model,
            suites,
            variants,
            options,
        ));
    }
    (cells, macros)
}
