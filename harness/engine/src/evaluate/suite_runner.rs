//! One group, while it goes through the suites: units of samples that are answered together, under every variant in turn.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rave_benchmarks::{Dataset, Suite};
use rave_lmm::{GenerationOptions, ImageEmbeds, Model, Prefix, Prompt, attention};
use rave_results::schema::{Failure, FailureKind};
use rave_results::{AttentionRecord, RunWriter, SampleRecord};

use super::batching::{self, Window};
use super::prefetch::{Prefetch, prefetch};
use super::prepare::prepare;
use super::sample::{self, Answer, Prepared};
use super::seed_group::{ModelVariant, SeedGroup};
use super::selection::Selection;
use super::vision::Vision;
use super::{Observer, Request};
use crate::Error;
use crate::item::{answer_boxes, model_type};
use crate::record::failed;

/// Samples that are prepared ahead of the model at most, and no more than there are threads for: a page of a scan is hundreds
/// of megabytes when it is cut into patches.
const MAX_PREFETCH: usize = 16;

/// What the runners of a run share.
pub(super) struct Common<'a> {
    pub request: &'a Request,
    /// Keys of the samples that were recorded before.
    pub done: &'a HashSet<String>,
    /// The signal that asks to stop; 0 for none.
    pub stop: &'a AtomicUsize,
    /// Samples a batch; fewer than were asked for once there was no memory for those.
    pub batch: Cell<usize>,
    /// How long the model stood idle for data.
    pub waited: Cell<Duration>,
}

impl Common<'_> {
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }
}

/// One group, while it goes through the suites.
pub(super) struct SuiteRunner<'a> {
    group: &'a SeedGroup,
    common: &'a Common<'a>,
    /// The `model_type` that prompts are chosen by; `None` where all models are asked alike.
    model_type: Option<String>,
}

/// Samples that are answered together.
struct Unit {
    samples: Vec<Prepared>,
    /// For each the first of them that has the same picture.
    sources: Vec<usize>,
    /// Whether they were put together for their one picture, and so begin alike.
    on_one_picture: bool,
}

/// A sample of a unit that can be answered.
struct Ready<'a> {
    /// Its place in the unit.
    place: usize,
    prompt: &'a Prompt,
    features: Rc<ImageEmbeds>,
    /// What was spent on it before it was its variant's turn.
    spent: Duration,
}

/// The features of a unit's pictures, or why there are none, by checkpoint and place of the picture's first sample.
type Seen = HashMap<(usize, usize), Result<Rc<ImageEmbeds>, Failure>>;

impl<'a> SuiteRunner<'a> {
    pub(super) fn new(group: &'a SeedGroup, common: &'a Common<'a>) -> Result<Self, Error> {
        let model_type = model_type(&group.members[0].model.info().folder)?;
        Ok(Self {
            group,
            common,
            model_type: model_type.filter(|_| common.request.family_prompts),
        })
    }

    /// The model that prepares the prompts: preprocessing and chat template are those of all checkpoints of a grid.
    fn lead(&self) -> &Model {
        &self.group.members[0].model
    }

    /// Answers the rows of a data set that are not recorded yet; ends early when asked to stop.
    pub(super) fn run(
        &self,
        dataset: &Dataset,
        selection: &Selection,
        vision: &mut Vision,
        writer: &mut RunWriter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let suite = dataset.suite();
        let members = &self.group.members;
        let is_recorded = |member: &ModelVariant, row: usize| {
            let id = dataset.id(row).unwrap_or_default();
            self.is_recorded(member, suite, &id)
        };
        let variants: Vec<_> = members.iter().map(|own| own.variant).collect();
        let done = members.iter().map(|member| {
            let recorded = selection.rows().filter(|&row| is_recorded(member, row));
            recorded.count()
        });
        let name = &self.lead().info().name;
        let shown = if self.group.trained_by_seed {
            format!("{name}, seed {}", self.group.seed)
        } else {
            name.clone()
        };
        let samples = selection.rows().count();
        observer.suite(&shown, suite, &variants, samples, &done.collect::<Vec<_>>());
        // Of a window of which everything is recorded nothing is prepared.
        let mut open: Vec<&Window> = selection.windows.iter().collect();
        open.retain(|window| {
            let mut rows = window.iter();
            rows.any(|&row| members.iter().any(|own| !is_recorded(own, row)))
        });
        let items = open.iter().copied().flatten().copied();
        let depth = rayon::current_num_threads().clamp(2, MAX_PREFETCH);
        let processor = self.lead().processor();
        let model_type = self.model_type.as_deref();
        let prepare = |row| prepare(dataset, row, model_type, processor.as_ref());
        let ran = prefetch(items, depth, prepare, |items| {
            for window in &open {
                for unit in self.units(window, items) {
                    self.unit(suite, &unit, vision, writer, observer)?;
                    if self.common.is_stopping() {
                        return Ok(());
                    }
                }
            }
            let waited = &self.common.waited;
            waited.set(waited.get() + items.waited());
            Ok(())
        });
        observer.suite_done();
        ran
    }

    fn is_recorded(&self, member: &ModelVariant, suite: &Suite, sample: &str) -> bool {
        let record = SampleRecord {
            model: member.model.info().name.clone(),
            variant: member.variant.id.to_owned(),
            suite: suite.id.clone(),
            sample: sample.to_owned(),
            seed: self.group.seed,
            ..SampleRecord::default()
        };
        self.common.done.contains(&record.key())
    }

    /// The samples of a window as they are answered together: neighbours on one picture where their common beginning is
    /// computed once, else batches of about the same length. Their pictures' content decides: data may give two pictures one name.
    fn units(&self, window: &Window, items: &mut Prefetch<Prepared>) -> Vec<Unit> {
        let request = self.common.request;
        let mut runs: Vec<Unit> = Vec::new();
        for sample in std::iter::from_fn(|| items.take()).take(window.len()) {
            let last = runs
                .last_mut()
                .filter(|last| request.reuse && last.is_on(&sample));
            match last {
                Some(run) => {
                    run.push(sample);
                    run.on_one_picture = true;
                }
                None => runs.push(Unit::of([sample])),
            }
        }
        let (mut units, others): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| run.on_one_picture);
        let mut others: Vec<_> = others.into_iter().flat_map(|run| run.samples).collect();
        others.sort_by_key(|sample| sample.prompt.as_ref().map_or(0, |prompt| prompt.ids.len()));
        let mut others = others.into_iter();
        while others.len() > 0 {
            units.push(Unit::of(others.by_ref().take(request.batch)));
        }
        units
    }

    /// A unit under every variant that has not recorded it yet. Asked to stop, it ends between two variants.
    fn unit(
        &self,
        suite: &Suite,
        unit: &Unit,
        vision: &mut Vision,
        writer: &mut RunWriter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let is_open = |member: &ModelVariant, sample: &Prepared| {
            !self.is_recorded(member, suite, &sample.label.id)
        };
        let open: Vec<_> = self
            .group
            .members
            .iter()
            .filter(|member| unit.samples.iter().any(|sample| is_open(member, sample)))
            .collect();
        let mut seen = Seen::new();
        let mut probes = Vec::new();
        for turn in 0..open.len() {
            let member = open[(turn + unit.samples[0].index) % open.len()];
            // What stands in a batch must not depend on where a run was interrupted: all or nothing of it is answered again.
            let due: Vec<bool> = unit
                .samples
                .iter()
                .map(|sample| is_open(member, sample))
                .collect();
            let asked = |place: usize| self.common.request.batch > 1 || due[place];
            let answers = self.answers(member, suite, unit, &asked, vision, &mut seen);
            for (place, answer) in answers.into_iter().filter(|(place, _)| due[*place]) {
                let sample = &unit.samples[place];
                let record = sample::record(
                    member.model.info(),
                    member.variant,
                    suite,
                    self.group.seed,
                    sample,
                    answer.as_ref(),
                );
                if self.common.request.attention {
                    probes.push((member, place, answer, record));
                } else {
                    writer.append(&record)?;
                    observer.sample(&record);
                }
            }
            if self.common.is_stopping() && !self.common.request.attention {
                break;
            }
        }
        // The probe before its sample: a sample that is recorded is not probed again.
        for (member, place, answer, record) in probes {
            let features = seen.get(&(member.checkpoint, unit.sources[place]));
            if let (Ok(answer), Some(Ok(features))) = (answer, features) {
                let sample = &unit.samples[place];
                let ids = &answer.generation.ids;
                writer.append_attention(&probe(member, sample, features, ids, &record))?;
            }
            writer.append(&record)?;
            observer.sample(&record);
        }
        vision.end_of_unit();
        Ok(())
    }

    /// The answers of one variant to the samples of a unit that are `asked`, or why there are none, with their checkpoints.
    fn answers(
        &self,
        member: &ModelVariant,
        suite: &Suite,
        unit: &Unit,
        asked: &dyn Fn(usize) -> bool,
        vision: &mut Vision,
        seen: &mut Seen,
    ) -> Vec<(usize, Result<Answer, Failure>)> {
        let mut answers = Vec::with_capacity(unit.samples.len());
        let mut ready = Vec::with_capacity(unit.samples.len());
        for place in (0..unit.samples.len()).filter(|&place| asked(place)) {
            match self.ready(unit, member, place, vision, seen) {
                Ok(sample) => ready.push(sample),
                Err(reason) => answers.push((place, Err(reason))),
            }
        }
        let prefix = self.prefix(member, unit, &ready);
        let generated = batching::run(
            &ready,
            &self.common.batch,
            rave_lmm::Error::is_out_of_memory,
            |batch| self.generate(member, suite, batch, prefix.as_ref()),
        );
        let generated = ready.iter().zip(generated);
        answers.extend(
            generated.map(|(ready, answer)| (ready.place, answer.map_err(|error| failed(&error)))),
        );
        answers.sort_by_key(|(place, _)| *place);
        answers
    }

    /// A sample with the features of its picture.
    fn ready<'u>(
        &self,
        unit: &'u Unit,
        member: &ModelVariant,
        place: usize,
        vision: &mut Vision,
        seen: &mut Seen,
    ) -> Result<Ready<'u>, Failure> {
        let sample = &unit.samples[place];
        let prompt = sample.prompt.as_ref().map_err(Failure::clone)?;
        let source = unit.sources[place];
        let features = seen
            .entry((member.checkpoint, source))
            .or_insert_with(|| {
                let source = &unit.samples[source];
                let prompt = source.prompt.as_ref().map_err(Failure::clone)?;
                self.deadline_after(source.elapsed)
                    .and_then(|deadline| vision.features(member, source.picture, prompt, deadline))
                    .map_err(|error| failed(&error))
            })
            .as_ref()
            .map_err(Failure::clone)?;
        Ok(Ready {
            place,
            prompt,
            spent: sample.elapsed + features.elapsed(),
            features: Rc::clone(features),
        })
    }

    /// What the prompts of a unit on one picture begin with, where the variant can go on from it. Without memory for it, or
    /// time, each sample is answered from its own beginning and says itself what is wrong.
    fn prefix(&self, member: &ModelVariant, unit: &Unit, ready: &[Ready]) -> Option<Prefix> {
        let first = ready.first().filter(|_| unit.on_one_picture)?;
        let attention = member.built.attention.as_ref();
        if !attention.reuses_prefix() {
            return None;
        }
        let deadline = self.deadline(std::slice::from_ref(first)).ok()?;
        let features = &first.features;
        member
            .model
            .prefix(attention, first.prompt, features, deadline)
            .ok()
    }

    /// Answers some samples in one batch; those that go on from the prefix apart from those that do not.
    fn generate(
        &self,
        member: &ModelVariant,
        suite: &Suite,
        batch: &[Ready],
        prefix: Option<&Prefix>,
    ) -> Result<Vec<Answer>, rave_lmm::Error> {
        let options = GenerationOptions {
            max_new_tokens: suite.max_new_tokens as usize,
            stop_at_end: true,
            deadline: self.deadline(batch)?,
        };
        let attention = member.built.attention.as_ref();
        let prompts: Vec<_> = batch.iter().map(|ready| ready.prompt).collect();
        let features: Vec<_> = batch.iter().map(|ready| ready.features.as_ref()).collect();
        let prefix = prefix.filter(|prefix| prompts.iter().all(|prompt| prefix.fits(prompt)));
        let generations = match prefix {
            Some(prefix) => member
                .model
                .generate_after(attention, prefix, &prompts, &options)?,
            None => member
                .model
                .generate_batch(attention, &prompts, &features, &options)?,
        };
        let alone = batch.len() == 1;
        let answers = generations.into_iter().zip(&features);
        let answers = answers.map(|(generation, features)| Answer {
            vision: features.elapsed(),
            prefill: (alone && prefix.is_none()).then_some(generation.timings.prefill),
            decode: alone.then_some(generation.timings.decode),
            generation,
        });
        Ok(answers.collect())
    }

    /// When the first of some samples has had its time.
    fn deadline(&self, batch: &[Ready]) -> Result<Option<Instant>, rave_lmm::Error> {
        let spent = batch.iter().map(|ready| ready.spent).max();
        self.deadline_after(spent.unwrap_or_default())
    }

    /// When a sample has had its time on which so much was spent.
    fn deadline_after(&self, spent: Duration) -> Result<Option<Instant>, rave_lmm::Error> {
        let Some(limit) = self.common.request.sample_timeout else {
            return Ok(None);
        };
        match limit.checked_sub(spent) {
            Some(left) => Ok(Some(Instant::now() + left)),
            None => Err(rave_lmm::Error::Deadline),
        }
    }
}

impl Unit {
    fn of(samples: impl IntoIterator<Item = Prepared>) -> Self {
        let mut unit = Self {
            samples: Vec::new(),
            sources: Vec::new(),
            on_one_picture: false,
        };
        for sample in samples {
            unit.push(sample);
        }
        unit
    }

    /// Whether a sample has the picture of the first.
    fn is_on(&self, sample: &Prepared) -> bool {
        self.samples
            .first()
            .is_some_and(|first| first.has_picture_of(sample))
    }

    /// Of samples with the same picture the first alone keeps its pixels: all are given the features that it gets.
    fn push(&mut self, mut sample: Prepared) {
        let mut earlier = self.samples.iter();
        let source =
            earlier.position(|earlier| earlier.prompt.is_ok() && earlier.has_picture_of(&sample));
        if let (Some(_), Ok(prompt)) = (source, &mut sample.prompt) {
            prompt.pixels = Vec::new();
        }
        self.sources.push(source.unwrap_or(self.samples.len()));
        self.samples.push(sample);
    }
}

/// What the attention behind an answer was; a probe that fails is recorded with its reason, and costs no answer.
fn probe(
    member: &ModelVariant,
    prepared: &Prepared,
    features: &ImageEmbeds,
    answer: &[i64],
    sample: &SampleRecord,
) -> AttentionRecord {
    let probed = match (&prepared.prompt, &prepared.item) {
        (Ok(prompt), Some(item)) => answer_boxes(item).and_then(|boxes| {
            attention::statistics(
                &member.model,
                member.built.attention.as_ref(),
                prompt,
                features,
                answer,
                &boxes,
            )
        }),
        _ => Ok(None),
    };
    let probed = match probed {
        Ok(Some(probed)) => Ok(probed),
        Ok(None) => Err(Failure::new(
            FailureKind::NoPicture,
            "the prompt has no visual tokens",
        )),
        Err(error) => Err(failed(&error)),
    };
    sample::attention(sample, probed)
}
