//! Inputs for the slot: batches of sequences written as text, with random features, and a decoder layer's way of handing them
//! to a variant in passes.

use rave_methods::noise::Noise;
use rave_methods::{Attention, Build, Geometry, Step, Tokens, Variant};
use tch::{Device, Kind, Tensor};

/// Wide enough for the largest rank of the registry.
pub const HEAD_DIM: i64 = 32;
/// Not `1 / sqrt(D)`, so that a variant which computes the factor itself is found out.
pub const SCALE: f64 = 0.2;
/// A layer that every default layer range covers at the depth of [`geometry`].
pub const LAYER: usize = 1;
/// Heads and key groups: grouped, multi-head, multi-query.
pub const SHAPES: [(i64, i64); 3] = [(6, 2), (4, 4), (3, 1)];
/// The hidden channel in which massive activations stand.
pub const MASSIVE_CHANNEL: i64 = 5;

/// Sequences of one length with pictures and sinks on either side, one without a picture, one that begins with one.
pub const PICTURES: [&str; 4] = [
    "TtVvvvtvvttttt|ttt",
    "ttvVvvVvvvtttT|ttt",
    "Ttttttttttttt|tttt",
    "vVvttTvvvvVtttt|tt",
];

/// Sequences of unlike length, padded behind, in front, and between the prompt and the answer.
pub const PADDED: [&str; 4] = [
    "TtVvvvtvvttt|tt...",
    ".....TtVvvtt|vtttt",
    "ttvvVvvttt|....ttt",
    "TvVvvtvvttttttt|tt",
];

pub fn geometry(heads: i64, kv_heads: i64) -> Geometry {
    Geometry {
        layers: 4,
        heads,
        kv_heads,
        head_dim: HEAD_DIM,
        model_width: heads * 16,
    }
}

pub fn build(geometry: Geometry, kind: Kind) -> Build {
    Build {
        geometry,
        device: Device::Cpu,
        kind,
        seed: 7,
    }
}

/// What stands where, as text: `t` text, `v` visual, upper case with a massive activation, `.` padding; `|` ends the prompt
/// (which is everything when there is none).
#[derive(Debug, Clone)]
pub struct Layout {
    /// `[B, T]`.
    pub visual: Vec<bool>,
    /// `[B, T]`.
    pub valid: Vec<bool>,
    /// `[B, T]`.
    pub massive: Vec<bool>,
    /// `[B]`, lengths in real tokens.
    pub prompts: Vec<i64>,
}

impl Layout {
    pub fn of<S: AsRef<str>>(rows: &[S]) -> Self {
        let (mut visual, mut valid, mut massive) = (Vec::new(), Vec::new(), Vec::new());
        let mut prompts = Vec::new();
        let mut length = None;
        for row in rows {
            let row = row.as_ref();
            let prompt = row.split('|').next().unwrap();
            prompts.push(prompt.chars().filter(|&mark| mark != '.').count() as i64);
            let marks: Vec<char> = row.chars().filter(|&mark| mark != '|').collect();
            assert_eq!(*length.get_or_insert(marks.len()), marks.len(), "{row}");
            visual.extend(marks.iter().map(|mark| mark.eq_ignore_ascii_case(&'v')));
            valid.extend(marks.iter().map(|&mark| mark != '.'));
            massive.extend(marks.iter().map(char::is_ascii_uppercase));
        }
        Self {
            visual,
            valid,
            massive,
            prompts,
        }
    }

    pub fn batch(&self) -> usize {
        self.prompts.len()
    }

    /// T.
    pub fn tokens(&self) -> usize {
        self.visual.len() / self.batch()
    }
}

/// Random features of a batch of sequences, as a decoder layer would hand them over.
#[derive(Debug)]
pub struct Sequences {
    pub layout: Layout,
    /// `[B, T, C]`.
    pub hidden: Tensor,
    pub input: Tensor,
    /// `[B, H, T, D]`.
    pub query: Tensor,
    pub query_pre_rope: Tensor,
    /// `[B, G, T, D]`.
    pub key: Tensor,
    pub key_pre_rope: Tensor,
    pub value: Tensor,
}

impl Sequences {
    pub fn random<S: AsRef<str>>(geometry: &Geometry, rows: &[S], kind: Kind) -> Self {
        // Tests run beside each other already, and their tensors are small.
        tch::set_num_threads(1);
        let layout = Layout::of(rows);
        let (batch, tokens) = (layout.batch() as i64, layout.tokens() as i64);
        let noise = Noise::new(3);
        let heads = |stream, heads| {
            noise
                .normal(stream, &[batch, heads, tokens, geometry.head_dim])
                .to_kind(kind)
        };
        let wide = |stream| noise.normal(stream, &[batch, tokens, geometry.model_width]);
        // Clamped, so that no channel comes near a sink's threshold by chance.
        let hidden = wide(5).clamp(-1.5, 1.5);
        let massive = Tensor::from_slice(&layout.massive).view([batch, tokens]);
        let mut channel = hidden.select(2, MASSIVE_CHANNEL);
        channel.copy_(&channel.masked_fill(&massive, -60.0));
        Self {
            hidden: hidden.to_kind(kind),
            input: wide(6).to_kind(kind),
            query: heads(0, geometry.heads),
            query_pre_rope: heads(1, geometry.heads),
            key: heads(2, geometry.kv_heads),
            key_pre_rope: heads(3, geometry.kv_heads),
            value: heads(4, geometry.kv_heads),
            layout,
        }
    }

    /// Those of the B x T tokens that are named, `[B', T']`, as a batch of another layout.
    pub fn select(&self, layout: Layout, index: &[i64]) -> Self {
        let index = Tensor::from_slice(index);
        let shape = [layout.batch() as i64, layout.tokens() as i64];
        // [B, T, C] -> [B', T', C]
        let wide = |tensor: &Tensor| {
            let selected = tensor.flatten(0, 1).index_select(0, &index);
            selected.view([shape[0], shape[1], -1])
        };
        let heads = |tensor: &Tensor| {
            let (heads, width) = (tensor.size()[1], tensor.size()[3]);
            wide(&tensor.transpose(1, 2).flatten(2, 3))
                .view([shape[0], shape[1], heads, width])
                .transpose(1, 2)
                .contiguous()
        };
        Self {
            hidden: wide(&self.hidden),
            input: wide(&self.input),
            query: heads(&self.query),
            query_pre_rope: heads(&self.query_pre_rope),
            key: heads(&self.key),
            key_pre_rope: heads(&self.key_pre_rope),
            value: heads(&self.value),
            layout,
        }
    }

    /// The indices of one sequence's real tokens.
    pub fn real_tokens(&self, sequence: usize) -> Vec<i64> {
        let tokens = self.layout.tokens();
        let valid = &self.layout.valid[sequence * tokens..(sequence + 1) * tokens];
        let real = (0..tokens as i64).filter(|&at| valid[at as usize]);
        real.collect()
    }

    /// One sequence without its padding, as a batch of one.
    pub fn alone(&self, sequence: usize) -> Self {
        let start = (sequence * self.layout.tokens()) as i64;
        let index: Vec<i64> = (self.real_tokens(sequence).iter())
            .map(|at| start + at)
            .collect();
        let pick = |flags: &[bool]| index.iter().map(|&at| flags[at as usize]).collect();
        let layout = Layout {
            visual: pick(&self.layout.visual),
            valid: pick(&self.layout.valid),
            massive: pick(&self.layout.massive),
            prompts: vec![self.layout.prompts[sequence]],
        };
        self.select(layout, &index)
    }

    /// What `see` makes of every pass when the tokens come in passes of these lengths, with the stored keys and values.
    pub fn visit<T>(
        &self,
        attention: &dyn Attention,
        layer: usize,
        passes: &[i64],
        mut see: impl FnMut(&Step, &Tensor, &Tensor) -> T,
    ) -> Vec<T> {
        let (mut keys, mut values, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        let mut tokens: Option<Tokens> = None;
        let mut start = 0;
        for &length in passes {
            let wide = |tensor: &Tensor| tensor.narrow(1, start, length);
            let heads = |tensor: &Tensor| tensor.narrow(2, start, length);
            let flags = |all: &[bool]| -> Vec<bool> {
                let rows = all.chunks(self.layout.tokens());
                rows.flat_map(|row| &row[start as usize..(start + length) as usize])
                    .copied()
                    .collect()
            };
            let (visual, valid) = (flags(&self.layout.visual), flags(&self.layout.valid));
            let now = match &tokens {
                None => Tokens::new(&visual, Some(&valid), &self.layout.prompts, Device::Cpu),
                Some(before) => before.then(&visual, &valid),
            };
            let step = Step {
                layer,
                hidden: &wide(&self.hidden),
                input: &wide(&self.input),
                query: &heads(&self.query),
                query_pre_rope: &heads(&self.query_pre_rope),
                key: &heads(&self.key),
                key_pre_rope: &heads(&self.key_pre_rope),
                tokens: &now,
                scale: SCALE,
            };
            let stored = attention.store(&step).unwrap();
            let (kv_heads, width) = (self.key.size()[1], attention.key_width(layer));
            let batch = self.layout.batch() as i64;
            assert_eq!(stored.size(), [batch, kv_heads, length, width]);
            assert_eq!(stored.kind(), self.key.kind());
            keys.push(stored);
            values.push(heads(&self.value));
            seen.push(see(&step, &Tensor::cat(&keys, 2), &Tensor::cat(&values, 2)));
            tokens = Some(now);
            start += length;
        }
        assert_eq!(start, self.layout.tokens() as i64);
        seen
    }

    /// The output `[B, H, T, D]` when the tokens come in passes of these lengths.
    pub fn run(&self, attention: &dyn Attention, layer: usize, passes: &[i64]) -> Tensor {
        let outputs = self.visit(attention, layer, passes, |step, keys, values| {
            attention.attend(step, keys, values).unwrap()
        });
        Tensor::cat(&outputs, 2)
    }

    /// The output when all tokens come in one pass.
    pub fn whole(&self, attention: &dyn Attention, layer: usize) -> Tensor {
        self.run(attention, layer, &[self.layout.tokens() as i64])
    }

    /// The weights `[B, H, T, T]` when all tokens come in one pass.
    pub fn weights(&self, attention: &dyn Attention, layer: usize) -> Tensor {
        let tokens = self.layout.tokens() as i64;
        let rows: Vec<i64> = (0..tokens).collect();
        let mut weights = self.visit(attention, layer, &[tokens], |step, keys, _| {
            attention.weights(step, keys, &rows).unwrap()
        });
        weights.remove(0)
    }

    /// `[B, H, T, ..]` with the rows of padding queries at zero: what they give is never read.
    pub fn real(&self, tensor: &Tensor) -> Tensor {
        let valid = Tensor::from_slice(&self.layout.valid);
        let shape = [
            self.layout.batch() as i64,
            1,
            self.layout.tokens() as i64,
            1,
        ];
        tensor.masked_fill(&valid.logical_not().view(shape), 0.0)
    }
}

/// Gives every parameter of a variant random values, as training would.
pub fn train(attention: &dyn Attention, deviation: f64) {
    for (stream, (_, mut parameter)) in attention.parameters().into_iter().enumerate() {
        let values = Noise::new(11).normal(stream as u64, &parameter.size()) * deviation;
        parameter.copy_(&values.to_kind(parameter.kind()));
    }
}

/// A variant with random parameters.
pub fn trained(variant: &Variant, geometry: Geometry, kind: Kind) -> Box<dyn Attention> {
    let attention = variant.build(&build(geometry, kind)).unwrap();
    train(attention.as_ref(), 0.3);
    attention
}

/// The largest difference of any two elements; NaN is the largest of all.
pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let difference = a.to_kind(Kind::Double) - b.to_kind(Kind::Double);
    let largest = f64::try_from(difference.abs().max()).unwrap();
    if largest.is_nan() {
        f64::INFINITY
    } else {
        largest
    }
}
