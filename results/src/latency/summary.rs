//! From raw times to medians, ratios and what the machine can resolve.
//!
//! A ratio is the median over rounds of the time of a variant over that of `standard` *in the same round*: what drifts from
//! round to round (clock, temperature, other programs) is in both and cancels. Its interval is a percentile bootstrap of
//! rounds. The vision tower is measured apart, since no variant touches it; its median joins the sums "first token, vision
//! included" as a constant.

use serde::Serialize;

use super::{AGAIN, BASELINE, LatencyRecord, LatencyRow, LatencyRun, Phase};
use crate::schema::Failure;
use crate::statistics::{Equivalence, Interval, Resampling, median, median_interval};

/// A time within this of that of `standard` counts as the same.
pub const MARGIN: f64 = 0.05;

/// A ratio to `standard`, with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Median of the ratios within rounds.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
}

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Median, in milliseconds.
    pub median_ms: f64,
    /// Its interval.
    pub interval_ms: Interval,
    /// To `standard`; `None` where it shares no round with it, and for vision.
    pub ratio: Option<Ratio>,
    /// Whether it is the time of `standard` within the margin, by the same rounds; `None` likewise, for `standard` itself, and for
    /// the sum "first token, vision included", whose constant part would make everything alike.
    pub equivalence: Option<Equivalence>,
}

/// The vision side at one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Vision {
    /// Visual tokens.
    pub image_tokens: u32,
    /// Runs.
    pub rounds: usize,
    /// Tower and connector.
    pub time: Time,
}

/// One arm in one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arm {
    /// Visual tokens of the prompt.
    pub image_tokens: u32,
    /// Other tokens of the prompt.
    pub text_tokens: u32,
    /// The arm.
    pub variant: String,
    /// Rounds that it was measured in.
    pub rounds: usize,
    /// The decoder over the prompt.
    pub prefill: Option<Time>,
    /// The same with the vision side before it: the time to the first token.
    pub first_token: Option<Time>,
    /// A further token.
    pub decode: Option<Time>,
    /// Bytes of the key-value cache.
    pub cache_bytes: Option<u64>,
    /// Most bytes above those before the answer.
    pub peak_bytes: Option<u64>,
    /// Why numbers are missing.
    pub errors: Vec<Failure>,
}

/// What the machine could resolve in a cell, from `standard` against itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Noise {
    /// Visual tokens of the prompt.
    pub image_tokens: u32,
    /// Other tokens of the prompt.
    pub text_tokens: u32,
    /// The smallest ratio above 1 that can be told from 1 in the prefill.
    pub prefill: Option<f64>,
    /// The same of the first token, vision included.
    pub first_token: Option<f64>,
    /// The same in decoding.
    pub decode: Option<f64>,
}

/// A latency run in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencySummary {
    /// The run's record.
    pub record: LatencyRecord,
    /// How intervals were made.
    pub resampling: Resampling,
    /// The vision side, by size.
    pub vision: Vec<Vision>,
    /// Every arm of every cell, in the order of the run.
    pub arms: Vec<Arm>,
    /// A line a cell where `standard` ran against itself.
    pub noise: Vec<Noise>,
}

impl LatencySummary {
    /// The numbers of a run, with [`MARGIN`] for what counts as the same.
    pub fn of(run: &LatencyRun, resampling: &Resampling) -> Self {
        Self::with_margin(run, resampling, MARGIN)
    }

    /// The same with another margin.
    pub fn with_margin(run: &LatencyRun, resampling: &Resampling, margin: f64) -> Self {
        let mut sizes: Vec<u32> = Vec::new();
        let mut arms: Vec<(u32, u32, &str)> = Vec::new();
        for row in &run.rows {
            if row.phase == Phase::Vision {
                if !sizes.contains(&row.image_tokens) {
                    sizes.push(row.image_tokens);
                }
                continue;
            }
            let arm = (row.image_tokens, row.text_tokens, row.variant.as_str());
            if !arms.contains(&arm) {
                arms.push(arm);
            }
        }
        let vision: Vec<Vision> = sizes
            .into_iter()
            .filter_map(|image_tokens| {
                let mut times: Vec<f64> = run
                    .rows
                    .iter()
                    .filter(|row| row.phase == Phase::Vision && row.image_tokens == image_tokens)
                    .filter_map(|row| row.milliseconds)
                    .collect();
                Some(Vision {
                    image_tokens,
                    rounds: times.len(),
                    time: Time {
                        interval_ms: median_interval(&times, resampling)?,
                        median_ms: median(&mut times)?,
                        ratio: None,
                        equivalence: None,
                    },
                })
            })
            .collect();
        let arms: Vec<Arm> = arms
            .into_iter()
            .map(|at| arm(&run.rows, at, &vision, (resampling, margin)))
            .collect();
        Self {
            noise: arms.iter().filter_map(noise).collect(),
            record: run.record.clone(),
            resampling: *resampling,
            vision,
            arms,
        }
    }

    /// The cells, as image tokens and text tokens, in the order of the run.
    pub fn cells(&self) -> Vec<(u32, u32)> {
        let mut cells = Vec::new();
        for arm in &self.arms {
            let cell = (arm.image_tokens, arm.text_tokens);
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    /// The arms of a cell, in order.
    pub fn arms_of(&self, cell: (u32, u32)) -> impl Iterator<Item = &Arm> {
        self.arms
            .iter()
            .filter(move |arm| (arm.image_tokens, arm.text_tokens) == cell)
    }

    /// What could be resolved in a cell.
    pub fn noise_of(&self, cell: (u32, u32)) -> Option<&Noise> {
        self.noise
            .iter()
            .find(|noise| (noise.image_tokens, noise.text_tokens) == cell)
    }

    /// The vision side at a size.
    pub fn vision_of(&self, image_tokens: u32) -> Option<&Vision> {
        self.vision
            .iter()
            .find(|vision| vision.image_tokens == image_tokens)
    }
}

/// Times by round.
type Rounds = Vec<(u32, f64)>;

fn arm(
    rows: &[LatencyRow],
    (image_tokens, text_tokens, variant): (u32, u32, &str),
    vision: &[Vision],
    (resampling, margin): (&Resampling, f64),
) -> Arm {
    let of = |variant: &str, phase: Phase| {
        let variant = variant.to_owned();
        rows.iter().filter(move |row| {
            (row.image_tokens, row.text_tokens, row.phase) == (image_tokens, text_tokens, phase)
                && row.variant == variant
        })
    };
    let times = |variant: &str, phase| -> Rounds {
        of(variant, phase)
            .filter_map(|row| {
                // Of an answer of N tokens the first comes out of the prefill.
                let tokens = f64::from(row.new_tokens.saturating_sub(1).max(1));
                let share = if phase == Phase::Decode { tokens } else { 1.0 };
                Some((row.round, row.milliseconds? / share))
            })
            .collect()
    };
    let bytes = |phase| of(variant, phase).filter_map(|row| row.bytes).max();
    let compared = (variant != BASELINE).then_some(margin);
    let (own, base) = (
        times(variant, Phase::Prefill),
        times(BASELINE, Phase::Prefill),
    );
    let seen = vision
        .iter()
        .find(|vision| vision.image_tokens == image_tokens);
    let with_vision = |rounds: &Rounds| -> Option<Rounds> {
        let vision = seen?.time.median_ms;
        Some(
            rounds
                .iter()
                .map(|(round, time)| (*round, time + vision))
                .collect(),
        )
    };
    let mut errors: Vec<Failure> = Vec::new();
    for error in rows
        .iter()
        .filter(|row| (row.image_tokens, row.text_tokens) == (image_tokens, text_tokens))
        .filter(|row| row.variant == variant)
        .filter_map(|row| row.error.as_ref())
    {
        if !errors.contains(error) {
            errors.push(error.clone());
        }
    }
    Arm {
        image_tokens,
        text_tokens,
        variant: variant.to_owned(),
        rounds: own.len(),
        prefill: time(&own, &base, resampling, compared),
        first_token: with_vision(&own)
            .zip(with_vision(&base))
            .and_then(|(own, base)| time(&own, &base, resampling, None)),
        decode: time(
            &times(variant, Phase::Decode),
            &times(BASELINE, Phase::Decode),
            resampling,
            compared,
        ),
        cache_bytes: bytes(Phase::Cache),
        peak_bytes: bytes(Phase::PeakMemory),
        errors,
    }
}

/// `margin` is of the test of equivalence, where there is to be one.
fn time(own: &Rounds, base: &Rounds, resampling: &Resampling, margin: Option<f64>) -> Option<Time> {
    let mut times: Vec<f64> = own.iter().map(|(_, time)| *time).collect();
    let mut ratios: Vec<f64> = own
        .iter()
        .filter_map(|(round, time)| {
            let (_, base) = base.iter().find(|(other, _)| other == round)?;
            Some(time / base)
        })
        .collect();
    Some(Time {
        interval_ms: median_interval(&times, resampling)?,
        median_ms: median(&mut times)?,
        equivalence: margin.and_then(|margin| Equivalence::of(&ratios, margin)),
        ratio: median_interval(&ratios, resampling).and_then(|interval| {
            Some(Ratio {
                interval,
                value: median(&mut ratios)?,
            })
        }),
    })
}

/// The bound of both sides: a variant may as well be faster.
fn noise(arm: &Arm) -> Option<Noise> {
    let bound = |time: Option<Time>| {
        let interval = time?.ratio?.interval;
        Some(interval.high.max(1.0 / interval.low))
    };
    (arm.variant == AGAIN).then(|| Noise {
        image_tokens: arm.image_tokens,
        text_tokens: arm.text_tokens,
        prefill: bound(arm.prefill),
        first_token: bound(arm.first_token),
        decode: bound(arm.decode),
    })
}
