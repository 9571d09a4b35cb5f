//! What every method must give, written from its formula in f64 loops over one query, head and sequence at a time, with nothing
//! of the implementation's: no tensor operation, no block, no fold, no cache. RAVE's are in `reference_rave`.

use rave_methods::variants::gated::{Options as GatedOptions, Per};
use rave_methods::variants::{dape, pai, rave, scaling_vis, softmax_off_by_one, vaf, vis_sink};
use rave_methods::{Attention, DynMethod, Geometry, Layers, Range};
use tch::{Kind, Tensor};

use crate::reference_rave;
use crate::sequences::{SCALE, Sequences};

/// The output `[B, H, T, D]` and the weights `[B, H, T, S]` of a whole batch in f64; zero for padding queries.
pub struct Expected {
    pub output: Tensor,
    pub weights: Tensor,
}

/// What a method gives in one layer, with the parameters that `attention` holds.
pub fn expected(
    method: &dyn DynMethod,
    geometry: &Geometry,
    layer: usize,
    sequences: &Sequences,
    attention: &dyn Attention,
) -> Expected {
    let inputs = Inputs::of(sequences);
    let parameters = Parameters::of(attention, layer);
    let here = |layers: &Layers| is_selected(layers, layer, geometry.layers);
    // A method that works in some layers leaves the others alone.
    if let Some(options) = method.downcast_ref::<rave::Options>() {
        if here(&options.layers) {
            return reference_rave::rave(options, &inputs, &parameters);
        }
    } else if let Some(options) = method.downcast_ref::<pai::Options>() {
        if here(&options.layers) {
            return pai(options, &inputs);
        }
    } else if let Some(options) = method.downcast_ref::<vaf::Options>() {
        if here(&options.layers) {
            return vaf(options, &inputs);
        }
    } else if let Some(options) = method.downcast_ref::<vis_sink::Options>() {
        if here(&options.layers) {
            return vis_sink(options, geometry.model_width, &inputs);
        }
    } else if let Some(options) = method.downcast_ref::<scaling_vis::Options>() {
        return scaling_vis(options.weight, &inputs);
    } else if let Some(options) = method.downcast_ref::<GatedOptions>() {
        return gated(options, &inputs, &parameters);
    } else if let Some(options) = method.downcast_ref::<softmax_off_by_one::Options>() {
        return sink(&vec![options.mass; inputs.heads], &inputs);
    } else if let Some(options) = method.downcast_ref::<dape::Options>() {
        return dape(options, &inputs, &parameters);
    } else if method.name() == "learned-sink" {
        let logits = parameters.get("logit");
        let masses: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
        return sink(&masses, &inputs);
    } else {
        // A first run of adapt-vis is the model's own, and fastv differs in which tokens are there at all.
        let is_standard = ["standard", "adapt-vis", "fastv"].contains(&method.name());
        assert!(is_standard, "write the formula of `{}` here", method.name());
    }
    standard(&inputs)
}

/// Whether a choice of layers has this one, in a model of this depth.
fn is_selected(layers: &Layers, layer: usize, depth: usize) -> bool {
    match layers {
        Layers::All => true,
        Layers::List(list) => list.contains(&layer),
        Layers::Range(Range { first, last, of }) => {
            let share = depth as f64 / of.unwrap_or(depth) as f64;
            let first = (*first as f64 * share).round() as usize;
            let end = ((last + 1) as f64 * share).round() as usize;
            first <= layer && layer < end.max(first + 1)
        }
    }
}

/// The parameters of one layer by the last part of their names.
pub struct Parameters(Vec<(String, Vec<f64>)>);

impl Parameters {
    fn of(attention: &dyn Attention, layer: usize) -> Self {
        let part = format!(".layers.{layer}.");
        let own = attention
            .parameters()
            .into_iter()
            .filter_map(|(name, tensor)| {
                let (_, name) = name.split_once(&part)?;
                Some((name.to_owned(), numbers(&tensor)))
            });
        Self(own.collect())
    }

    pub fn get(&self, name: &str) -> &[f64] {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map_or_else(|| panic!("no parameter {name}"), |(_, values)| values)
    }
}

/// A batch of sequences as plain numbers.
pub struct Inputs {
    batch: usize,
    pub heads: usize,
    pub kv_heads: usize,
    tokens: usize,
    /// D.
    pub width: usize,
    hidden: Vec<f64>,
    input: Vec<f64>,
    query: Vec<f64>,
    query_pre_rope: Vec<f64>,
    key: Vec<f64>,
    key_pre_rope: Vec<f64>,
    value: Vec<f64>,
    visual: Vec<bool>,
    valid: Vec<bool>,
    /// How many real tokens of the sequence come before.
    positions: Vec<i64>,
    prompts: Vec<i64>,
}

impl Inputs {
    fn of(sequences: &Sequences) -> Self {
        let layout = &sequences.layout;
        let positions = layout.valid.chunks(layout.tokens()).flat_map(|row| {
            (0..row.len()).map(|at| row[..at].iter().filter(|&&valid| valid).count() as i64)
        });
        Self {
            positions: positions.collect(),
            batch: layout.batch(),
            heads: sequences.query.size()[1] as usize,
            kv_heads: sequences.key.size()[1] as usize,
            tokens: layout.tokens(),
            width: sequences.query.size()[3] as usize,
            hidden: numbers(&sequences.hidden),
            input: numbers(&sequences.input),
            query: numbers(&sequences.query),
            query_pre_rope: numbers(&sequences.query_pre_rope),
            key: numbers(&sequences.key),
            key_pre_rope: numbers(&sequences.key_pre_rope),
            value: numbers(&sequences.value),
            visual: layout.visual.clone(),
            valid: layout.valid.clone(),
            prompts: layout.prompts.clone(),
        }
    }

    /// The key group that a query head reads.
    pub fn group(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads)
    }

    fn row<'a>(&self, all: &'a [f64], heads: usize, b: usize, head: usize, at: usize) -> &'a [f64] {
        let start = ((b * heads + head) * self.tokens + at) * self.width;
        &all[start..start + self.width]
    }

    pub fn query(&self, b: usize, h: usize, i: usize) -> &[f64] {
        self.row(&self.query, self.heads, b, h, i)
    }

    pub fn query_pre_rope(&self, b: usize, h: usize, i: usize) -> &[f64] {
        self.row(&self.query_pre_rope, self.heads, b, h, i)
    }

    pub fn key(&self, b: usize, h: usize, j: usize) -> &[f64] {
        self.row(&self.key, self.kv_heads, b, self.group(h), j)
    }

    pub fn key_pre_rope(&self, b: usize, h: usize, j: usize) -> &[f64] {
        self.row(&self.key_pre_rope, self.kv_heads, b, self.group(h), j)
    }

    /// `z_ij`.
    pub fn score(&self, b: usize, h: usize, i: usize, j: usize) -> f64 {
        SCALE * dot(self.query(b, h, i), self.key(b, h, j))
    }

    pub fn is_visual(&self, b: usize, at: usize) -> bool {
        self.visual[b * self.tokens + at]
    }

    fn position(&self, b: usize, at: usize) -> i64 {
        self.positions[b * self.tokens + at]
    }

    /// A text token with a visual one before it.
    fn is_after_image(&self, b: usize, at: usize) -> bool {
        !self.is_visual(b, at) && (0..at).any(|before| self.is_visual(b, before))
    }

    /// Output and weights, given the weights of one query of one head on the keys that it sees (those up to itself that are
    /// real).
    pub fn filled(&self, weigh: impl Fn(usize, usize, usize, &[usize]) -> Vec<f64>) -> Expected {
        let rows = self.batch * self.heads * self.tokens;
        let (mut output, mut weights) =
            (vec![0.0; rows * self.width], vec![0.0; rows * self.tokens]);
        for b in 0..self.batch {
            let is_real = |at: &usize| self.valid[b * self.tokens + at];
            for i in (0..self.tokens).filter(is_real) {
                let keys: Vec<usize> = (0..=i).filter(is_real).collect();
                for h in 0..self.heads {
                    let row = (b * self.heads + h) * self.tokens + i;
                    for (&j, weight) in keys.iter().zip(weigh(b, h, i, &keys)) {
                        weights[row * self.tokens + j] = weight;
                        let value = self.row(&self.value, self.kv_heads, b, self.group(h), j);
                        for (d, value) in value.iter().enumerate() {
                            output[row * self.width + d] += weight * value;
                        }
                    }
                }
            }
        }
        let shape = [self.batch, self.heads, self.tokens].map(|size| size as i64);
        let tensor =
            |values: &[f64]| Tensor::from_slice(values).view([shape[0], shape[1], shape[2], -1]);
        Expected {
            output: tensor(&output),
            weights: tensor(&weights),
        }
    }

    /// The usual softmax of scores `z'(b, h, i, j)`.
    pub fn softmaxed(&self, score: impl Fn(usize, usize, usize, usize) -> f64) -> Expected {
        self.filled(|b, h, i, keys| {
            let scores: Vec<f64> = keys.iter().map(|&j| score(b, h, i, j)).collect();
            softmax(&scores, 0.0)
        })
    }
}

/// `exp(z) / (mass + sum exp z)`.
fn softmax(scores: &[f64], mass: f64) -> Vec<f64> {
    let sum = mass + scores.iter().map(|score| score.exp()).sum::<f64>();
    scores.iter().map(|score| score.exp() / sum).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).contiguous().flatten(0, -1)).unwrap()
}

pub fn standard(inputs: &Inputs) -> Expected {
    inputs.softmaxed(|b, h, i, j| inputs.score(b, h, i, j))
}

fn pai(options: &pai::Options, inputs: &Inputs) -> Expected {
    inputs.softmaxed(|b, h, i, j| {
        let score = inputs.score(b, h, i, j);
        let answers = inputs.position(b, i) >= inputs.prompts[b] - 1;
        if answers && inputs.is_visual(b, j) {
            score + options.alpha * score.abs()
        } else {
            score
        }
    })
}

fn vaf(options: &vaf::Options, inputs: &Inputs) -> Expected {
    inputs.softmaxed(|b, h, i, j| {
        let score = inputs.score(b, h, i, j);
        let is_system = (0..=j).all(|at| !inputs.is_visual(b, at));
        match inputs.is_after_image(b, i) {
            true if inputs.is_visual(b, j) => score * options.visual,
            true if is_system => score * options.system,
            _ => score,
        }
    })
}

pub fn scaling_vis(weight: f64, inputs: &Inputs) -> Expected {
    inputs.softmaxed(|b, h, i, j| {
        let score = inputs.score(b, h, i, j);
        let is_end = inputs.position(b, i) == inputs.prompts[b] - 1;
        if is_end && inputs.is_visual(b, j) {
            score * weight
        } else {
            score
        }
    })
}

/// `adapt-vis` in its second run.
pub fn scaled_rerun(weight: f64, sequences: &Sequences) -> Expected {
    scaling_vis(weight, &Inputs::of(sequences))
}

fn vis_sink(options: &vis_sink::Options, model_width: i64, inputs: &Inputs) -> Expected {
    let width = model_width as usize;
    let threshold = options.tau * (width as f64 / 4096.0).sqrt();
    let is_sink = |hidden: &[f64]| {
        let norm = (dot(hidden, hidden) / width as f64).sqrt();
        let looked_at = |channel: &usize| {
            options.dimensions.is_empty() || options.dimensions.contains(&(*channel as i64))
        };
        (0..width)
            .filter(looked_at)
            .any(|channel| hidden[channel].abs() / norm > threshold)
    };
    let sinks: Vec<bool> = inputs.hidden.chunks(width).map(is_sink).collect();
    inputs.filled(|b, h, i, keys| {
        let scores: Vec<f64> = keys.iter().map(|&j| inputs.score(b, h, i, j)).collect();
        let weights = softmax(&scores, 0.0);
        let sum = |wanted: &dyn Fn(usize) -> bool| -> f64 {
            let own = keys.iter().zip(&weights).filter(|(j, _)| wanted(**j));
            own.map(|(_, weight)| weight).sum()
        };
        let sink = |j: usize| sinks[b * inputs.tokens + j];
        let visual = |j: usize| inputs.is_visual(b, j);
        let mass = sum(&visual);
        let on_sinks = sum(&|j| visual(j) && sink(j));
        let on_others = sum(&|j| visual(j) && !sink(j));
        // What a query does must not hang on what comes after it, so only the sinks that it sees count.
        let has_sink = keys.iter().any(|&j| visual(j) && sink(j));
        let is_selected = inputs.is_after_image(b, i)
            && mass >= options.mass
            && on_sinks <= options.rho * mass
            && has_sink
            && on_others > 0.0;
        if !is_selected {
            return weights;
        }
        let budget = (1.0 - options.keep) * sum(&sink);
        let edited = keys.iter().zip(&weights).map(|(&j, &weight)| {
            if sink(j) {
                options.keep * weight
            } else if visual(j) {
                weight + budget * weight / on_others
            } else {
                weight
            }
        });
        edited.collect()
    })
}

fn gated(options: &GatedOptions, inputs: &Inputs, parameters: &Parameters) -> Expected {
    let weight = parameters.get("weight");
    let Expected { output, weights } = standard(inputs);
    let mut output = numbers(&output);
    let model_width = inputs.input.len() / (inputs.batch * inputs.tokens);
    for (place, output) in output.iter_mut().enumerate() {
        let (row, d) = (place / inputs.width, place % inputs.width);
        let (sequence_and_head, at) = (row / inputs.tokens, row % inputs.tokens);
        let (b, h) = (
            sequence_and_head / inputs.heads,
            sequence_and_head % inputs.heads,
        );
        let input = &inputs.input[(b * inputs.tokens + at) * model_width..][..model_width];
        let gate = match options.per {
            Per::Head => h,
            Per::Element => h * inputs.width + d,
        };
        let product = dot(&weight[gate * model_width..][..model_width], input);
        *output *= 2.0 / (1.0 + (-product).exp());
    }
    let shape = [inputs.batch, inputs.heads, inputs.tokens].map(|size| size as i64);
    Expected {
        output: Tensor::from_slice(&output).view([shape[0], shape[1], shape[2], -1]),
        weights,
    }
}

fn sink(masses: &[f64], inputs: &Inputs) -> Expected {
    inputs.filled(|b, h, i, keys| {
        let scores: Vec<f64> = keys.iter().map(|&j| inputs.score(b, h, i, j)).collect();
        softmax(&scores, masses[h])
    })
}

fn dape(options: &dape::Options, inputs: &Inputs, parameters: &Parameters) -> Expected {
    let (heads, width) = (inputs.heads, options.width as usize);
    let (power, scale) = (parameters.get("power"), parameters.get("scale"));
    let (first, first_bias) = (
        parameters.get("hidden.weight"),
        parameters.get("hidden.bias"),
    );
    let (second, second_bias) = (
        parameters.get("output.weight"),
        parameters.get("output.bias"),
    );
    // All heads of a pair at once: the network mixes them.
    let tokens = inputs.tokens;
    let mut scores = vec![0.0; inputs.batch * tokens * tokens * heads];
    for pair in 0..inputs.batch * tokens * tokens {
        let (b, i, j) = (
            pair / (tokens * tokens),
            pair / tokens % tokens,
            pair % tokens,
        );
        if j > i {
            continue;
        }
        let distance = (inputs.position(b, i) - inputs.position(b, j)) as f64;
        let own: Vec<f64> = (0..heads).map(|h| inputs.score(b, h, i, j)).collect();
        let bias: Vec<f64> = (0..heads)
            .map(|h| -power[h] * (1.0 + scale[h].abs() * distance).ln())
            .collect();
        let both = [own.clone(), bias.clone()].concat();
        let hidden: Vec<f64> = (0..width)
            .map(|unit| dot(&first[unit * 2 * heads..][..2 * heads], &both) + first_bias[unit])
            .map(|sum| if sum < 0.0 { 0.01 * sum } else { sum })
            .collect();
        for h in 0..heads {
            let network = dot(&second[h * width..][..width], &hidden) + second_bias[h];
            scores[pair * heads + h] = own[h] + bias[h] + network;
        }
    }
    inputs.softmaxed(|b, h, i, j| scores[((b * tokens + i) * tokens + j) * heads + h])
}
