//! The image processors. Source: `transformers` 5.23 `image_processing_base.py` (a null is kept: the step is off, or
//! what it needs is missing), `image_processing_utils.py`, `image_processing_backends.py` and `models/*/image_processing_pil_*.py`.

use serde_json::{Value, json};

use super::configs::canvases;
use super::{Class, Nulls, with};

/// Every image processor.
pub(super) static IMAGES: &[fn() -> Class] = &[
    || idefics3("Idefics3ImageProcessor"),
    || idefics3("SmolVLMImageProcessor"),
    clip,
    siglip,
    llava,
    llava_onevision,
    qwen2_vl,
];

/// The image processor of this name, in any of the versions that `transformers` has or had of it.
pub(crate) fn image(name: &str) -> Option<Class> {
    let name = name.strip_suffix("Fast").unwrap_or(name);
    let name = name.strip_suffix("Pil").unwrap_or(name);
    let mut all = IMAGES.iter().map(|class| class());
    all.find(|class| class.name == name)
}

/// What no image processor's file changes: pictures are always red, green and blue before they come here.
const INERT: &[&str] = &[
    "data_format",
    "device",
    "disable_grouping",
    "do_convert_rgb",
    "image_seq_length",
    "input_data_format",
    "return_tensors",
];

fn steps(own: &Value) -> Value {
    let common = json!({
        "do_resize": true, "do_rescale": true, "rescale_factor": 1.0 / 255.0, "do_normalize": true, "resample": 3,
        "image_mean": [0.481_454_66, 0.457_827_5, 0.408_210_73], "image_std": [0.268_629_54, 0.261_302_58, 0.275_777_11],
        "default_to_square": false,
    });
    with(common, own)
}

fn idefics3(name: &'static str) -> Class {
    Class {
        name,
        read: steps(&json!({
            "size": { "longest_edge": 1_456 }, "max_image_size": { "longest_edge": 364 }, "do_image_splitting": true, "resample": 1,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "default_to_square": true,
        })),
        fixed: json!({}),
        // All tiles are of one size, so that nothing is padded; nothing is ever cropped.
        inert: [
            INERT,
            &[
                "crop_size",
                "do_center_crop",
                "do_pad",
                "pad_size",
                "return_row_col_info",
            ],
        ]
        .concat(),
        nulls: Nulls::Nothing(&[]),
        aliases: &[],
    }
}

fn clip() -> Class {
    Class {
        name: "CLIPImageProcessor",
        read: steps(&json!({
            "size": { "shortest_edge": 224 }, "crop_size": { "height": 224, "width": 224 }, "do_center_crop": true,
        })),
        fixed: json!({ "pad_size": null, "use_square_size": false }),
        inert: [INERT, &["do_pad"]].concat(),
        nulls: Nulls::Nothing(&[]),
        aliases: &[],
    }
}

fn siglip() -> Class {
    Class {
        name: "SiglipImageProcessor",
        read: steps(&json!({
            "size": { "height": 224, "width": 224 }, "crop_size": null, "do_center_crop": null,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        })),
        fixed: json!({ "pad_size": null }),
        inert: [INERT, &["do_pad"]].concat(),
        nulls: Nulls::Nothing(&[]),
        aliases: &[],
    }
}

fn llava() -> Class {
    Class {
        name: "LlavaImageProcessor",
        read: steps(&json!({
            "size": { "shortest_edge": 224 }, "crop_size": { "height": 224, "width": 224 }, "do_center_crop": true, "do_pad": false,
        })),
        fixed: json!({}),
        inert: [INERT, &["pad_size"]].concat(),
        nulls: Nulls::Nothing(&[]),
        aliases: &[],
    }
}

fn llava_onevision() -> Class {
    Class {
        name: "LlavaOnevisionImageProcessor",
        read: steps(&json!({
            "size": { "height": 384, "width": 384 }, "crop_size": null, "do_center_crop": null, "image_grid_pinpoints": canvases(),
        })),
        fixed: json!({}),
        inert: [INERT, &["do_pad", "pad_size"]].concat(),
        nulls: Nulls::Nothing(&[]),
        aliases: &[],
    }
}

fn qwen2_vl() -> Class {
    Class {
        name: "Qwen2VLImageProcessor",
        read: steps(&json!({
            "size": { "shortest_edge": 3_136, "longest_edge": 1_003_520 }, "min_pixels": null, "max_pixels": null, "patch_size": 14,
            "merge_size": 2, "temporal_patch_size": 2,
        })),
        fixed: json!({}),
        inert: [
            INERT,
            &["crop_size", "do_center_crop", "do_pad", "pad_size"],
        ]
        .concat(),
        nulls: Nulls::Nothing(&["size"]),
        aliases: &[],
    }
}
