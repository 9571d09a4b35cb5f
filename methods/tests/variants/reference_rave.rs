//! What every point of RAVE's grid must give, in f64 loops from the formula in the module documentation of `rave`.

use rave_methods::variants::rave::{FeatureSource, Form, Heads, Options, Pair, Side};

use crate::reference::{Expected, Inputs, Parameters, dot};

pub fn rave(options: &Options, inputs: &Inputs, parameters: &Parameters) -> Expected {
    let each = inputs.heads / inputs.kv_heads;
    let has_gate = |head: usize| match &options.heads {
        Heads::All => true,
        Heads::Share(share) => ((head % each) as f64) < share * each as f64,
        Heads::List(list) => list.contains(&((head % each) as i64)),
    };
    let is_on = |side: Side, is_visual: bool| match side {
        Side::Visual => is_visual,
        Side::Text => !is_visual,
        Side::All => true,
    };
    inputs.softmaxed(|b, h, i, j| {
        let score = inputs.score(b, h, i, j);
        let is_touched = has_gate(h)
            && is_on(options.queries, inputs.is_visual(b, i))
            && is_on(options.keys, inputs.is_visual(b, j));
        if !is_touched {
            return score;
        }
        let (gate, group) = if options.shared {
            (0, 0)
        } else {
            (
                (0..h).filter(|&other| has_gate(other)).count(),
                inputs.group(h),
            )
        };
        let (query, key) = match options.features {
            FeatureSource::PreRope => {
                (inputs.query_pre_rope(b, h, i), inputs.key_pre_rope(b, h, j))
            }
            FeatureSource::PostRope => (inputs.query(b, h, i), inputs.key(b, h, j)),
        };
        let rank = options.rank as usize;
        // What a gate gives for one token: `A^T x`, or the learned vector when it looks at no token.
        let side = |name: &str, number: usize, looks: bool, features: &[f64]| -> Vec<f64> {
            let all = parameters.get(name);
            if !looks {
                return all[number * rank..(number + 1) * rank].to_vec();
            }
            let matrix = &all[number * inputs.width * rank..(number + 1) * inputs.width * rank];
            (0..rank)
                .map(|r| {
                    (0..inputs.width)
                        .map(|d| matrix[d * rank + r] * features[d])
                        .sum()
                })
                .collect()
        };
        let product = if options.pair == Pair::Scalar {
            parameters.get("query")[gate]
        } else {
            let (looks_at_query, looks_at_key) = match options.pair {
                Pair::KeyOnly => (false, true),
                Pair::QueryOnly => (true, false),
                Pair::Pair | Pair::Scalar => (true, true),
            };
            dot(
                &side("query", gate, looks_at_query, query),
                &side("key", group, looks_at_key, key),
            ) / (rank as f64).sqrt()
        };
        score
            + match options.form {
                Form::Bilinear => product,
                Form::Gate => (2.0 / (1.0 + (-product).exp())).ln(),
                Form::Tanh => options.bound * (product / options.bound).tanh(),
            }
    })
}
