//! The files of a built-in model that is made on first use.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::sizes::Sizes;
use super::tokenizer::{special, tokenizer};
use super::{MARKER, VERSION};
use crate::Error;

const CHAT_TEMPLATE: &str = "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}\
{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}\
{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}\
{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n\
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

impl Sizes {
    /// Writes the whole checkpoint into a folder; the marker last, since it says that the rest is there.
    pub(super) fn write(&self, folder: &Path, seed: u64) -> Result<(), Error> {
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
        };
        let pretty =
            |value: &Value| serde_json::to_vec_pretty(value).expect("JSON values can be written");
        write("config.json", &pretty(&self.config()))?;
        write(
            "generation_config.json",
            &pretty(&json!({ "eos_token_id": special("<end_of_utterance>") })),
        )?;
        write("tokenizer.json", &pretty(&tokenizer()))?;
        write(
            "tokenizer_config.json",
            &pretty(&json!({
                "eos_token": "<end_of_utterance>", "pad_token": "<|im_start|>", "tokenizer_class": "PreTrainedTokenizerFast",
                "processor_class": "SmolVLMProcessor",
            })),
        )?;
        write("chat_template.jinja", CHAT_TEMPLATE.as_bytes())?;
        write(
            "processor_config.json",
            &pretty(&json!({
                "processor_class": "SmolVLMProcessor",
                "image_seq_len": (self.tile / self.patch / self.shuffle).pow(2),
                "image_processor": {
                    "image_processor_type": "SmolVLMImageProcessor", "do_convert_rgb": true,
                    "do_image_splitting": self.picture > self.tile, "do_normalize": true, "do_pad": true, "do_rescale": true,
                    "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                    "max_image_size": { "longest_edge": self.tile }, "resample": 1, "rescale_factor": 1.0 / 255.0,
                    "size": { "longest_edge": self.picture },
                },
                // `transformers` opens no processor of this class without one.
                "video_processor": {
                    "video_processor_type": "SmolVLMVideoProcessor", "do_convert_rgb": true, "do_normalize": true, "do_pad": true,
                    "do_rescale": true, "do_resize": true, "do_sample_frames": false, "image_mean": [0.5, 0.5, 0.5],
                    "image_std": [0.5, 0.5, 0.5], "max_image_size": { "longest_edge": self.tile }, "resample": 1,
                    "rescale_factor": 1.0 / 255.0, "return_metadata": false, "size": { "longest_edge": self.picture },
                },
            })),
        )?;
        self.write_weights(&folder.join("model.safetensors"), seed)?;
        write(
            MARKER,
            &pretty(&json!({ "untrained": true, "seed": seed, "version": VERSION })),
        )
    }

    fn config(&self) -> Value {
        json!({
            "architectures": ["SmolVLMForConditionalGeneration"],
            "model_type": "smolvlm",
            "dtype": "bfloat16",
            "image_token_id": special("<image>"),
            "pad_token_id": special("<|im_start|>"),
            "scale_factor": self.shuffle,
            "tie_word_embeddings": false,
            "text_config": {
                "model_type": "llama", "hidden_size": self.width, "intermediate_size": self.feed_forward,
                "num_hidden_layers": self.layers, "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
                "head_dim": self.width / self.heads, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 100_000.0,
                "max_position_embeddings": 8192, "vocab_size": self.vocabulary, "attention_bias": false, "mlp_bias": false,
                "tie_word_embeddings": false,
            },
            "vision_config": {
                "model_type": "smolvlm_vision", "hidden_size": self.vision_width, "intermediate_size": 4 * self.vision_width,
                "num_hidden_layers": self.vision_layers, "num_attention_heads": self.vision_heads, "num_channels": 3,
                "image_size": self.tile, "patch_size": self.patch, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
            },
        })
    }
}
