//! Options that several commands share: each is named, described and read in one place.
//!
//! A command that differs in a default or has more to say changes that option alone, by `mut_arg`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use image::RgbImage;
use rave_hints::refusal;
use rave_lmm::{GenerationKey, GenerationKeys, LoadOptions, decode};
use rave_methods::{REGISTRY, Variant};
use strum::{EnumMessage, ParseError, VariantArray};

use super::hub::HubArguments;
use super::{listed, named_variant, unique};

/// One model.
#[derive(Debug, Args)]
pub struct ModelArguments {
    /// A built-in model, the folder of a checkpoint, or a hub repository (`org/name[@revision]`)
    #[arg(id = "model", long = "model", value_name = "MODEL")]
    pub name: String,
    #[command(flatten)]
    pub hub: HubArguments,
}

impl ModelArguments {
    /// Fetches the model where it is one of the hub. `ignored` are the keys of its generation config that will not be followed.
    pub fn fetch(&self, ignored: GenerationKeys) -> anyhow::Result<()> {
        self.hub.models([self.name.as_str()], ignored)
    }
}

/// One attention variant.
#[derive(Debug, Args)]
pub struct VariantArguments {
    /// The attention variant, or a preset file (.toml)
    #[arg(
        id = "variant",
        long = "variant",
        value_name = "VARIANT",
        default_value = "standard"
    )]
    pub name: String,
}

impl VariantArguments {
    /// The variant of that name.
    pub fn named(&self) -> anyhow::Result<&'static Variant> {
        named_variant(&self.name)
    }
}

/// Several attention variants.
#[derive(Debug, Args)]
pub struct VariantsArguments {
    /// Attention variants or preset files (.toml), separated by commas; `all` for every registered one
    #[arg(
        id = "variant",
        long = "variant",
        value_name = "VARIANT",
        value_delimiter = ',',
        default_value = "standard,rave"
    )]
    pub names: Vec<String>,
}

impl VariantsArguments {
    /// The variants of those names, none of them twice.
    pub fn selected(&self) -> anyhow::Result<Vec<&'static Variant>> {
        let mut selected = Vec::new();
        for name in listed("variant", &self.names)? {
            match name {
                "all" => selected.extend(REGISTRY),
                name => selected.push(named_variant(name)?),
            }
        }
        unique("variant", selected.iter().map(|variant| variant.id))?;
        Ok(selected)
    }
}

/// Where a model is computed, and in which type.
#[derive(Debug, Args)]
pub struct DeviceArguments {
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute type: f32, bf16 or f16
    #[arg(long, value_name = "D", default_value = "f32")]
    pub dtype: String,
}

/// How a model answers, with which weights of a variant.
#[derive(Debug, Args)]
pub struct AnswerArguments {
    /// Answer as if the checkpoint's `generation_config.json` had not these keys, separated by commas: of a run that is refused for
    /// one, or to compare. All others are followed as transformers' greedy generate does; the record says which
    #[arg(long, value_name = "KEY", value_delimiter = ',', value_parser = generation_key)]
    ignore_generation_config: Vec<GenerationKey>,
    /// Trained weights for the one trained variant; otherwise those beside the checkpoint are taken
    #[arg(long, value_name = "FILE.safetensors")]
    pub adapter: Option<PathBuf>,
}

impl AnswerArguments {
    /// The keys that are not to be followed.
    pub fn ignored(&self) -> GenerationKeys {
        self.ignore_generation_config.iter().copied().collect()
    }
}

/// A key by its name; clap has one text for what is wrong with it.
fn generation_key(name: &str) -> Result<GenerationKey, String> {
    name.parse()
        .map_err(|error: rave_lmm::Error| error.with_hint())
}

/// A model that answers one question.
#[derive(Debug, Args)]
pub struct QuestionArguments {
    /// Most tokens to generate
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub max_new_tokens: usize,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    pub answer: AnswerArguments,
    /// Of a grid of checkpoints the seed to take, by default its first; else the seed of a variant at its initial values
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl QuestionArguments {
    /// How the model is loaded.
    pub fn load_options(&self) -> anyhow::Result<LoadOptions> {
        let options = LoadOptions::named(&self.device.device, &self.device.dtype)?;
        Ok(options.without(self.answer.ignored()))
    }
}

/// Reads a picture file.
pub fn read_picture(path: &Path) -> anyhow::Result<RgbImage> {
    let bytes = fs::read(path).with_context(|| {
        refusal(
            format!("cannot read {}", path.display()),
            "check the path and its permissions",
        )
    })?;
    Ok(decode(&bytes, &path.display().to_string())?)
}

/// Reads a choice of a library by its name. Help and errors list the names, help also their documentation.
pub fn choice<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantArray
        + EnumMessage
        + Into<&'static str>
        + std::str::FromStr<Err = ParseError>
        + Copy
        + Send
        + Sync,
{
    let names = T::VARIANTS.iter().map(|&choice| {
        let name: &'static str = choice.into();
        let about = choice.get_documentation().unwrap_or_default();
        PossibleValue::new(name).help(about.trim_end_matches('.'))
    });
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}
