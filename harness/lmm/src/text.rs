//! The text side of a checkpoint: tokenizer and chat template, with the places of pictures in a prompt.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::Tokenizer;

use crate::chat::ChatTemplate;
use crate::{Checkpoint, Error};

/// Tokenizer and chat template of one checkpoint.
pub struct Text {
    tokenizer: Tokenizer,
    chat: ChatTemplate,
    /// Number of embeddings: ids from here on have none.
    vocabulary: i64,
}

impl Text {
    /// Opens them.
    pub(crate) fn open(checkpoint: &Checkpoint, vocabulary: i64) -> Result<Self, Error> {
        Ok(Self {
            tokenizer: open_tokenizer(checkpoint)?,
            chat: ChatTemplate::open(checkpoint)?,
            vocabulary,
        })
    }

    /// Makes sure that the tokenizer has a token, with the id that `config.json` gives it under `key` where there is one.
    pub(crate) fn require(
        &self,
        checkpoint: &Checkpoint,
        token: &str,
        required: Option<(&str, i64)>,
    ) -> Result<(), Error> {
        let reason = match (self.tokenizer.token_to_id(token).map(i64::from), required) {
            (None, _) => {
                format!("the token {token} is missing; use the tokenizer of this checkpoint")
            }
            (Some(id), Some((key, required))) if id != required => format!(
                "{token} is token {id}, but config.json says {key} {required}; use the files of one checkpoint"
            ),
            (Some(_), _) => return Ok(()),
        };
        Err(Error::malformed(&checkpoint.path("tokenizer.json"), reason))
    }

    /// The prompt of one user turn as the template writes it, with one `marker` a picture, and the same with the marker of
    /// picture n replaced by `placeholder(n)`. A question that contains one of the `reserved` tokens is refused.
    pub(crate) fn prompt(
        &self,
        pictures: usize,
        question: &str,
        marker: &str,
        reserved: &[&str],
        placeholder: impl Fn(usize) -> String,
    ) -> Result<(String, String), Error> {
        if let Some(token) = reserved.iter().find(|token| question.contains(**token)) {
            return Err(Error::Prompt(format!(
                "the question contains {token}, which marks a picture; take it out"
            )));
        }
        let chat = self.chat.render(pictures, question)?;
        let mut parts = chat.split(marker);
        let mut text = parts.next().unwrap_or_default().to_owned();
        let mut found = 0;
        for rest in parts {
            if found < pictures {
                text += &placeholder(found);
            }
            text += rest;
            found += 1;
        }
        if found != pictures {
            return Err(Error::Prompt(format!(
                "the chat template writes {found} {marker} for {pictures} pictures; use the template of this checkpoint"
            )));
        }
        Ok((chat, text))
    }

    /// Token ids of a text, with the tokenizer's own additions (such as a first token) where `additions`.
    pub(crate) fn encode(&self, text: &str, additions: bool) -> Result<Vec<i64>, Error> {
        let encoding = guarded(|| self.tokenizer.encode(text, additions))
            .map_err(|error| Error::Prompt(format!("cannot be tokenised: {error}")))?;
        let ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        if let Some(id) = ids.iter().find(|&&id| id >= self.vocabulary) {
            return Err(Error::Prompt(format!(
                "the tokenizer gives token {id}, but config.json has a vocab_size of {}; use the tokenizer of this checkpoint",
                self.vocabulary
            )));
        }
        Ok(ids)
    }

    /// [`Processor::answer`](crate::Processor::answer).
    pub(crate) fn answer(
        &self,
        question: &str,
        answer: &str,
        next: Option<&str>,
        end_tokens: &[i64],
    ) -> Result<(Vec<i64>, Vec<i64>), Error> {
        let text = self.chat.answer(question, answer, next)?;
        let mut ids = self.encode(&text, false)?;
        let end = ids.iter().position(|id| end_tokens.contains(id));
        let Some(end) = end else {
            return Err(Error::Prompt(format!(
                "the chat template ends the answer {text:?} with none of the end tokens {end_tokens:?}"
            )));
        };
        let mut rest = ids.split_off(end + 1);
        if next.is_none() {
            rest.clear();
        }
        Ok((ids, rest))
    }

    /// Its tokenizer.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The text of generated ids, special tokens left out.
    pub(crate) fn decode(&self, ids: &[i64]) -> Result<String, Error> {
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        guarded(|| self.tokenizer.decode(&ids, true))
            .map_err(|error| Error::Prompt(format!("generated ids cannot be decoded: {error}")))
    }
}

/// Runs a part of the tokenizer library, which panics at some files that contradict themselves or are no JSON.
fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("tokenizer.json contradicts itself or is damaged".to_owned()),
    }
}

/// The checkpoint's `tokenizer.json`.
fn open_tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer, Error> {
    let path = checkpoint.path("tokenizer.json");
    if !path.is_file() {
        return Err(Error::Missing {
            folder: checkpoint.folder().to_owned(),
            what: "tokenizer.json".into(),
            remedy: "fetch it with the checkpoint, or save the tokenizer with transformers' fast tokenizer".into(),
        });
    }
    let bytes = Error::read(&path)?;
    let mut tokenizer = guarded(|| Tokenizer::from_bytes(bytes)).map_err(|error| {
        Error::malformed(&path, format!("not a tokenizer ({error}); fetch it again"))
    })?;
    // A prompt is never cut or padded behind the user's back.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| Error::malformed(&path, format!("{error}; fetch it again")))?;
    Ok(tokenizer)
}
