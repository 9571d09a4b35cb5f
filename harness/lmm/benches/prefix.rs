//! Five questions a picture at SmolVLM-256M's exact sizes with random weights: what it saves that prompts on the same picture
//! share the keys and values of their beginning.
//!
//! `cargo bench --bench prefix [-- --variant standard,rave] [--dtype f32,bf16] [--seconds N] [--out FILE.json]`
//!
//! A round answers all questions on one picture; how arms take turns is in `interleaved`. The vision side is the same for
//! all and left out: its image embeddings are stand-ins. With a shared beginning its own time counts.

mod interleaved;

use std::time::{Duration, Instant};

use interleaved::{interleave, record, summarise};
use rave_lmm::{Generation, GenerationOptions, ImageEmbeds, LoadOptions, Model, Prompt, kind};
use rave_methods::noise::disturb;
use rave_methods::{Attention, variant};
use serde_json::{Value, json};

/// Tokens of every prompt before the last visual one that are not visual.
const BEFORE: usize = 8;

/// With the chat template's end 20 to 51 tokens behind the picture, in the built-in tokenizer's words and letters.
const QUESTIONS: [&str; 5] = [
    "What is the total amount, and in which currency?",
    "Who signed the letter?",
    "When was it sent, and by whom was it received?",
    "Which row of the table has the highest price?",
    "What is the number of the invoice?",
];

const OPTIONS: GenerationOptions = GenerationOptions {
    max_new_tokens: 4,
    stop_at_end: false,
    deadline: None,
};

/// How the questions on one picture are answered.
type Way<'a> = Box<dyn Fn() -> Vec<Generation> + 'a>;

fn main() {
    // cargo runs it in its package's folder; --out is meant from where `just` runs.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .expect("the workspace is there");
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        arguments
            .iter()
            .position(|own| own == name)
            .and_then(|at| arguments.get(at + 1))
            .map(String::as_str)
    };
    let seconds: u64 =
        value("--seconds").map_or(60, |text| text.parse().expect("--seconds takes a number"));
    let mut report = Vec::new();
    for dtype in value("--dtype").unwrap_or("f32").split(',') {
        let options = LoadOptions {
            kind: kind(dtype).expect("--dtype takes f32, bf16 and f16"),
            ..LoadOptions::default()
        };
        let model = Model::load("smolvlm-256m-random", options).expect("the built-in model loads");
        let prompts = prompts(&model);
        let embeds = model
            .random_image_embeds(&prompts[0])
            .expect("memory for features");
        for id in value("--variant").unwrap_or("standard,rave").split(',') {
            let variant = variant(id).expect("--variant takes registered variants");
            let attention = model.build(variant, 0, None).expect("it fits").attention;
            disturb(attention.as_ref(), 1).expect("small tensors");
            let budget = Duration::from_secs(seconds);
            let of = (&model, attention.as_ref());
            report.push(measure(of, (dtype, id), &prompts, &embeds, budget));
        }
    }
    if let Some(path) = value("--out") {
        record(path, json!({ "bench": "prefix", "results": report }));
    }
}

/// The questions on one picture of 1,088 visual tokens (17 tiles).
fn prompts(model: &Model) -> Vec<Prompt> {
    let picture = image::RgbImage::new(2048, 2048);
    let processor = model.processor();
    let prompt = |question: &&str| {
        let mut prompt = processor
            .prepare(&[&picture], question)
            .expect("the prompt is fine");
        // The built-in tokenizer spells each tile's marker out, so what stands between tiles is cut.
        let (last, mut others) = (prompt.prefix_len(), 0);
        let tokens = prompt.ids.iter().zip(&prompt.visual).enumerate();
        (prompt.ids, prompt.visual) = tokens
            .filter(|(at, (_, visual))| {
                others += usize::from(!**visual);
                **visual || *at >= last || others <= BEFORE
            })
            .map(|(_, (id, visual))| (*id, *visual))
            .unzip();
        prompt
    };
    QUESTIONS.iter().map(prompt).collect()
}

/// Prints and returns what all questions take, in every way.
fn measure(
    (model, attention): (&Model, &dyn Attention),
    (dtype, id): (&str, &str),
    prompts: &[Prompt],
    embeds: &ImageEmbeds,
    budget: Duration,
) -> Value {
    let all: Vec<_> = prompts.iter().collect();
    let prefix = || {
        model
            .prefix(attention, all[0], embeds, None)
            .expect("the variant allows it")
    };
    let batch = |prefix: &_, prompts: &[&Prompt]| {
        model
            .generate_after(attention, prefix, prompts, &OPTIONS)
            .expect("the prompts begin alike")
    };
    let one = |prompt: &&Prompt| {
        model
            .generate(attention, prompt, embeds, &OPTIONS)
            .expect("the prompt fits")
    };
    let ways: Vec<(&str, Way)> = vec![
        ("whole prompts", Box::new(|| all.iter().map(one).collect())),
        (
            "after a prefix",
            Box::new(|| {
                let prefix = prefix();
                let each = all.iter().flat_map(|prompt| batch(&prefix, &[*prompt]));
                each.collect()
            }),
        ),
        (
            "after a prefix, in a batch",
            Box::new(|| batch(&prefix(), &all)),
        ),
    ];
    let rounds = interleave(&ways, budget, |way| {
        let start = Instant::now();
        let answers = way();
        let elapsed = start.elapsed();
        assert_eq!(answers.len(), prompts.len());
        elapsed
    });
    let own = prefix();
    let visual = prompts[0].visual_tokens();
    let text: Vec<_> = prompts
        .iter()
        .map(|prompt| prompt.ids.len() - own.tokens())
        .collect();
    let what = format!(
        "{id}, {} questions on a picture: {} tokens shared ({visual} visual), {text:?} after them, {} new",
        prompts.len(),
        own.tokens(),
        OPTIONS.max_new_tokens
    );
    let mut found = summarise(dtype, &what, &ways, &rounds);
    let expected = ids(&ways[0].1);
    for (line, (name, way)) in found["arms"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .zip(&ways)
    {
        let same = ids(way)
            .iter()
            .zip(&expected)
            .filter(|(own, expected)| own == expected)
            .count();
        let rate = line["median_ms"]
            .as_f64()
            .map(|time| prompts.len() as f64 * 1e3 / time);
        println!(
            "  {name:<26} {:>7.2} samples/s, {same} of {} answers as of whole prompts",
            rate.unwrap_or(f64::NAN),
            expected.len()
        );
        line["samples_per_second"] = json!(rate);
        line["same_answers"] = json!(same);
    }
    let megabytes = own.bytes() as f64 / 1e6;
    println!(
        "  the prefix itself: {:.0} ms, {megabytes:.1} MB
",
        own.elapsed().as_secs_f64() * 1e3
    );
    found["prefix_bytes"] = json!(own.bytes());
    found["prefix_ms"] = json!(own.elapsed().as_secs_f64() * 1e3);
    found
}

fn ids(way: &Way) -> Vec<Vec<i64>> {
    way().into_iter().map(|answer| answer.ids).collect()
}
