//! A method of another crate: what it takes is what this file has, an implementation of [`Attention`], one of [`Method`] and a row.

use std::path::PathBuf;

use rave_methods::explicit::{self, Plain};
use rave_methods::registry::preset_among;
use rave_methods::{
    Attention, Build, Error, Method, REGISTRY, Step, Variant, VariantInfo, kernel, variant,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::{Kind, Tensor};

use crate::sequences::{LAYER, PADDED, Sequences, build, difference, geometry};
use crate::told;

/// Options of `temperature`, which sharpens or flattens every softmax.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    temperature: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { temperature: 0.5 }
    }
}

impl Method for Options {
    const NAME: &'static str = "temperature";

    fn info(&self) -> VariantInfo {
        VariantInfo {
            trained: false,
            queries: "all",
            keys: "all",
            folds: true,
            caches: "k".into(),
            identity: "temperature = 1",
            source: "this test",
        }
    }

    fn identity(&self) -> Self {
        Self { temperature: 1.0 }
    }

    fn build(&self, _variant: &str, build: &Build) -> Result<Box<dyn Attention>, Error> {
        Ok(Box::new(Temperature {
            width: build.geometry.head_dim,
            temperature: self.temperature,
        }))
    }
}

struct Temperature {
    width: i64,
    temperature: f64,
}

impl Temperature {
    fn scaled<'a>(&self, step: &Step<'a>) -> Step<'a> {
        let scale = step.scale / self.temperature;
        Step { scale, ..*step }
    }
}

impl Attention for Temperature {
    fn key_width(&self, _layer: usize) -> i64 {
        self.width
    }

    fn store(&self, step: &Step) -> Result<Tensor, Error> {
        Ok(step.key.shallow_clone())
    }

    fn attend(&self, step: &Step, keys: &Tensor, values: &Tensor) -> Result<Tensor, Error> {
        kernel::fused(step.query, keys, values, &self.scaled(step))
    }

    fn weights(&self, step: &Step, keys: &Tensor, rows: &[i64]) -> Result<Tensor, Error> {
        explicit::weights(&Plain, &self.scaled(step), step.query, keys, rows)
    }
}

/// The registry with a row of ours.
fn table() -> Vec<Variant> {
    let own = Variant {
        id: "temperature-half",
        version: 1,
        summary: "every softmax at half its temperature",
        method: &Options { temperature: 0.5 },
    };
    [REGISTRY, &[own]].concat()
}

/// Half the temperature is twice the query.
#[test]
fn a_method_of_another_crate_runs_as_those_of_this_one() {
    let geometry = geometry(6, 2);
    let build = build(geometry, Kind::Float);
    let sequences = Sequences::random(&geometry, &PADDED, Kind::Float);
    let doubled = Sequences {
        query: &sequences.query * 2.0,
        ..Sequences::random(&geometry, &PADDED, Kind::Float)
    };
    let own = *table().last().unwrap();
    let attention = own.build(&build).unwrap();
    let standard = variant("standard").unwrap().build(&build).unwrap();
    let identity = own.method.identity().build(own.id, &build).unwrap();
    for passes in [&[17][..], &[14, 1, 1, 1]] {
        let own = sequences.real(&sequences.run(attention.as_ref(), LAYER, passes));
        let expected = doubled.real(&doubled.run(standard.as_ref(), LAYER, &[17]));
        assert!(difference(&own, &expected) < 3e-6);
        let plain = sequences.real(&sequences.run(standard.as_ref(), LAYER, passes));
        assert!(difference(&own, &plain) > 1e-2);
        let identity = sequences.real(&sequences.run(identity.as_ref(), LAYER, passes));
        assert!(difference(&identity, &plain) < 1e-6);
    }
}

#[test]
fn a_method_of_another_crate_is_described_and_recorded() {
    let own = *table().last().unwrap();
    assert_eq!(own.info().source, "this test");
    assert_eq!(own.added_parameters(geometry(6, 2)).unwrap(), 0);
    let recorded = json!({ "method": "temperature", "temperature": 0.5 });
    assert_eq!(own.options(), recorded);
    assert_ne!(own.method, variant("standard").unwrap().method);
}

#[test]
fn a_preset_may_name_a_method_of_another_crate() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("outside");
    std::fs::create_dir_all(&folder).unwrap();
    let read = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        preset_among(&table(), &path).map_err(|error| told(&error))
    };
    let warm = read(
        "warm.toml",
        "method = \"temperature\"\ntemperature = 2\nsummary = \"warm\"",
    );
    let warm = warm.unwrap();
    assert_eq!((warm.id, warm.summary), ("warm", "warm"));
    let expected = Options { temperature: 2.0 };
    assert_eq!(warm.method.downcast_ref(), Some(&expected));
    // What a preset leaves out has the method's default, whatever the row says.
    let usual = read("usual.toml", "method = \"temperature\"").unwrap();
    assert_eq!(usual.method.downcast_ref(), Some(&Options::default()));

    for (name, text, words) in [
        (
            "temperature-half.toml",
            "method = \"temperature\"",
            "the id `temperature-half` is a registered variant's",
        ),
        (
            "misspelt.toml",
            "method = \"temperatur\"",
            "unknown method `temperatur`; did you mean `temperature`? Otherwise choose one of standard, rave,",
        ),
        (
            "unknown-option.toml",
            "method = \"temperature\"\nheat = 2",
            "unknown field `heat`, expected `temperature`",
        ),
    ] {
        let message = read(name, text).unwrap_err();
        assert!(message.contains(words), "{message}");
    }
}
