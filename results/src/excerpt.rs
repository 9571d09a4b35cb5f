//! Samples with their texts, for a reader: all of a small run, a choice of a large one, and how often each variant won
//! or lost an answer, counted over all of them.
//!
//! The choice gives every suite of every model an equal share. Up to half of a share goes to samples that tell variants
//! apart (a score differs under one seed, or there is none), the rest to the others; within both the order is that of a hash
//! of the sample's name, so that the same records give the same choice, whatever their order. Texts are read for the
//! chosen samples alone.

use std::collections::{BTreeMap, HashMap};

use crate::schema::{Failure, SampleRecord, sha256_hex};
use crate::store::ScoreRow;
use crate::{Error, Run, Summary};

/// From this score on a reader is told that an answer is right.
pub const RIGHT: f64 = 0.5;

/// Samples of runs, as far as a reader sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Excerpt {
    /// Samples of the runs: each (model, suite, sample) once.
    pub total: usize,
    /// Of these the chosen ones, by model, suite and name; all of them where there are no more than asked for.
    pub samples: Vec<Sample>,
    /// The training seeds, in order.
    pub seeds: Vec<u64>,
    /// One a model and variant other than the baseline, over all samples.
    pub tallies: Vec<Tally>,
}

/// One sample with the answers of every variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Place of the model in [`Summary::models`].
    pub model: usize,
    /// Place of the suite in [`Summary::suites`].
    pub suite: usize,
    /// Its id within the suite.
    pub id: String,
    /// The image's id.
    pub image_id: String,
    /// The suite's own grouping; empty where it has none.
    pub category: String,
    /// The prompt, as the model saw it.
    pub prompt: String,
    /// The accepted answers.
    pub accepted: Vec<String>,
    /// `[variants][seeds]`, in the orders of [`Summary::variants`] and [`Excerpt::seeds`]; `None` without a record.
    pub answers: Vec<Vec<Option<Answer>>>,
}

/// What a variant said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// As it came.
    pub prediction: String,
    /// `None` if it has none.
    pub score: Option<f64>,
    /// Why it has none.
    pub error: Option<Failure>,
}

/// Answers that one of two variants got right ([`RIGHT`]) and the other wrong, on the same sample and seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The model's name.
    pub model: String,
    /// The variant's id.
    pub variant: String,
    /// Right where the baseline is wrong.
    pub won: usize,
    /// Wrong where the baseline is right.
    pub lost: usize,
}

/// Where a record stands: run, row of its table, variant, seed, score.
#[derive(Clone, Copy)]
struct RecordRef {
    run: usize,
    row: usize,
    variant: usize,
    seed: usize,
    score: Option<f64>,
}

/// Model, suite and name.
type Key<'a> = (usize, usize, &'a str);

impl Excerpt {
    /// At most `most` samples of the runs behind a summary.
    ///
    /// # Errors
    /// A table that is damaged or no longer there.
    pub fn of(runs: &[Run], summary: &Summary, most: usize) -> Result<Self, Error> {
        let mut seeds: Vec<u64> = runs
            .iter()
            .flat_map(|run| run.scores.rows.iter().map(|row| row.seed))
            .collect();
        seeds.sort_unstable();
        seeds.dedup();
        let by_sample = by_sample(runs, summary, &seeds);
        let chosen = choose(&by_sample, most);
        Ok(Self {
            total: by_sample.len(),
            tallies: tallies(&by_sample, summary),
            samples: read(runs, summary, &by_sample, &chosen, seeds.len())?,
            seeds,
        })
    }
}

/// The records by sample.
fn by_sample<'a>(
    runs: &'a [Run],
    summary: &Summary,
    seeds: &[u64],
) -> BTreeMap<Key<'a>, Vec<RecordRef>> {
    let mut found: HashMap<Key, Vec<RecordRef>> = HashMap::new();
    for (number, run) in runs.iter().enumerate() {
        let names = &run.scores.names;
        // Few distinct names: each is looked up once.
        let mut known: HashMap<_, Option<(usize, usize, usize)>> = HashMap::new();
        let mut place = |row: &ScoreRow| {
            let triple = (row.model, row.suite, row.variant);
            *known.entry(triple).or_insert_with(|| {
                let [model, suite, variant] =
                    [row.model, row.suite, row.variant].map(|name| names.of(name));
                Some((
                    summary.models.iter().position(|own| own.name == model)?,
                    summary.suites.iter().position(|own| own.id == suite)?,
                    summary.variants.iter().position(|own| own.id == variant)?,
                ))
            })
        };
        for (index, row) in run.scores.rows.iter().enumerate() {
            if let Some((model, suite, variant)) = place(row) {
                let key = (model, suite, names.of(row.sample));
                found.entry(key).or_default().push(RecordRef {
                    run: number,
                    row: index,
                    variant,
                    seed: seeds.partition_point(|seed| *seed < row.seed),
                    score: row.score,
                });
            }
        }
    }
    found.into_iter().collect()
}

/// The baseline's scores by seed. It is the first of the variants.
fn baseline(records: &[RecordRef]) -> HashMap<usize, Option<f64>> {
    let own = records.iter().filter(|place| place.variant == 0);
    own.map(|place| (place.seed, place.score)).collect()
}

fn tallies(by_sample: &BTreeMap<Key, Vec<RecordRef>>, summary: &Summary) -> Vec<Tally> {
    let variants = summary.variants.len();
    let mut counts = vec![(0, 0); summary.models.len() * variants];
    for (&(model, ..), records) in by_sample {
        let base = baseline(records);
        for place in records {
            let known = base.get(&place.seed).copied().flatten();
            let (Some(score), Some(known)) = (place.score, known) else {
                continue;
            };
            let count = &mut counts[model * variants + place.variant];
            count.0 += usize::from(score >= RIGHT && known < RIGHT);
            count.1 += usize::from(score < RIGHT && known >= RIGHT);
        }
    }
    let mut tallies = Vec::new();
    for (model, counts) in summary.models.iter().zip(counts.chunks(variants.max(1))) {
        for (variant, &(won, lost)) in summary.variants.iter().zip(counts).skip(1) {
            tallies.push(Tally {
                model: model.name.clone(),
                variant: variant.id.clone(),
                won,
                lost,
            });
        }
    }
    tallies
}

/// Whether a sample tells variants apart, or has an answer without a score.
fn tells(records: &[RecordRef]) -> bool {
    let base = baseline(records);
    records.iter().any(|place| {
        let known = base.get(&place.seed);
        place.score.is_none() || known.is_some_and(|known| *known != place.score)
    })
}

/// The keys of the chosen samples, in order.
fn choose<'a>(by_sample: &BTreeMap<Key<'a>, Vec<RecordRef>>, most: usize) -> Vec<Key<'a>> {
    if by_sample.len() <= most {
        return by_sample.keys().copied().collect();
    }
    let mut groups: BTreeMap<(usize, usize), Vec<Key>> = BTreeMap::new();
    for key in by_sample.keys() {
        groups.entry((key.0, key.1)).or_default().push(*key);
    }
    // The smallest first: what they do not need of their share is the others'.
    let mut groups: Vec<Vec<Key>> = groups.into_values().collect();
    groups.sort_by_key(Vec::len);
    let (mut left, mut waiting) = (most, groups.len());
    let mut chosen = Vec::new();
    for group in groups {
        let share = (left / waiting).min(group.len());
        left -= share;
        waiting -= 1;
        let mut ranked: Vec<(String, Key)> = group
            .into_iter()
            .map(|key| (sha256_hex(key.2.as_bytes()), key))
            .collect();
        ranked.sort_unstable();
        let (telling, rest): (Vec<Key>, Vec<Key>) = ranked
            .into_iter()
            .map(|(_, key)| key)
            .partition(|key| tells(&by_sample[key]));
        let of_telling = telling
            .len()
            .min((share / 2).max(share.saturating_sub(rest.len())));
        chosen.extend(&telling[..of_telling]);
        chosen.extend(&rest[..share - of_telling]);
    }
    chosen.sort_unstable();
    chosen
}

/// The chosen samples with their texts.
fn read(
    runs: &[Run],
    summary: &Summary,
    by_sample: &BTreeMap<Key, Vec<RecordRef>>,
    chosen: &[Key],
    seeds: usize,
) -> Result<Vec<Sample>, Error> {
    let empty = vec![vec![None; seeds]; summary.variants.len()];
    let mut samples: Vec<Sample> = chosen
        .iter()
        .map(|&(model, suite, id)| Sample {
            model,
            suite,
            id: id.to_owned(),
            answers: empty.clone(),
            ..Sample::default()
        })
        .collect();
    for (number, run) in runs.iter().enumerate() {
        let mut wanted: Vec<(usize, usize, RecordRef)> = chosen
            .iter()
            .enumerate()
            .flat_map(|(index, key)| {
                by_sample[key]
                    .iter()
                    .map(move |place| (place.row, index, *place))
            })
            .filter(|(_, _, place)| place.run == number)
            .collect();
        wanted.sort_unstable_by_key(|(row, ..)| *row);
        let rows: Vec<usize> = wanted.iter().map(|(row, ..)| *row).collect();
        for ((_, index, place), record) in wanted.into_iter().zip(run.samples_at(&rows)?) {
            take(&mut samples[index], place, record);
        }
    }
    Ok(samples)
}

fn take(sample: &mut Sample, place: RecordRef, record: SampleRecord) {
    sample.answers[place.variant][place.seed] = Some(Answer {
        prediction: record.prediction,
        score: record.score,
        error: record.error,
    });
    if sample.image_id.is_empty() {
        sample.image_id = record.image_id;
        sample.category = record.category;
        sample.prompt = record.prompt;
        sample.accepted = record.answers;
    }
}
