//! Samples that are answered together, under every variant of a group in turn.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rave_benchmarks::Suite;
use rave_lmm::{GenerationOptions, ImageEmbeds, Prefix, Prompt, attention};
use rave_results::schema::{Failure, FailureKind};
use rave_results::{AttentionRecord, SampleRecord};

use super::batching;
use super::sample::{self, Answer, Prepared};
use super::seed_group::{ModelVariant, SeedGroup};
use super::suite_runner::Common;
use super::vision::Vision;
use crate::Error;
use crate::item::answer_boxes;
use crate::record::failed;

/// Samples that are answered together.
pub(super) struct Unit {
    pub samples: Vec<Prepared>,
    /// For each the first of them that has the same picture.
    sources: Vec<usize>,
    /// Whether they were put together for their one picture, and so begin alike.
    pub on_one_picture: bool,
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
type UnitEmbeds = HashMap<(usize, usize), Result<Rc<ImageEmbeds>, Failure>>;

/// What is to be recorded of a unit.
pub(super) enum Computed {
    Sample(SampleRecord),
    Attention(AttentionRecord),
}

/// Answers units with the models of one group.
pub(super) struct UnitRunner<'a> {
    pub group: &'a SeedGroup,
    pub common: &'a Common<'a>,
    pub vision: &'a mut Vision,
}

impl UnitRunner<'_> {
    /// A unit under every variant that has not recorded it yet. Asked to stop, it ends between two variants.
    ///
    /// # Errors
    /// Those of `record`, which is handed what is computed as soon as it is.
    pub(super) fn run(
        &mut self,
        suite: &Suite,
        unit: &Unit,
        record: &mut dyn FnMut(Computed) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (group, common) = (self.group, self.common);
        let is_open = |member: &ModelVariant, sample: &Prepared| {
            !common.is_recorded(group, member, suite, &sample.label.id)
        };
        let open: Vec<_> = group
            .members
            .iter()
            .filter(|member| unit.samples.iter().any(|sample| is_open(member, sample)))
            .collect();
        let mut embeds = UnitEmbeds::new();
        let mut probes = Vec::new();
        for turn in 0..open.len() {
            let member = open[(turn + unit.samples[0].index) % open.len()];
            // What stands in a batch must not depend on where a run was interrupted: all or nothing of it is answered again.
            let due: Vec<bool> = unit
                .samples
                .iter()
                .map(|sample| is_open(member, sample))
                .collect();
            let asked = |place: usize| common.request.batch > 1 || due[place];
            let answers = self.answers(member, suite, unit, &asked, &mut embeds);
            for (place, answer) in answers.into_iter().filter(|(place, _)| due[*place]) {
                let sample = &unit.samples[place];
                let sample = sample::record(
                    member.model.info(),
                    member.variant,
                    suite,
                    group.seed,
                    sample,
                    answer.as_ref(),
                );
                if common.request.attention {
                    probes.push((member, place, answer, sample));
                } else {
                    record(Computed::Sample(sample))?;
                }
            }
            if common.is_stopping() && !common.request.attention {
                break;
            }
        }
        // The probe before its sample: a sample that is recorded is not probed again.
        for (member, place, answer, sample) in probes {
            let features = embeds.get(&(member.checkpoint, unit.sources[place]));
            if let (Ok(answer), Some(Ok(features))) = (answer, features) {
                let prepared = &unit.samples[place];
                let ids = &answer.generation.ids;
                let probed = probe(member, prepared, features, ids, &sample);
                record(Computed::Attention(probed))?;
            }
            record(Computed::Sample(sample))?;
        }
        self.vision.end_of_unit();
        Ok(())
    }

    /// The answers of one variant to the samples of a unit that are `asked`, or why there are none, with their checkpoints.
    fn answers(
        &mut self,
        member: &ModelVariant,
        suite: &Suite,
        unit: &Unit,
        asked: &dyn Fn(usize) -> bool,
        embeds: &mut UnitEmbeds,
    ) -> Vec<(usize, Result<Answer, Failure>)> {
        let mut answers = Vec::with_capacity(unit.samples.len());
        let mut ready = Vec::with_capacity(unit.samples.len());
        for place in (0..unit.samples.len()).filter(|&place| asked(place)) {
            match self.ready(unit, member, place, embeds) {
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
        &mut self,
        unit: &'u Unit,
        member: &ModelVariant,
        place: usize,
        embeds: &mut UnitEmbeds,
    ) -> Result<Ready<'u>, Failure> {
        let sample = &unit.samples[place];
        let prompt = sample.prompt.as_ref().map_err(Failure::clone)?;
        let source = unit.sources[place];
        let features = embeds
            .entry((member.checkpoint, source))
            .or_insert_with(|| {
                let source = &unit.samples[source];
                let prompt = source.prompt.as_ref().map_err(Failure::clone)?;
                self.deadline_after(source.elapsed)
                    .and_then(|deadline| {
                        self.vision
                            .features(member, source.picture, prompt, deadline)
                    })
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
    pub(super) fn of(samples: impl IntoIterator<Item = Prepared>) -> Self {
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
    pub(super) fn is_on(&self, sample: &Prepared) -> bool {
        self.samples
            .first()
            .is_some_and(|first| first.has_picture_of(sample))
    }

    /// Of samples with the same picture the first alone keeps its pixels: all are given the features that it gets.
    pub(super) fn push(&mut self, mut sample: Prepared) {
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
