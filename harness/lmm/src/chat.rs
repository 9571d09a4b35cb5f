//! The chat template of a checkpoint, rendered as `transformers` renders it (Jinja with `trim_blocks`, `lstrip_blocks`,
//! loop controls and Python's string methods; `generation` blocks, which mark an assistant's words for training, as the text
//! that they hold).

use std::path::PathBuf;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, context};
use serde_json::{Value, json};

use crate::checkpoint::read_json;
use crate::{Checkpoint, Error};

/// A chat template, compiled once.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens that templates may name, such as `bos_token`.
    tokens: Value,
}

/// The places where checkpoints keep their template, newest layout first.
const JSON_PLACES: [&str; 3] = [
    "chat_template.json",
    "processor_config.json",
    "tokenizer_config.json",
];

impl ChatTemplate {
    /// Finds and compiles the template of a checkpoint.
    pub(crate) fn open(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let (path, source) = find(checkpoint)?;
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .add_template_owned("chat", without_generation_blocks(&source))
            .map_err(|error| {
                Error::malformed(
                    &path,
                    format!("the chat template does not compile: {error}; fetch it again"),
                )
            })?;
        let config = checkpoint.path("tokenizer_config.json");
        let config = if config.is_file() {
            read_json(&config)?
        } else {
            Value::Null
        };
        let tokens = ["bos_token", "eos_token", "unk_token", "pad_token"]
            .iter()
            .filter_map(|&name| {
                let token = config.get(name)?;
                Some((
                    name.to_owned(),
                    token.get("content").unwrap_or(token).clone(),
                ))
            });
        let tokens = Value::Object(tokens.collect());
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
            Error::Prompt(
                "the chat template writes an answered turn in another way than its cue, so it cannot be trained on"
                    .into(),
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
        let fail =
            |error: minijinja::Error| Error::Prompt(format!("the chat template fails: {error:#}"));
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
        let values = context! { messages, add_generation_prompt => answer.is_none() || next.is_some(), ..minijinja::Value::from_serialize(&self.tokens) };
        template.render(values).map_err(fail)
    }
}

/// A template whose `generation` blocks, which Jinja itself does not know, are conditions that always hold: white space around
/// them is trimmed alike.
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
            "generation" => inside.replace(name, "if true"),
            "endgeneration" => inside.replace(name, "endif"),
            _ => inside.to_owned(),
        };
        plain += &format!("{before}{{%{inside}%}}");
        rest = after;
    }
    plain + rest
}

/// The template's file and text.
fn find(checkpoint: &Checkpoint) -> Result<(PathBuf, String), Error> {
    let path = checkpoint.path("chat_template.jinja");
    if path.is_file() {
        let source = Error::read_text(&path)?;
        return Ok((path, source));
    }
    for name in JSON_PLACES {
        let path = checkpoint.path(name);
        if !path.is_file() {
            continue;
        }
        let config = read_json(&path)?;
        match config.get("chat_template") {
            Some(Value::String(source)) => return Ok((path, source.clone())),
            // A list of named templates: `default` is the one for chat.
            Some(Value::Array(named)) => {
                let default = named
                    .iter()
                    .find(|entry| entry.get("name") == Some(&json!("default")));
                if let Some(Value::String(source)) = default.and_then(|entry| entry.get("template"))
                {
                    return Ok((path, source.clone()));
                }
            }
            _ => {}
        }
    }
    Err(Error::Missing {
        folder: checkpoint.folder().to_owned(),
        what: "a chat template (chat_template.jinja, or the key chat_template in another file)"
            .into(),
        remedy: "fetch it with the checkpoint; base models without one cannot be asked questions"
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_blocks_leave_what_they_hold() {
        let source = "a {%- generation -%} {{ x }} {%endgeneration%}\n{% if x %}b{% endif %} {%";
        assert_eq!(
            without_generation_blocks(source),
            "a {%- if true -%} {{ x }} {%endif%}\n{% if x %}b{% endif %} {%"
        );
    }
}
