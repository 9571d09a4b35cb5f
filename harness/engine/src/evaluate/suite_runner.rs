//! One group, while it goes through the suites: items are prepared ahead, put together into units, and answered here and by the
//! workers in turn.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rave_benchmarks::{Dataset, Suite};
use rave_lmm::{LoadOptions, Model};
use rave_results::{RunWriter, SampleRecord};

use super::batching::Window;
use super::prefetch::{Prefetch, prefetch};
use super::prepare::prepare;
use super::sample::Prepared;
use super::seed_group::{ModelVariant, SeedGroup};
use super::selection::Selection;
use super::unit::{Computed, Unit, UnitRunner};
use super::vision::Vision;
use super::workers::{Task, Workers};
use super::{Observer, Request};
use crate::Error;
use crate::item::model_type;

/// Samples that are prepared ahead of the model at most, and no more than there are threads for: a page of a scan is hundreds
/// of megabytes when it is cut into patches.
const MAX_PREFETCH: usize = 16;

/// What the runners and workers of a run share.
pub(super) struct Common<'a> {
    pub request: &'a Request,
    pub options: LoadOptions,
    pub datasets: &'a [Dataset],
    /// Keys of the samples that were recorded before.
    pub done: &'a HashSet<String>,
    /// The signal that asks to stop; 0 for none.
    pub stop: &'a AtomicUsize,
    /// Samples a batch; fewer than were asked for once there was no memory for those.
    pub batch: AtomicUsize,
}

impl Common<'_> {
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    /// The windows of which not everything is recorded.
    pub(super) fn open<'w>(
        &self,
        group: &SeedGroup,
        dataset: &Dataset,
        selection: &'w Selection,
    ) -> Vec<&'w Window> {
        let is_open = |&&row: &&usize| {
            let id = dataset.id(row).unwrap_or_default();
            let mut members = group.members.iter();
            members.any(|own| !self.is_recorded(group, own, dataset.suite(), &id))
        };
        let windows = selection.windows.iter();
        windows
            .filter(|window| window.iter().any(|row| is_open(&row)))
            .collect()
    }

    pub(super) fn is_recorded(
        &self,
        group: &SeedGroup,
        member: &ModelVariant,
        suite: &Suite,
        sample: &str,
    ) -> bool {
        let record = SampleRecord {
            model: member.model.info().name.clone(),
            variant: member.variant.id.to_owned(),
            suite: suite.id.clone(),
            sample: sample.to_owned(),
            seed: group.seed,
            ..SampleRecord::default()
        };
        self.done.contains(&record.key())
    }
}

/// Where what is computed goes.
pub(super) struct Sink<'a> {
    pub writer: &'a mut RunWriter,
    pub observer: &'a mut dyn Observer,
}

impl Sink<'_> {
    pub(super) fn record(&mut self, computed: &Computed) -> Result<(), Error> {
        match computed {
            Computed::Attention(record) => self.writer.append_attention(record)?,
            Computed::Sample(record) => {
                self.writer.append(record)?;
                self.observer.sample(record);
            }
        }
        Ok(())
    }
}

/// One group, while it goes through the suites.
pub(super) struct SuiteRunner<'a> {
    group: &'a SeedGroup,
    /// Its number among the groups of the model.
    number: usize,
    common: &'a Common<'a>,
    /// The `model_type` that prompts are chosen by; `None` where all models are asked alike.
    model_type: Option<String>,
}

impl<'a> SuiteRunner<'a> {
    pub(super) fn new(
        groups: &'a [SeedGroup],
        number: usize,
        common: &'a Common<'a>,
    ) -> Result<Self, Error> {
        let group = &groups[number];
        let model_type = model_type(&group.members[0].model.info().folder)?;
        Ok(Self {
            group,
            number,
            common,
            model_type: model_type.filter(|_| common.request.family_prompts),
        })
    }

    /// The model that prepares the prompts: preprocessing and chat template are those of all checkpoints of a grid.
    fn lead(&self) -> &Model {
        &self.group.members[0].model
    }

    /// Answers the rows of a data set, by its number, that are not recorded yet; ends early when asked to stop. Returns how long
    /// it stood idle for data.
    pub(super) fn run(
        &self,
        number: usize,
        selection: &Selection,
        vision: &mut Vision,
        workers: &mut Workers,
        sink: &mut Sink,
    ) -> Result<Duration, Error> {
        let dataset = &self.common.datasets[number];
        let suite = dataset.suite();
        let members = &self.group.members;
        let is_recorded = |member: &ModelVariant, row: usize| {
            let id = dataset.id(row).unwrap_or_default();
            self.common.is_recorded(self.group, member, suite, &id)
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
        sink.observer
            .suite(&shown, suite, &variants, samples, &done.collect::<Vec<_>>());
        // Of a window of which everything is recorded nothing is prepared.
        let open = self.common.open(self.group, dataset, selection);
        let items = open.iter().copied().flatten().copied();
        let depth = rayon::current_num_threads().clamp(2, MAX_PREFETCH);
        let processor = self.lead().processor();
        let model_type = self.model_type.as_deref();
        let prepare = |row| prepare(dataset, row, model_type, processor.as_ref());
        workers.begin();
        let waited = prefetch(items, depth, prepare, |items| {
            for window in &open {
                if self.common.is_stopping() {
                    break;
                }
                for unit in self.units(window, items) {
                    let task = Task {
                        group: self.number,
                        dataset: number,
                        unit,
                    };
                    if let Some(task) = workers.hand_out(task)? {
                        let mut runner = UnitRunner {
                            group: self.group,
                            common: self.common,
                            vision,
                        };
                        runner.run(suite, &task.unit, &mut |computed| sink.record(&computed))?;
                    }
                    workers.take(sink)?;
                    if self.common.is_stopping() {
                        return Ok::<_, Error>(items.waited());
                    }
                }
            }
            Ok(items.waited())
        })?;
        workers.wait(sink)?;
        sink.observer.suite_done();
        Ok(waited)
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
}
