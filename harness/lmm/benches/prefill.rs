//! Prefill at SmolVLM-256M's exact sizes with random weights: what RAVE costs over standard attention, folded into the fused
//! kernel and as a materialised bias, end to end and in the attention alone.
//!
//! `cargo bench --bench prefill [-- --dtype f32,bf16] [--seconds N] [--out FILE.json]`
//!
//! Arms run interleaved, forwards and backwards in turn (A B C C B A ...), after one untimed round. Reported are the
//! medians, and the median and 95 % bootstrap interval of the ratio to standard *within a round*, which cancels what
//! drifts. `standard again` is standard against itself: its interval is what this machine can resolve. Raw times are kept.

mod interleaved;

use std::time::{Duration, Instant};

use interleaved::{interleave, record, summarise};

use rave_lmm::libtorch::matrix_rate;
use rave_lmm::{GenerationOptions, LoadOptions, Model, kind};
use rave_methods::noise::{Noise, disturb};
use rave_methods::variants::rave::{Options, Rave};
use rave_methods::variants::standard::Standard;
use rave_methods::{Attention, Build, Step, Tokens};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Tokens of every prompt beside the visual ones.
const TEXT: i64 = 64;

fn main() {
    // cargo runs it in its package's folder; --out is meant from where `just` runs.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .expect("the workspace is there");
    let options = Options::default();
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        arguments
            .iter()
            .position(|own| own == name)
            .and_then(|at| arguments.get(at + 1))
    };
    let seconds: u64 =
        value("--seconds").map_or(60, |text| text.parse().expect("--seconds takes a number"));
    let budget = Duration::from_secs(seconds);
    let mut report = Vec::new();
    for dtype in value("--dtype")
        .map_or("f32,bf16", String::as_str)
        .split(',')
    {
        let kind = kind(dtype).expect("--dtype takes f32, bf16 and f16");
        let model = Model::load(
            "smolvlm-256m-random",
            LoadOptions {
                kind,
                ..LoadOptions::default()
            },
        )
        .expect("the built-in model loads");
        let build = Build {
            geometry: model.info().geometry,
            device: Device::Cpu,
            kind,
            seed: 0,
        };
        let arms = arms(&build, &options);
        for visual in [1_088, 4_352] {
            report.push(attention_alone(dtype, &arms, &build, visual, budget));
        }
        // A matrix product that the processor has no instructions for makes one prefill take minutes: then only the
        // attention alone is measured, and the report says so.
        let rate = |kind| matrix_rate(256, kind, Device::Cpu).expect("a small product");
        let slower = rate(Kind::Float) / rate(kind);
        if slower < 20.0 {
            report.push(end_to_end(dtype, &model, &arms, budget));
        } else {
            let skipped =
                format!("matrix products in {dtype} take {slower:.0} times as long as in f32 here");
            println!("{dtype}, whole prefill: not measured, {skipped}\n");
            report.push(json!({ "dtype": dtype, "what": "whole prefill", "skipped": skipped }));
        }
    }
    if let Some(path) = value("--out") {
        record(
            path,
            json!({ "bench": "prefill", "rank": options.rank, "results": report }),
        );
    }
}

/// Name and attention of each arm; standard first, and once more as the measure of noise.
fn arms(build: &Build, options: &Options) -> Vec<(&'static str, Box<dyn Attention>)> {
    let rave = || {
        let rave = Rave::new("rave", options, build).expect("the default options fit");
        disturb(&rave, 1).expect("small tensors");
        rave
    };
    vec![
        ("standard", Box::new(Standard::new(build))),
        ("standard again", Box::new(Standard::new(build))),
        ("rave folded", Box::new(rave())),
        ("rave materialised", Box::new(rave().materialised())),
    ]
}

/// The whole decoder over a prompt of 1,088 visual tokens (17 tiles) and [`TEXT`] others.
fn end_to_end(
    dtype: &str,
    model: &Model,
    arms: &[(&str, Box<dyn Attention>)],
    budget: Duration,
) -> Value {
    let picture = image::RgbImage::from_fn(2048, 2048, |x, y| {
        image::Rgb([(x % 251) as u8, (y % 241) as u8, ((x + y) % 239) as u8])
    });
    let mut prompt = model
        .processor()
        .prepare(&[&picture], "What is written here?")
        .expect("the prompt is fine");
    let embeds = model.encode_image(&prompt).expect("vision runs");
    // The built-in tokenizer spells each tile's marker out, so the prompt is cut to the stated size.
    let mut others = 0;
    let tokens = prompt
        .ids
        .iter()
        .copied()
        .zip(prompt.visual.iter().copied());
    (prompt.ids, prompt.visual) = tokens
        .filter(|(_, visual)| {
            others += i64::from(!visual);
            *visual || others <= TEXT
        })
        .unzip();
    assert_eq!(prompt.ids.len() - prompt.visual_tokens(), TEXT as usize);
    let options = GenerationOptions {
        max_new_tokens: 1,
        stop_at_end: false,
        deadline: None,
    };
    let times = interleave(arms, budget, |attention| {
        let generation = model
            .generate(attention.as_ref(), &prompt, &embeds, &options)
            .expect("prefill runs");
        generation.timings.prefill
    });
    summarise(
        dtype,
        &format!(
            "whole prefill, {} visual + {TEXT} text tokens",
            prompt.visual_tokens()
        ),
        arms,
        &times,
    )
}

/// Store and attend of one layer, with the image embeddings as a decoder layer would hand them over.
fn attention_alone(
    dtype: &str,
    arms: &[(&str, Box<dyn Attention>)],
    build: &Build,
    visual: i64,
    budget: Duration,
) -> Value {
    let tokens = visual + TEXT;
    let geometry = build.geometry;
    let random = |stream, heads| {
        Noise::new(2)
            .normal(stream, &[1, tokens, heads, geometry.head_dim])
            .to_kind(build.kind)
            .transpose(1, 2)
    };
    let (query, query_pre_rope) = (random(0, geometry.heads), random(1, geometry.heads));
    let (key, key_pre_rope, value) = (
        random(2, geometry.kv_heads),
        random(3, geometry.kv_heads),
        random(4, geometry.kv_heads),
    );
    let map: Vec<bool> = (0..tokens).map(|token| token < visual).collect();
    let map = Tokens::new(&map, None, &[tokens], Device::Cpu);
    let nothing = Tensor::zeros([0], (build.kind, Device::Cpu));
    let step = Step {
        layer: 0,
        // No arm looks at the layer's input.
        hidden: &nothing,
        input: &nothing,
        query: &query,
        query_pre_rope: &query_pre_rope,
        key: &key,
        key_pre_rope: &key_pre_rope,
        tokens: &map,
        scale: 1.0 / (geometry.head_dim as f64).sqrt(),
    };
    let times = interleave(arms, budget / 4, |attention| {
        let start = Instant::now();
        let keys = attention.store(&step).expect("store runs");
        let output = attention.attend(&step, &keys, &value).expect("attend runs");
        let elapsed = start.elapsed();
        assert_eq!(output.size()[2], tokens);
        elapsed
    });
    summarise(
        dtype,
        &format!("attention of one layer, {visual} visual + {TEXT} text tokens"),
        arms,
        &times,
    )
}
