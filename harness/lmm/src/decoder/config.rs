//! The text part of `config.json`, as old and new files write it, and what a family's decoder adds to it.

use rave_methods::Geometry;
use serde::Deserialize;

use crate::layers::Activation;

/// The text part of a config, with the defaults of `transformers`' `LlamaConfig` for what a file may leave out.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DecoderConfig {
    /// Model width C.
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: usize,
    /// Query heads H.
    pub num_attention_heads: i64,
    /// Key-value heads G; as many as H when left out.
    pub num_key_value_heads: Option<i64>,
    /// Head width D; C / H when left out.
    pub head_dim: Option<i64>,
    pub vocab_size: i64,
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f64,
    /// Where configs before `transformers` 5 keep the rotary base.
    pub rope_theta: Option<f64>,
    /// Where configs since `transformers` 5 keep the rotary settings.
    pub rope_parameters: Option<RopeParameters>,
    /// Where configs before keep them.
    pub rope_scaling: Option<RopeParameters>,
    /// Positions the model was made for; unbounded when left out.
    pub max_position_embeddings: Option<i64>,
    #[serde(default)]
    pub attention_bias: bool,
    #[serde(default)]
    pub mlp_bias: bool,
    pub use_sliding_window: Option<bool>,
}

/// The settings of the rotary embedding.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RopeParameters {
    pub rope_theta: Option<f64>,
    pub rope_type: Option<String>,
    /// What `rope_type` was called before; files exist that have both.
    #[serde(rename = "type")]
    pub old_type: Option<String>,
    /// How many of the D / 2 frequencies turn with time, row and column.
    pub mrope_section: Option<[usize; 3]>,
}

/// What distinguishes the decoders of families beside their configs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Whether queries, keys and values have a bias, and the output has none.
    pub input_bias: bool,
    /// Whether every head's queries and keys are normalised before the rotary embedding.
    pub head_norms: bool,
    /// Whether the frequencies of rows and columns alternate with those of time, rather than follow them.
    pub interleaved: bool,
    /// The rotary base where the config has none.
    pub rope_theta: f64,
    /// How many frequencies turn with time, row and column where the config does not say; `None` for positions on one axis.
    pub sections: Option<[usize; 3]>,
}

impl Default for Style {
    /// Llama's.
    fn default() -> Self {
        Self {
            input_bias: false,
            head_norms: false,
            interleaved: false,
            rope_theta: 10_000.0,
            sections: None,
        }
    }
}

fn default_activation() -> String {
    "silu".into()
}

fn default_epsilon() -> f64 {
    1e-6
}

impl DecoderConfig {
    /// The sizes that a variant needs.
    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            groups: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_width: self
                .head_dim
                .unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
            model_width: self.hidden_size,
        }
    }

    /// The rotary settings, wherever the file keeps them.
    fn rope(&self) -> impl Iterator<Item = &RopeParameters> {
        self.rope_parameters.iter().chain(&self.rope_scaling)
    }

    /// The rotary base.
    pub(super) fn rope_theta(&self, style: &Style) -> f64 {
        let nested = self.rope().find_map(|parameters| parameters.rope_theta);
        nested.or(self.rope_theta).unwrap_or(style.rope_theta)
    }

    /// How many frequencies turn with time, row and column.
    fn sections(&self, style: &Style) -> Option<[usize; 3]> {
        let own = self.rope().find_map(|parameters| parameters.mrope_section);
        own.or(style.sections)
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
            groups,
            head_width,
            layers,
            ..
        } = self.geometry();
        let scaled = self.rope().any(|parameters| {
            let kind = parameters
                .rope_type
                .as_ref()
                .or(parameters.old_type.as_ref());
            kind.is_some_and(|kind| kind != "default" && kind != "mrope")
        });
        if layers == 0 || heads < 1 || groups < 1 || head_width < 2 || self.vocab_size < 1 {
            return Some("layers, heads, head width and vocabulary must be positive".into());
        }
        if heads % groups != 0 {
            return Some(format!(
                "num_key_value_heads {groups} does not divide num_attention_heads {heads}"
            ));
        }
        if head_width % 2 != 0 {
            return Some(format!(
                "head_dim {head_width} is odd; rotary embedding needs an even one"
            ));
        }
        if scaled {
            return Some(
                "scaled rotary embeddings (rope_type other than default or mrope) are not supported"
                    .into(),
            );
        }
        if let Some(sections) = self.sections(style)
            && sections.iter().sum::<usize>() as i64 != head_width / 2
        {
            return Some(format!(
                "mrope_section {sections:?} does not add up to half of head_dim {head_width}"
            ));
        }
        if self.use_sliding_window == Some(true) {
            return Some("use_sliding_window is true, which is not supported".into());
        }
        if Activation::from_name(&self.hidden_act).is_none() {
            return Some(format!("hidden_act `{}` is not supported", self.hidden_act));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(rotary: Value) -> DecoderConfig {
        let mut whole = json!({
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 9,
        });
        if let (Some(whole), Value::Object(rotary)) = (whole.as_object_mut(), rotary) {
            whole.extend(rotary);
        }
        serde_json::from_value(whole).expect("a config")
    }

    #[test]
    fn rotary_settings_are_read_from_new_and_old_files() {
        let sections = json!([2, 3, 3]);
        let new = json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 7.0, "mrope_section": sections } });
        let old = json!({ "rope_scaling": { "type": "mrope", "rope_type": "default", "mrope_section": sections }, "rope_theta": 7.0 });
        let style = Style::default();
        for file in [new, old] {
            let config = config(file);
            assert_eq!(config.unsupported(&style), None);
            assert!((config.rope_theta(&style) - 7.0).abs() < 1e-9);
            assert_eq!(config.axes(&style), Some(vec![0, 0, 1, 1, 1, 2, 2, 2]));
        }
        let plain = config(json!({ "rope_scaling": null }));
        assert_eq!(plain.axes(&style), None);
        assert!((plain.rope_theta(&style) - 10_000.0).abs() < 1e-9);
    }

    #[test]
    fn interleaved_sections_take_every_third_frequency_while_they_last() {
        let style = Style {
            interleaved: true,
            sections: Some([4, 2, 2]),
            ..Style::default()
        };
        let axes = config(json!({})).axes(&style);
        assert_eq!(axes, Some(vec![0, 1, 2, 0, 1, 2, 0, 0]));
    }

    #[test]
    fn what_the_decoder_cannot_do_is_said() {
        for (file, part) in [
            (
                json!({ "rope_scaling": { "type": "linear", "factor": 2.0 } }),
                "rope_type",
            ),
            (
                json!({ "rope_scaling": { "rope_type": "yarn" } }),
                "rope_type",
            ),
            (
                json!({ "rope_parameters": { "mrope_section": [1, 1, 1] } }),
                "mrope_section",
            ),
            (json!({ "use_sliding_window": true }), "use_sliding_window"),
            (json!({ "hidden_act": "tanhexp" }), "hidden_act"),
        ] {
            let reason = config(file).unsupported(&Style::default());
            assert!(reason.is_some_and(|reason| reason.contains(part)), "{part}");
        }
    }
}
