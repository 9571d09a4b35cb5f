//! What a checkpoint's generation config asks of greedy decoding.

/// A sequence of tokens, and what is added to the logit of its last one where the others stand before it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Biased {
    pub ids: Vec<i64>,
    pub bias: f32,
}

/// The settings, named as in the field; empty, `None` and 0 ask for nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Tokens that end an answer.
    pub end_tokens: Vec<i64>,
    /// Fewest new tokens before an end token.
    pub min_new_tokens: usize,
    /// Fewest tokens before an end token, the prompt's included.
    pub min_length: usize,
    pub sequence_bias: Vec<Biased>,
    /// Above 1 the tokens of the prompt are likelier.
    pub encoder_repetition_penalty: Option<f64>,
    pub repetition_penalty: Option<f64>,
    pub no_repeat_ngram_size: usize,
    pub encoder_no_repeat_ngram_size: usize,
    pub bad_words: Vec<Biased>,
    /// What follows a prompt of one token.
    pub forced_first: Option<i64>,
    /// One of these is the last token that there is room for.
    pub forced_last: Vec<i64>,
    /// Whether logits that are not finite are made so.
    pub removes_invalid: bool,
    /// After so many new tokens, end tokens grow likelier by this factor a token.
    pub decay: Option<(usize, f64)>,
    /// Never said.
    pub suppressed: Vec<i64>,
    /// Not said first.
    pub suppressed_first: Vec<i64>,
    pub renormalizes: bool,
    /// Texts that end an answer and belong to it.
    pub stop_strings: Vec<String>,
}

impl Rules {
    /// A key that names a token from `vocabulary` on, and that token.
    pub(super) fn beyond(&self, vocabulary: i64) -> Option<(&'static str, i64)> {
        let all = |biased: &[Biased]| -> Vec<i64> {
            biased
                .iter()
                .flat_map(|biased| biased.ids.clone())
                .collect()
        };
        let named = [
            ("sequence_bias", all(&self.sequence_bias)),
            ("bad_words_ids", all(&self.bad_words)),
            (
                "forced_bos_token_id",
                self.forced_first.into_iter().collect(),
            ),
            ("forced_eos_token_id", self.forced_last.clone()),
            ("suppress_tokens", self.suppressed.clone()),
            ("begin_suppress_tokens", self.suppressed_first.clone()),
        ];
        named.into_iter().find_map(|(key, ids)| {
            let id = ids.into_iter().find(|&id| id >= vocabulary)?;
            Some((key, id))
        })
    }
}
