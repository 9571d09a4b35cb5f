//! Runs of known numbers, shared by the tests of records and of reports.

#![allow(dead_code, reason = "every test file uses a part")]

use std::collections::BTreeMap;
use std::path::Path;

use rave_results::schema::{
    Aggregate, AttentionRecord, CodeVersion, Configuration, DataRecord, HeadRecord, Libraries,
    ModelRecord, RunRecord, SampleRecord, SuiteConfiguration, VariantConfiguration,
};
use rave_results::store::{LogContents, Opened, open};
use rave_results::{Error, RunWriter};

pub mod latency;

/// A run's record over these suites and variants.
pub fn record(run: &str, suites: &[&str], variants: &[&str]) -> RunRecord {
    let configuration = Configuration {
        models: vec!["nano".into()],
        variants: variants
            .iter()
            .map(|id| VariantConfiguration {
                id: (*id).into(),
                version: 1,
                options: BTreeMap::new(),
                trainable: false,
            })
            .collect(),
        suites: suites
            .iter()
            .map(|id| SuiteConfiguration {
                reading: true,
                id: (*id).into(),
                version: 1,
                metric: "anls".into(),
                metric_version: 1,
                split: "test".into(),
                limit: None,
                shuffle: None,
                samples: Vec::new(),
                asked_alike: false,
                definition: None,
                aggregate: Aggregate::Mean,
            })
            .collect(),
        seed: Some(1),
        dtype: "f32".into(),
        device: "cpu".into(),
        threads: 2,
        batch: 1,
        attention: false,
        reuse: false,
        sample_timeout: None,
        shard: None,
    };
    let code = CodeVersion {
        version: "0.1.0".into(),
        commit: None,
    };
    let mut record = RunRecord::new(
        run,
        vec!["rave".into()],
        configuration,
        code,
        Libraries::default(),
    );
    record.models = vec![ModelRecord {
        name: "nano".into(),
        sha256: "ab".into(),
        ..ModelRecord::default()
    }];
    for suite in suites {
        let data = DataRecord {
            fingerprint: "f".into(),
            source: "embedded".into(),
            rows_used: 4,
            rows_total: 4,
            ..DataRecord::default()
        };
        record.data.insert((*suite).into(), data);
    }
    record
}

/// One sample with a score.
pub fn sample(suite: &str, variant: &str, index: usize, score: Option<f64>) -> SampleRecord {
    SampleRecord {
        model: "nano".into(),
        variant: variant.into(),
        suite: suite.into(),
        sample: format!("{index:04}"),
        number: Some(index as u64),
        image_id: format!("image-{index:04}"),
        seed: 1,
        prompt_sha256: format!("prompt {suite} {index}"),
        prompt: "what?".into(),
        prediction: "this".into(),
        answers: vec!["this".into()],
        error: score.is_none().then(|| "out of memory: 3 GiB asked".into()),
        score,
        prompt_tokens: 100,
        visual_tokens: 64,
        new_tokens: 5,
        vision_ms: Some(10.0),
        prefill_ms: Some(20.0 + index as f64),
        decode_ms: Some(30.0),
        ..SampleRecord::default()
    }
}

/// What was probed of a sample's answer.
pub fn probe(sample: &SampleRecord, heads: Vec<HeadRecord>) -> AttentionRecord {
    AttentionRecord {
        model: sample.model.clone(),
        seed: sample.seed,
        variant: sample.variant.clone(),
        suite: sample.suite.clone(),
        sample: sample.sample.clone(),
        image_id: sample.image_id.clone(),
        queries: 3,
        error: None,
        heads,
    }
}

/// Begins a run.
pub fn begin(folder: &Path, record: &RunRecord) -> Result<RunWriter, Error> {
    match open(folder, record, false)? {
        Opened::New(folder) => Ok(RunWriter::new(folder)?.0),
        other => panic!("no new run: {other:?}"),
    }
}

/// Goes on with an interrupted run.
pub fn go_on(folder: &Path, record: &RunRecord) -> Result<(RunWriter, LogContents), Error> {
    match open(folder, record, true)? {
        Opened::Resumed(folder) => RunWriter::new(folder),
        other => panic!("no interrupted run: {other:?}"),
    }
}

/// An error as the command line tells it.
pub fn told(error: &Error) -> String {
    format!("{error}\nhint: {}", error.hint().unwrap_or_default())
}
