//! `rave merge`: the finished shards of one configuration as one run.
//!
//! The shards' tables are in the order of the data already (`store/order.rs`), so one pass over all of them, taking the row that
//! comes first each time, writes the tables of the whole run: the rows that one run would have recorded, in its order. That the
//! shards belong together is read off their records, and that they are complete is proved by the samples themselves, whose ids
//! must have the fingerprint that each shard has of the whole.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::differences::shard_differences;
use crate::schema::{
    AttentionRecord, Counts, DataRecord, MergedShard, RunRecord, SampleRecord, SelectionRecord,
    Shard,
};
use crate::store::files::read_record;
use crate::store::merging::{Draft, RecordReader};
use crate::store::order::{Order, Rank};

/// A finished shard.
#[derive(Debug)]
struct Part {
    folder: PathBuf,
    shard: Shard,
    record: RunRecord,
}

impl Part {
    fn open(folder: &Path) -> Result<Self, Error> {
        let record = read_record(folder)?;
        let folder = folder.to_path_buf();
        let Some(shard) = record.configuration.shard else {
            return Err(Error::WholeRun {
                run: record.run,
                folder,
            });
        };
        if record.finished.is_none() {
            return Err(Error::UnfinishedShard { folder, shard });
        }
        Ok(Self {
            folder,
            shard,
            record,
        })
    }

    fn name(&self) -> String {
        format!("shard {} ({})", self.shard, self.folder.display())
    }

    fn damaged(&self, table: &str, reason: String) -> Error {
        Error::Table {
            path: self.folder.join(table),
            reason,
        }
    }
}

/// Joins finished shards into one run in `out`, which is made if need be, and returns its record; `run` is the run's id and
/// `command_line` what is recorded as its arguments.
///
/// # Errors
/// A run that is no shard or has not finished; shards of different runs (the error lists what differs); one that is given twice
/// or is missing; tables that do not hold what their records say; a folder that holds a run or cannot be written; a full disk.
pub fn merge(
    folders: &[PathBuf],
    out: &Path,
    run: String,
    command_line: Vec<String>,
) -> Result<RunRecord, Error> {
    let parts = complete(folders)?;
    let mut record = joined(&parts, run, command_line);
    let draft = Draft::begin(out)?;
    let (counts, keys) = merge_samples(&parts, &record, &draft)?;
    record.counts = counts;
    if record.configuration.attention {
        merge_attention(&parts, &keys, &draft)?;
    }
    draft.finish(&record)?;
    Ok(record)
}

/// The shards in order, which are all there are of one run.
fn complete(folders: &[PathBuf]) -> Result<Vec<Part>, Error> {
    let mut parts = folders
        .iter()
        .map(|folder| Part::open(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let Some((first, others)) = parts.split_first() else {
        return Err(Error::NoRuns);
    };
    for other in others {
        let differences = shard_differences(&first.record, &other.record);
        if !differences.is_empty() {
            let (a, b) = (first.name(), other.name());
            let words = ["in the first", "in the second"];
            return Err(Error::OtherRun {
                differences: differences.iter().map(|one| one.told(words)).collect(),
                first: a,
                second: b,
            });
        }
    }
    parts.sort_by_key(|part| part.shard);
    if let Some(twice) = parts.windows(2).find(|pair| pair[0].shard == pair[1].shard) {
        return Err(Error::ShardTwice {
            shard: twice[0].shard,
            first: twice[0].folder.clone(),
            second: twice[1].folder.clone(),
        });
    }
    let is_missing = |shard: &Shard| parts.iter().all(|part| part.shard != *shard);
    let missing: Vec<Shard> = Shard::all(parts[0].shard.count())
        .filter(is_missing)
        .collect();
    if missing.is_empty() {
        Ok(parts)
    } else {
        Err(Error::MissingShards { missing })
    }
}

/// The record of the whole run, but for its counts.
fn joined(parts: &[Part], run: String, command_line: Vec<String>) -> RunRecord {
    let mut record = parts[0].record.clone();
    record.run = run;
    record.command_line = command_line;
    record.configuration.shard = None;
    record.config_hash = record.configuration.hash();
    let records = || parts.iter().map(|part| &part.record);
    record.created = records()
        .map(|record| record.created)
        .min()
        .unwrap_or(record.created);
    record.finished = records().filter_map(|record| record.finished).max();
    for (suite, data) in &mut record.data {
        let own = records().filter_map(|record| record.data.get(suite));
        data.rows_used = own.map(|data| data.rows_used).sum();
        data.selection = None;
    }
    record.work = records()
        .filter_map(|record| record.work.clone())
        .reduce(|sum, own| sum.and(&own));
    record.merged_from = parts
        .iter()
        .map(|part| MergedShard {
            shard: part.shard,
            run: part.record.run.clone(),
            command_line: part.record.command_line.clone(),
            commit: part.record.code.commit.clone(),
            machine: part.record.machine.clone(),
            created: part.record.created,
            finished: part.record.finished,
            counts: part.record.counts,
        })
        .collect();
    record
}

/// Model, seed, suite and variant of a sample.
type SampleGroup = (String, u64, String, String);

fn sample_group(sample: &SampleRecord) -> SampleGroup {
    (
        sample.model.clone(),
        sample.seed,
        sample.suite.clone(),
        sample.variant.clone(),
    )
}

/// Writes the table of samples; returns how many there are and, where probes follow, the shard and the key of each.
fn merge_samples(
    parts: &[Part],
    record: &RunRecord,
    draft: &Draft,
) -> Result<(Counts, Vec<(usize, String)>), Error> {
    let order = Order::of(record);
    let mut tables: Vec<RecordReader<SampleRecord>> = parts
        .iter()
        .map(|part| RecordReader::samples(&part.folder))
        .collect();
    let mut found = vec![Counts::default(); parts.len()];
    let mut next: BinaryHeap<Reverse<(Rank, usize)>> = BinaryHeap::new();
    for (part, rows) in tables.iter_mut().enumerate() {
        if let Some(sample) = rows.peek()? {
            next.push(Reverse((order.rank(sample), part)));
        }
    }
    let mut ids: BTreeMap<SampleGroup, Vec<String>> = BTreeMap::new();
    let mut keys = Vec::new();
    let mut table = draft.samples()?;
    while let Some(Reverse((_, part))) = next.pop() {
        let rows = &mut tables[part];
        let Some(sample) = rows.next()? else { continue };
        if let Some(following) = rows.peek()? {
            next.push(Reverse((order.rank(following), part)));
        }
        found[part].add(&sample);
        ids.entry(sample_group(&sample))
            .or_default()
            .push(sample.sample.clone());
        if record.configuration.attention {
            keys.push((part, sample.key()));
        }
        table.push(sample)?;
    }
    for (part, found) in parts.iter().zip(&found) {
        if part.record.counts != *found {
            let reason = format!(
                "it holds {} scored and {} failed samples where run.json counts {} and {}",
                found.scored, found.failed, part.record.counts.scored, part.record.counts.failed
            );
            return Err(part.damaged("samples.parquet", reason));
        }
    }
    whole(&parts[0].record.data, record.due(), &ids)?;
    table.finish()?;
    let counts = found.iter().fold(Counts::default(), |sum, own| Counts {
        scored: sum.scored + own.scored,
        failed: sum.failed + own.failed,
    });
    Ok((counts, keys))
}

/// Refuses samples that are not those that the shards were dealt from, each once, under every model, seed and variant.
fn whole(
    data: &BTreeMap<String, DataRecord>,
    due: Option<u64>,
    ids: &BTreeMap<SampleGroup, Vec<String>>,
) -> Result<(), Error> {
    for ((model, seed, suite, variant), own) in ids {
        let asked = data.get(suite).and_then(|data| data.selection.as_ref());
        if asked != Some(&SelectionRecord::of(own)) {
            return Err(Error::OtherSelection {
                cell: format!("{model}, {suite}, {variant}, seed {seed}"),
                found: own.len(),
                due: asked.map_or(0, |asked| asked.rows),
            });
        }
    }
    let found = ids.values().map(Vec::len).sum::<usize>() as u64;
    match due {
        Some(due) if due != found => Err(Error::OtherSelection {
            cell: "all models, suites and variants".into(),
            found: found as usize,
            due: due as usize,
        }),
        _ => Ok(()),
    }
}

/// Writes the table of probes in the order of their samples, of which some have none.
fn merge_attention(parts: &[Part], keys: &[(usize, String)], draft: &Draft) -> Result<(), Error> {
    let mut tables: Vec<RecordReader<AttentionRecord>> = parts
        .iter()
        .map(|part| RecordReader::attention(&part.folder))
        .collect();
    let mut table = draft.attention()?;
    for (part, key) in keys {
        let rows = &mut tables[*part];
        if rows.peek()?.is_some_and(|record| record.key() == *key)
            && let Some(record) = rows.next()?
        {
            table.push(&record)?;
        }
    }
    for (part, rows) in parts.iter().zip(&mut tables) {
        if let Some(record) = rows.peek()? {
            let reason = format!(
                "it has a probe of {}, which is not the next sample",
                record.key()
            );
            return Err(part.damaged("attention.parquet", reason));
        }
    }
    table.finish()
}
