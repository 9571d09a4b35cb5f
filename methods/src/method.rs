//! What a method is to the rest of the harness, and a variant: a method at one setting, under an id.
//!
//! A method is a type: its options, as presets write them and run records keep them. It implements [`Method`]; everything
//! else holds it as a [`DynMethod`], which every [`Method`] is.

use std::any::Any;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Attention, Build, Error, Geometry};

/// What a method does, in the words of `rave variants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VariantInfo {
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

/// The options of a method: all that it takes to add one.
///
/// The options are written as a table with plain keys. Give every option a default (`#[serde(default)]`) and refuse keys that
/// there are not (`#[serde(deny_unknown_fields)]`): a file that asks for something else must not run as if it did not. An option
/// that is added later is left out of what is written where it has its default (`skip_serializing_if`), so that older records
/// and adapters still match.
pub trait Method:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// What presets and records call it (`method = ".."`): lower-case letters, digits and hyphens, as its file but for `_`.
    const NAME: &'static str;

    /// What it does at these options.
    fn info(&self) -> VariantInfo;

    /// The options at which it equals `standard` with its initial parameters.
    #[must_use]
    fn identity(&self) -> Self;

    /// The attention for one model, with its initial parameters. `variant` is the id that errors name.
    ///
    /// # Errors
    /// [`Error::Options`] when an option is not possible, or not for this model; LibTorch's own for lack of memory.
    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error>;
}

/// Any [`Method`], whatever the type of its options.
pub trait DynMethod: Any + Debug + Send + Sync {
    /// [`Method::NAME`].
    fn name(&self) -> &'static str;

    /// [`Method::info`].
    fn info(&self) -> VariantInfo;

    /// [`Method::identity`].
    fn identity(&self) -> Box<dyn DynMethod>;

    /// [`Method::build`].
    ///
    /// # Errors
    /// As there.
    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error>;

    /// The options as JSON, `method` first and the others in the order of their fields: what run records and adapters hold.
    ///
    /// # Panics
    /// When the options are no table with text keys, which is a fault of the method's.
    fn options(&self) -> serde_json::Value;

    /// The same method with the options that a preset writes; what it leaves out has the default of the type, not the value of
    /// these options.
    ///
    /// # Errors
    /// What serde says of an unknown option, or of a value that is not possible.
    fn read(&self, options: toml::Table) -> Result<Box<dyn DynMethod>, toml::de::Error>;

    /// Whether the other is the same method with the same options.
    fn equals(&self, other: &dyn DynMethod) -> bool;
}

impl<M: Method> DynMethod for M {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn info(&self) -> VariantInfo {
        Method::info(self)
    }

    fn identity(&self) -> Box<dyn DynMethod> {
        Box::new(Method::identity(self))
    }

    fn build(&self, variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Method::build(self, variant, build)
    }

    fn options(&self) -> serde_json::Value {
        let name = ("method".to_owned(), M::NAME.into());
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(own)) => [name].into_iter().chain(own).collect(),
            other => panic!("the options of `{}` are no table: {other:?}", M::NAME),
        }
    }

    fn read(&self, options: toml::Table) -> Result<Box<dyn DynMethod>, toml::de::Error> {
        Ok(Box::new(options.try_into::<M>()?))
    }

    fn equals(&self, other: &dyn DynMethod) -> bool {
        other.downcast_ref::<M>() == Some(self)
    }
}

impl dyn DynMethod {
    /// The options, if they are of this method.
    pub fn downcast_ref<M: Method>(&self) -> Option<&M> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }

    /// Whether it is this method.
    pub fn is<M: Method>(&self) -> bool {
        self.downcast_ref::<M>().is_some()
    }
}

impl PartialEq for dyn DynMethod {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

/// A method at one setting, before it is built for a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// The id: command line name, results key, adapter file name.
    pub id: &'static str,
    /// Raised whenever the variant's numbers may move.
    pub version: u32,
    /// One line for people.
    pub summary: &'static str,
    /// The method and its options, as recorded with every result.
    pub method: &'static dyn DynMethod,
}

impl Variant {
    /// What it does.
    pub fn info(&self) -> VariantInfo {
        self.method.info()
    }

    /// Whether it has parameters that must be trained before it can differ from `standard`.
    pub fn is_trained(&self) -> bool {
        self.info().trained
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
    pub fn options(&self) -> serde_json::Value {
        self.method.options()
    }
}
