//! Parity with `transformers` 5.23 on tiny checkpoints that it wrote and ran: the same token ids, the same pixel values,
//! the same logits within 1e-4 relative, the same greedy continuation.
//!
//! `fixtures/` are our own (made by `fixtures/make_fixtures.py`); `../shared/goldens/parity` is used where it is there.

use std::path::{Path, PathBuf};

use rave_lmm::{GenerationOptions, LoadOptions, Model, decode};
use rave_methods::variant;
use safetensors::SafeTensors;
use tch::{Kind, Tensor};

/// What `transformers` gave for one checkpoint.
struct Case {
    folder: PathBuf,
    prompt: String,
    input_ids: Vec<i64>,
    generated_ids: Vec<i64>,
    pixel_values: Vec<f32>,
    logits: Tensor,
}

fn case(folder: &Path) -> Case {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let ids = |key: &str| json[key].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect::<Vec<_>>();
    let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| {
        let view = tensors.tensor(name).unwrap();
        let values: Vec<f32> = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        (values, view.shape().iter().map(|&size| size as i64).collect::<Vec<_>>())
    };
    let (logits, shape) = floats("logits");
    Case {
        folder: folder.to_owned(),
        prompt: json["prompt"].as_str().unwrap().to_owned(),
        input_ids: ids("input_ids"),
        generated_ids: ids("generated_ids"),
        pixel_values: floats("pixel_values").0,
        logits: Tensor::from_slice(&logits).view(shape.as_slice()),
    }
}

fn check(folder: &Path) {
    let case = case(folder);
    let model = Model::load(case.folder.to_str().unwrap(), LoadOptions::default()).unwrap();
    let picture = decode(&std::fs::read(folder.join("image.png")).unwrap(), "image.png").unwrap();
    let prompt = model.processor().prepare(&[&picture], &case.prompt).unwrap();
    assert_eq!(prompt.ids, case.input_ids, "{}", folder.display());
    assert_eq!(prompt.pixels.len(), case.pixel_values.len());
    let pixel_error = prompt.pixels.iter().zip(&case.pixel_values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(pixel_error == 0.0, "{}: pixel values differ by up to {pixel_error}", folder.display());

    let attention = model.build(variant("standard").unwrap(), 0, None).unwrap().attention;
    let features = model.see(&prompt).unwrap();
    let logits = model.logits(attention.as_ref(), &prompt, &features).unwrap();
    let difference = f64::try_from((&logits - &case.logits).abs().max()).unwrap();
    let relative = difference / f64::try_from(case.logits.abs().max()).unwrap();
    assert!(relative < 1e-4, "{}: logits differ by {relative:.2e} relative", folder.display());

    let options = GenerationOptions { max_new_tokens: case.generated_ids.len(), stop_at_end: false };
    let generation = model.generate(attention.as_ref(), &prompt, &features, &options).unwrap();
    assert_eq!(generation.ids, case.generated_ids, "{}", folder.display());
    println!("{}: pixels equal, logits within {relative:.1e} relative, {} greedy tokens equal", folder.display(), generation.ids.len());
}

#[test]
fn shared_checkpoints_of_smolvlm_and_idefics3_match_transformers() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens/parity");
    for family in ["smolvlm", "idefics3"] {
        let folder = goldens.join(family);
        if folder.is_dir() {
            check(&folder);
        } else {
            println!("skipped: {} is not there", folder.display());
        }
    }
}

/// bf16 and f32 must agree as far as bf16's 8 bits go.
#[test]
fn bf16_stays_close_to_f32() {
    let load = |kind| Model::load("nano", LoadOptions { kind, ..LoadOptions::default() }).unwrap();
    let (exact, rounded) = (load(Kind::Float), load(Kind::BFloat16));
    let picture = image::RgbImage::from_fn(90, 140, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
    let prompt = exact.processor().prepare(&[&picture], "What is written?").unwrap();
    let logits = |model: &Model| {
        let attention = model.build(variant("rave").unwrap(), 0, None).unwrap().attention;
        model.logits(attention.as_ref(), &prompt, &model.see(&prompt).unwrap()).unwrap()
    };
    let (exact, rounded) = (logits(&exact), logits(&rounded));
    let relative = f64::try_from((&exact - &rounded).square().mean(Kind::Float).sqrt()).unwrap()
        / f64::try_from(exact.std(false)).unwrap();
    assert!(relative < 0.05, "bf16 logits are off by {relative:.3} of their spread");
    assert!(relative > 0.0, "bf16 was not used");
}
