//! The classes of `config.json`. Source: `transformers` 5.23 `models/*/configuration_*.py`, and the models beside them for keys
//! that they read without the class having them (`head_dim` of Qwen2, `is_causal`, `sliding_window` of every decoder's cache).

use serde_json::{Value, json};

use super::{Class, Nulls, with};

/// The class of a whole config, and which classes its parts have.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub model_type: &'static str,
    pub class: &'static str,
    pub text: ConfigPart,
    pub vision: ConfigPart,
    /// Whether `tie_word_embeddings` of the decoder's part counts too.
    pub lifts_tie: bool,
    /// Whether the decoder's keys may stand at the top instead.
    pub flat: bool,
}

/// The class of a part of a config.
#[derive(Debug, Clone)]
pub(crate) struct ConfigPart {
    /// The `model_type`s that the part may have, each with its class; the first is that of a part that names none. Where there is
    /// but one, what the part says of its `model_type` is not looked at.
    pub classes: &'static [(&'static str, &'static str)],
    /// How a part that is not there differs from one that is empty.
    pub where_absent: Value,
}

const DECODERS: &[(&str, &str)] = &[
    ("llama", "LlamaConfig"),
    ("mistral", "MistralConfig"),
    ("qwen2", "Qwen2Config"),
];
const QWEN2_FIRST: &[(&str, &str)] = &[DECODERS[2], DECODERS[0], DECODERS[1]];
const TOWERS: &[(&str, &str)] = &[
    ("clip_vision_model", "CLIPVisionConfig"),
    ("siglip_vision_model", "SiglipVisionConfig"),
];
const SIGLIP_FIRST: &[(&str, &str)] = &[TOWERS[1], TOWERS[0]];

/// Every class of a whole config.
pub(crate) fn wholes() -> Vec<Whole> {
    let part = |classes| ConfigPart {
        classes,
        where_absent: json!({}),
    };
    let tiles = |model_type, class, vision| Whole {
        model_type,
        class,
        text: ConfigPart {
            classes: DECODERS,
            where_absent: json!({ "rms_norm_eps": 1e-5 }),
        },
        vision: part(vision),
        lifts_tie: false,
        flat: false,
    };
    let qwen = |model_type, class, text, vision| Whole {
        model_type,
        class,
        text: part(text),
        vision: part(vision),
        lifts_tie: true,
        flat: true,
    };
    vec![
        tiles(
            "idefics3",
            "Idefics3Config",
            &[("idefics3_vision", "Idefics3VisionConfig")],
        ),
        tiles(
            "smolvlm",
            "SmolVLMConfig",
            &[("smolvlm_vision", "SmolVLMVisionConfig")],
        ),
        Whole {
            model_type: "llava",
            class: "LlavaConfig",
            text: part(DECODERS),
            vision: ConfigPart {
                classes: TOWERS,
                where_absent: json!({
                    "intermediate_size": 4_096, "hidden_size": 1_024, "patch_size": 14, "image_size": 336, "num_hidden_layers": 24,
                    "num_attention_heads": 16,
                }),
            },
            lifts_tie: true,
            flat: false,
        },
        Whole {
            model_type: "llava_onevision",
            class: "LlavaOnevisionConfig",
            text: part(QWEN2_FIRST),
            vision: ConfigPart {
                classes: SIGLIP_FIRST,
                where_absent: json!({
                    "hidden_size": 1_152, "intermediate_size": 4_304, "patch_size": 14, "image_size": 384, "num_hidden_layers": 26,
                    "num_attention_heads": 16, "vision_use_head": false,
                }),
            },
            lifts_tie: true,
            flat: false,
        },
        qwen(
            "qwen2_vl",
            "Qwen2VLConfig",
            &[("qwen2_vl_text", "Qwen2VLTextConfig")],
            &[("qwen2_vl_vision", "Qwen2VLVisionConfig")],
        ),
        qwen(
            "qwen2_5_vl",
            "Qwen2_5_VLConfig",
            &[("qwen2_5_vl_text", "Qwen2_5_VLTextConfig")],
            &[("qwen2_5_vl_vision", "Qwen2_5_VLVisionConfig")],
        ),
        Whole {
            lifts_tie: false,
            flat: false,
            ..qwen(
                "qwen3_vl",
                "Qwen3VLConfig",
                &[("qwen3_vl_text", "Qwen3VLTextConfig")],
                &[("qwen3_vl_vision", "Qwen3VLVisionConfig")],
            )
        },
    ]
}

/// Every class, of whole configs and of parts.
pub(super) static CONFIGS: &[fn() -> Class] = &[
    || tiles("Idefics3Config"),
    || tiles("SmolVLMConfig"),
    llava,
    llava_onevision,
    || qwen("Qwen2VLConfig"),
    || qwen("Qwen2_5_VLConfig"),
    || qwen("Qwen3VLConfig"),
    llama,
    mistral,
    qwen2,
    || qwen2_vl_text("Qwen2VLTextConfig"),
    || qwen2_vl_text("Qwen2_5_VLTextConfig"),
    qwen3_vl_text,
    clip,
    siglip,
    || idefics3_vision("Idefics3VisionConfig"),
    || idefics3_vision("SmolVLMVisionConfig"),
    qwen2_vl_vision,
    qwen2_5_vl_vision,
    qwen3_vl_vision,
];

/// The class of this name.
///
/// # Panics
/// When there is none: names come from [`wholes`] alone.
pub(crate) fn config(name: &str) -> Class {
    let mut all = CONFIGS.iter().map(|class| class());
    all.find(|class| class.name == name)
        .expect("a class that is named is in the table")
}

fn tiles(name: &'static str) -> Class {
    Class {
        name,
        read: json!({ "image_token_id": 128_257, "tie_word_embeddings": false, "scale_factor": 2 }),
        fixed: json!({}),
        inert: vec!["use_cache"],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

fn llava() -> Class {
    Class {
        name: "LlavaConfig",
        read: json!({
            "image_token_index": 32_000, "projector_hidden_act": "gelu", "vision_feature_select_strategy": "default",
            "vision_feature_layer": -2, "multimodal_projector_bias": true, "tie_word_embeddings": false,
        }),
        fixed: json!({}),
        // The number of visual tokens follows from the tower.
        inert: vec!["image_seq_length"],
        nulls: Nulls::Default,
        aliases: &[("image_token_id", "image_token_index")],
    }
}

/// The canvases of LLaVA-OneVision, height and width: 1 to 6 tiles of 384 pixels a side.
pub(super) fn canvases() -> Vec<[u32; 2]> {
    let sides = || (1..=6).map(|tiles| tiles * 384);
    sides()
        .flat_map(|height| sides().map(move |width| [height, width]))
        .collect()
}

fn llava_onevision() -> Class {
    Class {
        name: "LlavaOnevisionConfig",
        read: json!({
            "image_token_index": 151_646, "projector_hidden_act": "gelu", "vision_feature_select_strategy": "full",
            "vision_feature_layer": -1, "multimodal_projector_bias": true, "tie_word_embeddings": false,
            "image_grid_pinpoints": canvases(), "vision_aspect_ratio": "anyres_max_9",
        }),
        fixed: json!({}),
        inert: vec!["video_token_index"],
        nulls: Nulls::Default,
        aliases: &[("image_token_id", "image_token_index")],
    }
}

fn qwen(name: &'static str) -> Class {
    Class {
        name,
        read: json!({ "image_token_id": 151_655, "tie_word_embeddings": false }),
        fixed: json!({}),
        inert: vec![
            "video_token_id",
            "vision_start_token_id",
            "vision_end_token_id",
        ],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

/// What is read of every decoder's part. `rope_theta` and what follows it are what older files have for `rope_parameters`.
fn decoder(own: &Value) -> Value {
    let common = json!({
        "num_key_value_heads": null, "head_dim": null, "hidden_act": "silu", "rope_parameters": null, "rope_scaling": null,
        "rope_theta": 10_000.0, "partial_rotary_factor": 1.0, "original_max_position_embeddings": null, "sliding_window": null,
        "tie_word_embeddings": false,
    });
    with(common, own)
}

/// What no decoder does otherwise. The first two stand in files of SmolVLM's authors, whose own code reads them.
fn decoder_fixed() -> Value {
    json!({
        "qk_layer_norms": false, "use_resampler": false, "rope_interleaved": false, "is_causal": true, "per_layer_config": null,
    })
}

fn llama() -> Class {
    Class {
        name: "LlamaConfig",
        read: decoder(&json!({
            "vocab_size": 32_000, "hidden_size": 4_096, "intermediate_size": 11_008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "max_position_embeddings": 2_048, "rms_norm_eps": 1e-6, "attention_bias": false,
            "mlp_bias": false, "layer_types": null,
        })),
        fixed: decoder_fixed(),
        inert: vec![
            "initializer_range",
            "use_cache",
            "pad_token_id",
            "bos_token_id",
            "eos_token_id",
            "pretraining_tp",
            "attention_dropout",
        ],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

fn mistral() -> Class {
    Class {
        name: "MistralConfig",
        read: decoder(&json!({
            "vocab_size": 32_000, "hidden_size": 4_096, "intermediate_size": 14_336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131_072, "rms_norm_eps": 1e-6,
            "sliding_window": 4_096,
        })),
        fixed: decoder_fixed(),
        inert: vec![
            "initializer_range",
            "use_cache",
            "pad_token_id",
            "bos_token_id",
            "eos_token_id",
            "attention_dropout",
        ],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

const QWEN_DECODER_INERT: &[&str] = &[
    "initializer_range",
    "use_cache",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "attention_dropout",
];

fn qwen2() -> Class {
    Class {
        name: "Qwen2Config",
        read: decoder(&json!({
            "vocab_size": 151_936, "hidden_size": 4_096, "intermediate_size": 22_016, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6,
            "use_sliding_window": false, "sliding_window": 4_096, "max_window_layers": 28, "layer_types": null,
        })),
        fixed: decoder_fixed(),
        inert: QWEN_DECODER_INERT.to_vec(),
        nulls: Nulls::Default,
        aliases: &[],
    }
}

fn qwen2_vl_text(name: &'static str) -> Class {
    Class {
        name,
        read: decoder(&json!({
            "vocab_size": 152_064, "hidden_size": 8_192, "intermediate_size": 29_568, "num_hidden_layers": 80,
            "num_attention_heads": 64, "num_key_value_heads": 8, "max_position_embeddings": 32_768, "rms_norm_eps": 1e-5,
            "use_sliding_window": false, "sliding_window": 4_096, "max_window_layers": 80, "layer_types": null,
            "rope_theta": 1_000_000.0,
        })),
        fixed: decoder_fixed(),
        inert: QWEN_DECODER_INERT.to_vec(),
        nulls: Nulls::Default,
        aliases: &[],
    }
}

fn qwen3_vl_text() -> Class {
    Class {
        name: "Qwen3VLTextConfig",
        read: decoder(&json!({
            "vocab_size": 151_936, "hidden_size": 4_096, "intermediate_size": 22_016, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6, "attention_bias": false, "layer_types": null, "rope_theta": 500_000.0,
        })),
        fixed: decoder_fixed(),
        inert: vec![
            "initializer_range",
            "use_cache",
            "pad_token_id",
            "attention_dropout",
        ],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

/// What is read of a tower with tiles of one size.
fn tower(own: &Value) -> Value {
    let common = json!({ "num_hidden_layers": 12, "num_channels": 3, "image_size": 224 });
    with(common, own)
}

fn clip() -> Class {
    Class {
        name: "CLIPVisionConfig",
        read: tower(&json!({
            "hidden_size": 768, "intermediate_size": 3_072, "num_attention_heads": 12, "patch_size": 32, "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
        })),
        fixed: json!({}),
        inert: vec![
            "projection_dim",
            "attention_dropout",
            "initializer_range",
            "initializer_factor",
        ],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

fn siglip() -> Class {
    Class {
        name: "SiglipVisionConfig",
        read: tower(&json!({
            "hidden_size": 768, "intermediate_size": 3_072, "num_attention_heads": 12, "patch_size": 16,
            "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "vision_use_head": true,
        })),
        fixed: json!({}),
        inert: vec!["attention_dropout"],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

fn idefics3_vision(name: &'static str) -> Class {
    Class {
        name,
        read: tower(&json!({
            "hidden_size": 1_152, "intermediate_size": 3_072, "num_attention_heads": 16, "patch_size": 32,
            "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
        })),
        fixed: json!({}),
        inert: vec!["attention_dropout", "initializer_range"],
        nulls: Nulls::Default,
        aliases: &[],
    }
}

const QWEN_TOWER_ALIASES: &[(&str, &str)] = &[
    ("num_attention_heads", "num_heads"),
    ("num_hidden_layers", "depth"),
];

/// What is read of a tower with pictures of any size.
fn qwen_tower(own: &Value) -> Value {
    let common = json!({
        "depth": 32, "num_heads": 16, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "rope_parameters": null, "rope_scaling": null, "rope_theta": 10_000.0,
    });
    with(common, own)
}

fn qwen2_vl_vision() -> Class {
    Class {
        name: "Qwen2VLVisionConfig",
        read: qwen_tower(&json!({
            "embed_dim": 1_280, "hidden_size": 3_584, "hidden_act": "quick_gelu", "mlp_ratio": 4,
        })),
        fixed: json!({}),
        inert: vec!["initializer_range"],
        nulls: Nulls::Default,
        aliases: QWEN_TOWER_ALIASES,
    }
}

fn qwen2_5_vl_vision() -> Class {
    Class {
        name: "Qwen2_5_VLVisionConfig",
        read: qwen_tower(&json!({
            "hidden_size": 3_584, "hidden_act": "silu", "intermediate_size": 3_420, "window_size": 112, "out_hidden_size": 3_584,
            "fullatt_block_indexes": [7, 15, 23, 31],
        })),
        fixed: json!({}),
        // Of films.
        inert: vec!["initializer_range", "tokens_per_second"],
        nulls: Nulls::Default,
        aliases: QWEN_TOWER_ALIASES,
    }
}

fn qwen3_vl_vision() -> Class {
    Class {
        name: "Qwen3VLVisionConfig",
        read: qwen_tower(&json!({
            "depth": 27, "hidden_size": 1_152, "hidden_act": "gelu_pytorch_tanh", "intermediate_size": 4_304, "patch_size": 16,
            "out_hidden_size": 3_584, "num_position_embeddings": 2_304, "deepstack_visual_indexes": [8, 16, 24],
        })),
        fixed: json!({}),
        inert: vec!["initializer_range"],
        nulls: Nulls::Default,
        aliases: QWEN_TOWER_ALIASES,
    }
}
