//! The peak of memory of one answer, from prefill to the last token.
//!
//! LibTorch allocates on a CPU through the C library, which knows no peak, and which keeps freed memory for later: measured in
//! a process that has run anything before, a second arm would find room that the first left behind. So each
//! measurement has a process of its own (`rave measure-memory`, which [`ENVIRONMENT`] is set for): glibc then gives every
//! block of 64 KiB or more its own mapping and returns it when it is freed, so that what is resident is what is alive. There
//! the model is loaded, one small answer is given, the kernel's high-water mark of resident memory is reset
//! (`/proc/self/clear_refs`), and the peak is that mark after the answer less what was resident before it. Weights are
//! in neither. What counts is memory that was written to, in pages. Seeded numbers stand in for the vision side's output.
//!
//! On CUDA memory is LibTorch's caching allocator's, whose counters `tch` 0.24 does not reach: nothing is recorded there.

use std::fs;

use rave_lmm::{GenerationKeys, GenerationOptions, LoadOptions, Model};
use rave_methods::variants::rave::{self, Rave};
use rave_methods::{Attention, Build, Variant, noise};
use tch::Device;

use super::prompt::PromptMaker;
use super::{SEED, build};
use crate::Error;

/// What a record says of it.
pub(super) const HOW: &str = "peak memory: most resident bytes from prefill to the last token above those before it, weights \
                              and vision side apart; each in a process of its own (VmHWM of Linux)";

/// Variables for the process that measures; the C library reads them when it starts.
pub const ENVIRONMENT: [(&str, &str); 4] = [
    ("MALLOC_MMAP_THRESHOLD_", "65536"),
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
    ("MALLOC_TOP_PAD_", "0"),
    // MKL keeps its scratch memory otherwise.
    ("MKL_DISABLE_FAST_MM", "1"),
];

/// What to measure.
#[derive(Debug, Clone)]
pub struct MemoryRequest {
    /// The model by name or folder.
    pub model: String,
    /// The variant.
    pub variant: &'static Variant,
    /// Visual tokens of the prompt.
    pub image_tokens: usize,
    /// Other tokens of it.
    pub text_tokens: usize,
    /// Tokens of the answer.
    pub new_tokens: usize,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Whether a RAVE's bias is materialised, tokens x tokens: the control that a measurement must tell from the fold.
    pub materialise: bool,
}

/// Why there is no measurement on this device, if there is none.
///
/// # Errors
/// A device that is not there.
pub fn unavailable(device: &str) -> Result<Option<&'static str>, Error> {
    let device = rave_lmm::libtorch::device(device)?;
    Ok(if device != Device::Cpu {
        Some("the counters of LibTorch's CUDA allocator are out of tch's reach")
    } else if fs::metadata("/proc/self/clear_refs").is_err() {
        Some("this system has no /proc/self/clear_refs (Linux has)")
    } else {
        None
    })
}

/// The peak in bytes, measured in this process, which should have done nothing before.
///
/// # Errors
/// Bad input; a model that cannot be loaded or run; a system that does not tell.
pub fn measure(request: &MemoryRequest) -> Result<u64, Error> {
    if let Some(reason) = unavailable(&request.device)? {
        return Err(Error::refused(reason));
    }
    let options = LoadOptions::named(&request.device, &request.dtype)?.without(GenerationKeys::ALL);
    let model = Model::load(&request.model, options)?;
    let maker = PromptMaker::new(&model)?;
    maker.check(
        request.image_tokens,
        request.text_tokens,
        request.new_tokens,
    )?;
    let gate = request.variant.method.downcast_ref::<rave::Options>();
    let attention: Box<dyn Attention> = match gate {
        Some(own) if request.materialise => {
            let rave = Rave::new(
                request.variant.id,
                own,
                &Build {
                    geometry: model.info().geometry,
                    device: options.device,
                    kind: options.kind,
                    seed: SEED,
                },
            )
            .map_err(rave_lmm::Error::from)?
            .materialised();
            noise::disturb(&rave, SEED).map_err(rave_lmm::Error::from)?;
            Box::new(rave)
        }
        _ => build(request.variant, &model, options)?,
    };
    let answer = |image_tokens, text_tokens| -> Result<Option<u64>, Error> {
        let prompt = maker.prompt(image_tokens, text_tokens, false);
        let features = model.random_image_embeds(&prompt)?;
        let options = GenerationOptions {
            max_new_tokens: request.new_tokens,
            stop_at_end: false,
            deadline: None,
        };
        let (generation, peak) =
            peak_of(|| model.generate(attention.as_ref(), &prompt, &features, &options));
        generation?;
        Ok(peak)
    };
    // Threads, code and tables that LibTorch makes once.
    answer(maker.tokens_per_tile(), 1)?;
    answer(request.image_tokens, request.text_tokens)?.ok_or_else(|| {
        Error::request(
            "/proc/self/clear_refs or /proc/self/status cannot be used",
            "allow it, or read the times alone",
        )
    })
}

/// Runs something, and says how far resident memory rose above what it was; `None` where the system does not tell.
pub fn peak_of<T>(run: impl FnOnce() -> T) -> (T, Option<u64>) {
    // 5 resets the high-water mark (proc(5)).
    let reset = fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = status("VmRSS").filter(|_| reset);
    let result = run();
    let peak = status("VmHWM").zip(before);
    (
        result,
        peak.map(|(peak, before)| peak.saturating_sub(before)),
    )
}

/// A size in bytes from this process's status.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Processes that wanted a processor in the last minute, where the system tells.
pub(super) fn load_average() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}
