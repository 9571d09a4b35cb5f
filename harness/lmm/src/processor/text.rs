//! The text side of a checkpoint: tokenizer and chat template, with the places of pictures in a prompt.
//!
//! A prompt is what `apply_chat_template(tokenize=True)` of a `transformers` 5.23 processor makes of it. Deviations: a question
//! that holds the marker of a picture, which the processor refuses, is asked (see `marked`); a chat template that ends an
//! assistant's turn with none of the end tokens is trained with the first of them right after the answer; an added token that
//! the normaliser changes is decoded as it is written in the files, where tokenizers 0.23 decodes its changed form.

mod added;
mod class;
mod marked;
#[cfg(test)]
pub(crate) mod tests;
mod tokenizer;

use std::path::PathBuf;

use rave_hints::refusal;
use tokenizers::Tokenizer;

use self::tokenizer::{Lengths, guarded};
use crate::processor::chat::ChatTemplate;
use crate::{Checkpoint, Error};

/// Tokenizer and chat template of one checkpoint.
pub struct Text {
    tokenizer: Tokenizer,
    /// The file that the tokenizer's vocabulary is from.
    path: PathBuf,
    /// Special tokens by name, such as `bos_token`.
    names: Vec<(String, String)>,
    chat: ChatTemplate,
    /// Number of embeddings: ids from here on have none.
    vocabulary: i64,
    /// The markers with which the processor refuses a question.
    markers: Vec<String>,
    lengths: Lengths,
}

/// A rendered user turn.
pub(crate) struct Rendered {
    /// As the template wrote it, with one marker a picture.
    pub(crate) chat: String,
    /// With what stands for each picture.
    pub(crate) text: String,
    /// Token ids of the text.
    pub(crate) ids: Vec<i64>,
}

/// The printable character that stands for a byte in a byte-level vocabulary (GPT-2's): itself, or one from 256 on.
pub(crate) fn byte_level_char(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !printable(other)).count() as u32;
    char::from_u32(256 + before).expect("below the surrogates")
}

impl Text {
    /// Opens them. `added` are special tokens that the family's processor adds where the tokenizer lacks them.
    pub(crate) fn open(
        checkpoint: &Checkpoint,
        vocabulary: i64,
        added: &[&str],
    ) -> Result<Self, Error> {
        let opened = tokenizer::open(checkpoint, added)?;
        Ok(Self {
            chat: ChatTemplate::open(checkpoint, &opened.names)?,
            tokenizer: opened.tokenizer,
            lengths: opened.lengths,
            path: opened.path,
            names: opened.names,
            vocabulary,
            markers: Vec::new(),
        })
    }

    /// The special token of this name, such as `image_token`, or else `default`.
    pub(crate) fn named(&self, name: &str, default: &str) -> String {
        let token = self.names.iter().find(|(other, _)| other == name);
        token.map_or(default, |(_, token)| token).to_owned()
    }

    /// Says which markers stand for pictures and videos: in a question they are plain text.
    pub(crate) fn set_markers<'a>(&mut self, markers: impl IntoIterator<Item = &'a str>) {
        let tokens = markers
            .into_iter()
            .filter(|marker| self.tokenizer.token_to_id(marker).is_some());
        self.markers = tokens.map(str::to_owned).collect();
    }

    /// Makes sure that the tokenizer has a token, with the id that `config.json` gives it under `key` where there is one.
    pub(crate) fn require(&self, token: &str, required: Option<(&str, i64)>) -> Result<(), Error> {
        let reason = match (self.tokenizer.token_to_id(token).map(i64::from), required) {
            (None, _) => refusal(
                format!("the token {token} is missing"),
                "use the tokenizer of this checkpoint",
            ),
            (Some(id), Some((key, required))) if id != required => refusal(
                format!("{token} is token {id}, but config.json says {key} {required}"),
                "use the files of one checkpoint",
            ),
            (Some(_), _) => return Ok(()),
        };
        Err(Error::malformed(&self.path, reason))
    }

    /// The prompt of one user turn, with the marker of picture n, which the template writes as `marker`, replaced by
    /// `placeholder(n)`.
    pub(crate) fn prompt(
        &self,
        pictures: usize,
        question: &str,
        marker: &str,
        placeholder: impl Fn(usize) -> String,
    ) -> Result<Rendered, Error> {
        let marked = marked::mark(&[question], &self.markers());
        let asked = marked.as_ref().map_or(question, |texts| &texts[0]);
        let chat = self.chat.render(pictures, asked)?;
        let mut text = String::new();
        let mut found = 0;
        for part in chat.split_inclusive(marker) {
            match part.strip_suffix(marker) {
                Some(before) if !(marked.is_some() && marked::ends_at_mark(before)) => {
                    text += before;
                    if found < pictures {
                        text += &placeholder(found);
                    }
                    found += 1;
                }
                _ => text += part,
            }
        }
        if found != pictures {
            return Err(Error::prompt(refusal(
                format!("the chat template writes {found} {marker} for {pictures} pictures"),
                "use the template of this checkpoint",
            )));
        }
        // As the processor does: where the template writes the first token, the tokenizer adds none.
        let bos = self.names.iter().find(|(name, _)| name == "bos_token");
        let additions = !bos.is_some_and(|(_, bos)| chat.starts_with(bos.as_str()));
        let ids = self.encode(&text, additions, marked.is_some())?;
        self.lengths.check(ids.len())?;
        Ok(match marked {
            None => Rendered { chat, text, ids },
            Some(_) => Rendered {
                chat: marked::unmark(&chat),
                text: marked::unmark(&text),
                ids,
            },
        })
    }

    fn markers(&self) -> Vec<&str> {
        self.markers.iter().map(String::as_str).collect()
    }

    /// Token ids of a text, with the tokenizer's own additions (such as a first token) where `additions`, and with markers set
    /// apart in it where `is_marked`.
    fn encode(&self, text: &str, additions: bool, is_marked: bool) -> Result<Vec<i64>, Error> {
        let ids = guarded(|| {
            if is_marked {
                return marked::encode(&self.tokenizer, text, &self.markers(), additions);
            }
            Ok(self
                .tokenizer
                .encode_fast(text, additions)?
                .get_ids()
                .to_vec())
        });
        let ids = ids.map_err(|error| Error::prompt(format!("cannot be tokenised: {error}")))?;
        self.within_vocabulary(ids)
    }

    /// Ids as the model takes them, each of which has an embedding.
    fn within_vocabulary(&self, ids: Vec<u32>) -> Result<Vec<i64>, Error> {
        let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
        if let Some(id) = ids.iter().find(|&&id| id >= self.vocabulary) {
            return Err(Error::prompt(refusal(
                format!(
                    "the tokenizer gives token {id}, but config.json has a vocab_size of {}",
                    self.vocabulary
                ),
                "use the tokenizer of this checkpoint",
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
        let texts = [question, answer, next.unwrap_or_default()];
        let marked = marked::mark(&texts, &self.markers());
        let is_marked = marked.is_some();
        let texts = marked.unwrap_or_else(|| texts.map(str::to_owned).to_vec());
        let (question, answer) = (&texts[0], &texts[1]);
        let cue = self.chat.render(0, question)?;
        let alone = self.chat.answer(question, answer, None)?;
        let position = |ids: &[i64]| ids.iter().position(|id| end_tokens.contains(id));
        let whole = match next {
            Some(_) => self.chat.answer(question, answer, Some(&texts[2]))?,
            None => alone.clone(),
        };
        let is_ended = position(&self.follow(&cue, &alone, is_marked)?).is_some();
        let whole = if is_ended {
            whole
        } else {
            self.ended(&alone, answer, &whole, end_tokens)?
        };
        let mut ids = self.follow(&cue, &whole, is_marked)?;
        let Some(end) = position(&ids) else {
            return Err(Error::prompt(format!(
                "the chat template ends the answer {alone:?} with none of the end tokens {end_tokens:?}"
            )));
        };
        let mut rest = ids.split_off(end + 1);
        if next.is_none() {
            rest.clear();
        }
        Ok((ids, rest))
    }

    /// Puts the first end token right after an answer, in `whole`, which begins with the answered turn `alone`: what white space
    /// the template writes there is left out.
    ///
    /// Source: `conv_vicuna_v1` of LLaVA, `llava/conversation.py` (`sep2` is `</s>`), where an answer and the next question are
    /// `ASSISTANT: answer</s>USER: question`.
    fn ended(
        &self,
        alone: &str,
        answer: &str,
        whole: &str,
        end_tokens: &[i64],
    ) -> Result<String, Error> {
        let end = end_tokens.first().and_then(|&id| u32::try_from(id).ok());
        let end = end.and_then(|id| self.tokenizer.id_to_token(id));
        let rest = whole.strip_prefix(alone);
        let (Some(end), Some(rest)) = (end, rest) else {
            return Err(Error::prompt(format!(
                "the chat template ends the answer {alone:?} with none of the end tokens {end_tokens:?}, and none can be put there"
            )));
        };
        let after = alone.rfind(answer).map(|at| at + answer.len());
        let kept = match after.map(|at| alone.split_at(at)) {
            Some((kept, tail)) if tail.trim().is_empty() => kept,
            _ => alone.trim_end(),
        };
        Ok(format!("{kept}{end}{rest}"))
    }

    /// Token ids of a text that follows another, as they are in the whole.
    fn follow(&self, before: &str, text: &str, is_marked: bool) -> Result<Vec<i64>, Error> {
        let whole = self.encode(&format!("{before}{text}"), false, is_marked)?;
        let before = self.encode(before, false, is_marked)?;
        if let Some(ids) = whole.strip_prefix(before.as_slice()) {
            return Ok(ids.to_vec());
        }
        // The last token of what stands before would reach into the text.
        if is_marked {
            return self.encode(text, false, true);
        }
        let ids = guarded(|| marked::within(&self.tokenizer, text));
        let ids = ids.map_err(|error| Error::prompt(format!("cannot be tokenised: {error}")))?;
        self.within_vocabulary(ids)
    }

    /// Whether its tokenizer has that token.
    pub(crate) fn has(&self, id: i64) -> bool {
        let id = u32::try_from(id).ok();
        id.is_some_and(|id| self.tokenizer.id_to_token(id).is_some())
    }

    /// The id of its `eos_token`.
    pub(crate) fn end_token(&self) -> Option<i64> {
        let token = self.named("eos_token", "");
        self.tokenizer.token_to_id(&token).map(i64::from)
    }

    /// Number of embeddings: ids from here on have none.
    pub(crate) fn vocabulary(&self) -> i64 {
        self.vocabulary
    }

    /// Its tokenizer.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The text of generated ids, special tokens left out.
    pub(crate) fn decode(&self, ids: &[i64]) -> Result<String, Error> {
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        guarded(|| self.tokenizer.decode(&ids, true))
            .map_err(|error| Error::prompt(format!("generated ids cannot be decoded: {error}")))
    }
}
