//! Made-up runs for the tests and for the gallery: deterministic, and nobody's results.

use std::path::Path;

use rave_reports::{Artifact, Document, FORMATS, Format, render};
use rave_results::schema::{
    AttentionRecord, HeadRecord, Machine, ModelRecord, RunRecord, SampleRecord,
};
use rave_results::store::Opened;
use rave_results::{Run, RunWriter};

#[path = "../../../results/tests/common/mod.rs"]
pub mod stored;

/// The format of this name.
#[allow(dead_code, reason = "not every user of this module needs formats")]
pub fn format(id: &str) -> &'static Format {
    let found = FORMATS.iter().find(|format| format.id == id);
    found.expect("a registered format")
}

/// The files of a document in the format of this name.
#[allow(dead_code, reason = "not every user of this module needs files")]
pub fn files(mut document: Document, id: &str) -> Vec<Artifact> {
    render(&mut document, format(id)).expect("a format of this document")
}

/// A name that would be markup, leave an attribute and turn the direction of what follows.
#[allow(dead_code, reason = "not every user of this module needs it")]
pub const HOSTILE: &str = "a\"'><img src=x onerror=stolen=1>\u{202E}b";

/// Texts that would end the script that holds them, run one, hide and turn.
#[allow(dead_code, reason = "not every user of this module needs it")]
pub fn hostile(sample: &mut SampleRecord) {
    let text =
        format!("</script><script>stolen=1</script><!--{HOSTILE}\u{0}\u{7}\u{2028}`${{1}}\\\"");
    sample.prediction = format!("{} {text}", sample.prediction);
    sample.prompt += &text;
    sample.answers.push(text.clone());
    sample.category += &text;
    if let Some(error) = &mut sample.error {
        *error = format!("{text}: {error}").into();
    }
}

/// What a made-up run is like.
#[derive(Clone)]
pub struct Plan<'a> {
    pub model: &'a str,
    pub suites: &'a [&'a str],
    pub variants: &'a [&'a str],
    /// Samples a suite.
    pub samples: usize,
    /// All scores are zero.
    pub zero: bool,
    pub untrained: bool,
    /// The suites have this many rows, whatever was taken.
    pub rows: usize,
    /// This variant fails on every sample of the first suite, and on some of the last.
    pub fails: Option<&'a str>,
    pub interrupted: bool,
    /// Under so many training seeds.
    pub seeds: u64,
    /// So many layers were probed.
    pub layers: u32,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            model: "nano",
            suites: &["ocr", "chart"],
            variants: &["standard", "rave"],
            samples: 40,
            zero: false,
            untrained: false,
            rows: 40,
            fails: None,
            interrupted: false,
            seeds: 1,
            layers: 0,
        }
    }
}

/// Every sample of a plan, in the order of recording.
fn each(plan: &Plan, mut take: impl FnMut(SampleRecord)) {
    for (suite_index, suite) in plan.suites.iter().enumerate() {
        for index in 0..plan.samples {
            for (variant_index, variant) in plan.variants.iter().enumerate() {
                for seed in 1..=plan.seeds {
                    take(sample(
                        plan,
                        (suite_index, suite),
                        (index, seed),
                        (variant_index, variant),
                    ));
                }
            }
        }
    }
}

/// The run of a plan in a folder, with its texts as `texts` leaves them.
#[allow(dead_code, reason = "not every user of this module needs stored runs")]
pub fn store(plan: &Plan, folder: &Path, texts: impl Fn(&mut SampleRecord)) -> Run {
    let opened = rave_results::store::open(folder, &record(plan), false).expect("an empty folder");
    let Opened::New(folder_of_run) = opened else {
        panic!("the folder is empty");
    };
    let (mut writer, _) = RunWriter::new(folder_of_run).expect("a folder that can be written");
    each(plan, |mut sample| {
        texts(&mut sample);
        writer.append(&sample).expect("room on the disk");
    });
    if plan.interrupted {
        drop(writer);
    } else {
        writer.finish(|_| ()).expect("as many samples as were due");
    }
    let mut run = Run::open(folder).expect("the run that was just written");
    // The time of writing is no part of the plan.
    run.record.finished = run.record.finished.map(|_| run.record.created);
    run
}

/// The run of a plan in memory, without texts.
#[allow(
    dead_code,
    reason = "not every user of this module needs runs in memory"
)]
pub fn run(plan: &Plan) -> Run {
    let mut samples = Vec::new();
    each(plan, |sample| samples.push(sample));
    let probes: Vec<AttentionRecord> = if plan.layers > 0 {
        let scored = samples.iter().filter(|sample| sample.score.is_some());
        scored.map(|sample| probe(plan, sample)).collect()
    } else {
        Vec::new()
    };
    Run::from_samples(record(plan), &samples).with_attention(&probes)
}

/// Two heads a layer, the second of which looks at the text.
fn probe(plan: &Plan, sample: &SampleRecord) -> AttentionRecord {
    let variant = plan
        .variants
        .iter()
        .position(|id| *id == sample.variant)
        .unwrap_or(0);
    let number: usize = sample.sample.parse().unwrap_or(0);
    let heads = (0..plan.layers * 2).map(|place| {
        let (layer, head) = (place / 2, place % 2);
        let chance = scramble(number * 64 + place as usize + 13 * sample.seed as usize);
        let share = 0.1 + 0.5 * f64::from(layer) / f64::from(plan.layers) + 0.1 * chance;
        HeadRecord {
            layer,
            head,
            visual_tokens: 64,
            visual_share: Some((share + 0.04 * variant as f64) * if head == 0 { 1.0 } else { 0.4 }),
            entropy: Some(2.5 + chance),
            effective: Some((2.5 + chance).exp()),
            top_share: Some(0.1 + 0.1 * chance),
            box_share: Some(0.06 + 0.05 * chance + 0.01 * variant as f64),
            box_uniform: Some(0.04),
            pointing: Some(f64::from(u8::from(chance > 0.7))),
            pointing_uniform: Some(0.1),
        }
    });
    AttentionRecord {
        queries: 4,
        ..stored::probe(sample, heads.collect())
    }
}

fn sample(
    plan: &Plan,
    (suite_index, suite): (usize, &str),
    (index, seed): (usize, u64),
    (variant_index, variant): (usize, &str),
) -> SampleRecord {
    // A fixed scramble stands for chance: ease is the sample's, luck the pair's.
    let ease = scramble(suite_index * 1_000 + index) * 0.8 + 0.1;
    let luck = scramble(
        suite_index * 77_777 + index * 31 + variant_index * 7 + (seed as usize - 1) * 1_009,
    ) * 0.3;
    let chance = ease + luck + 0.05 * variant_index as f64 - 0.08 * suite_index as f64;
    let graded = suite_index % 2 == 1;
    let score = match (plan.zero, graded) {
        (true, _) => 0.0,
        (false, true) => (chance * 100.0).round().clamp(0.0, 100.0) / 100.0,
        (false, false) => f64::from(u8::from(chance > 0.6)),
    };
    let last = suite_index + 1 == plan.suites.len();
    let failed =
        plan.fails == Some(variant) && (suite_index == 0 || last && index.is_multiple_of(10));
    SampleRecord {
        model: plan.model.into(),
        variant: variant.into(),
        suite: suite.into(),
        sample: format!("{index:04}"),
        number: Some(index as u64),
        image_id: format!("image-{:04}", index / 2),
        category: if graded {
            ["human", "augmented"][index % 2].into()
        } else {
            String::new()
        },
        seed,
        prompt_sha256: format!("{suite} {index}"),
        prompt: format!("User: <image> What does {suite} {index} say?"),
        prediction: if score > 0.5 {
            format!(" word {index}")
        } else {
            format!(" {variant} says no")
        },
        answers: vec![format!("word {index}"), format!("Word {index}")],
        score: (!failed).then_some(score),
        error: failed.then(|| format!("out of memory: {index} GiB asked").into()),
        prompt_tokens: 1_100,
        visual_tokens: 1_088,
        new_tokens: 6,
        preprocess_ms: Some(12.0),
        vision_ms: (!failed).then_some(180.0),
        prefill_ms: (!failed).then_some(400.0 + 9.0 * variant_index as f64 + luck * 40.0),
        decode_ms: (!failed).then_some(90.0 + 2.0 * variant_index as f64),
    }
}

fn scramble(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed ^ (mixed >> 32)) % 10_000) as f64 / 10_000.0
}

fn record(plan: &Plan) -> RunRecord {
    let mut record = stored::record("made-up", plan.suites, plan.variants);
    record.configuration.models = vec![plan.model.into()];
    for (index, suite) in record.configuration.suites.iter_mut().enumerate() {
        suite.reading = suite.id != "embedded-general";
        if index.is_multiple_of(2) {
            suite.metric = "relaxed_accuracy".into();
        }
    }
    record.config_hash = record.configuration.hash();
    record.created = "2026-05-18T12:00:00Z".parse().expect("a valid time");
    record.finished = (!plan.interrupted).then_some(record.created);
    record.machine = Machine {
        cpu: "A CPU".into(),
        cores: 2,
        memory_bytes: 1 << 34,
        os: "Linux".into(),
        gpu: None,
    };
    record.models = vec![ModelRecord {
        name: plan.model.into(),
        sha256: "ab".into(),
        family: "smolvlm".into(),
        untrained: plan.untrained,
        seeds: (1..=plan.seeds).filter(|_| plan.seeds > 1).collect(),
        ..ModelRecord::default()
    }];
    for data in record.data.values_mut() {
        data.rows_used = plan.samples;
        data.rows_total = plan.rows;
    }
    let all = (plan.samples * plan.suites.len() * plan.variants.len()) as u64 * plan.seeds;
    record.counts.scored = all;
    record
}
