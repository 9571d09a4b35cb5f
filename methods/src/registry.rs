//! The registry of variants: one literal table, one line a variant; and users' own presets, read from a file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dape::{self, Dape};
use crate::fastv::{self, FastV};
use crate::gated::{self, Gated, Per};
use crate::pai::{self, Pai};
use crate::rave::{Features, Form, Heads, Options as Grid, Pair, Rave, Side};
use crate::scaling_vis::{self, AdaptVis, ScalingVis};
use crate::sink::{self, Sink};
use crate::standard::Standard;
use crate::vaf::{self, Vaf};
use crate::vis_sink::{self, VisSink};
use crate::{Attention, Build, Error, Geometry, nearest};

/// A variant as the registry knows it: what it is, before it is built for a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The id: command line name, results key, adapter file name.
    pub id: &'static str,
    /// Raised whenever the variant's numbers may move.
    pub version: u32,
    /// One line for people.
    pub summary: &'static str,
    /// The method and its options, as recorded with every result.
    pub method: Method,
}

/// What a method does, in the words of `rave variants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Whether it has parameters that must be trained before it can differ from `standard`.
    pub trained: bool,
    /// The queries whose attention it touches.
    pub queries: &'static str,
    /// The keys on which it does.
    pub keys: &'static str,
    /// Whether prefill runs inside the unchanged fused kernel.
    pub folds: bool,
    /// What the key cache holds besides the values.
    pub caches: String,
    /// The setting at which it equals `standard`.
    pub identity: &'static str,
    /// Where the method comes from.
    pub source: &'static str,
}

/// The computation behind a preset, with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Method {
    /// [`Standard`].
    Standard,
    /// [`Rave`] at one point of its grid.
    Rave(Grid),
    /// [`Pai`].
    Pai(pai::Options),
    /// [`Vaf`].
    Vaf(vaf::Options),
    /// [`ScalingVis`].
    ScalingVis(scaling_vis::Options),
    /// [`AdaptVis`].
    AdaptVis(scaling_vis::AdaptiveOptions),
    /// [`VisSink`].
    VisSink(vis_sink::Options),
    /// [`FastV`].
    Fastv(fastv::Options),
    /// [`Gated`].
    Gated(gated::Options),
    /// [`Sink`] of fixed mass.
    SoftmaxOffByOne(sink::FixedOptions),
    /// [`Sink`] with learned logits.
    LearnedSink(sink::LearnedOptions),
    /// [`Dape`].
    Dape(dape::Options),
}

/// One line of the table.
const fn line(id: &'static str, summary: &'static str, method: Method) -> Variant {
    Variant {
        id,
        version: 1,
        summary,
        method,
    }
}

/// `rave` at another rank.
const fn rank(rank: i64) -> Method {
    Method::Rave(Grid {
        rank,
        ..Grid::DEFAULT
    })
}

/// Every variant there is, in the order in which tables and charts show them.
#[rustfmt::skip] // One line a variant.
pub static REGISTRY: &[Variant] = &[
    line("standard", "the decoder's own attention, through the fused kernel: the baseline", Method::Standard),
    line("rave", "learned query-key bias on visual keys from pre-RoPE features (our reconstruction)", Method::Rave(Grid::DEFAULT)),
    line("rave-post-rope", "ablation: the gate's features are taken after RoPE", Method::Rave(Grid { features: Features::PostRope, ..Grid::DEFAULT })),
    line("rave-gate", "ablation: a gate log(2 sigmoid) of the bias, which does not fold", Method::Rave(Grid { form: Form::Gate, ..Grid::DEFAULT })),
    line("rave-key-only", "ablation: the bias depends on the key alone (intra-visual)", Method::Rave(Grid { pair: Pair::KeyOnly, ..Grid::DEFAULT })),
    line("rave-query-only", "ablation: the bias depends on the query alone (cross-modal)", Method::Rave(Grid { pair: Pair::QueryOnly, ..Grid::DEFAULT })),
    line("rave-scalar", "ablation: one learned number a head", Method::Rave(Grid { pair: Pair::Scalar, ..Grid::DEFAULT })),
    line("rave-all-keys", "ablation: the bias is on all keys", Method::Rave(Grid { keys: Side::All, ..Grid::DEFAULT })),
    line("rave-text-queries", "ablation: only text queries get the bias", Method::Rave(Grid { queries: Side::Text, ..Grid::DEFAULT })),
    line("rave-shared", "ablation: one gate for all heads of a layer", Method::Rave(Grid { shared: true, ..Grid::DEFAULT })),
    line("rave-half-heads", "ablation: half of the heads of each key group have a gate", Method::Rave(Grid { heads: Heads::Share(0.5), ..Grid::DEFAULT })),
    line("rave-rank-2", "ablation: rank 2 instead of 8", rank(2)),
    line("rave-rank-4", "ablation: rank 4 instead of 8", rank(4)),
    line("rave-rank-16", "ablation: rank 16 instead of 8", rank(16)),
    line("rave-rank-32", "ablation: rank 32 instead of 8", rank(32)),
    line("pai", "adds a share of each visual score's magnitude", Method::Pai(pai::Options::DEFAULT)),
    line("vaf", "scales visual scores up and the system prompt's down in the middle layers", Method::Vaf(vaf::Options::DEFAULT)),
    line("scaling-vis", "one factor on the visual scores of the prompt's last token", Method::ScalingVis(scaling_vis::Options::DEFAULT)),
    line("adapt-vis", "scaling-vis with the factor chosen by the model's confidence, in a second run", Method::AdaptVis(scaling_vis::AdaptiveOptions::DEFAULT)),
    line("vis-sink", "takes weight from attention sinks for the other visual tokens", Method::VisSink(vis_sink::Options::DEFAULT)),
    line("fastv-25", "drops the least attended 25 % of the visual tokens after the first layers", Method::Fastv(fastv::Options::at(0.25))),
    line("fastv-50", "drops the least attended 50 %", Method::Fastv(fastv::Options::at(0.5))),
    line("fastv-75", "drops the least attended 75 %", Method::Fastv(fastv::Options::at(0.75))),
    line("gated-head", "a learned gate on each head's output", Method::Gated(gated::Options { per: Per::Head })),
    line("gated-element", "a learned gate on each element of the output", Method::Gated(gated::Options { per: Per::Element })),
    line("softmax-off-by-one", "softmax with 1 more in its denominator; for a model that was trained with it", Method::SoftmaxOffByOne(sink::FixedOptions::DEFAULT)),
    line("learned-sink", "one learned logit a head joins the softmax and is dropped", Method::LearnedSink(sink::LearnedOptions::DEFAULT)),
    line("dape", "a small network over the heads corrects every score", Method::Dape(dape::Options::DEFAULT)),
];

/// The registered variant with this id.
///
/// # Errors
/// [`Error::UnknownVariant`] with the nearest id.
pub fn variant(id: &str) -> Result<&'static Variant, Error> {
    REGISTRY
        .iter()
        .find(|variant| variant.id == id)
        .ok_or_else(|| Error::UnknownVariant {
            id: id.to_owned(),
            nearest: nearest(id, REGISTRY.iter().map(|variant| variant.id)).map(str::to_owned),
        })
}

/// A user's preset from a TOML file: `method` and its options, and perhaps `id` (by default the file's name) and `summary`.
///
/// ```toml
/// summary = "RAVE in the upper half, rank 4"
/// method = "rave"
/// rank = 4
/// layers = { first = 15, last = 29, of = 30 }
/// ```
/// A variant lives as long as the program, as those of the registry do; a preset is read once a mention on a command line.
///
/// # Errors
/// [`Error::Preset`] for a file that cannot be read, an unknown method or option, and an id that the registry has.
pub fn preset(path: &Path) -> Result<&'static Variant, Error> {
    let refuse = |reason: String| Error::Preset {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        refuse(format!(
            "{error}; give a TOML file with `method` and its options"
        ))
    })?;
    let mut table: toml::Table =
        toml::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    let mut text_of = |key: &str| match table.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(value)) => Ok(Some(value)),
        Some(other) => Err(refuse(format!("`{key}` must be a text, not {other}"))),
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let id = text_of("id")?.unwrap_or_else(|| stem.into_owned());
    let summary = text_of("summary")?.unwrap_or_else(|| format!("the preset {id}"));
    let wordly =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if id.is_empty() || !id.chars().all(wordly) {
        return Err(refuse(format!(
            "the id `{id}` is not possible; use lower-case letters, digits and hyphens (`id = \"..\"`)"
        )));
    }
    if REGISTRY.iter().any(|variant| variant.id == id) {
        return Err(refuse(format!(
            "the id `{id}` is a registered variant's; choose another (`id = \"..\"`)"
        )));
    }
    let Some(toml::Value::String(method)) = table.get("method") else {
        return Err(refuse(format!(
            "`method` is missing; it is one of {}",
            METHODS.join(", ")
        )));
    };
    if !METHODS.contains(&method.as_str()) {
        let near = nearest(method, METHODS.iter().copied());
        return Err(refuse(format!(
            "unknown method `{method}`{}; it is one of {}",
            crate::did_you_mean(near),
            METHODS.join(", ")
        )));
    }
    if method == "standard"
        && let Some(other) = table.keys().find(|key| *key != "method")
    {
        return Err(refuse(format!(
            "unknown field `{other}`; standard has no options"
        )));
    }
    if method == "gated" && table.keys().all(|key| key == "method") {
        return Err(refuse("`per` is missing; it is head or element".into()));
    }
    let method: Method = table
        .try_into()
        .map_err(|error: toml::de::Error| refuse(error.message().to_owned()))?;
    Ok(Box::leak(Box::new(Variant {
        id: Box::leak(id.into_boxed_str()),
        version: 1,
        summary: Box::leak(summary.into_boxed_str()),
        method,
    })))
}

/// The methods as presets name them.
const METHODS: [&str; 12] = [
    "standard",
    "rave",
    "pai",
    "vaf",
    "scaling-vis",
    "adapt-vis",
    "vis-sink",
    "fastv",
    "gated",
    "softmax-off-by-one",
    "learned-sink",
    "dape",
];

impl Method {
    /// What it does.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Standard => Standard::facts(),
            Self::Rave(options) => Rave::facts(options),
            Self::Pai(_) => Pai::facts(),
            Self::Vaf(_) => Vaf::facts(),
            Self::ScalingVis(_) => ScalingVis::facts(),
            Self::AdaptVis(_) => AdaptVis::facts(),
            Self::VisSink(_) => VisSink::facts(),
            Self::Fastv(_) => FastV::facts(),
            Self::Gated(_) => Gated::facts(),
            Self::SoftmaxOffByOne(_) => Sink::fixed_facts(),
            Self::LearnedSink(_) => Sink::learned_facts(),
            Self::Dape(_) => Dape::facts(),
        }
    }

    /// The method at its identity setting: equal to `standard` at its initial values.
    #[must_use]
    pub fn identity(&self) -> Self {
        match self.clone() {
            Self::Pai(options) => Self::Pai(pai::Options {
                alpha: 0.0,
                ..options
            }),
            Self::Vaf(options) => Self::Vaf(vaf::Options {
                visual: 1.0,
                system: 1.0,
                ..options
            }),
            Self::ScalingVis(_) => Self::ScalingVis(scaling_vis::Options { weight: 1.0 }),
            Self::AdaptVis(options) => Self::AdaptVis(scaling_vis::AdaptiveOptions {
                unsure: 1.0,
                sure: 1.0,
                ..options
            }),
            Self::VisSink(options) => Self::VisSink(vis_sink::Options {
                keep: 1.0,
                ..options
            }),
            Self::Fastv(options) => Self::Fastv(fastv::Options {
                ratio: 0.0,
                ..options
            }),
            Self::SoftmaxOffByOne(_) => Self::SoftmaxOffByOne(sink::FixedOptions { mass: 0.0 }),
            Self::LearnedSink(_) => Self::LearnedSink(sink::LearnedOptions { initial: -100.0 }),
            initial @ (Self::Standard | Self::Rave(_) | Self::Gated(_) | Self::Dape(_)) => initial,
        }
    }

    /// The method for one model, at its initial values; `variant` is the name that errors give it.
    ///
    /// # Errors
    /// [`Error::Options`] when its options do not fit the model.
    pub fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(match self {
            Self::Standard => Box::new(Standard::new(build)),
            Self::Rave(options) => Box::new(Rave::new(variant, options, build)?),
            Self::Pai(options) => Box::new(Pai::new(variant, options, build)?),
            Self::Vaf(options) => Box::new(Vaf::new(variant, options, build)?),
            Self::ScalingVis(options) => Box::new(ScalingVis::new(variant, options, build)?),
            Self::AdaptVis(options) => Box::new(AdaptVis::new(variant, options, build)?),
            Self::VisSink(options) => Box::new(VisSink::new(variant, options, build)?),
            Self::Fastv(options) => Box::new(FastV::new(variant, options, build)?),
            Self::Gated(options) => Box::new(Gated::new(options, build)?),
            Self::SoftmaxOffByOne(options) => Box::new(Sink::fixed(variant, options, build)?),
            Self::LearnedSink(options) => Box::new(Sink::learned(variant, options, build)?),
            Self::Dape(options) => Box::new(Dape::new(variant, options, build)?),
        })
    }
}

impl Variant {
    /// What it does.
    pub fn facts(&self) -> Facts {
        self.method.facts()
    }

    /// Whether it has parameters that must be trained before it can differ from `standard`.
    pub fn is_trained(&self) -> bool {
        self.facts().trained
    }

    /// The variant for one model, at its initial values.
    ///
    /// # Errors
    /// [`Error::Options`] when its options do not fit the model.
    pub fn build(&self, build: &Build) -> Result<Box<dyn Attention>, Error> {
        self.method.build(self.id, build)
    }

    /// How many parameters it adds to a model of these sizes.
    ///
    /// # Errors
    /// As [`Variant::build`].
    pub fn added_parameters(&self, geometry: Geometry) -> Result<u64, Error> {
        let attention = self.build(&Build {
            geometry,
            device: tch::Device::Cpu,
            kind: tch::Kind::Float,
            seed: 0,
        })?;
        let parameters = attention.parameters();
        Ok(parameters
            .iter()
            .map(|(_, tensor)| tensor.numel() as u64)
            .sum())
    }

    /// Its options as canonical JSON, for run records and adapters.
    ///
    /// # Panics
    /// Never: options are plain enums and finite numbers, which JSON can hold.
    pub fn options(&self) -> serde_json::Value {
        serde_json::to_value(&self.method).expect("options are plain enums and finite numbers")
    }
}
