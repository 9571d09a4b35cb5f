//! Parity with `transformers` 5.23 on tiny checkpoints that it wrote and ran: the same token ids, the same pixel values,
//! the same logits within 1e-4 relative, the same greedy continuation.
//!
//! `fixtures/` are our own (made by `fixtures/make_fixtures.py` and `make_llava_fixtures.py`); `../shared/goldens/parity` is used
//! where it is there. Further cases of any family, a folder each as these scripts write them with `--further DIR`, are read from
//! the folder that `RAVE_PARITY` names.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

use std::path::Path;

use image::RgbImage;
use rave_lmm::{
    FAMILIES, GenerationOptions, LoadOptions, Model, Prompt, adapter, built_in, decode,
};
use rave_methods::noise::Noise;
use rave_methods::{Attention, REGISTRY, Variant, variant};
use safetensors::SafeTensors;
use tch::{Kind, Tensor};

mod common;
use common::{FIXTURES, fixture};

/// What `transformers` gave for one checkpoint.
struct Case {
    pictures: Vec<RgbImage>,
    prompt: String,
    input_ids: Vec<i64>,
    generated_ids: Vec<i64>,
    pixel_values: Vec<f32>,
    logits: Tensor,
}

fn case(folder: &Path) -> Case {
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let ids = |key: &str| {
        json[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| {
        let view = tensors.tensor(name).unwrap();
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        (
            values,
            view.shape()
                .iter()
                .map(|&size| size as i64)
                .collect::<Vec<_>>(),
        )
    };
    let (logits, shape) = floats("logits");
    let names = ["image.png", "image_2.png"];
    let files = names.iter().map(|name| (name, folder.join(name)));
    Case {
        pictures: files
            .filter(|(_, path)| path.is_file())
            .map(|(name, path)| decode(&std::fs::read(path).unwrap(), name).unwrap())
            .collect(),
        prompt: json["prompt"].as_str().unwrap().to_owned(),
        input_ids: ids("input_ids"),
        generated_ids: ids("generated_ids"),
        pixel_values: floats("pixel_values").0,
        logits: Tensor::from_slice(&logits).view(shape.as_slice()),
    }
}

impl Case {
    /// The prompt of its pictures and question.
    fn prompt(&self, model: &Model) -> Prompt {
        let pictures: Vec<_> = self.pictures.iter().collect();
        model.processor().prepare(&pictures, &self.prompt).unwrap()
    }
}

/// Holds a checkpoint against its own case and those in its `cases`.
fn check(folder: &Path) {
    let mut cases = vec![folder.to_owned()];
    if let Ok(entries) = std::fs::read_dir(folder.join("cases")) {
        cases.extend(entries.map(|entry| entry.unwrap().path()));
    }
    cases.sort();
    for case in cases {
        check_model(folder.to_str().unwrap(), &case);
    }
}

/// Holds a model against what `transformers` made of it.
fn check_model(name: &str, folder: &Path) {
    let case = case(folder);
    let model = Model::load(name, LoadOptions::default()).unwrap();
    let prompt = case.prompt(&model);
    assert_eq!(prompt.ids, case.input_ids, "{}", folder.display());
    assert_eq!(prompt.pixels.len(), case.pixel_values.len());
    let pixel_error = prompt
        .pixels
        .iter()
        .zip(&case.pixel_values)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        pixel_error == 0.0,
        "{}: pixel values differ by up to {pixel_error}",
        folder.display()
    );

    let attention = model
        .build(variant("standard").unwrap(), 0, None)
        .unwrap()
        .attention;
    let embeds = model.encode_image(&prompt).unwrap();
    let logits = model
        .logits(attention.as_ref(), &prompt, &embeds, &[])
        .unwrap();
    let difference = f64::try_from((&logits - &case.logits).abs().max()).unwrap();
    let relative = difference / f64::try_from(case.logits.abs().max()).unwrap();
    assert!(
        relative < 1e-4,
        "{}: logits differ by {relative:.2e} relative",
        folder.display()
    );

    let options = GenerationOptions {
        max_new_tokens: case.generated_ids.len(),
        stop_at_end: false,
        deadline: None,
    };
    let generation = model
        .generate(attention.as_ref(), &prompt, &embeds, &options)
        .unwrap();
    assert_eq!(generation.ids, case.generated_ids, "{}", folder.display());
    println!(
        "{}: pixels equal, logits within {relative:.1e} relative, {} greedy tokens equal",
        folder.display(),
        generation.ids.len()
    );
}

#[test]
fn shared_checkpoints_of_every_family_match_transformers() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens/parity");
    for name in FAMILIES.iter().flat_map(|family| family.model_types) {
        let folder = goldens.join(name);
        if folder.is_dir() {
            check(&folder);
        } else {
            println!("skipped: {} is not there", folder.display());
        }
    }
}

#[test]
fn own_fixtures_in_new_and_old_file_layouts_match_transformers() {
    for name in FIXTURES {
        check(&fixture(name));
    }
}

/// The tokens of pictures that are seen whole and uncropped lie row by row and cover each picture once.
#[test]
fn tokens_of_patches_cover_each_picture_row_by_row() {
    let folder = fixture("qwen2_vl");
    let model = common::load(&folder);
    let prompt = case(&folder).prompt(&model);
    assert_eq!(prompt.pictures.len(), 2);
    for (number, layout) in prompt.pictures.iter().enumerate() {
        let [rows, columns] = layout.grid.map(|patches| patches / 2);
        let own = prompt
            .regions
            .iter()
            .filter(|place| place.picture == number);
        let own: Vec<_> = own.map(|place| place.bounds).collect();
        assert_eq!(own.len(), rows * columns);
        for (at, bounds) in own.iter().enumerate() {
            let (row, column) = ((at / columns) as f32, (at % columns) as f32);
            let (wide, high) = (1.0 / columns as f32, 1.0 / rows as f32);
            let expected = [
                column * wide,
                row * high,
                (column + 1.0) * wide,
                (row + 1.0) * high,
            ];
            let off = bounds.iter().zip(expected).map(|(a, b)| (a - b).abs());
            assert!(
                off.fold(0.0, f32::max) < 1e-6,
                "{bounds:?}, {expected:?} expected"
            );
        }
    }
}

#[test]
fn further_cases_match_transformers() {
    let Some(folder) = std::env::var_os("RAVE_PARITY") else {
        println!("skipped: RAVE_PARITY names no folder of cases");
        return;
    };
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("case.json").is_file())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    for case in cases {
        check(&case);
    }
}

/// Of the shipped checkpoints the one that a name alone stands for: `standard` at the first seed.
#[test]
fn the_shipped_nano_matches_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nano");
    check_model("nano", &folder);
}

/// Greedy decoding through the cache must choose what a pass over the whole text would, for every variant.
#[test]
fn cached_decoding_equals_uncached_for_every_variant() {
    let fixtures = FIXTURES.map(|name| fixture(name).to_str().unwrap().to_owned());
    for name in ["nano".to_owned()].iter().chain(&fixtures) {
        let model = Model::load(name, LoadOptions::default()).unwrap();
        let picture = RgbImage::from_fn(70, 50, |x, y| {
            image::Rgb([(3 * x) as u8, (5 * y) as u8, 90])
        });
        let prompt = model.processor().prepare(&[&picture], "Read it.").unwrap();
        let embeds = model.encode_image(&prompt).unwrap();
        for variant in REGISTRY {
            let attention = model.build(variant, 5, None).unwrap().attention;
            train(attention.as_ref());
            let options = GenerationOptions {
                max_new_tokens: 6,
                stop_at_end: false,
                deadline: None,
            };
            let cached = model
                .generate(attention.as_ref(), &prompt, &embeds, &options)
                .unwrap()
                .ids;
            let mut uncached = Vec::new();
            for _ in 0..6 {
                let logits = model
                    .logits(attention.as_ref(), &prompt, &embeds, &uncached)
                    .unwrap();
                uncached.push(i64::try_from(logits.get(-1).argmax(0, false)).unwrap());
            }
            assert_eq!(cached, uncached, "{} on {name}", variant.id);
        }
    }
}

/// At its identity setting every variant leaves the logits of every family where they are.
#[test]
fn every_variant_at_its_identity_leaves_the_logits_of_every_family() {
    for name in FIXTURES {
        let folder = fixture(name);
        let model = common::load(&folder);
        let case = case(&folder);
        let prompt = case.prompt(&model);
        let embeds = model.encode_image(&prompt).unwrap();
        for variant in REGISTRY {
            let identity = Variant {
                method: Box::leak(variant.method.identity()),
                ..*variant
            };
            let fresh = model.build(&identity, 5, None).unwrap().attention;
            let logits = model.logits(fresh.as_ref(), &prompt, &embeds, &[]).unwrap();
            let moved = difference(&logits, &case.logits);
            assert!(
                moved < 1e-4 * f64::try_from(case.logits.abs().max()).unwrap(),
                "{} on {name}: moved by {moved:.1e}",
                variant.id
            );
        }
    }
}

/// The largest difference of two tensors.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    f64::try_from((a - b).abs().max()).unwrap()
}

/// A variant that is trained moves a checkpoint's logits, and its adapter brings them back.
#[test]
fn trained_gates_move_the_logits_and_an_adapter_brings_them_back() {
    let folder = fixture("smolvlm_new");
    let model = common::load(&folder);
    let case = case(&folder);
    let prompt = case.prompt(&model);
    let embeds = model.encode_image(&prompt).unwrap();
    let logits = |attention: &dyn Attention| {
        let logits = model.logits(attention, &prompt, &embeds, &[]);
        logits.unwrap()
    };
    let sha256 = &model.info().sha256;
    let adapters = tempfile::tempdir().unwrap();
    for variant in REGISTRY.iter().filter(|variant| variant.is_trained()) {
        let fresh = model.build(variant, 5, None).unwrap();
        assert!(fresh.adapter.is_none());
        train(fresh.attention.as_ref());
        let trained = logits(fresh.attention.as_ref());
        assert!(
            difference(&trained, &case.logits) > 1e-2,
            "{}: training changes nothing",
            variant.id
        );
        let path = adapters.path().join(adapter::file_name(variant.id));
        adapter::save(&path, variant, sha256, &fresh.attention.parameters()).unwrap();
        let loaded = model.build(variant, 6, Some(&path)).unwrap();
        assert_eq!(
            difference(&logits(loaded.attention.as_ref()), &trained),
            0.0,
            "{}",
            variant.id
        );
        assert_eq!(loaded.adapter.unwrap().path, path);
    }

    let path = adapters.path().join(adapter::file_name("rave"));
    let refused = |variant_id: &str, sha256: &str, path: &Path| {
        let variant = variant(variant_id).unwrap();
        let attention = model.build(variant, 0, None).unwrap().attention;
        adapter::load(path, variant, sha256, attention.as_ref())
            .unwrap_err()
            .with_hint()
    };
    for (message, part) in [
        (
            refused("rave-key-only", sha256, &path),
            "its variant is rave, but rave-key-only is needed",
        ),
        (refused("rave", "0123", &path), "base_sha256"),
        (
            refused("rave", sha256, &folder.join("model.safetensors")),
            "it is no adapter",
        ),
        (
            refused("rave", sha256, &folder.join("config.json")),
            "not a valid safetensors file",
        ),
        (
            refused("rave", sha256, &adapters.path().join("absent")),
            "cannot read",
        ),
    ] {
        assert!(message.contains(part), "{message}");
    }
}

/// What one tower saw serves every checkpoint with the same tower, and no other.
#[test]
fn checkpoints_with_one_tower_share_what_it_saw() {
    let folder = tempfile::tempdir().unwrap();
    let load = |seed: u64| {
        let place = folder.path().join(seed.to_string());
        built_in::write("nano", seed, &place).unwrap();
        common::load(&place)
    };
    let (own, other) = (load(1), load(2));
    assert!(!own.shares_tower(&other).unwrap());
    other.take_vision(&own.info().folder).unwrap();
    assert!(own.shares_tower(&other).unwrap());
    let picture = RgbImage::from_fn(60, 80, |x, y| image::Rgb([x as u8, y as u8, 7]));
    let prompt = own.processor().prepare(&[&picture], "Which?").unwrap();
    let attention = other
        .build(variant("standard").unwrap(), 0, None)
        .unwrap()
        .attention;
    let logits = |embeds| {
        other
            .logits(attention.as_ref(), &prompt, &embeds, &[])
            .unwrap()
    };
    let shared = logits(
        other
            .connect(&own.run_tower(&prompt, None).unwrap())
            .unwrap(),
    );
    assert_eq!(shared, logits(other.encode_image(&prompt).unwrap()));
}

/// Gives every parameter of a variant random values, as training would.
fn train(attention: &dyn Attention) {
    for (stream, (_, mut parameter)) in attention.parameters().into_iter().enumerate() {
        parameter.copy_(&Noise::new(11).normal(stream as u64, &parameter.size()));
    }
}

/// The smaller types must agree with f32 as far as their bits go, in every family.
#[test]
fn bf16_and_f16_stay_close_to_f32_in_every_family() {
    for name in FIXTURES.map(|name| fixture(name).to_str().unwrap().to_owned()) {
        let logits = |kind| {
            let options = LoadOptions {
                kind,
                ..LoadOptions::default()
            };
            let model = Model::load(&name, options).unwrap();
            let picture = RgbImage::from_fn(90, 140, |x, y| {
                image::Rgb([x as u8, y as u8, (x * y) as u8])
            });
            let prompt = model
                .processor()
                .prepare(&[&picture], "What is written?")
                .unwrap();
            let built = model.build(variant("rave").unwrap(), 0, None).unwrap();
            let embeds = model.encode_image(&prompt).unwrap();
            model
                .logits(built.attention.as_ref(), &prompt, &embeds, &[])
                .unwrap()
        };
        let exact = logits(Kind::Float);
        for (kind, most) in [(Kind::BFloat16, 0.05), (Kind::Half, 0.01)] {
            let squares = (&exact - logits(kind)).square().mean(Kind::Float);
            let relative = f64::try_from(squares.sqrt() / exact.std(false)).unwrap();
            assert!(
                relative < most,
                "{name}: {kind:?} logits are off by {relative:.3} of their spread"
            );
            assert!(relative > 0.0, "{name}: {kind:?} was not used");
        }
    }
}

/// Prompts of different lengths, with two pictures, one and none, are answered in one batch as they are alone.
#[test]
fn a_batch_is_answered_as_its_prompts_alone() {
    let draw = |width, height| {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(3 * x) as u8, (7 * y) as u8, (x ^ y) as u8])
        })
    };
    let (wide, tall) = (draw(70, 30), draw(24, 66));
    let options = GenerationOptions {
        max_new_tokens: 6,
        stop_at_end: false,
        deadline: None,
    };
    for name in FIXTURES {
        let folder = fixture(name);
        let model = common::load(&folder);
        let prepare = |pictures: &[&RgbImage], question: &str| {
            model.processor().prepare(pictures, question).unwrap()
        };
        let prompts = [
            prepare(&[&wide], "Read it."),
            prepare(&[], "Who are you, and what do you see?"),
            prepare(&[&tall, &wide], "?"),
        ];
        let embeds: Vec<_> = prompts
            .iter()
            .map(|p| model.encode_image(p).unwrap())
            .collect();
        let (prompts, embeds) = (Vec::from_iter(&prompts), Vec::from_iter(&embeds));
        for variant in REGISTRY {
            let attention = model.build(variant, 5, None).unwrap().attention;
            train(attention.as_ref());
            let batched = model
                .generate_batch(attention.as_ref(), &prompts, &embeds, &options)
                .unwrap();
            for (at, answer) in batched.iter().enumerate() {
                let alone = model
                    .generate(attention.as_ref(), prompts[at], embeds[at], &options)
                    .unwrap();
                assert_eq!(
                    answer.ids, alone.ids,
                    "{} on {name}, prompt {at}",
                    variant.id
                );
                assert_eq!(answer.text, alone.text);
            }
        }
    }
}

/// Every colour type that picture files come in is read as Pillow reads it.
#[test]
fn picture_files_of_every_colour_type_read_as_pillow_reads_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    let expected: std::collections::BTreeMap<String, Vec<u8>> =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    assert_eq!(expected.len(), 12);
    for (name, values) in expected {
        let picture = decode(&std::fs::read(folder.join(&name)).unwrap(), &name).unwrap();
        assert_eq!(picture.as_raw().len(), values.len(), "{name}");
        let difference = picture
            .as_raw()
            .iter()
            .zip(&values)
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        // JPEG decoders may round differently; everything else is exact.
        let jpeg = Path::new(&name).extension().is_some_and(|e| e == "jpg");
        let allowed = if jpeg { 2 } else { 0 };
        assert!(difference <= allowed, "{name}: off by {difference}");
    }
}
