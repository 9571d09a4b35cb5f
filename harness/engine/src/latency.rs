//! `rave latency`: what each variant costs in time and memory, over a grid of image tokens and text tokens.
//!
//! Apart from each other: the vision side (tower and connector, once a size of image, since no variant touches it), the
//! prefill (the decoder over the whole prompt to the first token), the tokens after it, the bytes of the key-value cache and
//! the peak of memory. The arms (the variants, with `standard` once more where noise is measured) run
//! interleaved, forwards and backwards in turn (A B C C B A ...), after untimed runs of all
//! of them for a given time; every raw time is kept. Times are those that [`rave_lmm::Model::generate`] takes of itself, as
//! in `rave eval`; a variant that runs the prompt twice (`adapt-vis`) does so within its prefill.
//!
//! Variants with parameters get seeded small random ones ([`noise::disturb`]) and never trained ones, so that none has the
//! shortcut of a zero. Of a grid of checkpoints (`nano`) all variants run on the one of `standard`: what is compared is
//! the attention.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rave_lmm::{
    Generation, GenerationKeys, GenerationOptions, ImageEmbeds, LoadOptions, Model, ModelInfo,
    Prompt,
};
use rave_methods::{Attention, Build, Variant, noise};
use rave_results::latency::{
    AGAIN, BASELINE, LatencyConfiguration, LatencyRecord, LatencyRow, LatencyWriter, Phase,
};
use rave_results::schema::{CodeVersion, Failure};
use rave_results::store::{Claim, Opened};

use crate::Error;
use crate::record::{self, libraries, run_name};

pub mod memory;
mod prompt;

use memory::{MemoryRequest, load_average};
use prompt::PromptMaker;

/// Rounds that are the least to say anything of a ratio.
const MIN_ROUNDS: u32 = 5;
/// Runs of the vision side that are the least.
const MIN_VISION_ROUNDS: u32 = 3;
/// Seed of the variants' parameters.
const SEED: u64 = 1;

/// What to measure.
#[derive(Debug, Clone)]
pub struct LatencyRequest {
    /// The model by name or folder.
    pub model: String,
    /// Attention variants; `standard` joins them if it is not there.
    pub variants: Vec<&'static Variant>,
    /// Visual tokens of the prompts; left out, those of 17 tiles.
    pub image_tokens: Option<Vec<usize>>,
    /// Other tokens of the prompts.
    pub text_tokens: Vec<usize>,
    /// Tokens of each answer, at least 2: the first comes out of the prefill.
    pub new_tokens: usize,
    /// Time for the rounds of a cell; at least five rounds are made.
    pub budget: Duration,
    /// Time for the untimed runs before them; each arm has at least one.
    pub warmup: Duration,
    /// Whether `standard` runs once more, as the measure of noise.
    pub check_noise: bool,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// The run's folder.
    pub out: PathBuf,
    /// The command line, for the record.
    pub command_line: Vec<String>,
    /// Version of the program, for the record.
    pub code: CodeVersion,
}

/// Hears how a run goes. Every method does nothing by default.
pub trait LatencyObserver {
    /// The model was loaded.
    fn loaded(&mut self, _model: &ModelInfo) {}
    /// The vision side is measured for so many visual tokens.
    fn vision(&mut self, _image_tokens: usize) {}
    /// A cell begins: image tokens, text tokens, number of arms.
    fn cell(&mut self, _image_tokens: usize, _text_tokens: usize, _arms: usize) {}
    /// So many rounds of the cell have ended.
    fn rounds(&mut self, _rounds: u32) {}
    /// The memory of a variant is measured.
    fn memory(&mut self, _variant: &Variant) {}
    /// The cell has ended and is stored.
    fn cell_done(&mut self) {}
}

/// Measures the peak of memory of one variant in one cell, in a process of its own (see [`memory`]).
pub type MeasureMemory<'a> = dyn Fn(&MemoryRequest) -> Result<u64, Failure> + 'a;

/// A variant, built.
struct BuiltVariant {
    variant: &'static Variant,
    attention: Box<dyn Attention>,
}

/// Runs a request to its end and returns the finished run's record.
///
/// # Errors
/// Bad input, found before the run's folder is made; a model that cannot be opened; a folder that cannot be written. A variant
/// that fails in a cell is recorded with its reason.
pub fn latency(
    request: &LatencyRequest,
    measure_memory: &MeasureMemory,
    observer: &mut dyn LatencyObserver,
) -> Result<LatencyRecord, Error> {
    // Plain greedy decoding of a fixed length: what a checkpoint wants of its answers is no work of the decoder.
    let options = LoadOptions::named(&request.device, &request.dtype)?.without(GenerationKeys::ALL);
    if request.new_tokens < 2 {
        return Err(Error::request(
            format!(
                "--new-tokens {} leaves no token to time: the first comes out of the prefill",
                request.new_tokens
            ),
            "give 2 or more",
        ));
    }
    let claim = Claim::take(&request.out, false)?;
    let model = Model::load(&request.model, options)?;
    let maker = PromptMaker::new(&model)?;
    let cells = cells(request, &maker)?;
    let variants = build_variants(request, &model, options)?;
    observer.loaded(model.info());
    let record = begin(request, &model, &maker, &cells, &variants);
    let writer = match claim.open(&record)? {
        Opened::New(folder) | Opened::Resumed(folder) => LatencyWriter::new(folder),
        Opened::Finished(record) => return Ok(record),
    };
    let mut run = Running {
        request,
        model: &model,
        variants: &variants,
        rows: Vec::new(),
    };
    let mut seen: Option<(usize, ImageEmbeds)> = None;
    for (image_tokens, text_tokens) in cells {
        let prompt = maker.prompt(image_tokens, text_tokens, true);
        let known = seen.take().filter(|(tokens, _)| *tokens == image_tokens);
        let features = if let Some((_, features)) = known {
            features
        } else {
            observer.vision(image_tokens);
            run.vision(&prompt)?
        };
        run.cell(&prompt, &features, observer);
        writer.rows(&run.rows)?;
        run.memory(&prompt, measure_memory, observer);
        writer.rows(&run.rows)?;
        observer.cell_done();
        seen = Some((image_tokens, features));
    }
    Ok(writer.finish(load_average())?)
}

/// The grid, checked: image tokens in the outer loop, so that the vision side runs once a size.
fn cells(request: &LatencyRequest, maker: &PromptMaker) -> Result<Vec<(usize, usize)>, Error> {
    let sizes = request
        .image_tokens
        .clone()
        .unwrap_or_else(|| vec![maker.default_image_tokens()]);
    let mut cells = Vec::new();
    for image_tokens in sizes {
        for &text_tokens in &request.text_tokens {
            maker.check(image_tokens, text_tokens, request.new_tokens)?;
            if cells.contains(&(image_tokens, text_tokens)) {
                return Err(Error::refused(format!(
                    "{image_tokens} image tokens with {text_tokens} text tokens are asked for twice"
                )));
            }
            cells.push((image_tokens, text_tokens));
        }
    }
    Ok(cells)
}

/// Every variant with parameters that are no identity, the baseline first.
fn build_variants(
    request: &LatencyRequest,
    model: &Model,
    options: LoadOptions,
) -> Result<Vec<BuiltVariant>, Error> {
    let mut wanted = vec![rave_methods::variant(BASELINE).map_err(rave_lmm::Error::from)?];
    wanted.extend(request.variants.iter().filter(|own| own.id != BASELINE));
    wanted
        .into_iter()
        .map(|variant| {
            Ok(BuiltVariant {
                variant,
                attention: build(variant, model, options)?,
            })
        })
        .collect()
}

/// A variant for a model, with parameters that are no identity.
fn build(
    variant: &Variant,
    model: &Model,
    options: LoadOptions,
) -> Result<Box<dyn Attention>, rave_lmm::Error> {
    let attention = variant.build(&Build {
        geometry: model.info().geometry,
        device: options.device,
        kind: options.kind,
        seed: SEED,
    })?;
    noise::disturb(attention.as_ref(), SEED)?;
    Ok(attention)
}

/// The record of a run that begins now.
fn begin(
    request: &LatencyRequest,
    model: &Model,
    maker: &PromptMaker,
    cells: &[(usize, usize)],
    variants: &[BuiltVariant],
) -> LatencyRecord {
    let info = model.info();
    let mut image_tokens: Vec<u32> = cells.iter().map(|(image, _)| *image as u32).collect();
    image_tokens.dedup();
    let configuration = LatencyConfiguration {
        model: request.model.clone(),
        variants: variants
            .iter()
            .map(|built| record::variant(built.variant))
            .collect(),
        image_tokens,
        text_tokens: request
            .text_tokens
            .iter()
            .map(|&text| text as u32)
            .collect(),
        new_tokens: request.new_tokens as u32,
        seconds: request.budget.as_secs_f64(),
        warmup_seconds: request.warmup.as_secs_f64(),
        check_noise: request.check_noise,
        dtype: request.dtype.clone(),
        device: request.device.clone(),
        threads: tch::get_num_threads() as usize,
    };
    LatencyRecord {
        model: record::checkpoint(info),
        tokens_per_tile: maker.tokens_per_tile() as u32,
        notes: vec![
            format!(
                "prompts: the image tokens of {} in one stretch, all other tokens around it",
                maker.noise()
            ),
            "prefill: the decoder over the prompt to the first token; first token: the vision side before it; decode: a token \
             after the first"
                .to_owned(),
            "variants with parameters: seeded small random ones, none trained".to_owned(),
            memory::HOW.to_owned(),
        ],
        load_average: [load_average(), None],
        ..LatencyRecord::new(
            run_name(&request.out),
            request.command_line.clone(),
            configuration,
            request.code.clone(),
            libraries(),
        )
    }
}

/// A run on its way.
struct Running<'a> {
    request: &'a LatencyRequest,
    model: &'a Model,
    variants: &'a [BuiltVariant],
    rows: Vec<LatencyRow>,
}

impl Running<'_> {
    /// A row without a number.
    fn row(&self, prompt: &Prompt, variant: &str, phase: Phase) -> LatencyRow {
        let visual = prompt.visual_tokens();
        LatencyRow {
            model: self.model.info().name.clone(),
            variant: variant.to_owned(),
            image_tokens: visual as u32,
            text_tokens: (prompt.ids.len() - visual) as u32,
            new_tokens: self.request.new_tokens as u32,
            round: 0,
            turn: 0,
            phase,
            milliseconds: None,
            bytes: None,
            error: None,
        }
    }

    /// Times the vision side: one run untimed, then as long as the warm-up takes, at least three times.
    fn vision(&mut self, prompt: &Prompt) -> Result<ImageEmbeds, Error> {
        let mut features = self.model.encode_image(prompt)?;
        let begin = Instant::now();
        let mut round = 0;
        while round < MIN_VISION_ROUNDS || begin.elapsed() < self.request.warmup {
            let start = Instant::now();
            features = self.model.encode_image(prompt)?;
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            self.rows.push(LatencyRow {
                round,
                milliseconds: Some(milliseconds),
                ..self.row(prompt, "", Phase::Vision)
            });
            round += 1;
        }
        Ok(features)
    }

    /// Times every arm in one cell.
    fn cell(
        &mut self,
        prompt: &Prompt,
        features: &ImageEmbeds,
        observer: &mut dyn LatencyObserver,
    ) {
        // Names, and the attention behind each: the baseline stands for itself twice.
        let mut arms: Vec<(&str, &dyn Attention)> = Vec::new();
        for built in self.variants {
            arms.push((built.variant.id, built.attention.as_ref()));
            if built.variant.id == BASELINE && self.request.check_noise {
                arms.push((AGAIN, built.attention.as_ref()));
            }
        }
        let visual = prompt.visual_tokens();
        observer.cell(visual, prompt.ids.len() - visual, arms.len());
        let options = GenerationOptions {
            max_new_tokens: self.request.new_tokens,
            stop_at_end: false,
            deadline: None,
        };
        let run = |number: usize| {
            self.model
                .generate(arms[number].1, prompt, features, &options)
                .map_err(|error| record::failed(&error))
        };
        let mut failed: Vec<Option<Failure>> = vec![None; arms.len()];
        let mut rows = Vec::new();
        let begin = Instant::now();
        // At least once each, then for as long as was asked for.
        for pass in 0.. {
            for number in 0..arms.len() {
                let late = pass > 0 && begin.elapsed() >= self.request.warmup;
                if failed[number].is_none() && !late {
                    match run(number) {
                        Ok(generation) if pass == 0 => rows.push(LatencyRow {
                            turn: number as u32,
                            bytes: Some(generation.cache_bytes),
                            ..self.row(prompt, arms[number].0, Phase::Cache)
                        }),
                        Ok(_) => {}
                        Err(reason) => failed[number] = Some(reason),
                    }
                }
            }
            if begin.elapsed() >= self.request.warmup || failed.iter().all(Option::is_some) {
                break;
            }
        }
        let begin = Instant::now();
        let mut round = 0;
        while failed.iter().any(Option::is_none)
            && (round < MIN_ROUNDS || begin.elapsed() < self.request.budget)
        {
            for (turn, number) in turns(round, arms.len()).enumerate() {
                if failed[number].is_some() {
                    continue;
                }
                match run(number) {
                    Ok(generation) => rows.extend(self.times(
                        prompt,
                        arms[number].0,
                        (round, turn as u32),
                        &generation,
                    )),
                    Err(reason) => failed[number] = Some(reason),
                }
            }
            round += 1;
            observer.rounds(round);
        }
        for ((name, _), reason) in arms.iter().zip(failed) {
            if reason.is_some() {
                rows.push(LatencyRow {
                    error: reason,
                    ..self.row(prompt, name, Phase::Prefill)
                });
            }
        }
        self.rows.extend(rows);
    }

    /// The rows of one answer.
    fn times(
        &self,
        prompt: &Prompt,
        name: &str,
        (round, turn): (u32, u32),
        generation: &Generation,
    ) -> [LatencyRow; 2] {
        let timings = generation.timings;
        [
            (Phase::Prefill, timings.prefill),
            (Phase::Decode, timings.decode),
        ]
        .map(|(phase, time)| LatencyRow {
            round,
            turn,
            milliseconds: Some(time.as_secs_f64() * 1e3),
            ..self.row(prompt, name, phase)
        })
    }

    /// Measures the memory of every variant in one cell, apart from the timing, which it would disturb.
    fn memory(
        &mut self,
        prompt: &Prompt,
        measure: &MeasureMemory,
        observer: &mut dyn LatencyObserver,
    ) {
        let visual = prompt.visual_tokens();
        for built in self.variants {
            observer.memory(built.variant);
            let peak = measure(&MemoryRequest {
                model: self.request.model.clone(),
                variant: built.variant,
                image_tokens: visual,
                text_tokens: prompt.ids.len() - visual,
                new_tokens: self.request.new_tokens,
                dtype: self.request.dtype.clone(),
                device: self.request.device.clone(),
                materialise: false,
            });
            let row = self.row(prompt, built.variant.id, Phase::PeakMemory);
            self.rows.push(match peak {
                Ok(bytes) => LatencyRow {
                    bytes: Some(bytes),
                    ..row
                },
                Err(reason) => LatencyRow {
                    error: Some(reason),
                    ..row
                },
            });
        }
    }
}

/// The arms of a round in their order: forwards in one, backwards in the next, so that what drifts evenly within a
/// round, and what the one before leaves behind, does not favour any.
fn turns(round: u32, arms: usize) -> impl Iterator<Item = usize> {
    let forwards = round.is_multiple_of(2);
    (0..arms).map(move |turn| if forwards { turn } else { arms - 1 - turn })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_go_forwards_and_backwards() {
        let order: Vec<usize> = (0..3).flat_map(|round| turns(round, 3)).collect();
        assert_eq!(order, [0, 1, 2, 2, 1, 0, 0, 1, 2]);
    }
}
