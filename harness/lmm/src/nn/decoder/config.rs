//! The decoder's part of `config.json`, after its class has filled in what the file leaves out ([`crate::families::classes`]), and what a
//! family's decoder adds to it.

use rave_methods::Geometry;
use serde::Deserialize;

use super::rope::{Rope, RopeParameters};
use crate::nn::layers::Activation;

/// The decoder's part of a config.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DecoderConfig {
    /// Model width C.
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: usize,
    /// Query heads H.
    pub num_attention_heads: i64,
    /// Key-value heads G; as many as H when it is null.
    pub num_key_value_heads: Option<i64>,
    /// Head width D; C / H when it is null.
    pub head_dim: Option<i64>,
    pub vocab_size: i64,
    pub hidden_act: String,
    pub rms_norm_eps: f64,
    /// Where configs before `transformers` 5 keep the rotary base.
    rope_theta: f64,
    partial_rotary_factor: f64,
    original_max_position_embeddings: Option<f64>,
    /// Where configs since `transformers` 5 keep the rotary settings.
    rope_parameters: Option<RopeParameters>,
    /// Where configs before keep them, which win.
    rope_scaling: Option<RopeParameters>,
    /// Positions the model was made for.
    max_position_embeddings: i64,
    #[serde(default)]
    pub attention_bias: bool,
    #[serde(default)]
    pub mlp_bias: bool,
    use_sliding_window: Option<bool>,
    sliding_window: Option<i64>,
    /// Layers before this one have no window.
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
}

/// What distinguishes the decoders of families beside their configs.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a difference between two decoders of transformers"
)]
pub(crate) struct Style {
    /// Whether queries, keys and values have a bias, and the output has none.
    pub input_bias: bool,
    /// Whether the head width is C / H whatever the config says.
    pub derives_width: bool,
    /// Whether every head's queries and keys are normalised before the rotary embedding.
    pub head_norms: bool,
    /// Whether the frequencies of rows and columns alternate with those of time, rather than follow them.
    pub interleaved: bool,
    /// How many frequencies turn with time, row and column where the config does not say; `None` for positions on one axis.
    pub sections: Option<[usize; 3]>,
}

impl Default for Style {
    /// Llama's.
    fn default() -> Self {
        Self {
            input_bias: false,
            derives_width: false,
            head_norms: false,
            interleaved: false,
            sections: None,
        }
    }
}

/// The type of a layer with a window.
const SLIDING: &str = "sliding_attention";

impl DecoderConfig {
    /// The sizes that a variant needs.
    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self
                .head_dim
                .unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
            model_width: self.hidden_size,
        }
    }

    /// The rotary settings: older files' where there are any, else newer ones.
    fn rope(&self) -> Option<&RopeParameters> {
        self.rope_scaling.as_ref().or(self.rope_parameters.as_ref())
    }

    /// The rotary embedding, with positions on three axes or on one.
    ///
    /// # Errors
    /// What of it is missing or not supported, in words.
    pub(super) fn rotary(&self, sections: bool) -> Result<Rope, String> {
        let none = RopeParameters::default();
        self.rope().unwrap_or(&none).read(
            self.rope_theta,
            self.partial_rotary_factor,
            self.original_max_position_embeddings,
            self.max_position_embeddings,
            sections,
        )
    }

    /// Positions that the model can be used on; `None` for as many as there are.
    pub(super) fn positions(&self, rope: &Rope) -> Option<i64> {
        rope.reach(self.max_position_embeddings)
    }

    /// How many tokens the layers with the narrowest view see; `None` where all see all.
    pub(super) fn window(&self) -> Option<i64> {
        let window = self
            .sliding_window
            .filter(|_| self.use_sliding_window != Some(false))?;
        let slides = match (&self.layer_types, self.use_sliding_window) {
            (Some(types), _) => types.iter().any(|kind| kind == SLIDING),
            (None, Some(_)) => self
                .max_window_layers
                .is_none_or(|first| first < self.num_hidden_layers),
            (None, None) => true,
        };
        slides.then_some(window)
    }

    /// How many frequencies turn with time, row and column; of a decoder with positions on one axis nothing is looked at.
    fn sections(&self, style: &Style) -> Option<[usize; 3]> {
        let usual = style.sections?;
        let own = self.rope().and_then(|parameters| parameters.mrope_section);
        own.or(Some(usual))
    }

    /// Which axis (time, row, column) each of the D / 2 frequencies turns with; `None` for positions on one axis.
    pub(super) fn axes(&self, style: &Style) -> Option<Vec<i64>> {
        let sections = self.sections(style)?;
        if !style.interleaved {
            let axes = (0..).zip(sections);
            return Some(axes.flat_map(|(axis, count)| vec![axis; count]).collect());
        }
        // Rows and columns take every third frequency as long as they last, and time has the rest.
        let half = sections.iter().sum();
        Some(
            (0..half)
                .map(|at| match at % 3 {
                    axis @ (1 | 2) if at < 3 * sections[axis] => axis as i64,
                    _ => 0,
                })
                .collect(),
        )
    }

    /// What this decoder cannot do, in words; `None` when it can do all that the config asks for.
    pub(crate) fn unsupported(&self, style: &Style) -> Option<String> {
        let Geometry {
            heads,
            kv_heads,
            head_dim,
            layers,
            ..
        } = self.geometry();
        if layers == 0 || heads < 1 || kv_heads < 1 || head_dim < 2 || self.vocab_size < 1 {
            return Some("layers, heads, head width and vocabulary must be positive".into());
        }
        let derived = self.hidden_size / heads;
        if style.derives_width && head_dim != derived {
            return Some(format!(
                "head_dim {head_dim} is not hidden_size / num_attention_heads, {derived}, the head width of this family"
            ));
        }
        if heads % kv_heads != 0 {
            return Some(format!(
                "num_key_value_heads {kv_heads} does not divide num_attention_heads {heads}"
            ));
        }
        if head_dim % 2 != 0 {
            return Some(format!(
                "head_dim {head_dim} is odd; rotary embedding needs an even one"
            ));
        }
        if let Err(reason) = self.rotary(style.sections.is_some()) {
            return Some(reason);
        }
        if let Some(sections) = self.sections(style)
            && sections.iter().sum::<usize>() as i64 != head_dim / 2
        {
            return Some(format!(
                "mrope_section {sections:?} does not add up to half of head_dim {head_dim}"
            ));
        }
        if let Some(kind) =
            self.layer_types.iter().flatten().find(|kind| {
                *kind != "full_attention" && (*kind != SLIDING || self.window().is_none())
            })
        {
            return Some(format!("layer_types has `{kind}`, which is not supported"));
        }
        if self.window().is_some_and(|window| window < 1) {
            return Some("sliding_window must be positive".into());
        }
        if Activation::from_name(&self.hidden_act).is_none() {
            return Some(format!("hidden_act `{}` is not supported", self.hidden_act));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::families::classes;

    /// A config of a class, whose heads are 16 wide.
    fn config(class: &str, keys: &Value) -> DecoderConfig {
        let mut file = json!({
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": null, "vocab_size": 9,
        });
        let keys = keys.as_object().unwrap().clone();
        file.as_object_mut().unwrap().extend(keys);
        let filled = classes::config(class).fill(&file).unwrap();
        serde_json::from_value(filled).unwrap()
    }

    fn style(interleaved: bool) -> Style {
        Style {
            interleaved,
            sections: Some([4, 2, 2]),
            ..Style::default()
        }
    }

    #[test]
    fn rotary_settings_are_read_from_new_and_old_files() {
        let sections = json!([2, 3, 3]);
        let new = json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 7.0, "mrope_section": sections } });
        let old = json!({ "rope_scaling": { "type": "mrope", "rope_type": "default", "mrope_section": sections }, "rope_theta": 7.0 });
        let older = json!({ "rope_scaling": { "type": "mrope", "mrope_section": sections }, "rope_theta": 7.0 });
        for file in [new, old, older] {
            let config = config("Qwen2VLTextConfig", &file);
            assert_eq!(config.unsupported(&style(false)), None);
            assert!((config.rotary(true).unwrap().theta - 7.0).abs() < 1e-9);
            let axes = config.axes(&style(false));
            assert_eq!(axes, Some(vec![0, 0, 1, 1, 1, 2, 2, 2]));
            assert_eq!(config.axes(&Style::default()), None);
        }
        let plain = config("LlamaConfig", &json!({ "rope_scaling": null }));
        assert_eq!(plain.axes(&Style::default()), None);
        assert!((plain.rotary(false).unwrap().theta - 10_000.0).abs() < 1e-9);
    }

    #[test]
    fn interleaved_sections_take_every_third_frequency_while_they_last() {
        let axes = config("Qwen3VLTextConfig", &json!({})).axes(&style(true));
        assert_eq!(axes, Some(vec![0, 1, 2, 0, 1, 2, 0, 0]));
    }

    #[test]
    fn only_a_window_that_some_layer_has_limits_the_tokens() {
        for (class, keys, window) in [
            ("MistralConfig", json!({}), Some(4_096)),
            ("MistralConfig", json!({ "sliding_window": 7 }), Some(7)),
            ("MistralConfig", json!({ "sliding_window": null }), None),
            ("LlamaConfig", json!({}), None),
            ("Qwen2Config", json!({ "sliding_window": 7 }), None),
            (
                "Qwen2Config",
                json!({ "use_sliding_window": true, "sliding_window": 7 }),
                None,
            ),
            (
                "Qwen2Config",
                json!({ "use_sliding_window": true, "sliding_window": 7, "max_window_layers": 1 }),
                Some(7),
            ),
            (
                "Qwen2VLTextConfig",
                json!({
                    "use_sliding_window": true, "sliding_window": 7, "layer_types": ["full_attention", "sliding_attention"],
                }),
                Some(7),
            ),
            (
                "Qwen2VLTextConfig",
                json!({ "use_sliding_window": true, "layer_types": ["full_attention", "full_attention"], "max_window_layers": 0 }),
                None,
            ),
        ] {
            let config = config(class, &keys);
            assert_eq!(config.unsupported(&Style::default()), None, "{keys}");
            assert_eq!(config.window(), window, "{class} {keys}");
        }
    }

    #[test]
    fn what_the_decoder_cannot_do_is_said() {
        for (file, part) in [
            (
                json!({ "rope_parameters": { "mrope_section": [1, 1, 1] } }),
                "mrope_section",
            ),
            (json!({ "hidden_act": "tanhexp" }), "hidden_act"),
            (
                json!({ "layer_types": ["full_attention", "chunked_attention"] }),
                "`chunked_attention`",
            ),
            (
                json!({ "layer_types": ["sliding_attention", "full_attention"] }),
                "`sliding_attention`",
            ),
            (json!({ "rope_scaling": { "type": "yarn" } }), "`factor`"),
            (
                json!({ "use_sliding_window": true, "max_window_layers": 0, "sliding_window": 0 }),
                "sliding_window",
            ),
        ] {
            let reason = config("Qwen2VLTextConfig", &file).unsupported(&style(false));
            assert!(reason.is_some_and(|reason| reason.contains(part)), "{part}");
        }
    }
}
