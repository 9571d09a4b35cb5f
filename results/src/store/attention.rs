//! `attention.parquet`: a row a layer and head of each answer, written in row groups from the probes' log, and read in parts
//! into what a summary needs of it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use polars::prelude::*;

use super::log::{LogReader, LogWriter, for_each};
use super::scores::Names;
use super::table::{RowGroups, Table};
use crate::Error;
use crate::schema::{AttentionRecord, Failure, HeadRecord, RunRecord};

/// The log's name in a run's folder.
pub(super) const LOG: &str = "attention.log";
/// The table's name in a run's folder.
pub(super) const PARQUET: &str = "attention.parquet";
/// Rows a row group, and rows that are read at a time: bounds the memory of both.
pub(super) const ROW_GROUP: usize = 100_000;
/// Statistics of a [`HeadRecord`].
const STATISTICS: usize = HeadRecord::STATISTICS.len();

/// What a summary needs of a run's probes: of each answer the means over the heads of every layer.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    pub(crate) names: Names,
    pub(crate) probes: Vec<Probed>,
}

/// One probed answer; the strings are indices into [`Names`].
#[derive(Clone, Debug)]
pub(crate) struct Probed {
    pub model: u32,
    pub variant: u32,
    pub suite: u32,
    pub sample: u32,
    pub image: u32,
    pub seed: u64,
    /// Why it has no layers.
    pub reason: Option<u32>,
    /// Sums and counts over the heads of each layer, by statistic.
    pub layers: Vec<[(f64, f64); STATISTICS]>,
}

impl Probed {
    /// The mean over the heads of a layer.
    pub(crate) fn of_layer(&self, statistic: usize, layer: usize) -> Option<f64> {
        let (sum, count) = self.layers.get(layer)?[statistic];
        (count > 0.0).then(|| sum / count)
    }

    /// The mean over all layers and heads.
    pub(crate) fn mean(&self, statistic: usize) -> Option<f64> {
        let all = self.layers.iter().map(|layer| layer[statistic]);
        let (sum, count) = all.fold((0.0, 0.0), |all, own| (all.0 + own.0, all.1 + own.1));
        (count > 0.0).then(|| sum / count)
    }

    /// Adds a head. Layers come in order, so that one number in a damaged file cannot ask for billions of them.
    fn add(&mut self, layer: u32, values: [Option<f64>; STATISTICS]) -> Result<(), String> {
        let layer = layer as usize;
        if layer > self.layers.len() {
            let before = self.layers.len();
            return Err(format!("layer {layer} follows {before} layer(s)"));
        }
        if layer == self.layers.len() {
            self.layers.push([(0.0, 0.0); STATISTICS]);
        }
        for ((sum, count), value) in self.layers[layer].iter_mut().zip(values) {
            if let Some(value) = value {
                *sum += value;
                *count += 1.0;
            }
        }
        Ok(())
    }
}

/// What stands on every row of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key<'a> {
    model: &'a str,
    variant: &'a str,
    suite: &'a str,
    sample: &'a str,
    image: &'a str,
    seed: u64,
}

impl Attention {
    /// Number of answers that were probed, or should have been.
    pub fn len(&self) -> usize {
        self.probes.len()
    }

    /// Whether nothing was probed.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    pub(super) fn from_records(records: &[AttentionRecord]) -> Self {
        let mut attention = Self::default();
        for record in records {
            // Layers of records that were made here are in order.
            attention.push(&record.clone().normalised()).ok();
        }
        attention
    }

    fn push(&mut self, record: &AttentionRecord) -> Result<(), String> {
        let error = record.error.as_ref();
        self.begin(
            Key {
                model: &record.model,
                variant: &record.variant,
                suite: &record.suite,
                sample: &record.sample,
                image: &record.image_id,
                seed: record.seed,
            },
            error,
        );
        if let Some(probed) = self.probes.last_mut() {
            for head in &record.heads {
                probed.add(head.layer, head.values())?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, key: Key, error: Option<&Failure>) {
        let names = &mut self.names;
        self.probes.push(Probed {
            model: names.intern(key.model),
            variant: names.intern(key.variant),
            suite: names.intern(key.suite),
            sample: names.intern(key.sample),
            image: names.intern(key.image),
            seed: key.seed,
            reason: error.map(|error| names.intern(error.kind.name())),
            layers: Vec::new(),
        });
    }

    /// Whether the last answer is the one of these rows.
    fn continues(&self, key: Key) -> bool {
        let names = &self.names;
        self.probes.last().is_some_and(|last| {
            let known = Key {
                model: names.of(last.model),
                variant: names.of(last.variant),
                suite: names.of(last.suite),
                sample: names.of(last.sample),
                image: names.of(last.image),
                seed: last.seed,
            };
            known == key
        })
    }
}

/// Opens the log of a run that goes on, without the torn end that a crash may have left.
pub(super) fn resume(folder: &Path) -> Result<LogWriter, Error> {
    let path = folder.join(LOG);
    let contents = for_each(&path, |_: AttentionRecord, _| Ok(()))?;
    LogWriter::open(&path, contents.whole_bytes)
}

/// What a run's probes say; nothing where it was not asked for any.
pub(super) fn read(folder: &Path, record: &RunRecord) -> Result<Attention, Error> {
    if !record.configuration.attention {
        return Ok(Attention::default());
    }
    if record.finished.is_some() {
        return read_attention(&folder.join(PARQUET));
    }
    let mut attention = Attention::default();
    // Of the probes of one sample the first alone.
    let mut seen = HashSet::new();
    for_each(&folder.join(LOG), |record: AttentionRecord, _| {
        if !seen.insert(record.key()) {
            return Ok(());
        }
        attention.push(&record).map_err(|reason| Error::Table {
            path: folder.join(LOG),
            reason,
        })
    })?;
    Ok(attention)
}

/// Writes the table from the log, of the probes of one sample the first alone; `keys` are the samples in their order.
pub(super) fn write_table(folder: &Path, keys: &[String]) -> Result<(), Error> {
    let log = folder.join(LOG);
    let mut lines = HashMap::new();
    for_each(&log, |record: AttentionRecord, line| {
        lines.entry(record.key()).or_insert(line);
        Ok(())
    })?;
    let mut reader = LogReader::open(&log)?;
    let mut table = AttentionWriter::create(folder)?;
    for line in keys.iter().filter_map(|key| lines.get(key)) {
        table.push(reader.read(*line)?)?;
    }
    table.finish()
}

/// Writes the table of a run's folder.
pub(crate) struct AttentionWriter {
    batch: Vec<AttentionRecord>,
    /// Rows of the batch.
    rows: usize,
    groups: RowGroups,
}

impl AttentionWriter {
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            batch: Vec::new(),
            rows: 0,
            groups: RowGroups::create(&folder.join(PARQUET), frame(&[]))?,
        })
    }

    pub(crate) fn push(&mut self, record: AttentionRecord) -> Result<(), Error> {
        self.rows += record.heads.len().max(1);
        self.batch.push(record);
        if self.rows < ROW_GROUP {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.groups.write(frame(&self.batch));
        self.batch.clear();
        self.rows = 0;
        written
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        self.groups.finish()
    }
}

/// A row: the record and one of its heads; none where it has no heads.
type Row<'a> = (&'a AttentionRecord, Option<HeadRecord>);

fn frame(records: &[AttentionRecord]) -> PolarsResult<DataFrame> {
    let rows: Vec<Row> = records
        .iter()
        .flat_map(|record| {
            let none = record.heads.is_empty().then_some((record, None));
            let heads = record.heads.iter().map(move |head| (record, Some(*head)));
            heads.chain(none)
        })
        .collect();
    let text = |name: &str, of: fn(&AttentionRecord) -> &str| {
        StringChunked::from_iter_values(name.into(), rows.iter().map(|row| of(row.0))).into_column()
    };
    let count = |name: &str, of: fn(&HeadRecord) -> u32| {
        let values = rows.iter().map(|row| row.1.as_ref().map(of));
        UInt32Chunked::from_iter_options(name.into(), values).into_column()
    };
    let seeds = rows.iter().map(|row| row.0.seed);
    let errors = rows
        .iter()
        .map(|row| row.0.error.as_ref().map(ToString::to_string));
    let queries = rows.iter().map(|row| row.0.queries);
    let mut columns = vec![
        text("model", |record| &record.model),
        UInt64Chunked::from_iter_values("seed".into(), seeds).into_column(),
        text("variant", |record| &record.variant),
        text("suite", |record| &record.suite),
        text("sample", |record| &record.sample),
        text("image_id", |record| &record.image_id),
        StringChunked::from_iter_options("error".into(), errors).into_column(),
        count("layer", |head| head.layer),
        count("head", |head| head.head),
        UInt32Chunked::from_iter_values("queries".into(), queries).into_column(),
        count("visual_tokens", |head| head.visual_tokens),
    ];
    for (name, place) in HeadRecord::STATISTICS {
        let values = rows
            .iter()
            .map(|row| row.1.and_then(|mut head| *place(&mut head)));
        columns.push(Float64Chunked::from_iter_options(name.into(), values).into_column());
    }
    DataFrame::new(rows.len(), columns)
}

/// Reads the table in parts into what a summary needs of it.
///
/// # Errors
/// A file that is missing, damaged or lacks a column, naming it.
pub fn read_attention(path: &Path) -> Result<Attention, Error> {
    let named = [
        "model", "variant", "suite", "sample", "image_id", "error", "seed", "layer",
    ];
    let statistics = HeadRecord::STATISTICS.map(|(name, _)| name);
    let columns: Vec<String> = named
        .into_iter()
        .chain(statistics)
        .map(str::to_owned)
        .collect();
    let mut attention = Attention::default();
    let mut start = 0;
    loop {
        let table = Table::read_slice(path, Some(columns.clone()), Some((start, ROW_GROUP)))?;
        take(&table, &mut attention)?;
        if table.rows() < ROW_GROUP {
            return Ok(attention);
        }
        start += ROW_GROUP;
    }
}

/// Adds the rows of a part.
fn take(table: &Table, attention: &mut Attention) -> Result<(), Error> {
    let (models, variants) = (table.texts("model")?, table.texts("variant")?);
    let (suites, samples) = (table.texts("suite")?, table.texts("sample")?);
    let (images, seeds) = (table.texts("image_id")?, table.longs("seed")?);
    let layers = table.maybe_counts("layer")?;
    let mut values = Vec::new();
    for (name, _) in HeadRecord::STATISTICS {
        values.push(table.numbers(name)?);
    }
    let rows = layers
        .into_iter()
        .zip(table.text("error")?.iter())
        .enumerate();
    for (row, (layer, error)) in rows {
        let key = Key {
            model: models[row],
            variant: variants[row],
            suite: suites[row],
            sample: samples[row],
            image: images[row],
            seed: seeds[row],
        };
        if !attention.continues(key) {
            attention.begin(key, error.map(Failure::from).as_ref());
        }
        if let (Some(layer), Some(probed)) = (layer, attention.probes.last_mut()) {
            let statistics = std::array::from_fn(|statistic| values[statistic][row]);
            let added = probed.add(layer, statistics);
            added.map_err(|reason| table.invalid("layer", &reason))?;
        }
    }
    Ok(())
}
