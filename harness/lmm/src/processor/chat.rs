//! The chat template of a checkpoint, rendered as `transformers` renders it (Jinja with `trim_blocks`, `lstrip_blocks`,
//! loop controls, Python's string methods and its way to write values; `generation` blocks, which mark an assistant's words for
//! training, as the text that they hold). `tools` and `documents` are none; the special tokens have their names.
//!
//! Source: `utils/chat_template_utils.py` of `transformers` 5.23. A template is a program that came with a checkpoint. It can
//! name no file; it may take [`MAX_STEPS`] and write [`MAX_PROMPT_BYTES`] bytes. What it keeps in its own variables has no limit, as in
//! `transformers`. Deviation: `strftime_now` tells a day that never changes (see `python::strftime`), so that a prompt is the
//! same in a run, in its continuation and in the next run.

mod find;
mod python;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, context};
use rave_hints::refusal;
use serde_json::{Value, json};

use crate::{Checkpoint, Error};

/// A chat template, compiled once.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens that templates may name, such as `bos_token`.
    tokens: Value,
}

/// Instructions that rendering a prompt may take; those of published checkpoints take some hundreds.
const MAX_STEPS: u64 = 1_000_000;

/// The longest prompt that a template may write, in bytes.
const MAX_PROMPT_BYTES: usize = 16 << 20;

/// What a template writes, up to [`MAX_PROMPT_BYTES`].
#[derive(Default)]
struct Written(Vec<u8>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_PROMPT_BYTES {
            return Err(io::Error::other(format!(
                "it writes more than {MAX_PROMPT_BYTES} bytes"
            )));
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ChatTemplate {
    /// Finds and compiles the template of a checkpoint, whose special tokens have these names.
    pub(crate) fn open(checkpoint: &Checkpoint, names: &[(String, String)]) -> Result<Self, Error> {
        let (path, source) = find::find(checkpoint)?;
        let tokens = names
            .iter()
            .map(|(name, token)| (name.clone(), Value::String(token.clone())));
        Self::compile(&path, &source, Value::Object(tokens.collect()))
    }

    /// Compiles the template of a file, which may name these special tokens.
    fn compile(path: &Path, source: &str, tokens: Value) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(MAX_STEPS));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_function("strftime_now", |format: &str| python::strftime(format));
        python::teach(&mut environment);
        environment
            .add_template_owned("chat", without_generation_blocks(&with_newlines(source)))
            .map_err(|error| {
                Error::malformed(
                    path,
                    refusal(
                        format!("the chat template does not compile: {error}"),
                        "fetch it again",
                    ),
                )
            })?;
        Ok(Self {
            environment,
            tokens,
        })
    }

    /// One user turn of `images` pictures and a question, with the assistant's cue.
    pub(crate) fn render(&self, images: usize, question: &str) -> Result<String, Error> {
        self.turns(images, question, None, None)
    }

    /// What follows the assistant's cue when it answers `answer`: to the end of its turn, or with a next question to the
    /// cue after that.
    pub(crate) fn answer(
        &self,
        question: &str,
        answer: &str,
        next: Option<&str>,
    ) -> Result<String, Error> {
        let cue = self.turns(0, question, None, None)?;
        let whole = self.turns(0, question, Some(answer), next)?;
        whole.strip_prefix(&cue).map(str::to_owned).ok_or_else(|| {
            Error::prompt(
                "the chat template writes an answered turn in another way than its cue, so it cannot be trained on",
            )
        })
    }

    fn turns(
        &self,
        images: usize,
        question: &str,
        answer: Option<&str>,
        next: Option<&str>,
    ) -> Result<String, Error> {
        let mut content = vec![json!({ "type": "image" }); images];
        content.push(json!({ "type": "text", "text": question }));
        let fail = |error: minijinja::Error| {
            // What stopped the writing stands in its source.
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            let source = source.unwrap_or_default();
            Error::prompt(refusal(
                format!("the chat template fails: {error:#}{source}"),
                "use the template of this checkpoint",
            ))
        };
        let template = self.environment.get_template("chat").map_err(fail)?;
        let mut messages = vec![json!({ "role": "user", "content": content })];
        if let Some(answer) = answer {
            let content = json!([{ "type": "text", "text": answer }]);
            messages.push(json!({ "role": "assistant", "content": content }));
        }
        if let Some(next) = next {
            let content = json!([{ "type": "text", "text": next }]);
            messages.push(json!({ "role": "user", "content": content }));
        }
        let nothing = minijinja::Value::from(());
        let values = context! {
            messages,
            tools => nothing,
            documents => nothing,
            add_generation_prompt => answer.is_none() || next.is_some(),
            ..minijinja::Value::from_serialize(&self.tokens)
        };
        let mut written = Written::default();
        template
            .render_captured_to(values, &mut written)
            .map_err(fail)?;
        // Jinja writes text alone.
        Ok(String::from_utf8_lossy(&written.0).into_owned())
    }
}

/// A template with every end of a line as Jinja reads it.
fn with_newlines(source: &str) -> String {
    source.replace("\r\n", "\n").replace('\r', "\n")
}

/// A template whose `generation` blocks, which Jinja itself does not know, are blocks with variables of their own: white space
/// around them is trimmed alike.
fn without_generation_blocks(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        let Some((inside, after)) = tag.split_once("%}") else {
            break;
        };
        let name = inside
            .trim_matches(|letter: char| letter.is_whitespace() || letter == '-' || letter == '+');
        let inside = match name {
            "generation" => inside.replace(name, "with"),
            "endgeneration" => inside.replace(name, "endwith"),
            _ => inside.to_owned(),
        };
        plain += &format!("{before}{{%{inside}%}}");
        rest = after;
    }
    plain + rest
}
