//! `rave eval`: every model, suite, sample and variant of a request, into one run folder.
//!
//! A sample's vision features do not depend on the decoder's attention: they are computed and timed once and handed to
//! every variant. The variants of a sample then run one after the other, in an order that turns by one from sample to
//! sample, so that none is always first; before the first sample each runs once untimed.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use rave_benchmarks::{Dataset, Picture, Suite};
use rave_lmm::{
    Built, Checkpoint, GenerationOptions, LoadOptions, Model, ModelInfo, Processor, decode, kind,
    libtorch, resolve,
};
use rave_methods::Variant;
use rave_results::schema::{CodeVersion, Configuration, Libraries, RunRecord};
use rave_results::{RunWriter, SampleRecord};
use rayon::prelude::*;

use crate::Error;
use crate::record::{self, Prepared};

/// Samples that are prepared together; bounds the memory for decoded pictures.
const WINDOW: usize = 16;

/// The `tch` that is pinned in the workspace's `Cargo.toml`; a test reads the lock file.
const TCH: &str = "0.24.0";

/// What to evaluate.
#[derive(Debug, Clone)]
pub struct Request {
    /// Models by name or folder.
    pub models: Vec<String>,
    /// Attention variants.
    pub variants: Vec<&'static Variant>,
    /// Suites.
    pub suites: Vec<&'static Suite>,
    /// Local data for the suites that are not embedded.
    pub data: Option<PathBuf>,
    /// At most so many samples of each suite, from the start.
    pub limit: Option<usize>,
    /// Seed of variants at their initial values.
    pub seed: u64,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// Trained weights for the one trained variant of the request; otherwise those beside the checkpoint are taken.
    pub adapter: Option<PathBuf>,
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
    let options = LoadOptions {
        device: libtorch::device(&request.device)?,
        kind: kind(&request.dtype).ok_or_else(|| {
            Error::Request(format!(
                "dtype `{}` is unknown; use f32, bf16 or f16",
                request.dtype
            ))
        })?,
    };
    if request.adapter.is_some()
        && request
            .variants
            .iter()
            .filter(|variant| variant.trained)
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
        Checkpoint::open(&resolve(name)?)?;
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
        .map(|suite| suite.open(request.data.as_deref()))
        .collect::<Result<Vec<_>, _>>()?;
    // The first model entirely, as it shows what a header does not: an adapter of another checkpoint, a wrong config.
    let mut first = match request.models.first() {
        Some(name) => Some(load(name, request, options, observer)?),
        None => None,
    };
    let (mut writer, done) = open_run(request, &datasets)?;
    for name in &request.models {
        let (model, variants) = match first.take() {
            Some(loaded) => loaded,
            None => load(name, request, options, observer)?,
        };
        writer.model(record::model(model.info(), &variants))?;
        observer.loaded(model.info());
        let mut cell = Cell {
            model: &model,
            variants: &variants,
            request,
            done: &done,
        };
        for (suite, dataset) in request.suites.iter().zip(&datasets) {
            cell.run(suite, dataset, &mut writer, observer)?;
        }
    }
    Ok(writer.finish(|_| {})?)
}

/// Begins or resumes the run; returns the keys of the samples that are already recorded.
fn open_run(
    request: &Request,
    datasets: &[Dataset],
) -> Result<(RunWriter, HashSet<String>), Error> {
    let configuration = Configuration {
        models: request.models.clone(),
        variants: request
            .variants
            .iter()
            .map(|variant| record::variant(variant))
            .collect(),
        suites: request
            .suites
            .iter()
            .map(|suite| record::suite(suite, request.limit))
            .collect(),
        seed: request.seed,
        dtype: request.dtype.clone(),
        device: request.device.clone(),
        threads: tch::get_num_threads() as usize,
        batch: 1,
    };
    let name = request.out.file_name().map_or_else(
        || "run".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let libraries = Libraries {
        libtorch: Some(libtorch::VERSION.to_owned()),
        tch: Some(TCH.to_owned()),
        rustc: Some(env!("RAVE_RUSTC").to_owned()).filter(|version| !version.is_empty()),
    };
    let mut run = RunRecord::new(
        name,
        request.command_line.clone(),
        configuration,
        request.code.clone(),
        libraries,
    );
    for (suite, dataset) in request.suites.iter().zip(datasets) {
        run.data.insert(
            suite.id.clone(),
            record::data(dataset, rows(dataset, request).len()),
        );
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

/// The rows of a data set that a request takes.
fn rows(dataset: &Dataset, request: &Request) -> Range<usize> {
    0..request
        .limit
        .map_or(dataset.len(), |limit| limit.min(dataset.len()))
}

/// A model with the variants built for it.
type Loaded = (Model, Vec<(&'static Variant, Built)>);

fn load(
    name: &str,
    request: &Request,
    options: LoadOptions,
    observer: &mut dyn Observer,
) -> Result<Loaded, Error> {
    observer.loading(name);
    let model = Model::load(name, options)?;
    let adapter = |variant: &Variant| request.adapter.as_deref().filter(|_| variant.trained);
    let built = request.variants.iter().map(|&variant| {
        Ok((
            variant,
            model.build(variant, request.seed, adapter(variant))?,
        ))
    });
    let variants = built.collect::<Result<_, Error>>()?;
    Ok((model, variants))
}

/// One model with its variants, while it goes through the suites.
struct Cell<'a> {
    model: &'a Model,
    variants: &'a [(&'static Variant, Built)],
    request: &'a Request,
    done: &'a HashSet<String>,
}

impl Cell<'_> {
    fn run(
        &mut self,
        suite: &Suite,
        dataset: &Dataset,
        writer: &mut RunWriter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let rows = rows(dataset, self.request);
        let name = &self.model.info().name;
        let ids: Vec<_> = self.variants.iter().map(|(variant, _)| *variant).collect();
        let prefix = |variant: &Variant| format!("{name}/{}/{}/", suite.id, variant.id);
        let done: Vec<_> = ids
            .iter()
            .map(|id| {
                self.done
                    .iter()
                    .filter(|key| key.starts_with(&prefix(id)))
                    .count()
            })
            .collect();
        observer.suite(name, suite, &ids, rows.len(), &done);
        let processor = self.model.processor();
        let mut warm = false;
        for start in rows.clone().step_by(WINDOW) {
            let window: Vec<_> = (start..rows.end.min(start + WINDOW)).collect();
            let prepared: Vec<_> = window
                .par_iter()
                .map(|&index| prepare(dataset, index, processor.as_ref()))
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
        let Ok(features) = self.model.see(prompt) else {
            return;
        };
        for (_, built) in self.variants {
            let options = GenerationOptions {
                max_new_tokens: suite.max_new_tokens.min(2) as usize,
                stop_at_end: true,
            };
            // A failure shows again, and is recorded, when the sample has its turn.
            let _ = self
                .model
                .generate(built.attention.as_ref(), prompt, &features, &options);
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
        let blank = |variant: &Variant| {
            record::sample(
                self.model.info(),
                variant,
                suite,
                self.request.seed,
                prepared,
                Err(""),
            )
        };
        let open: Vec<_> = self
            .variants
            .iter()
            .filter(|(variant, _)| !self.done.contains(&blank(variant).key()))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let options = GenerationOptions {
            max_new_tokens: suite.max_new_tokens as usize,
            stop_at_end: true,
        };
        let failed = |error: &rave_lmm::Error| format!("{}: {error}", reason(error));
        let features = match &prepared.prompt {
            Ok(prompt) => self
                .model
                .see(prompt)
                .map(|features| (prompt, features))
                .map_err(|error| failed(&error)),
            Err(reason) => Err(reason.clone()),
        };
        let mut records = Vec::new();
        for turn in 0..open.len() {
            let (variant, built) = open[(turn + prepared.index) % open.len()];
            let generation = match &features {
                Ok((prompt, features)) => self
                    .model
                    .generate(built.attention.as_ref(), prompt, features, &options)
                    .map_err(|error| failed(&error)),
                Err(reason) => Err(reason.clone()),
            };
            let generation = generation.as_ref().map_err(String::as_str);
            let record = record::sample(
                self.model.info(),
                variant,
                suite,
                self.request.seed,
                prepared,
                generation,
            );
            writer.append(&record)?;
            records.push(record);
        }
        for record in &records {
            observer.sample(record);
        }
        Ok(())
    }
}

/// Reads, decodes and prepares one item; a failure becomes a reason, never an end.
fn prepare(dataset: &Dataset, index: usize, processor: &dyn Processor) -> Prepared {
    let start = Instant::now();
    let label = dataset.label(index).unwrap_or_default();
    let item = match dataset.item(index) {
        Ok(item) => item,
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
    let picture = match &item.picture {
        Picture::Rendered(picture) => Ok(picture.clone()),
        Picture::Encoded { bytes, name } => decode(bytes, name),
    };
    let prompt = picture.and_then(|picture| processor.prepare(&[&picture], &item.prompt));
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
        Error::Torch(error) | Error::Variant(rave_methods::Error::Torch(error)) => {
            let message = error.to_string();
            if message.contains("out of memory") || message.contains("can't allocate memory") {
                "out of memory"
            } else {
                "torch"
            }
        }
        _ => "model",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_recorded_tch_is_the_locked_one() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let text = fs::read_to_string(lock).expect("the workspace has a lock file");
        let entry = format!("name = \"tch\"\nversion = \"{}\"\n", super::TCH);
        assert!(
            text.contains(&entry),
            "Cargo.lock has another tch than {}",
            super::TCH
        );
    }

    #[test]
    fn the_compiler_is_known() {
        assert!(env!("RAVE_RUSTC").starts_with("rustc 1."));
    }
}
