//! Damaged and lying checkpoints of the LLaVA families: each is one error that names the file and says what to do.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use image::RgbImage;
use rave_lmm::{LoadOptions, Model, Processor, read_tensors, write_tensors};
use serde_json::{Value, json};

use common::{check, copy, edit, refusal};

/// What a JSON file is made to say that is not so, and what the error must say of it.
type Lie = (&'static str, fn(&mut Value), &'static [&'static str]);

const LLAVA_CONFIG: &[Lie] = &[
    (
        "no vision_config, which is then that of LLaVA-1.5",
        |c| c["vision_config"] = Value::Null,
        &["preprocessor_config.json", "image_size 336 in config.json"],
    ),
    (
        "weights that are quantised, they say",
        |c| c["text_config"]["quantization_config"] = json!({ "quant_method": "gptq", "bits": 4 }),
        &[
            "config.json",
            "quantised (quantization_config: gptq, 4 bits)",
        ],
    ),
    (
        "a decoder that looks ahead",
        |c| c["text_config"]["is_causal"] = json!(false),
        &[
            "config.json",
            "text_config.is_causal false is not supported",
        ],
    ),
    (
        "another decoder",
        |c| c["text_config"]["model_type"] = json!("mamba"),
        &["config.json", "text_config.model_type `mamba`", "qwen2"],
    ),
    (
        "another tower",
        |c| c["vision_config"]["model_type"] = json!("dinov2"),
        &[
            "config.json",
            "vision_config.model_type `dinov2`",
            "clip_vision_model",
        ],
    ),
    (
        "a layer that the tower does not have",
        |c| c["vision_feature_layer"] = json!(-5),
        &[
            "vision_feature_layer -5 is out of range",
            "3 layers has -4 to 3",
        ],
    ),
    (
        "one of several layers",
        |c| c["vision_feature_layer"] = json!([-2, 4]),
        &["vision_feature_layer 4 is out of range"],
    ),
    (
        "no layer",
        |c| c["vision_feature_layer"] = json!([]),
        &["config.json", "vision_feature_layer names no layer"],
    ),
    (
        "an unknown strategy",
        |c| c["vision_feature_select_strategy"] = json!("mean"),
        &["config.json", "`mean`", "`default`", "`full`"],
    ),
    (
        "a class token that SigLIP does not have",
        |c| c["vision_config"]["model_type"] = json!("siglip_vision_model"),
        &["vision_feature_select_strategy `default`", "`full`"],
    ),
    (
        "an unknown activation",
        |c| c["projector_hidden_act"] = json!("gelo"),
        &["projector_hidden_act `gelo`"],
    ),
    (
        "a projector of another width",
        |c| c["vision_feature_layer"] = json!([-2, -1]),
        &[
            "multi_modal_projector.linear_1.weight",
            "[32, 24]",
            "[32, 48]",
        ],
    ),
    (
        "a tower of more layers than there are",
        |c| c["vision_config"]["num_hidden_layers"] = json!(9),
        &["vision_tower.vision_model.encoder.layers.3", "missing"],
    ),
    (
        "patches of another size",
        |c| c["vision_config"]["patch_size"] = json!(14),
        &["patch_embedding.weight", "[24, 3, 7, 7]", "[24, 3, 14, 14]"],
    ),
    (
        "heads that do not divide",
        |c| c["vision_config"]["num_attention_heads"] = json!(7),
        &["config.json", "7 vision heads"],
    ),
    (
        "another image token",
        |c| c["image_token_index"] = json!(3),
        &[
            "tokenizer.json",
            "<image> is token 259",
            "image_token_index 3",
        ],
    ),
];

const LLAVA_IMAGES: &[Lie] = &[
    (
        "squares of another size",
        |p| p["crop_size"] = json!({ "height": 30, "width": 30 }),
        &["preprocessor_config.json", "image_size 28", "crop_size"],
    ),
    (
        "a rectangle",
        |p| {
            p["size"] = json!({ "height": 28, "width": 56 });
            p["do_center_crop"] = json!(false);
        },
        &["preprocessor_config.json", "image_size 28"],
    ),
    (
        "another family's image processor",
        |p| p["image_processor_type"] = json!("LlavaNextImageProcessor"),
        &[
            "preprocessor_config.json",
            "`LlavaNextImageProcessor`",
            "CLIPImageProcessor",
        ],
    ),
    (
        "a longest edge",
        |p| p["size"] = json!({ "shortest_edge": 28, "longest_edge": 56 }),
        &["preprocessor_config.json", "image_size 28", "longest_edge"],
    ),
    (
        "a size of no kind",
        |p| p["size"] = json!({ "edge": 28 }),
        &["preprocessor_config.json", "size of {\"edge\":28}"],
    ),
    (
        "a filter by its name",
        |p| p["resample"] = json!("bicubic"),
        &["resample \"bicubic\"", "3 (bicubic)"],
    ),
    (
        "a mean that is needed and not there",
        |p| p["image_mean"] = Value::Null,
        &["preprocessor_config.json", "image_mean is null"],
    ),
    (
        "a batch padded to a size",
        |p| p["pad_size"] = json!({ "height": 28, "width": 28 }),
        &["preprocessor_config.json", "pad_size"],
    ),
    (
        "no object",
        |p| *p = json!([]),
        &["preprocessor_config.json", "no object"],
    ),
    (
        "pictures as they come",
        |p| p["do_resize"] = json!(false),
        &["preprocessor_config.json", "do_resize is false"],
    ),
];

const ONEVISION_CONFIG: &[Lie] = &[
    (
        "no list",
        |c| c["image_grid_pinpoints"] = json!("(1x1),...,(6x6)"),
        &[
            "config.json",
            "image_grid_pinpoints is no list of [height, width]",
        ],
    ),
    (
        "an empty list",
        |c| c["image_grid_pinpoints"] = json!([]),
        &["config.json", "image_grid_pinpoints is no list"],
    ),
    (
        "a canvas without a width",
        |c| c["image_grid_pinpoints"][2] = json!([14]),
        &["config.json", "image_grid_pinpoints[2] is [14]"],
    ),
    (
        "a canvas that is no number of tiles",
        |c| c["image_grid_pinpoints"][1] = json!([14, 20]),
        &[
            "image_grid_pinpoints[1] is [14,20]",
            "whole tiles of 14 pixels",
        ],
    ),
    (
        "a negative canvas",
        |c| c["image_grid_pinpoints"][0] = json!([-14, 14]),
        &["image_grid_pinpoints[0] is [-14,14]"],
    ),
    (
        "another limit",
        |c| c["vision_aspect_ratio"] = json!("anyres_max_0"),
        &[
            "config.json",
            "vision_aspect_ratio `anyres_max_0`",
            "anyres_max_N",
        ],
    ),
    (
        "a class token",
        |c| c["vision_feature_select_strategy"] = json!("default"),
        &["config.json", "vision_feature_select_strategy `default`"],
    ),
    (
        "a layer that the tower does not have",
        |c| c["vision_feature_layer"] = json!(3),
        &[
            "vision_feature_layer 3 is out of range",
            "2 layers has -3 to 2",
        ],
    ),
    (
        "a window",
        |c| c["text_config"]["layer_types"] = json!(["full_attention", "sliding_attention"]),
        &["config.json", "layer_types has `sliding_attention`"],
    ),
    (
        "a decoder of another width",
        |c| c["text_config"]["hidden_size"] = json!(64),
        &["linear_1.weight", "[32, 24]", "[64, 24]"],
    ),
];

const ONEVISION_IMAGES: &[Lie] = &[
    (
        "other canvases in the processor's file",
        |p| p["image_processor"]["image_grid_pinpoints"] = json!([[14, 14]]),
        &[
            "processor_config.json",
            "image_grid_pinpoints are not those of config.json",
        ],
    ),
    (
        "malformed canvases in the processor's file",
        |p| p["image_processor"]["image_grid_pinpoints"] = json!([14, 28]),
        &["processor_config.json", "image_grid_pinpoints[0] is 14"],
    ),
    (
        "tiles of another size",
        |p| p["image_processor"]["size"] = json!({ "height": 28, "width": 28 }),
        &["processor_config.json", "image_size 14"],
    ),
];

const TOKENS: &[Lie] = &[(
    "no image token",
    |t| without(t, "<image>"),
    &["tokenizer.json", "<image> is missing", "use the tokenizer"],
)];

/// Takes a token out of a tokenizer.
fn without(tokenizer: &mut Value, token: &str) {
    let tokens = tokenizer["added_tokens"].as_array_mut().unwrap();
    tokens.retain(|own| own["content"] != token);
    tokenizer["model"]["vocab"]
        .as_object_mut()
        .unwrap()
        .remove(token);
}

/// Tells one lie after the other.
fn tell(fixture: &str, file: &str, lies: &'static [Lie]) {
    let told = lies.iter().map(|&(name, lie, parts)| {
        let message = refusal(fixture, |folder| edit(folder.join(file), lie));
        (name, message, parts)
    });
    check(&told.collect::<Vec<_>>());
}

#[test]
fn every_lie_of_a_llava_is_one_error() {
    tell("llava", "config.json", LLAVA_CONFIG);
    tell("llava", "preprocessor_config.json", LLAVA_IMAGES);
    tell("llava", "tokenizer.json", TOKENS);
}

#[test]
fn every_lie_of_a_onevision_is_one_error() {
    tell("llava_onevision", "config.json", ONEVISION_CONFIG);
    tell("llava_onevision", "processor_config.json", ONEVISION_IMAGES);
    tell("llava_onevision", "tokenizer.json", TOKENS);
}

#[test]
fn a_row_needs_what_ends_it() {
    let message = refusal("llava_onevision", |folder| {
        let file = folder.join("model.safetensors");
        let mut tensors = read_tensors(&file).unwrap().tensors;
        assert!(tensors.remove("model.image_newline").is_some());
        let tensors: Vec<_> = tensors.into_iter().collect();
        write_tensors(&file, &tensors, &BTreeMap::new()).unwrap();
    });
    let parts = ["image_newline", "missing"];
    check(&[("no embedding that ends a row", message, &parts)]);
}

#[test]
fn pictures_that_cannot_be_prepared_are_refused() {
    let open = |fixture: &str| {
        let folder = copy(fixture);
        let model = Model::load(folder.path().to_str().unwrap(), LoadOptions::default());
        model.unwrap().processor()
    };
    let (llava, onevision) = (open("llava"), open("llava_onevision"));
    let refused = |processor: &dyn Processor, pictures: &[&RgbImage], question: &str| {
        let prompt = processor.prepare(pictures, question);
        prompt.unwrap_err().with_hint()
    };
    let (thin, usual) = (RgbImage::new(1, 10_000_000), RgbImage::new(9, 9));
    for processor in [&llava, &onevision] {
        let message = refused(processor.as_ref(), &[&thin, &usual], "?");
        assert!(message.contains("1 x 10000000 pixels"), "{message}");
        assert!(message.contains("crop it"), "{message}");
    }
}
