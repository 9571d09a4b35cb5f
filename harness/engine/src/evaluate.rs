//! `rave eval`: every model, suite, sample and variant of a request, into one run folder.
//!
//! A sample's vision features do not depend on the decoder's attention: they are computed and timed once and handed to
//! every variant of the same checkpoint; in a [`Grid`], where each variant has a checkpoint of its own, those whose vision
//! towers are equal share the tower's work. The variants of a sample then run one after the other, in an order that turns
//! by one from sample to sample, so that none is always first; before the first sample each runs once untimed. Where attention
//! is probed, that comes after all variants have answered the sample, so that no time that is recorded has a probe before it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use rave_benchmarks::{Dataset, Item, Suite};
use rave_lmm::{
    Built, Checkpoint, Features, Generation, GenerationOptions, Grid, LoadOptions, Model,
    ModelInfo, Patches, Processor, attention, libtorch, resolve,
};
use rave_methods::Variant;
use rave_results::schema::{CodeVersion, Configuration, Libraries, RunRecord};
use rave_results::{AttentionRecord, RunWriter, SampleRecord};
use rayon::prelude::*;

use crate::Error;
use crate::chosen::choose;
use crate::record::{self, Prepared};

/// Samples that are prepared together at most, and no more than there are threads for: a page of a scan is hundreds of
/// megabytes when it is cut into patches.
const WINDOW: usize = 16;

/// The `tch` that is pinned in the workspace's `Cargo.toml`; a test reads the lock file.
const TCH: &str = "0.24.0";

/// What to evaluate.
#[derive(Debug, Clone)]
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
    /// Ask each family in the words that its authors prescribe, where a suite knows them, instead of all alike.
    pub family_prompts: bool,
    /// Of a grid of checkpoints the seed to take, by default all that it holds; elsewhere the seed of variants at their
    /// initial values, by default 0.
    pub seed: Option<u64>,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// Trained weights for the one trained variant of the request; otherwise those beside the checkpoint are taken.
    pub adapter: Option<PathBuf>,
    /// Probe the attention behind every answer, after it was given and timed.
    pub attention: bool,
    /// The run's folder.
    pub out: PathBuf,
    /// Go on with the interrupted run in `out`.
    pub resume: bool,
    /// The command line, for the record.
    pub command_line: Vec<String>,
    /// Version of the program, for the record.
    pub code: CodeVersion,
}

/// Hears how a run goes. Every method does nothing by default.
pub trait Observer {
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

/// Runs a request to its end and returns the finished run's record.
///
/// # Errors
/// Bad input, a model or data that cannot be opened, a run folder that cannot be written. Samples that fail are recorded.
pub fn evaluate(request: &Request, observer: &mut dyn Observer) -> Result<RunRecord, Error> {
    let options = LoadOptions::named(&request.device, &request.dtype)?;
    if request.adapter.is_some()
        && request
            .variants
            .iter()
            .filter(|variant| variant.is_trained())
            .count()
            != 1
    {
        return Err(Error::Request(
            "--adapter needs exactly one trained variant in --variant".into(),
        ));
    }
    // Whatever can be wrong with the request is found before the run's folder is made: a mistyped name must not leave a
    // run there that has to be removed by hand.
    if !request.resume {
        RunWriter::vacant(&request.out)?;
    }
    for name in &request.models {
        for (_, _, folder) in places(name, request)? {
            Checkpoint::open(&folder)?;
        }
    }
    if let Some(path) = request.adapter.as_ref().filter(|path| !path.is_file()) {
        return Err(Error::Request(format!(
            "--adapter {}: there is no such file; give the adapter that `rave train` wrote",
            path.display()
        )));
    }
    // All data is opened before the first model is: a wrong folder is reported at once.
    let datasets = request
        .suites
        .iter()
        .map(|suite| {
            let data = request.data.get(&suite.id).map(PathBuf::as_path);
            match &request.split {
                Some(split) => suite.open_split(data, split),
                None => suite.open(data),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let chosen = choose(request, &datasets)?;
    // The first model entirely, as it shows what a header does not: an adapter of another checkpoint, a wrong config.
    let mut first = match request.models.first() {
        Some(name) => Some(load(name, request, options, observer)?),
        None => None,
    };
    let (mut writer, done) = open_run(request, &datasets, &chosen)?;
    for name in &request.models {
        let fields = match first.take() {
            Some(loaded) => loaded,
            None => load(name, request, options, observer)?,
        };
        writer.model(record::model(&fields))?;
        observer.loaded(fields[0].contenders[0].model.info());
        for field in &fields {
            let cell = Cell::new(field, request, &done)?;
            for (dataset, rows) in datasets.iter().zip(&chosen) {
                cell.run(dataset, rows, &mut writer, observer)?;
            }
        }
    }
    Ok(writer.finish(|_| {})?)
}

/// The versions of what does the arithmetic.
pub(crate) fn libraries() -> Libraries {
    Libraries {
        libtorch: Some(libtorch::VERSION.to_owned()),
        tch: Some(TCH.to_owned()),
        rustc: Some(env!("RAVE_RUSTC").to_owned()).filter(|version| !version.is_empty()),
    }
}

/// The name of a run: that of its folder.
pub(crate) fn run_name(folder: &Path) -> String {
    folder.file_name().map_or_else(
        || "run".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Begins or resumes the run; returns the keys of the samples that are already recorded.
fn open_run(
    request: &Request,
    datasets: &[Dataset],
    chosen: &[Vec<usize>],
) -> Result<(RunWriter, HashSet<String>), Error> {
    let configuration = Configuration {
        models: request.models.clone(),
        variants: request
            .variants
            .iter()
            .map(|variant| record::variant(variant))
            .collect(),
        suites: datasets
            .iter()
            .zip(chosen)
            .map(|(dataset, rows)| record::suite(request, dataset, rows))
            .collect(),
        seed: request.seed,
        dtype: request.dtype.clone(),
        device: request.device.clone(),
        threads: tch::get_num_threads() as usize,
        batch: 1,
        attention: request.attention,
    };
    let mut run = RunRecord::new(
        run_name(&request.out),
        request.command_line.clone(),
        configuration,
        request.code.clone(),
        libraries(),
    );
    for (dataset, rows) in datasets.iter().zip(chosen) {
        let suite = dataset.suite().id.clone();
        run.data.insert(suite, record::data(dataset, rows.len()));
    }
    if !request.resume {
        return Ok((RunWriter::create(&request.out, &run)?, HashSet::new()));
    }
    let (writer, contents) = RunWriter::resume(&request.out, &run)?;
    // A sample that failed is not an answer: it is tried again only in a new run, so that a resumed run counts it once.
    Ok((
        writer,
        contents.samples.iter().map(SampleRecord::key).collect(),
    ))
}

/// A variant with the model it runs on; variants of one checkpoint share theirs.
pub(crate) struct Contender {
    pub variant: &'static Variant,
    pub model: Rc<Model>,
    /// Number of its vision tower among the different ones of the model.
    pub tower: usize,
    pub built: Built,
}

/// The variants of a model that stand against each other, under one seed.
pub(crate) struct Field {
    pub seed: u64,
    /// Whether each seed has weights of its own.
    pub trained_by_seed: bool,
    pub contenders: Vec<Contender>,
}

/// The seeds and variants of a model, each with its checkpoint's folder.
fn places(name: &str, request: &Request) -> Result<Vec<(u64, &'static Variant, PathBuf)>, Error> {
    let folder = resolve(name)?;
    let mut places = Vec::new();
    let Some(grid) = Grid::open(&folder)? else {
        let seed = request.seed.unwrap_or(0);
        let place = |&variant| (seed, variant, folder.clone());
        return Ok(request.variants.iter().map(place).collect());
    };
    if request.adapter.is_some() {
        return Err(Error::Request(format!(
            "--adapter does not go with `{name}`, a grid whose variants have checkpoints of their own: give one of those \
             folders as --model"
        )));
    }
    let seeds = request
        .seed
        .map_or_else(|| grid.contents().seeds.clone(), |seed| vec![seed]);
    for seed in seeds {
        for &variant in &request.variants {
            places.push((seed, variant, grid.checkpoint(seed, variant.id)?));
        }
    }
    Ok(places)
}

/// Loads every checkpoint of a model once, and builds the variants on theirs: a field a seed.
fn load(
    name: &str,
    request: &Request,
    options: LoadOptions,
    observer: &mut dyn Observer,
) -> Result<Vec<Field>, Error> {
    observer.loading(name);
    let trained_by_seed = Grid::open(&resolve(name)?)?.is_some();
    let mut models: HashMap<PathBuf, (Rc<Model>, usize)> = HashMap::new();
    // A model with each of the different vision towers.
    let mut towers: Vec<Rc<Model>> = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    for (seed, variant, folder) in places(name, request)? {
        let (model, tower) = if let Some((model, tower)) = models.get(&folder) {
            (Rc::clone(model), *tower)
        } else {
            let model = Rc::new(Model::open(name, folder.clone(), options)?);
            let mut tower = 0;
            while tower < towers.len() && !model.shares_tower(&towers[tower])? {
                tower += 1;
            }
            if tower == towers.len() {
                towers.push(Rc::clone(&model));
            }
            models.insert(folder, (Rc::clone(&model), tower));
            (model, tower)
        };
        let adapter = request.adapter.as_deref().filter(|_| variant.is_trained());
        let built = model.build(variant, seed, adapter)?;
        if fields.last().is_none_or(|field| field.seed != seed) {
            fields.push(Field {
                seed,
                trained_by_seed,
                contenders: Vec::new(),
            });
        }
        if let Some(field) = fields.last_mut() {
            field.contenders.push(Contender {
                variant,
                model,
                tower,
                built,
            });
        }
    }
    Ok(fields)
}

/// One field, while it goes through the suites.
struct Cell<'a> {
    field: &'a Field,
    request: &'a Request,
    done: &'a HashSet<String>,
    /// The `model_type` that prompts are chosen by; `None` where all models are asked alike.
    model_type: Option<String>,
}

impl<'a> Cell<'a> {
    fn new(
        field: &'a Field,
        request: &'a Request,
        done: &'a HashSet<String>,
    ) -> Result<Self, Error> {
        let model_type = record::model_type(&field.contenders[0].model.info().folder)?;
        Ok(Self {
            field,
            request,
            done,
            model_type: model_type.filter(|_| request.family_prompts),
        })
    }

    /// The model that prepares the prompts: preprocessing and chat template are those of all checkpoints of a grid.
    fn lead(&self) -> &Model {
        &self.field.contenders[0].model
    }

    fn run(
        &self,
        dataset: &Dataset,
        rows: &[usize],
        writer: &mut RunWriter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let suite = dataset.suite();
        let name = &self.lead().info().name;
        let ids: Vec<_> = self
            .field
            .contenders
            .iter()
            .map(|contender| contender.variant)
            .collect();
        let prefix = |variant: &Variant| format!("{name}/{}/{}/", suite.id, variant.id);
        let suffix = format!("/seed {}", self.field.seed);
        let done: Vec<_> = ids
            .iter()
            .map(|id| {
                self.done
                    .iter()
                    .filter(|key| key.starts_with(&prefix(id)) && key.ends_with(&suffix))
                    .count()
            })
            .collect();
        let shown = if self.field.trained_by_seed {
            format!("{name}, seed {}", self.field.seed)
        } else {
            name.clone()
        };
        observer.suite(&shown, suite, &ids, rows.len(), &done);
        let processor = self.lead().processor();
        let model_type = self.model_type.as_deref();
        let mut warm = false;
        for window in rows.chunks(rayon::current_num_threads().min(WINDOW)) {
            let prepared: Vec<_> = window
                .par_iter()
                .map(|&index| prepare(dataset, index, model_type, processor.as_ref()))
                .collect();
            for prepared in &prepared {
                if !warm && prepared.prompt.is_ok() {
                    self.warm_up(suite, prepared);
                    warm = true;
                }
                self.sample(suite, prepared, writer, observer)?;
            }
        }
        observer.suite_done();
        Ok(())
    }

    /// Runs one sample under every variant once, untimed and unrecorded, errors and all.
    fn warm_up(&self, suite: &Suite, prepared: &Prepared) {
        let Ok(prompt) = &prepared.prompt else { return };
        for Contender { model, built, .. } in &self.field.contenders {
            let Ok(features) = model.see(prompt) else {
                return;
            };
            let options = GenerationOptions {
                max_new_tokens: suite.max_new_tokens.min(2) as usize,
                stop_at_end: true,
                deadline: None,
            };
            // A failure shows again, and is recorded, when the sample has its turn.
            let _ = model.generate(built.attention.as_ref(), prompt, &features, &options);
        }
    }

    /// One sample under every variant that has not recorded it yet.
    fn sample(
        &self,
        suite: &Suite,
        prepared: &Prepared,
        writer: &mut RunWriter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let record = |contender: &Contender, generation: Result<&Generation, &str>| {
            record::sample(
                contender.model.info(),
                contender.variant,
                suite,
                self.field.seed,
                prepared,
                generation,
            )
        };
        let open: Vec<_> = self
            .field
            .contenders
            .iter()
            .filter(|contender| !self.done.contains(&record(contender, Err("")).key()))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let options = GenerationOptions {
            max_new_tokens: suite.max_new_tokens as usize,
            stop_at_end: true,
            deadline: None,
        };
        let failed = |error: &rave_lmm::Error| format!("{}: {error}", reason(error));
        // The tower once for all that share it, the connector once a checkpoint.
        let mut towers: HashMap<usize, Result<Patches, String>> = HashMap::new();
        let mut seen: Vec<(&Rc<Model>, Result<Features, String>)> = Vec::new();
        let mut records = Vec::new();
        let mut answers = Vec::new();
        for turn in 0..open.len() {
            let contender = open[(turn + prepared.index) % open.len()];
            let Contender {
                model,
                tower,
                built,
                ..
            } = contender;
            let generation = match &prepared.prompt {
                Err(reason) => Err(reason.clone()),
                Ok(prompt) => {
                    let place = seen.iter().position(|(other, _)| Rc::ptr_eq(other, model));
                    let place = place.unwrap_or_else(|| {
                        let patches = towers.entry(*tower).or_insert_with(|| {
                            model.patches(prompt).map_err(|error| failed(&error))
                        });
                        let features = patches.as_ref().map_err(String::clone);
                        let features = features.and_then(|patches| {
                            model.connect(patches).map_err(|error| failed(&error))
                        });
                        seen.push((model, features));
                        seen.len() - 1
                    });
                    match &seen[place].1 {
                        Ok(features) => model
                            .generate(built.attention.as_ref(), prompt, features, &options)
                            .map_err(|error| failed(&error)),
                        Err(reason) => Err(reason.clone()),
                    }
                }
            };
            let record = record(contender, generation.as_ref().map_err(String::as_str));
            if self.request.attention {
                answers.push((contender, generation.map(|generation| generation.ids)));
            } else {
                writer.append(&record)?;
            }
            records.push(record);
        }
        // The probe before its sample: a sample that is recorded is not probed again.
        for ((contender, answer), record) in answers.iter().zip(&records) {
            let features = seen
                .iter()
                .find(|(model, _)| Rc::ptr_eq(model, &contender.model));
            if let (Ok(answer), Some((_, Ok(features)))) = (answer, features) {
                writer.append_attention(&probe(contender, prepared, features, answer, record))?;
            }
            writer.append(record)?;
        }
        for record in &records {
            observer.sample(record);
        }
        Ok(())
    }
}

/// What the attention behind an answer was; a probe that fails is recorded with its reason, and costs no answer.
fn probe(
    contender: &Contender,
    prepared: &Prepared,
    features: &Features,
    answer: &[i64],
    sample: &SampleRecord,
) -> AttentionRecord {
    let probed = match (&prepared.prompt, &prepared.item) {
        (Ok(prompt), Some(item)) => record::answer_boxes(item).and_then(|boxes| {
            attention::statistics(
                &contender.model,
                contender.built.attention.as_ref(),
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
        Ok(None) => Err("no picture: the prompt has no visual tokens".to_owned()),
        Err(error) => Err(format!("{}: {error}", reason(&error))),
    };
    record::attention(sample, probed)
}

/// Reads, decodes and prepares one item; a failure becomes a reason, never an end.
fn prepare(
    dataset: &Dataset,
    index: usize,
    model_type: Option<&str>,
    processor: &dyn Processor,
) -> Prepared {
    let start = Instant::now();
    let mut label = dataset.label(index).unwrap_or_default();
    label.prompt = dataset.suite().prompt(&label.question, model_type);
    let item = match dataset.item(index) {
        Ok(item) => Item {
            prompt: dataset.suite().prompt(&item.question, model_type),
            ..item
        },
        Err(error) => {
            return Prepared {
                label,
                item: None,
                index,
                prompt: Err(format!("item: {error}")),
                elapsed: start.elapsed(),
            };
        }
    };
    let prompt =
        record::picture(&item).and_then(|picture| processor.prepare(&[&picture], &item.prompt));
    let prompt = prompt.map_err(|error| format!("{}: {error}", reason(&error)));
    Prepared {
        label,
        item: Some(item),
        index,
        prompt,
        elapsed: start.elapsed(),
    }
}

/// The word under which a failure is counted.
fn reason(error: &rave_lmm::Error) -> &'static str {
    use rave_lmm::Error;
    match error {
        Error::Picture { .. } => "image",
        Error::Prompt(_) => "prompt",
        Error::NotFinite { .. } => "not finite",
        Error::Deadline => "deadline",
        error if error.is_out_of_memory() => "out of memory",
        Error::Torch(_) | Error::Variant(rave_methods::Error::Torch(_)) => "torch",
        _ => "model",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_recorded_tch_is_the_locked_one() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let text = fs::read_to_string(lock).expect("the workspace has a lock file");
        let entry = format!("name = \"tch\"\nversion = \"{TCH}\"\n");
        assert!(
            text.contains(&entry),
            "Cargo.lock has another tch than {TCH}"
        );
    }

    #[test]
    fn the_compiler_is_known() {
        assert!(env!("RAVE_RUSTC").starts_with("rustc 1."));
    }
}
