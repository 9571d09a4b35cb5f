//! `attention.parquet`: a row a layer and head of each answer, written in row groups from the probes' log, and read in parts
//! into what a summary needs of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use super::columns::{self, Fields, fields, read_all};
use super::log::{LogReader, LogWriter, for_each};
use super::scores::Names;
use super::table::{Table, TableWriter};
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

/// A row of the table: an answer's probe with one of its layers and heads, or with none where it has none.
#[derive(Clone, Debug, Default)]
struct ProbeRow {
    model: Arc<str>,
    seed: u64,
    variant: Arc<str>,
    suite: Arc<str>,
    sample: Arc<str>,
    image_id: Arc<str>,
    error: Option<Failure>,
    layer: Option<u32>,
    head: Option<u32>,
    queries: u32,
    visual_tokens: Option<u32>,
    visual_share: Option<f64>,
    entropy: Option<f64>,
    effective: Option<f64>,
    top_share: Option<f64>,
    box_share: Option<f64>,
    box_uniform: Option<f64>,
    pointing: Option<f64>,
    pointing_uniform: Option<f64>,
}

const COLUMNS: Fields<ProbeRow> = fields![ProbeRow:
    model,
    seed,
    variant,
    suite,
    sample,
    image_id,
    error,
    layer,
    head,
    queries,
    visual_tokens,
    visual_share,
    entropy,
    effective,
    top_share,
    box_share,
    box_uniform,
    pointing,
    pointing_uniform,
];

/// Columns that a summary does without.
const IN_FULL_ALONE: [&str; 3] = ["head", "queries", "visual_tokens"];

impl ProbeRow {
    /// The rows of a probe.
    fn of(record: &AttentionRecord) -> impl Iterator<Item = Self> {
        let probe = Self {
            model: record.model.as_str().into(),
            seed: record.seed,
            variant: record.variant.as_str().into(),
            suite: record.suite.as_str().into(),
            sample: record.sample.as_str().into(),
            image_id: record.image_id.as_str().into(),
            error: record.error.clone(),
            queries: record.queries,
            ..Self::default()
        };
        let none = record.heads.is_empty().then(|| probe.clone());
        let heads = record.heads.iter().map(move |head| Self {
            layer: Some(head.layer),
            head: Some(head.head),
            visual_tokens: Some(head.visual_tokens),
            visual_share: head.visual_share,
            entropy: head.entropy,
            effective: head.effective,
            top_share: head.top_share,
            box_share: head.box_share,
            box_uniform: head.box_uniform,
            pointing: head.pointing,
            pointing_uniform: head.pointing_uniform,
            ..probe.clone()
        });
        heads.chain(none)
    }

    /// Its layer and head.
    fn head(&self) -> Option<HeadRecord> {
        Some(HeadRecord {
            layer: self.layer?,
            head: self.head.unwrap_or_default(),
            visual_tokens: self.visual_tokens.unwrap_or_default(),
            visual_share: self.visual_share,
            entropy: self.entropy,
            effective: self.effective,
            top_share: self.top_share,
            box_share: self.box_share,
            box_uniform: self.box_uniform,
            pointing: self.pointing,
            pointing_uniform: self.pointing_uniform,
        })
    }

    /// Its probe, without heads.
    fn probe(&self) -> AttentionRecord {
        AttentionRecord {
            model: self.model.to_string(),
            seed: self.seed,
            variant: self.variant.to_string(),
            suite: self.suite.to_string(),
            sample: self.sample.to_string(),
            image_id: self.image_id.to_string(),
            queries: self.queries,
            error: self.error.clone(),
            heads: Vec::new(),
        }
    }

    /// Whether both are of one answer.
    fn continues(&self, last: &Self) -> bool {
        let key = |row: &Self| {
            let names = [
                &row.model,
                &row.variant,
                &row.suite,
                &row.sample,
                &row.image_id,
            ];
            (names.map(Arc::clone), row.seed)
        };
        key(self) == key(last)
    }
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
        let mut last = None;
        for row in ProbeRow::of(record) {
            self.add(&row, &mut last)?;
        }
        Ok(())
    }

    /// Adds a row; `last` is the one before.
    fn add(&mut self, row: &ProbeRow, last: &mut Option<ProbeRow>) -> Result<(), String> {
        if !last.as_ref().is_some_and(|last| row.continues(last)) {
            self.begin(row);
            *last = Some(row.clone());
        }
        match (row.head(), self.probes.last_mut()) {
            (Some(head), Some(probed)) => probed.add(head.layer, head.values()),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, row: &ProbeRow) {
        let names = &mut self.names;
        let reason = row.error.as_ref();
        self.probes.push(Probed {
            model: names.intern(&row.model),
            variant: names.intern(&row.variant),
            suite: names.intern(&row.suite),
            sample: names.intern(&row.sample),
            image: names.intern(&row.image_id),
            seed: row.seed,
            reason: reason.map(|failure| names.intern(failure.kind.name())),
            layers: Vec::new(),
        });
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
        table.push(&reader.read(*line)?)?;
    }
    table.finish()
}

/// Writes the table of a run's folder.
pub(crate) struct AttentionWriter(TableWriter<ProbeRow>);

impl AttentionWriter {
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(PARQUET);
        Ok(Self(TableWriter::create(&path, COLUMNS, ROW_GROUP)?))
    }

    pub(crate) fn push(&mut self, record: &AttentionRecord) -> Result<(), Error> {
        ProbeRow::of(record).try_for_each(|row| self.0.push(row))
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        self.0.finish()
    }
}

/// Reads rows of the table from one on and adds them to the probes before: to the last one, where they go on with it. Returns how
/// many rows there were.
pub(super) fn read_probes(
    path: &Path,
    start: usize,
    ready: &mut VecDeque<AttentionRecord>,
) -> Result<usize, Error> {
    let table = Table::read_slice(path, None, Some((start, ROW_GROUP)))?;
    for row in read_all(COLUMNS, &table)? {
        let probe = row.probe();
        if ready.back().is_none_or(|last| last.key() != probe.key()) {
            ready.push_back(probe);
        }
        if let (Some(head), Some(last)) = (row.head(), ready.back_mut()) {
            last.heads.push(head);
        }
    }
    Ok(table.rows())
}

/// Reads the table in parts into what a summary needs of it.
///
/// # Errors
/// A file that is missing, damaged or lacks a column, naming it.
pub fn read_attention(path: &Path) -> Result<Attention, Error> {
    let needed = || {
        let columns = COLUMNS.iter();
        columns.filter(|column| !IN_FULL_ALONE.contains(&column.name))
    };
    let names: Vec<String> = needed().map(|column| column.name.to_owned()).collect();
    let mut attention = Attention::default();
    let (mut start, mut last) = (0, None);
    loop {
        let table = Table::read_slice(path, Some(names.clone()), Some((start, ROW_GROUP)))?;
        let rows: Vec<usize> = (0..table.rows()).collect();
        for row in columns::read(needed(), &table, &rows)? {
            let added = attention.add(&row, &mut last);
            added.map_err(|reason| table.invalid("layer", &reason))?;
        }
        if table.rows() < ROW_GROUP {
            return Ok(attention);
        }
        start += ROW_GROUP;
    }
}
