//! The records of one model and suite as a table: samples by position, a column for each variant.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::comparable::differs;
use crate::store::{Names, ScoreRow};
use crate::{Error, Run};

/// The records of one model and suite.
pub(super) struct SuiteTable {
    /// Number of clusters.
    pub images: usize,
    /// The seeds, in order; at least one.
    pub seeds: Vec<u64>,
    /// Names of the categories.
    pub categories: Vec<String>,
    /// By position: (sample, seed) in the order of their names.
    pub samples: Vec<Option<Sample>>,
    /// By variant and position.
    pub columns: BTreeMap<String, Vec<Option<Record>>>,
}

/// A record, with the reason if it has no score.
pub(super) type Record = (ScoreRow, Option<String>);

/// Where a sample belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub image: usize,
    pub category: usize,
    pub seed: usize,
}

/// Values by position, `None` where unscored.
pub(super) type Values = Vec<Option<f64>>;

/// The records by (model, suite). Samples, clusters and categories are numbered in the order of their names, so that the order
/// of recording does not matter.
pub(super) fn tables(
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
    // By sample alone: runs of other seeds must ask the same question of the same picture.
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

/// The names that a run's rows refer to.
pub(super) fn names_of(run: &Run) -> &Names {
    &run.scores.names
}
