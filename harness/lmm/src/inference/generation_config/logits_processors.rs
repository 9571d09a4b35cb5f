//! What a generation config makes of the logits of a step, one processor after the other.
//!
//! Source: `_get_logits_processor` in `generation/utils.py` (the order) and `generation/logits_process.py` of `transformers` 5.23,
//! for a decoder without an encoder: there the "encoder" processors look at the prompt. Every sequence of a batch is treated as
//! it would be alone; in `transformers` the padding of shorter prompts counts for some.

use std::collections::{BTreeMap, HashMap};

use tch::{Device, Kind, Tensor};

use super::rules::{Biased, Rules};
use crate::Error;

/// The sequences of a batch, prompts and what has been answered.
struct Sequences {
    /// Token ids of each.
    pub ids: Vec<Vec<i64>>,
    /// How many of them are the prompt's.
    pub prompts: Vec<usize>,
    /// New tokens so far.
    pub new: usize,
    /// New tokens that there is room for.
    pub max_new_tokens: usize,
}

impl Sequences {
    /// Tokens of a sequence, or of its prompt alone.
    fn end(&self, row: usize, prompt_alone: bool) -> usize {
        if prompt_alone {
            self.prompts[row]
        } else {
            self.ids[row].len()
        }
    }
}

/// Logits `[B, vocabulary]` in f32 to such.
trait Processor {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error>;
}

/// The processors of one batch, in order.
pub(crate) struct LogitsProcessors {
    all: Vec<Box<dyn Processor>>,
    sequences: Sequences,
}

impl LogitsProcessors {
    /// Those that the rules ask for, for prompts and the most new tokens of each; `None` when that is none.
    pub fn new(rules: &Rules, prompts: &[&[i64]], max_new_tokens: usize) -> Option<Self> {
        let mut all: Vec<Box<dyn Processor>> = Vec::new();
        if !rules.sequence_bias.is_empty() {
            all.push(Box::new(Bias::new(&rules.sequence_bias)));
        }
        if let Some(penalty) = rules.encoder_repetition_penalty {
            all.push(Box::new(Penalty::of_prompts(penalty)));
        }
        if let Some(penalty) = rules.repetition_penalty {
            all.push(Box::new(Penalty::new(penalty)));
        }
        let whole = (rules.no_repeat_ngram_size, false);
        let encoder = (rules.encoder_no_repeat_ngram_size, true);
        for (size, prompts_alone) in [whole, encoder] {
            if size > 0 {
                all.push(Box::new(NoRepeat::new(size, prompts_alone)));
            }
        }
        if !rules.bad_words.is_empty() {
            all.push(Box::new(Bias::new(&rules.bad_words)));
        }
        if rules.min_length.max(rules.min_new_tokens) > 0 {
            all.push(Box::new(NoEarlyEnd {
                min_length: rules.min_length,
                min_new_tokens: rules.min_new_tokens,
                end_tokens: rules.end_tokens.clone(),
            }));
        }
        if let Some(id) = rules.forced_first {
            all.push(Box::new(ForcedFirst(id)));
        }
        if !rules.forced_last.is_empty() {
            all.push(Box::new(ForcedLast(rules.forced_last.clone())));
        }
        if rules.removes_invalid {
            all.push(Box::new(Finite));
        }
        if let Some((start, factor)) = rules.decay {
            all.push(Box::new(Decay {
                start,
                factor,
                end_tokens: rules.end_tokens.clone(),
            }));
        }
        if !rules.suppressed.is_empty() {
            all.push(Box::new(Suppress(rules.suppressed.clone())));
        }
        if !rules.suppressed_first.is_empty() {
            all.push(Box::new(SuppressFirst {
                ids: rules.suppressed_first.clone(),
                forces_first: rules.forced_first.is_some(),
            }));
        }
        if rules.renormalizes {
            all.push(Box::new(Normalize));
        }
        let sequences = Sequences {
            ids: prompts.iter().map(|ids| ids.to_vec()).collect(),
            prompts: prompts.iter().map(|ids| ids.len()).collect(),
            new: 0,
            max_new_tokens,
        };
        (!all.is_empty()).then_some(Self { all, sequences })
    }

    /// What they make of logits `[B, vocabulary]`.
    pub fn apply(&mut self, logits: &Tensor) -> Result<Tensor, Error> {
        let mut scores = logits.f_to_kind(Kind::Float)?;
        for processor in &mut self.all {
            scores = processor.apply(scores, &self.sequences)?;
        }
        Ok(scores)
    }

    /// Notes the token that each sequence goes on with.
    pub fn push(&mut self, next: &[i64]) {
        for (ids, &token) in self.sequences.ids.iter_mut().zip(next) {
            ids.push(token);
        }
        self.sequences.new += 1;
    }
}

fn vocabulary(scores: &Tensor) -> i64 {
    scores.size().last().copied().unwrap_or(0)
}

fn indices(ids: &[i64], device: Device) -> Result<Tensor, Error> {
    Ok(Tensor::f_from_slice(ids)?.f_to_device(device)?)
}

/// The positions in a flat `[B, vocabulary]` of (sequence, token); a token that the head does not have cannot be said.
fn flat(positions: impl IntoIterator<Item = (usize, i64)>, vocabulary: i64) -> Vec<i64> {
    let positions = positions
        .into_iter()
        .filter(|&(_, token)| token < vocabulary);
    positions
        .map(|(row, token)| row as i64 * vocabulary + token)
        .collect()
}

/// The scores with one value for these (sequence, token).
fn filled(
    scores: &Tensor,
    positions: impl IntoIterator<Item = (usize, i64)>,
    value: f64,
) -> Result<Tensor, Error> {
    let positions = flat(positions, vocabulary(scores));
    if positions.is_empty() {
        return Ok(scores.shallow_clone());
    }
    let positions = indices(&positions, scores.device())?;
    let filled = scores.f_reshape([-1])?.f_index_fill(0, &positions, value)?;
    Ok(filled.f_view_as(scores)?)
}

/// Those tokens of each of these sequences.
fn each(ids: &[i64], rows: impl Iterator<Item = usize>) -> impl Iterator<Item = (usize, i64)> {
    rows.flat_map(move |row| ids.iter().map(move |&id| (row, id)))
}

/// Adds to the last token of a sequence where the tokens before it stand. `SequenceBiasLogitsProcessor`; with minus infinity
/// `NoBadWordsLogitsProcessor`.
struct Bias {
    /// By the number of tokens before the last, in the order in which these come.
    by_length: Vec<Vec<Biased>>,
}

impl Bias {
    fn new(all: &[Biased]) -> Self {
        let mut by_length: Vec<Vec<Biased>> = Vec::new();
        // Single tokens first: sums in f32 depend on their order.
        for single in [true, false] {
            for biased in all
                .iter()
                .filter(|biased| (biased.ids.len() == 1) == single)
            {
                let of = by_length
                    .iter_mut()
                    .find(|known| known[0].ids.len() == biased.ids.len());
                match of {
                    Some(known) => known.push(biased.clone()),
                    None => by_length.push(vec![biased.clone()]),
                }
            }
        }
        Self { by_length }
    }
}

impl Processor for Bias {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        let vocabulary = vocabulary(&scores);
        let mut added: BTreeMap<i64, f32> = BTreeMap::new();
        for (row, ids) in sequences.ids.iter().enumerate() {
            for biased in self.by_length.iter().flatten() {
                let (before, last) = biased.ids.split_at(biased.ids.len() - 1);
                if ids.ends_with(before) && last[0] < vocabulary {
                    *added.entry(row as i64 * vocabulary + last[0]).or_default() += biased.bias;
                }
            }
        }
        let (positions, values): (Vec<i64>, Vec<f32>) = added.into_iter().unzip();
        let positions = indices(&positions, scores.device())?;
        let values = Tensor::f_from_slice(&values)?.f_to_device(scores.device())?;
        let flat = scores.f_reshape([-1])?;
        let sums = flat.f_index_select(0, &positions)?.f_add(&values)?;
        Ok(flat
            .f_index_copy(0, &positions, &sums)?
            .f_view_as(&scores)?)
    }
}

/// Divides the logits of the tokens that stand in a sequence, or multiplies those below 0 (Keskar et al., CTRL, 2019).
/// `RepetitionPenaltyLogitsProcessor`, and with the inverse of its penalty `EncoderRepetitionPenaltyLogitsProcessor`.
struct Penalty {
    divisor: f64,
    prompts_alone: bool,
    /// Which tokens stand there, `[B, vocabulary]`.
    there: Option<Tensor>,
    /// Tokens of each sequence that are marked.
    marked: Vec<usize>,
}

impl Penalty {
    fn new(penalty: f64) -> Self {
        Self {
            divisor: penalty,
            prompts_alone: false,
            there: None,
            marked: Vec::new(),
        }
    }

    fn of_prompts(penalty: f64) -> Self {
        Self {
            prompts_alone: true,
            ..Self::new(1.0 / penalty)
        }
    }
}

impl Processor for Penalty {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        let ends: Vec<usize> = (0..sequences.ids.len())
            .map(|row| sequences.end(row, self.prompts_alone))
            .collect();
        self.marked.resize(ends.len(), 0);
        let spans = self.marked.iter().zip(&ends).enumerate();
        let new = spans.flat_map(|(row, (&from, &to))| {
            sequences.ids[row][from..to]
                .iter()
                .map(move |&id| (row, id))
        });
        let there = match self.there.take() {
            Some(there) => there,
            None => scores.f_zeros_like()?.f_to_kind(Kind::Bool)?,
        };
        let there = filled(&there, new, 1.0)?;
        self.marked = ends;
        let lower = scores
            .f_mul_scalar(self.divisor)?
            .f_where_self(&scores.f_lt(0.0)?, &scores.f_div_scalar(self.divisor)?)?;
        let lower = lower.f_where_self(&there, &scores)?;
        self.there = Some(there);
        Ok(lower)
    }
}

/// No n-gram comes a second time. `NoRepeatNGramLogitsProcessor`, and for those of the prompts alone
/// `EncoderNoRepeatNGramLogitsProcessor`.
struct NoRepeat {
    size: usize,
    prompts_alone: bool,
    /// Of each sequence, what followed the first tokens of an n-gram.
    followed: Vec<HashMap<Vec<i64>, Vec<i64>>>,
    /// How many n-grams of each are known.
    known: Vec<usize>,
}

impl NoRepeat {
    fn new(size: usize, prompts_alone: bool) -> Self {
        Self {
            size,
            prompts_alone,
            followed: Vec::new(),
            known: Vec::new(),
        }
    }
}

impl Processor for NoRepeat {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        let batch = sequences.ids.len();
        self.followed.resize_with(batch, HashMap::new);
        self.known.resize(batch, 0);
        let mut banned = Vec::new();
        for (row, ids) in sequences.ids.iter().enumerate() {
            let (followed, known) = (&mut self.followed[row], &mut self.known[row]);
            let end = sequences.end(row, self.prompts_alone);
            for ngram in ids[..end].windows(self.size).skip(*known) {
                let (first, last) = ngram.split_at(self.size - 1);
                followed.entry(first.to_vec()).or_default().push(last[0]);
                *known += 1;
            }
            let before = (ids.len() + 1).checked_sub(self.size);
            let before = before.and_then(|start| followed.get(&ids[start..]));
            banned.extend(before.into_iter().flatten().map(|&token| (row, token)));
        }
        filled(&scores, banned, f64::NEG_INFINITY)
    }
}

/// No end token too early. `MinLengthLogitsProcessor` and `MinNewTokensLengthLogitsProcessor`.
struct NoEarlyEnd {
    min_length: usize,
    min_new_tokens: usize,
    end_tokens: Vec<i64>,
}

impl Processor for NoEarlyEnd {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        let early = |row: &usize| {
            sequences.new < self.min_new_tokens || sequences.ids[*row].len() < self.min_length
        };
        let rows = (0..sequences.ids.len()).filter(early);
        filled(&scores, each(&self.end_tokens, rows), f64::NEG_INFINITY)
    }
}

/// Nothing but one token after a prompt of one token. `ForcedBOSTokenLogitsProcessor`.
struct ForcedFirst(i64);

impl Processor for ForcedFirst {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        let vocabulary = vocabulary(&scores);
        let rows = sequences.ids.iter().enumerate();
        let rows: Vec<usize> = rows
            .filter(|(_, ids)| ids.len() == 1)
            .map(|(row, _)| row)
            .collect();
        let whole = rows
            .iter()
            .flat_map(|&row| (0..vocabulary).map(move |token| (row, token)));
        let scores = filled(&scores, whole, f64::NEG_INFINITY)?;
        filled(&scores, rows.iter().map(|&row| (row, self.0)), 0.0)
    }
}

/// Nothing but some tokens where there is room for one more. `ForcedEOSTokenLogitsProcessor`.
struct ForcedLast(Vec<i64>);

impl Processor for ForcedLast {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        if sequences.new + 1 != sequences.max_new_tokens {
            return Ok(scores);
        }
        let rows = 0..sequences.ids.len();
        filled(
            &scores.f_full_like(f64::NEG_INFINITY)?,
            each(&self.0, rows),
            0.0,
        )
    }
}

/// `InfNanRemoveLogitsProcessor`.
struct Finite;

impl Processor for Finite {
    fn apply(&mut self, scores: Tensor, _: &Sequences) -> Result<Tensor, Error> {
        let most = f64::from(f32::MAX);
        Ok(scores.f_nan_to_num(0.0, most, -most)?)
    }
}

/// End tokens grow likelier with every token. `ExponentialDecayLengthPenalty`.
struct Decay {
    start: usize,
    factor: f64,
    end_tokens: Vec<i64>,
}

impl Processor for Decay {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        if sequences.new <= self.start {
            return Ok(scores);
        }
        let ends = flat(each(&self.end_tokens, 0..1), vocabulary(&scores));
        let ends = indices(&ends, scores.device())?;
        let own = scores.f_index_select(1, &ends)?;
        let grown = self.factor.powf((sequences.new - self.start) as f64) - 1.0;
        let added = own.f_abs()?.f_mul_scalar(grown)?;
        let added = added.f_where_self(&own.f_isfinite()?, &own.f_zeros_like()?)?;
        Ok(scores.f_index_copy(1, &ends, &own.f_add(&added)?)?)
    }
}

/// Some tokens are never said. `SuppressTokensLogitsProcessor`.
struct Suppress(Vec<i64>);

impl Processor for Suppress {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        let rows = 0..sequences.ids.len();
        filled(&scores, each(&self.0, rows), f64::NEG_INFINITY)
    }
}

/// Some tokens are not said first, or second after a forced first one. `SuppressTokensAtBeginLogitsProcessor`.
struct SuppressFirst {
    ids: Vec<i64>,
    forces_first: bool,
}

impl Processor for SuppressFirst {
    fn apply(&mut self, scores: Tensor, sequences: &Sequences) -> Result<Tensor, Error> {
        let begins = |row: &usize| {
            let forced = self.forces_first && sequences.prompts[*row] <= 1;
            sequences.new == usize::from(forced)
        };
        let rows = (0..sequences.ids.len()).filter(begins);
        filled(&scores, each(&self.ids, rows), f64::NEG_INFINITY)
    }
}

/// `LogitNormalization`: the order of the logits stays, but for those that rounding makes equal.
struct Normalize;

impl Processor for Normalize {
    fn apply(&mut self, scores: Tensor, _: &Sequences) -> Result<Tensor, Error> {
        Ok(scores.f_log_softmax(-1, Kind::Float)?)
    }
}
