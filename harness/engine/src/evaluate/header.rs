//! What an evaluation records at its beginning: the request, its data, and its models as they are loaded.

use std::collections::BTreeMap;

use rave_benchmarks::{Average, Dataset};
use rave_results::RunRecord;
use rave_results::schema::{
    AdapterRecord, Aggregate, Configuration, DataRecord, ModelRecord, SuiteConfiguration,
    sha256_hex,
};

use super::selection::Selection;
use super::{ModelVariant, Request, SeedGroup};
use crate::record::{checkpoint, libraries, run_name, variant};

/// The record of the run as it begins now, but for its models.
pub(super) fn begun(
    request: &Request,
    datasets: &[Dataset],
    selections: &[Selection],
) -> RunRecord {
    let configuration = Configuration {
        models: request.models.clone(),
        variants: request
            .variants
            .iter()
            .map(|variant| self::variant(variant))
            .collect(),
        suites: datasets
            .iter()
            .zip(selections)
            .map(|(dataset, selection)| suite(request, dataset, selection))
            .collect(),
        seed: request.seed,
        dtype: request.dtype.clone(),
        device: request.device.clone(),
        threads: tch::get_num_threads() as usize,
        batch: request.batch,
        attention: request.attention,
        reuse: request.reuse,
        sample_timeout: request.sample_timeout.map(|limit| limit.as_secs_f64()),
        shard: request.shard,
    };
    let mut run = RunRecord::new(
        run_name(&request.out),
        request.command_line.clone(),
        configuration,
        request.code.clone(),
        libraries(),
    );
    for (dataset, selection) in datasets.iter().zip(selections) {
        let suite = dataset.suite().id.clone();
        run.data.insert(suite, data(dataset, selection));
    }
    run
}

/// The configuration record of a suite: what all shards of a run take, so that it is the same in each of them.
fn suite(request: &Request, dataset: &Dataset, selection: &Selection) -> SuiteConfiguration {
    let suite = dataset.suite();
    let samples = if request.samples.is_empty() {
        Vec::new()
    } else {
        let rows = selection.all.iter();
        rows.filter_map(|&row| dataset.id(row)).collect()
    };
    SuiteConfiguration {
        id: suite.id.clone(),
        version: suite.version,
        metric: suite.metric.to_string(),
        metric_version: suite.metric.version(),
        split: suite.split.clone(),
        limit: request.limit,
        shuffle: request.shuffle,
        samples,
        asked_alike: !request.family_prompts && !suite.prompts.is_empty(),
        definition: suite.file.as_ref().map(|file| file.sha256.clone()),
        aggregate: match suite.average {
            Average::Items => Aggregate::Mean,
            Average::Categories => Aggregate::CategoryMean,
        },
        reading: suite.reading,
    }
}

/// The record of a loaded model: its checkpoints, and the adapters that its variants were given.
pub(super) fn model(groups: &[SeedGroup]) -> ModelRecord {
    let by_seed = groups[0].trained_by_seed;
    let mut record = checkpoint(groups[0].members[0].model.info());
    let mut adapters: BTreeMap<String, (AdapterRecord, Vec<String>)> = BTreeMap::new();
    for group in groups {
        for ModelVariant {
            variant,
            model,
            built,
            ..
        } in &group.members
        {
            record.untrained |= model.info().untrained;
            if by_seed {
                let place = format!("seed {}, {}", group.seed, variant.id);
                record
                    .checkpoints
                    .insert(place, model.info().sha256.clone());
            }
            let Some(adapter) = &built.adapter else {
                continue;
            };
            let name = adapter.path.file_name().unwrap_or_default();
            let parameters = built.attention.parameters();
            let found = AdapterRecord {
                source: name.to_string_lossy().into_owned(),
                sha256: adapter.sha256.clone(),
                parameters: parameters
                    .iter()
                    .map(|(_, tensor)| tensor.numel() as u64)
                    .sum(),
            };
            let entry = adapters.entry(variant.id.to_owned());
            entry
                .or_insert((found, Vec::new()))
                .1
                .push(adapter.sha256.clone());
        }
    }
    // Of several files the hash of their hashes.
    let joined = |hashes: &mut dyn Iterator<Item = &String>| {
        sha256_hex(
            hashes
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("\n")
                .as_bytes(),
        )
    };
    if by_seed {
        record.seeds = groups.iter().map(|group| group.seed).collect();
        record.sha256 = joined(&mut record.checkpoints.values());
        record.files.clear();
    }
    record.adapters = adapters
        .into_iter()
        .map(|(variant, (mut adapter, hashes))| {
            if hashes.len() > 1 {
                adapter.sha256 = joined(&mut hashes.iter());
            }
            (variant, adapter)
        })
        .collect();
    record
}

/// The record of a suite's data, and of what is taken of it.
fn data(dataset: &Dataset, selection: &Selection) -> DataRecord {
    DataRecord {
        fingerprint: dataset.fingerprint().to_owned(),
        source: dataset.source(),
        repository: dataset.origin().map(|origin| origin.repository.clone()),
        revision: dataset.origin().map(|origin| origin.revision.clone()),
        files: dataset.files().iter().cloned().collect(),
        rows_used: selection.rows().count(),
        rows_total: dataset.size_hint_full().unwrap_or(dataset.len()),
        selection: selection.record.clone(),
    }
}
