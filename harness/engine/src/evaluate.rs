//! `rave eval`: every model, suite, sample and variant of a request, into one run folder.
//!
//! A picture's vision features do not depend on the decoder's attention: they are computed and timed once (`vision`) and handed to
//! every variant of the same checkpoint; in a [`Grid`](rave_lmm::Grid), where each variant has a checkpoint of its own, those whose
//! vision towers are equal share the tower's work. Neighbouring questions on one picture share the keys and values of their common
//! beginning, under the variants that allow it. The variants of a sample run one after the other, in an order that turns by one
//! from sample to sample, so that none is always first. Where attention is probed, that comes after all variants have answered.
//!
//! Items are prepared on the rayon pool ahead of the model (`prefetch`). Of a small model every thread has a copy and answers
//! whole units of samples by itself (`workers`); a large one has all threads for each of its operators. What is computed
//! together is fixed by the request alone (`batching`), so that neither an interruption nor the number of rayon threads moves a
//! bit of an answer. Times are recorded where they are a sample's own: none of what was computed for several at once. Measuring
//! is the job of [`latency`](crate::latency), where nothing is shared.

mod batching;
mod header;
mod prefetch;
mod prepare;
mod sample;
mod seed_group;
mod selection;
mod suite_runner;
mod unit;
mod vision;
mod workers;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rave_benchmarks::{Dataset, Suite};
use rave_lmm::{GenerationKeys, LoadOptions, ModelInfo, preflight};
use rave_methods::Variant;
use rave_results::schema::{CodeVersion, RunRecord, Shard, WorkRecord};
use rave_results::store::{Claim, LogContents, Opened};
use rave_results::{RunWriter, SampleRecord};

use self::seed_group::{ModelVariant, SeedGroup, checkpoints, load};
use self::selection::choose;
use self::suite_runner::{Common, Sink, SuiteRunner};
use self::vision::Vision;
use self::workers::Workers;
use crate::Error;
use crate::record::check_adapter;

/// What to evaluate.
#[derive(Debug, Clone)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "flags of a command line, each by itself"
)]
pub struct Request {
    /// Models by name, folder, or repository that the hub's cache holds.
    pub models: Vec<String>,
    /// Attention variants.
    pub variants: Vec<&'static Variant>,
    /// Suites.
    pub suites: Vec<&'static Suite>,
    /// The folder of the data of each suite that is not embedded, by the suite's id; a suite in a file may have its own.
    pub data: BTreeMap<String, PathBuf>,
    /// Another split of the suites' data than they name.
    pub split: Option<String>,
    /// At most so many samples of each suite, from the start or drawn under `shuffle`.
    pub limit: Option<usize>,
    /// Draws the samples of a limit under this seed instead of taking the first.
    pub shuffle: Option<u64>,
    /// Only the samples of these ids, `ID` or `SUITE/ID`; empty for all.
    pub samples: Vec<String>,
    /// Only this part of the samples, which other runs complete.
    pub shard: Option<Shard>,
    /// Ask each family in the words that its authors prescribe, where a suite knows them, instead of all alike.
    pub family_prompts: bool,
    /// Of a grid of checkpoints the seed to take, by default all that it holds; elsewhere the seed of variants at their
    /// initial values, by default 0.
    pub seed: Option<u64>,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// Keys of the models' generation configs that answers do not follow.
    pub ignored: GenerationKeys,
    /// Trained weights for the one trained variant of the request; otherwise those beside the checkpoint are taken.
    pub adapter: Option<PathBuf>,
    /// Probe the attention behind every answer, after it was given and timed.
    pub attention: bool,
    /// Samples a batch, 1 or more. Those of a batch are padded to the longest and answered together.
    pub batch: usize,
    /// Whether questions on one picture share the keys and values of their beginning, and pictures that come again their features.
    pub reuse: bool,
    /// Most time for one answer, preparing and vision included; a sample that takes longer is failed.
    pub sample_timeout: Option<Duration>,
    /// The run's folder.
    pub out: PathBuf,
    /// Go on with the interrupted run in `out`; where none was begun, begin it, and where it has finished, return its record.
    pub resume: bool,
    /// The command line, for the record.
    pub command_line: Vec<String>,
    /// Version of the program, for the record.
    pub code: CodeVersion,
}

/// Hears how a run goes. Every method does nothing by default.
pub trait Observer {
    /// There is no run yet to resume: it begins.
    fn nothing_to_resume(&mut self, _folder: &Path) {}
    /// An interrupted run goes on with what its log holds.
    fn resumed(&mut self, _log: &LogContents) {}
    /// The run that was to be resumed has finished, and nothing is asked.
    fn ended_before(&mut self) {}
    /// A model is about to be loaded.
    fn loading(&mut self, _model: &str) {}
    /// A model was loaded and its variants were built.
    fn loaded(&mut self, _model: &ModelInfo) {}
    /// A suite begins: samples to run, and those already recorded before a resume, for each variant.
    fn suite(
        &mut self,
        _model: &str,
        _suite: &Suite,
        _variants: &[&'static Variant],
        _samples: usize,
        _done: &[usize],
    ) {
    }
    /// A sample was recorded.
    fn sample(&mut self, _record: &SampleRecord) {}
    /// The suite that began last has ended.
    fn suite_done(&mut self) {}
}

/// How an evaluation ended.
#[derive(Debug)]
pub enum Ended {
    /// All samples are recorded; the finished run's record.
    Finished(Box<RunRecord>),
    /// It was asked to stop; what was recorded is on the disk, and a resume goes on.
    Stopped,
}

/// Runs a request to its end, or until `stop` is no longer 0: then the answers under way are recorded first.
///
/// # Errors
/// Bad input, a model or data that cannot be opened, a run folder that cannot be written. Samples that fail are recorded.
pub fn evaluate(
    request: &Request,
    observer: &mut dyn Observer,
    stop: &AtomicUsize,
) -> Result<Ended, Error> {
    let start = Instant::now();
    let options = LoadOptions::named(&request.device, &request.dtype)?.without(request.ignored);
    // Whatever can be wrong with the request is found before the run begins: a mistyped name must not leave a run in the folder
    // that has to be removed by hand.
    let claim = Claim::take(&request.out, request.resume)?;
    if request.resume && !claim.is_begun() {
        observer.nothing_to_resume(&request.out);
    }
    check(request)?;
    let datasets = open_data(request)?;
    let selections = choose(request, &datasets)?;
    let mut run = header::begun(request, &datasets, &selections);
    if claim.is_finished() {
        for name in &request.models {
            let groups = load(name, request, options, observer)?;
            observer.loaded(groups[0].members[0].model.info());
            run.models.push(header::model(&groups));
        }
    }
    // The first model entirely, as it shows what a header does not: an adapter of another checkpoint, a wrong config.
    let mut first = match request.models.first() {
        Some(name) if !claim.is_finished() => Some(load(name, request, options, observer)?),
        _ => None,
    };
    let folder = match claim.open(&run)? {
        Opened::New(folder) | Opened::Resumed(folder) => folder,
        Opened::Finished(ended) => {
            observer.ended_before();
            return Ok(Ended::Finished(Box::new(ended)));
        }
    };
    let is_resumed = folder.is_resumed();
    let (mut writer, recorded) = RunWriter::new(folder)?;
    if is_resumed {
        observer.resumed(&recorded);
    }
    // A sample that failed is not an answer: it is tried again only in a new run, so that a resumed run counts it once.
    let done: HashSet<String> = recorded.samples.iter().map(SampleRecord::key).collect();
    drop(recorded);
    let common = Common {
        request,
        options,
        datasets: &datasets,
        done: &done,
        stop,
        batch: AtomicUsize::new(request.batch),
    };
    let threads = tch::get_num_threads();
    let mut work = WorkRecord::default();
    let mut waited = Duration::ZERO;
    for name in &request.models {
        let groups = match first.take() {
            Some(loaded) => loaded,
            None => load(name, request, options, observer)?,
        };
        writer.model(header::model(&groups))?;
        observer.loaded(groups[0].members[0].model.info());
        let run = writer.folder().to_owned();
        let workers = workers::count(&common, &groups, &selections, threads as usize);
        let mut vision = Vision::new(&run, [0, workers], request.reuse, &groups);
        tch::set_num_threads(threads / workers as i32);
        let mut sink = Sink {
            writer: &mut writer,
            observer,
        };
        let counts = thread::scope(|scope| {
            let mut workers = Workers::start(scope, workers, name, &common, &run);
            'groups: for number in 0..groups.len() {
                let runner = SuiteRunner::new(&groups, number, &common)?;
                for (dataset, selection) in selections.iter().enumerate() {
                    waited +=
                        runner.run(dataset, selection, &mut vision, &mut workers, &mut sink)?;
                    if common.is_stopping() {
                        break 'groups;
                    }
                }
            }
            workers.finish()
        })?;
        tch::set_num_threads(threads);
        if common.is_stopping() {
            writer.synchronise()?;
            return Ok(Ended::Stopped);
        }
        work.workers = work.workers.max(workers);
        work.features += vision.counts.asked + counts.asked;
        work.towers += vision.counts.computed + counts.computed;
    }
    work.seconds = start.elapsed().as_secs_f64();
    work.waited_seconds = waited.as_secs_f64();
    work.least_batch = common.batch.load(Ordering::Relaxed);
    let finished = writer.finish(|run| run.work = Some(work))?;
    Ok(Ended::Finished(Box::new(finished)))
}

/// Refuses models and an adapter that cannot be meant, before anything of them is loaded.
fn check(request: &Request) -> Result<(), Error> {
    check_adapter(&request.variants, request.adapter.is_some())?;
    for name in &request.models {
        for (_, _, folder) in checkpoints(name, request)? {
            preflight(&folder, request.ignored)?;
        }
    }
    if let Some(path) = request.adapter.as_ref().filter(|path| !path.is_file()) {
        return Err(Error::request(
            format!("--adapter {}: there is no such file", path.display()),
            "give the adapter that `rave train` wrote",
        ));
    }
    Ok(())
}

/// All data is opened before the first model is: a wrong folder is reported at once.
fn open_data(request: &Request) -> Result<Vec<Dataset>, Error> {
    let open = |suite: &&'static Suite| {
        let data = request.data.get(&suite.id).map(PathBuf::as_path);
        match &request.split {
            Some(split) => suite.open_split(data, split),
            None => suite.open(data),
        }
    };
    Ok(request.suites.iter().map(open).collect::<Result<_, _>>()?)
}
