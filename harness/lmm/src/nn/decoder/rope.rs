//! The frequencies of the rotary embedding, plain and scaled to more positions than a model was trained on.
//!
//! Source: `transformers` 5.23 `modeling_rope_utils.py`: `linear` (kaiokendev), `dynamic` (NTK-aware, bloc97 and emozilla), `yarn`
//! (Peng et al., 2023, arXiv:2309.00071) and `llama3` (Llama 3.1). Numbers are f32 where they are there.
//!
//! Deviations: `longrope`, `proportional` and a part of the head alone (`partial_rotary_factor`) are refused. `dynamic` changes
//! nothing up to `max_position_embeddings`; beyond, the frequencies follow the length at each step, and keys that are stored keep
//! those of theirs. There, each sequence of a batch has its own length here (its longest's there), and what an earlier prompt has
//! left behind counts for none (there, frequencies never go back to those of a shorter prompt that is still beyond).

use std::f64::consts::PI;

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::Error;

/// The settings of the rotary embedding, as files write them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RopeParameters {
    pub rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// What `rope_type` was called before; files exist that have both.
    #[serde(rename = "type")]
    old_type: Option<String>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    attention_factor: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    truncate: Option<bool>,
    /// How many of the D / 2 frequencies turn with time, row and column.
    pub mrope_section: Option<[usize; 3]>,
    /// Settings of layers of one type have the name of the type.
    full_attention: Option<Value>,
    sliding_attention: Option<Value>,
}

/// How frequencies are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scaling {
    None,
    /// All are divided by a factor.
    Linear {
        factor: f64,
    },
    /// None up to the positions that the model was made for, `trained`; slower with the length from there on.
    Dynamic {
        factor: f64,
        trained: i64,
    },
    /// Slow ones are divided by a factor, fast ones are not, and those between partly.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        trained: f64,
    },
    /// The same, by where they stand rather than by their wavelength; cosines and sines are multiplied by `attention`.
    Yarn {
        factor: f64,
        attention: f64,
        fast: f64,
        slow: f64,
        truncate: bool,
        trained: f64,
    },
}

/// The rotary embedding of a decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rope {
    pub theta: f64,
    pub scaling: Scaling,
}

impl RopeParameters {
    /// What they ask for. `theta`, `partial` and `original` are what the config says outside of them, `positions` is its
    /// `max_position_embeddings`, and `sections` whether positions are on three axes.
    ///
    /// # Errors
    /// What is missing or not supported, in words.
    pub(super) fn read(
        &self,
        theta: f64,
        partial: f64,
        original: Option<f64>,
        positions: i64,
        sections: bool,
    ) -> Result<Rope, String> {
        let kind = self.rope_type.as_deref().or(self.old_type.as_deref());
        let kind = kind.unwrap_or("default");
        let needed = |key: &str, value: Option<f64>| {
            let value = value.filter(|value| value.is_finite() && *value > 0.0);
            value.ok_or_else(|| format!("rope_type `{kind}` needs `{key}`, a number above 0"))
        };
        if self.full_attention.is_some() || self.sliding_attention.is_some() {
            return Err("rope_parameters for each type of layer are not supported".into());
        }
        let partial = self.partial_rotary_factor.unwrap_or(partial);
        if (partial - 1.0).abs() > f64::EPSILON {
            return Err(format!(
                "partial_rotary_factor {partial} is not supported; 1 is"
            ));
        }
        let trained = original.or(self.original_max_position_embeddings);
        let trained = trained.unwrap_or(positions as f64);
        let scaling = match kind {
            "default" => Scaling::None,
            "mrope" if sections => Scaling::None,
            "linear" => Scaling::Linear {
                factor: needed("factor", self.factor)?,
            },
            "dynamic" => Scaling::Dynamic {
                factor: needed("factor", self.factor)?,
                trained: needed("max_position_embeddings", Some(positions as f64))? as i64,
            },
            "llama3" => Scaling::Llama3 {
                factor: needed("factor", self.factor)?,
                low: needed("low_freq_factor", self.low_freq_factor)?,
                high: needed("high_freq_factor", self.high_freq_factor)?,
                trained: needed("original_max_position_embeddings", Some(trained))?,
            },
            "yarn" => self.yarn(
                needed("factor", self.factor)?,
                needed("original_max_position_embeddings", Some(trained))?,
            ),
            other => {
                return Err(format!(
                    "rope_type `{other}` is not supported; default, linear, dynamic, llama3 and yarn are"
                ));
            }
        };
        Ok(Rope {
            theta: needed("rope_theta", self.rope_theta.or(Some(theta)))?,
            scaling,
        })
    }

    fn yarn(&self, factor: f64, trained: f64) -> Scaling {
        let given = |value: Option<f64>| value.filter(|value| *value != 0.0);
        let scale = |by: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * by * factor.ln() + 1.0
            }
        };
        let attention = match (given(self.mscale), given(self.mscale_all_dim)) {
            (Some(one), Some(all)) => scale(one) / scale(all),
            _ => scale(1.0),
        };
        Scaling::Yarn {
            factor,
            attention: self.attention_factor.unwrap_or(attention),
            fast: given(self.beta_fast).unwrap_or(32.0),
            slow: given(self.beta_slow).unwrap_or(1.0),
            truncate: self.truncate.unwrap_or(true),
            trained,
        }
    }
}

impl Rope {
    /// The frequencies of a head of width D, `[D / 2]` f32, for as many tokens as the model was made for.
    ///
    /// # Errors
    /// LibTorch's own.
    pub(super) fn frequencies(&self, width: i64, device: Device) -> Result<Tensor, Error> {
        self.frequencies_at(0, width, device)
    }

    /// The number of tokens beyond which frequencies depend on it; `None` where they never do.
    pub(super) fn constant_up_to(&self) -> Option<i64> {
        match self.scaling {
            Scaling::Dynamic { trained, .. } => Some(trained),
            _ => None,
        }
    }

    /// The frequencies for so many tokens, `[D / 2]` f32.
    ///
    /// # Errors
    /// LibTorch's own.
    pub(super) fn frequencies_at(
        &self,
        tokens: i64,
        width: i64,
        device: Device,
    ) -> Result<Tensor, Error> {
        let exponents = Tensor::f_arange_start_step(0, width, 2, (Kind::Float, Device::Cpu))?
            .f_div_scalar(width as f64)?;
        let theta = match self.scaling {
            Scaling::Dynamic { factor, trained } if tokens > trained => {
                let stretch =
                    (factor * tokens as f64) as f32 / trained as f32 - (factor - 1.0) as f32;
                let power = width as f64 / (width as f64 - 2.0);
                f64::from(self.theta as f32 * stretch.powf(power as f32))
            }
            _ => self.theta,
        };
        let periods = Vec::<f32>::try_from(Tensor::f_pow_scalar(theta, &exponents)?)?;
        let plain = periods.iter().map(|period| 1.0 / period);
        let scaled: Vec<f32> = match self.scaling {
            Scaling::None | Scaling::Dynamic { .. } => plain.collect(),
            Scaling::Linear { factor } => plain.map(|own| own / factor as f32).collect(),
            Scaling::Llama3 {
                factor,
                low,
                high,
                trained,
            } => plain
                .map(|own| llama3(own, factor as f32, [low, high], trained))
                .collect(),
            Scaling::Yarn { factor, .. } => {
                let [low, high] = self.ramp(width);
                let ramp = |at: usize| {
                    let part = (at as f32 - low as f32) / (high - low) as f32;
                    1.0 - part.clamp(0.0, 1.0)
                };
                let kept = (0..).map(ramp);
                let pairs = periods.iter().zip(kept);
                pairs
                    .map(|(period, kept)| {
                        let slow = 1.0 / (factor as f32 * period);
                        slow * (1.0 - kept) + 1.0 / period * kept
                    })
                    .collect()
            }
        };
        Ok(Tensor::f_from_slice(&scaled)?.f_to_device(device)?)
    }

    /// The frequencies, by their place, between which `yarn` goes from keeping to dividing.
    fn ramp(&self, width: i64) -> [f64; 2] {
        let Scaling::Yarn {
            fast,
            slow,
            truncate,
            trained,
            ..
        } = self.scaling
        else {
            return [0.0, 1.0];
        };
        let place = |turns: f64| {
            width as f64 * (trained / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
        };
        let (mut low, mut high) = (place(fast), place(slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(width as f64 - 1.0));
        let gap = if (high - low).abs() < f64::EPSILON {
            0.001
        } else {
            0.0
        };
        [low, high + gap]
    }

    /// What cosines and sines are multiplied by.
    pub(super) fn attention_factor(&self) -> f64 {
        match self.scaling {
            Scaling::Yarn { attention, .. } => attention,
            _ => 1.0,
        }
    }

    /// The positions that the model can be used on, of one whose config says `positions`: what scaling stretches counts
    /// stretched, unless the config has done so itself (as vLLM derives a model's length). `None` where the scaling follows any length.
    pub(super) fn reach(&self, positions: i64) -> Option<i64> {
        match self.scaling {
            Scaling::Linear { factor } => Some((positions as f64 * factor.max(1.0)) as i64),
            Scaling::Yarn {
                factor, trained, ..
            } => Some(positions.max((trained * factor) as i64)),
            Scaling::Dynamic { .. } => None,
            Scaling::None | Scaling::Llama3 { .. } => Some(positions),
        }
    }
}

/// A frequency of Llama 3.1's scaling.
fn llama3(own: f32, factor: f32, [low, high]: [f64; 2], trained: f64) -> f32 {
    let wavelength = (1.0 / own) * (2.0 * PI) as f32;
    if wavelength > (trained / low) as f32 {
        own / factor
    } else if wavelength < (trained / high) as f32 {
        own
    } else {
        let turns = (1.0 / wavelength) * trained as f32;
        let smooth = (turns - low as f32) / (high - low) as f32;
        (1.0 - smooth) * own / factor + smooth * own
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};
    use tch::Device;

    use super::*;
    use crate::families::classes;
    use crate::nn::decoder::DecoderConfig;

    /// The config of a decoder whose file says so, or why it is refused.
    fn rope(class: &str, text: &Value, sections: bool) -> Result<(Rope, i64), String> {
        let filled = classes::config(class).fill(text)?;
        let config: DecoderConfig = serde_json::from_value(filled).unwrap();
        Ok((config.rotary(sections)?, config.geometry().head_dim))
    }

    #[test]
    fn frequencies_are_those_of_transformers_for_every_kind_of_scaling() {
        let cases = include_str!("../../../tests/fixtures/classes/rotary.json");
        let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
        assert!(cases.len() > 20);
        for case in &cases {
            let (class, text) = (case["class"].as_str().unwrap(), &case["text"]);
            let (rope, width) = rope(class, text, class.contains("VL")).unwrap();
            let ours = rope.frequencies(width, Device::Cpu).unwrap();
            let ours: Vec<f64> = ours.to_kind(Kind::Double).try_into().unwrap();
            let theirs: Vec<f64> = serde_json::from_value(case["frequencies"].clone()).unwrap();
            assert_eq!(ours.len(), theirs.len(), "{text}");
            for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                // Two roundings of f32: exponentials differ by one between versions of LibTorch's vector code.
                let near = (ours - theirs).abs() <= 2.5e-7 * theirs;
                assert!(near, "{text}: frequency {at} is {ours}, there {theirs}");
            }
            let factor = case["factor"].as_f64().unwrap();
            assert!((rope.attention_factor() - factor).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_not_supported_is_named() {
        for (keys, part) in [
            (
                json!({ "rope_scaling": { "type": "linear" } }),
                "`linear` needs `factor`",
            ),
            (
                json!({ "rope_parameters": { "rope_type": "yarn" } }),
                "`yarn` needs `factor`",
            ),
            (
                json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0 } }),
                "`high_freq_factor`",
            ),
            (
                json!({ "rope_scaling": { "type": "longrope", "short_factor": [1.0] } }),
                "`longrope`",
            ),
            (
                json!({ "rope_scaling": { "type": "su" } }),
                "`su` is not supported",
            ),
            (
                json!({ "rope_scaling": { "type": "mrope" } }),
                "`mrope` is not supported",
            ),
            (
                json!({ "partial_rotary_factor": 0.5 }),
                "partial_rotary_factor 0.5",
            ),
            (
                json!({ "rope_parameters": { "partial_rotary_factor": 0.25 } }),
                "partial_rotary_factor 0.25",
            ),
            (
                json!({ "rope_parameters": { "full_attention": { "rope_type": "default" } } }),
                "each type of layer",
            ),
        ] {
            let reason = rope("LlamaConfig", &keys, false).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn stretched_positions_count() {
        let reach = |keys: Value| {
            let (rope, _) = rope("LlamaConfig", &keys, false).unwrap();
            rope.reach(1_000)
        };
        let yarn = |trained: u64| {
            json!({
                "rope_scaling": { "type": "yarn", "factor": 4, "original_max_position_embeddings": trained },
            })
        };
        assert_eq!(reach(json!({})), Some(1_000));
        assert_eq!(
            reach(json!({ "rope_scaling": { "type": "linear", "factor": 2.5 } })),
            Some(2_500)
        );
        assert_eq!(
            reach(json!({ "rope_scaling": { "type": "dynamic", "factor": 2.5 } })),
            None
        );
        assert_eq!(reach(yarn(1_000)), Some(4_000));
        assert_eq!(reach(yarn(250)), Some(1_000));
    }
}
